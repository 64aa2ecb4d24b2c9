package predicate

import "strings"

// side is one side of a comparison in SQL.
type side struct {
	text     string
	typ      Type
	nullable bool
	bound    bool
	loose    bool // PostgreSQL: a nondeterministic collation
}

func (w *writer) side(o Operand) side {
	switch o := o.(type) {
	case Column:
		return side{text: w.column(o), typ: o.Type, nullable: !o.NotNull, loose: w.table.Columns[o.Name].Nondeterministic}
	case Literal:
		return side{text: w.bind(o), typ: [...]Type{Text, Bool, Integer, Text, Text}[rank(o.Value)], bound: true}
	}
	return side{text: w.bind(o), typ: Text, bound: true}
}

func (w *writer) comparison(c Comparison) {
	left := w.side(c.Left)
	if c.Op == Equal && !isColumn(c.Right) {
		w.equal(left, c.Right)
		return
	}
	w.sides(left, c.Op, w.side(c.Right))
}

// equal writes a column's equality with a value, so that an index can serve it.
func (w *writer) equal(left side, value Operand) {
	right := w.side(value)
	switch {
	case left.bound: // no index, and a placeholder can't be written twice
		w.sides(left, Equal, right)
	case left.typ != Text:
		w.write(left.text, " = ", right.text)
	case w.dialect == SQLite:
		w.write(left.text, " = ", right.text, " COLLATE BINARY")
	case w.dialect == MySQL:
		// The first is by the column's collation and its index, and finds too much:
		// other case, accents, trailing spaces. The second is exact.
		w.write("(", left.text, " = ", right.text, " AND ", w.exact(left.text), " = ", w.bind(value), ")")
	case left.loose:
		w.write("(", left.text, " = ", right.text, " AND ", w.exact(left.text), " = ", right.text, ")")
	default:
		w.write(left.text, " = ", right.text)
	}
}

// exact is text that compares byte by byte, in the order of its UTF-8.
func (w *writer) exact(text string) string {
	switch w.dialect {
	case SQLite:
		return text + " COLLATE BINARY"
	case MySQL:
		return "CAST(CONVERT(" + text + " USING utf8mb4) AS BINARY)"
	}
	return text + ` COLLATE "C"`
}

// sides writes any comparison of columns, or of a column with a value, so that
// it is true exactly where it holds in an order that begins with NULL.
func (w *writer) sides(a side, op Op, b side) {
	left, right := a.text, b.text
	if a.typ == Text && w.binaryNeeded(a, op, b) {
		left = w.exact(left)
		if w.dialect == MySQL {
			right = w.exact(right)
		}
	}
	plain := left + " " + op.String() + " " + right
	null := a.text + " IS NULL"
	switch {
	case op == Equal && a.nullable && b.nullable:
		w.write("(", plain, " OR (", null, " AND ", b.text, " IS NULL))")
	case op == NotEqual && a.nullable && b.nullable:
		w.write("(", plain, " OR (", null, ") <> (", b.text, " IS NULL))")
	case op == Less && a.nullable && b.nullable:
		w.write("(", plain, " OR (", null, " AND ", b.text, " IS NOT NULL))")
	case a.nullable && (op == NotEqual || op == Less || op == LessOrEqual):
		w.write("(", null, " OR ", plain, ")")
	case b.nullable && (op == NotEqual || op == Greater || op == GreaterOrEqual):
		w.write("(", b.text, " IS NULL OR ", plain, ")")
	default:
		w.write(plain)
	}
}

// binaryNeeded: in PostgreSQL "=" and "<>" are binary by themselves, unless the
// collation is nondeterministic or two columns' collations have to agree.
func (w *writer) binaryNeeded(a side, op Op, b side) bool {
	return w.dialect != PostgreSQL || a.loose || !b.bound || op != Equal && op != NotEqual
}

// membership writes IN, or NOT IN for negated, which also selects NULL.
func (w *writer) membership(m Membership, negated bool) {
	left := w.side(m.Of)
	if !negated {
		w.among(left, m.List)
		return
	}
	text := left.text
	if left.typ == Text && (w.dialect != PostgreSQL || left.loose) {
		text = w.exact(text)
	}
	if left.nullable {
		w.write("(", left.text, " IS NULL OR ")
	}
	w.write(text, " NOT IN (", w.list(m.List, left.typ), ")")
	if left.nullable {
		w.write(")")
	}
}

// among writes IN, so that an index can serve it.
func (w *writer) among(left side, list []Operand) {
	switch {
	case left.typ != Text:
		w.write(left.text, " IN (", w.list(list, left.typ), ")")
	case left.bound:
		w.write(w.exact(left.text), " IN (", w.list(list, Text), ")")
	case w.dialect == SQLite:
		w.write(w.exact(left.text), " IN (", w.list(list, Integer), ")")
	case w.dialect == MySQL, left.loose:
		w.write("(", left.text, " IN (", w.list(list, Integer), ") AND ", w.exact(left.text), " IN (", w.list(list, Text), "))")
	default:
		w.write(left.text, " IN (", w.list(list, Integer), ")")
	}
}

// list writes placeholders; of type Text such that they compare exactly.
func (w *writer) list(values []Operand, typ Type) string {
	texts := make([]string, len(values))
	for i, o := range values {
		texts[i] = w.bind(o)
		if typ == Text && w.dialect == MySQL {
			texts[i] = w.exact(texts[i])
		}
	}
	return strings.Join(texts, ", ")
}
