package predicate

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrRender is wrapped when a predicate has no SQL: an unknown dialect, or a column
// or relation that the [Table] doesn't know.
var ErrRender = errors.New("the predicate has no SQL")

// Dialect is how a database writes SQL.
type Dialect string

// The dialects.
const (
	PostgreSQL Dialect = "postgres"
	SQLite     Dialect = "sqlite"
	MySQL      Dialect = "mysql" // MariaDB too
)

// Table says how the row's columns and relations are written in a query. All of it
// goes into the SQL as it stands.
type Table struct {
	Columns   map[string]Expression
	Relations map[string]Source
}

// Expression is a column in SQL, such as m.owner_id.
type Expression struct {
	SQL string
	// Nondeterministic: the column has a PostgreSQL collation that is declared
	// deterministic = false, so that "=" alone would find too much.
	Nondeterministic bool
}

// Source is where a relation's members are: EXISTS (SELECT 1 FROM From WHERE On
// AND Value = …). On may be empty. Nondeterministic is about Value, as in [Expression].
type Source struct {
	From, On, Value  string
	Nondeterministic bool
}

// Query is a predicate as SQL: Text is in parentheses, and Args are what its
// placeholders stand for, in order, each an [Argument] or a [Literal]. The zero
// value is no SQL at all, so it never selects everything.
type Query struct {
	Text string
	Args []Operand
}

// Render writes p as SQL. PostgreSQL's placeholders are numbered from first (0
// means 1), and an argument that occurs twice has one number; the other dialects write
// "?" each time. Errors wrap [ErrRender] or [ErrText].
func Render(p Predicate, d Dialect, first int, t Table) (Query, error) {
	w := writer{dialect: d, first: max(first, 1), table: t}
	switch d {
	case PostgreSQL, SQLite, MySQL:
	default:
		w.fail("unknown dialect %q: %s, %s and %s are known", d, PostgreSQL, SQLite, MySQL)
	}
	if first < 0 {
		w.fail("placeholders can't begin at %d", first)
	}
	w.write("(")
	w.predicate(Simplify(p))
	w.write(")")
	if w.err != nil {
		return Query{}, w.err
	}
	return Query{Text: w.text.String(), Args: w.args}, nil
}

// Bind returns the values of the placeholders: those of Arguments from args by
// their Slot. The error wraps [ErrText] or [ErrRender].
func (q Query) Bind(args []string) ([]any, error) {
	out := make([]any, len(q.Args))
	for i, o := range q.Args {
		switch o := o.(type) {
		case Literal: // Render has looked at it
			out[i] = o.Value
		case Argument:
			if o.Slot < 0 || o.Slot >= len(args) {
				return nil, fmt.Errorf("%w: argument %s has no value", ErrRender, o.Name)
			}
			if !Storable(args[o.Slot]) {
				return nil, fmt.Errorf("%w: argument %s", ErrText, o.Name)
			}
			out[i] = args[o.Slot]
		}
	}
	return out, nil
}

type writer struct {
	dialect Dialect
	first   int
	table   Table
	text    strings.Builder
	args    []Operand
	numbers map[Operand]int
	err     error
}

func (w *writer) fail(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf("%w: %s", ErrRender, fmt.Sprintf(format, args...))
	}
}

func (w *writer) write(parts ...string) {
	for _, p := range parts {
		w.text.WriteString(p)
	}
}

// predicate writes what is true exactly for the rows that p selects; for others it
// is false or NULL, and nothing written around it turns NULL into true.
func (w *writer) predicate(p Predicate) {
	switch p := p.(type) {
	case Constant:
		w.write(map[Constant]string{true: "1=1", false: "1=0"}[p])
	case Conjunction:
		w.joined(p, " AND ")
	case Disjunction:
		w.joined(p, " OR ")
	case NullTest:
		w.write(w.column(p.Column), " IS NULL")
	case Comparison:
		w.comparison(p)
	case Membership:
		w.membership(p, false)
	case Holding:
		w.holding(p)
	case Negation:
		w.negation(p)
	default:
		w.fail("%T is no predicate", p)
	}
}

func (w *writer) joined(parts []Predicate, with string) {
	for i, p := range parts {
		if i > 0 {
			w.write(with)
		}
		_, and := p.(Conjunction)
		_, or := p.(Disjunction)
		if and || or {
			w.write("(")
			w.predicate(p)
			w.write(")")
			continue
		}
		w.predicate(p)
	}
}

// negation writes the opposite of what Not leaves negated.
func (w *writer) negation(n Negation) {
	switch p := n.Of.(type) {
	case NullTest:
		w.write(w.column(p.Column), " IS NOT NULL")
	case Membership:
		w.membership(p, true)
	default: // EXISTS is never NULL, but a rule that isn't known to be so is made so
		w.write("NOT COALESCE((")
		w.predicate(p)
		w.write("), FALSE)")
	}
}

func (w *writer) holding(h Holding) {
	source, ok := w.table.Relations[h.Relation]
	if !ok || source.From == "" || source.Value == "" {
		w.fail("relation %q is not registered with a From and a Value", h.Relation)
		return
	}
	w.write("EXISTS (SELECT 1 FROM ", source.From, " WHERE ")
	if source.On != "" {
		w.write(source.On, " AND ")
	}
	member := side{text: source.Value, typ: Text, loose: source.Nondeterministic}
	var plain, rest []Operand
	for _, v := range h.Values {
		if isColumn(v) {
			rest = append(rest, v)
		} else {
			plain = append(plain, v)
		}
	}
	alternatives := len(rest)
	if len(plain) > 0 {
		alternatives++
	}
	if alternatives > 1 {
		w.write("(")
	}
	switch {
	case len(plain) == 1:
		w.equal(member, plain[0])
	case len(plain) > 1:
		w.among(member, plain)
	}
	for i, v := range rest {
		if i > 0 || len(plain) > 0 {
			w.write(" OR ")
		}
		w.sides(member, Equal, w.side(v))
	}
	if alternatives > 1 {
		w.write(")")
	}
	w.write(")")
}

// column returns the column's SQL.
func (w *writer) column(c Column) string {
	e, ok := w.table.Columns[c.Name]
	if !ok || e.SQL == "" {
		w.fail("column %q is not registered", c.Name)
	}
	return e.SQL
}

// bind returns a placeholder for an argument or a literal.
func (w *writer) bind(o Operand) string {
	if l, ok := o.(Literal); ok {
		switch v := l.Value.(type) {
		case bool:
			return strings.ToUpper(strconv.FormatBool(v))
		case int64:
		case string:
			if !Storable(v) && w.err == nil {
				w.err = fmt.Errorf("%w: a literal", ErrText)
			}
		default:
			w.fail("a literal is %T; nil, bool, int64 and string are known", v)
		}
	}
	if w.dialect != PostgreSQL {
		w.args = append(w.args, o)
		return "?"
	}
	n, seen := w.numbers[o]
	if !seen {
		if w.numbers == nil {
			w.numbers = make(map[Operand]int)
		}
		n = w.first + len(w.args)
		w.numbers[o] = n
		w.args = append(w.args, o)
	}
	// The cast keeps PostgreSQL from reading the argument as the column's type, such
	// as uuid or citext, whose "=" finds more.
	if l, ok := o.(Literal); ok && rank(l.Value) == Integer.rank() {
		return "$" + strconv.Itoa(n) + "::bigint"
	}
	return "$" + strconv.Itoa(n) + "::text"
}
