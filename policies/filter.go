package policies

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/policies/predicate"
)

// Dialects of SQL, for [As].
const (
	PostgreSQL = string(predicate.PostgreSQL)
	SQLite     = string(predicate.SQLite)
	MySQL      = string(predicate.MySQL) // MariaDB too
)

// As says how a query wants its filter.
type As struct {
	// Dialect is PostgreSQL, SQLite or MySQL. There is no default.
	Dialect string
	// Alias is what the query calls the resource's table. Empty: Resource.Table.
	Alias string
	// FirstArg is the number of the first placeholder in PostgreSQL, where the
	// query's own arguments come first. Zero means 1.
	FirstArg int
	// Masked selects the rows that may only be listed with columns hidden, too.
	// Ask Visible which those are. False: rows that may be seen in full.
	Masked bool
}

// Filter is a condition for a query: the rows that a principal may see. The zero
// Filter is bad SQL, so that a forgotten error never selects everything.
type Filter struct {
	// Where is a condition in parentheses, "(1=0)" where nothing may be seen. It is
	// for what follows WHERE or AND; its text depends on the policies alone.
	Where string
	// Args are the values of its placeholders, in order.
	Args []any

	tree predicate.Predicate
	args []string
}

var nothing = Filter{Where: "(1=0)", tree: predicate.False}

// Predicate is the same condition as a tree, for stores that know no SQL. Its
// arguments are literals. That of the zero Filter selects nothing.
func (f Filter) Predicate() predicate.Predicate {
	if f.tree == nil {
		return predicate.False
	}
	p, err := predicate.Bind(f.tree, f.args)
	if err != nil { // it was made with these arguments
		return predicate.False
	}
	return p
}

// Filter returns the condition that selects those rows of a resource that Visible
// would allow. Rows that it selects are the principal's to see when the query
// runs: make it anew for each.
//
//	f, err := engine.Filter(ctx, p, "meetings", policies.As{Dialect: policies.PostgreSQL, Alias: "m", FirstArg: 2})
//	rows, err := db.QueryContext(ctx, "SELECT id, title FROM meetings AS m WHERE start > $1 AND "+f.Where, append([]any{since}, f.Args...)...)
//
// Where the principal has a NUL byte or invalid UTF-8 in what the rules compare,
// nothing is selected. An error means that it could not be decided; the Filter
// is then zero.
func (e *Engine) Filter(ctx context.Context, p *strikeplate.Principal, resource string, as As) (Filter, error) {
	rev, err := e.current()
	if err == nil && p == nil {
		err = errNoPrincipal
	}
	if err != nil {
		return Filter{}, err
	}
	on := rev.entries[resource]
	if on == nil || on.spec.resource == nil {
		return Filter{}, fmt.Errorf("%w: %q", errNoEntry, resource)
	}
	if on.shaper == nil {
		return Filter{}, fmt.Errorf("%w: %q", errNoShape, resource)
	}
	f, err := on.shaper.filter(ctx, p, as)
	if err != nil {
		e.counts.undecided.Add(1)
		return Filter{}, err
	}
	return f, nil
}

func (s *shaper) filter(ctx context.Context, p *strikeplate.Principal, as As) (Filter, error) {
	sh, err := s.shape(ctx, s.ask(ctx, p))
	if err != nil {
		return Filter{}, err
	}
	v, args, err := sh.variant(p)
	if err != nil {
		return Filter{}, err
	}
	if v.denied(args) {
		_, err := predicate.Render(predicate.False, predicate.Dialect(as.Dialect), as.FirstArg, predicate.Table{}) // a wrong As is told all the same
		if err != nil {
			return Filter{}, fmt.Errorf("policies: %w", err)
		}
		return nothing, nil
	}
	q, err := v.query(as)
	if err != nil {
		return Filter{}, err
	}
	f := Filter{Where: q.Text, tree: v.visible, args: args}
	if as.Masked {
		f.tree = v.masked
	}
	if f.Args, err = q.Bind(args); err != nil {
		return Filter{}, fmt.Errorf("policies: %w", err)
	}
	return f, nil
}

// ask is the question of one principal.
func (s *shaper) ask(ctx context.Context, p *strikeplate.Principal) question {
	q := question{}
	q.Principal = p
	q.client = clientOf(ctx)
	return q
}

// decide is the verdict on each row.
func (s *shaper) decide(ctx context.Context, p *strikeplate.Principal, rows []Row, noRule *rule) ([]verdict, error) {
	sh, err := s.shape(ctx, s.ask(ctx, p))
	if err != nil {
		return nil, err
	}
	v, args, err := sh.variant(p)
	if err != nil {
		return nil, err
	}
	verdicts := make([]verdict, len(rows))
	for i, row := range rows {
		if err := s.resource.checkRow(row); err != nil {
			return nil, fmt.Errorf("%w: row %d: %w", ErrUndecided, i, err)
		}
		if verdicts[i], err = v.decide(row, args, noRule); err != nil {
			return nil, err
		}
	}
	return verdicts, nil
}

// table is how a query under an alias writes the columns and relations of p.
func (r *Resource) table(alias string, p predicate.Predicate) (predicate.Table, error) {
	if alias == "" {
		alias = r.Table
	}
	if alias != "" && !isTable(alias) {
		return predicate.Table{}, fmt.Errorf("policies: As.Alias: %q is no name of a table", alias)
	}
	t := predicate.Table{Columns: make(map[string]predicate.Expression), Relations: make(map[string]predicate.Source)}
	for name, c := range r.Columns {
		text, err := c.in(name, alias)
		if err != nil {
			return t, fmt.Errorf("policies: %s: column %s: %w", r.Name, name, err)
		}
		t.Columns[name] = predicate.Expression{SQL: text, Nondeterministic: c.Nondeterministic}
	}
	for _, name := range predicate.Relations(p) {
		relation := r.Relations[name]
		if alias == "" {
			return t, fmt.Errorf("policies: %s: relation %s needs As.Alias or Resource.Table: without one its query can't name the row", r.Name, name)
		}
		if mentions(relation.From, alias) || mentions(relation.On, alias) || mentions(relation.Value, alias) {
			return t, fmt.Errorf("policies: %s: the alias %q is also a name within relation %s, which would compare its rows with themselves; take another", r.Name, alias, name)
		}
		t.Relations[name] = predicate.Source{From: within(relation.From, alias), On: within(relation.On, alias), Value: relation.Value, Nondeterministic: relation.Nondeterministic}
	}
	return t, nil
}

// in writes the column under an alias.
func (c Column) in(name, alias string) (string, error) {
	text := c.SQL
	if text == "" {
		text = name
	}
	switch {
	case c.Constant != nil:
		return "", nil
	case identifier.MatchString(text) && alias == "":
		return text, nil
	case identifier.MatchString(text):
		return alias + "." + text, nil
	case strings.Contains(text, "{table}") && alias == "":
		return "", fmt.Errorf("its SQL names {table}, and there is neither an As.Alias nor a Resource.Table")
	}
	return "(" + within(text, alias) + ")", nil
}

func within(text, alias string) string { return strings.ReplaceAll(text, "{table}", alias) }

var words = regexp.MustCompile(`[\pL_][\pL\pN_$]*`)

// mentions reports whether a relation's SQL has the alias's last part as a word.
func mentions(text, alias string) bool {
	name := strings.Trim(alias[strings.LastIndexByte(alias, '.')+1:], "\"`")
	for _, word := range words.FindAllString(strings.ReplaceAll(text, "{table}", ""), -1) {
		if strings.EqualFold(word, name) {
			return true
		}
	}
	return false
}
