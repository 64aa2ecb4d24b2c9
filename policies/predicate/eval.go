package predicate

import (
	"errors"
	"fmt"
	"slices"
)

// ErrRow is wrapped when a row lacks a column or a relation of the predicate, or
// has a value that the column's type does not.
var ErrRow = errors.New("the row does not fit the predicate")

// Row is a row's values by column: nil for NULL, a string, a bool, an integer of
// any of Go's types; and a relation's members as []string.
type Row map[string]any

// Eval reports whether the row meets the predicate. Arguments are read from args by
// their Slot; one beyond is an error. It is exact: the same predicate, rendered,
// selects the same row.
func Eval(p Predicate, row Row, args []string) (bool, error) {
	e := evaluation{row: row, args: args}
	holds := e.eval(p)
	if e.err != nil {
		return false, e.err
	}
	return holds, nil
}

type evaluation struct {
	row  Row
	args []string
	err  error
}

func (e *evaluation) fail(format string, args ...any) {
	if e.err == nil {
		e.err = fmt.Errorf("%w: %s", ErrRow, fmt.Sprintf(format, args...))
	}
}

func (e *evaluation) eval(p Predicate) bool {
	switch p := p.(type) {
	case Constant:
		return bool(p)
	case Comparison:
		return p.Op.holds(order(e.value(p.Left), e.value(p.Right)))
	case NullTest:
		return e.column(p.Column) == nil
	case Membership:
		v := e.value(p.Of)
		for _, o := range p.List {
			if order(v, e.value(o)) == 0 {
				return true
			}
		}
		return false
	case Holding:
		return e.holding(p)
	case Conjunction:
		for _, part := range p {
			if !e.eval(part) {
				return false
			}
		}
		return true
	case Disjunction:
		for _, part := range p {
			if e.eval(part) {
				return true
			}
		}
		return false
	case Negation:
		return !e.eval(p.Of)
	}
	e.fail("%T is no predicate", p)
	return false
}

func (e *evaluation) holding(h Holding) bool {
	members, ok := e.row[h.Relation].([]string)
	if !ok {
		e.fail("relation %s is %T, not []string", h.Relation, e.row[h.Relation])
		return false
	}
	for _, o := range h.Values {
		if text, ok := e.value(o).(string); ok && slices.Contains(members, text) {
			return true
		}
	}
	return false
}

func (e *evaluation) value(o Operand) any {
	switch o := o.(type) {
	case Literal:
		return o.Value
	case Column:
		return e.column(o)
	case Argument:
		if o.Slot < 0 || o.Slot >= len(e.args) {
			e.fail("argument %s has no value", o.Name)
			return nil
		}
		return e.args[o.Slot]
	}
	e.fail("%T is no operand", o)
	return nil
}

func (e *evaluation) column(c Column) any {
	v, err := c.Value(e.row)
	if err != nil && e.err == nil {
		e.err = err
	}
	return v
}

// Value returns the column's value in the row: nil, a bool, an int64 or a string.
func (c Column) Value(row Row) (any, error) {
	v, ok := row[c.Name]
	if !ok {
		return nil, fmt.Errorf("%w: column %s is missing; NULL is nil", ErrRow, c.Name)
	}
	fits := false
	switch c.Type {
	case Text:
		_, fits = v.(string)
	case Bool:
		_, fits = v.(bool)
	case Integer:
		v, fits = integer(v)
	}
	if v == nil {
		fits = !c.NotNull
	}
	if !fits {
		return nil, fmt.Errorf("%w: column %s is %s, and its value is %T", ErrRow, c.Name, c.describe(), v)
	}
	return v, nil
}

func (c Column) describe() string {
	if c.NotNull {
		return c.Type.String() + " not null"
	}
	return c.Type.String()
}

// integer makes an int64 of Go's integers.
func integer(v any) (any, bool) {
	switch n := v.(type) {
	case int64:
		return v, true
	case int:
		return int64(n), true
	case int32:
		return int64(n), true
	case int16:
		return int64(n), true
	case int8:
		return int64(n), true
	case uint8:
		return int64(n), true
	case uint16:
		return int64(n), true
	case uint32:
		return int64(n), true
	case uint64:
		return int64(n), n < 1<<63
	case uint:
		return int64(n), uint64(n) < 1<<63
	}
	return v, false
}
