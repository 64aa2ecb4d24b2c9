package predicate

import "cmp"

// Compare relates two operands and simplifies: what can be told without a row
// becomes a constant, a comparison with null a [NullTest], and a column
// stands on the left.
func Compare(left Operand, op Op, right Operand) Predicate {
	if before(right, left) {
		left, op, right = right, op.Mirrored(), left
	}
	if left == right {
		return Constant(op.holds(0))
	}
	switch l := left.(type) {
	case Column:
		switch r := right.(type) {
		case Column:
			return compareColumns(l, op, r)
		case Argument:
			if l.Type != Text { // bools and numbers, and null, are below all text
				return Constant(op.holds(-1))
			}
		case Literal:
			return compareLiteral(l, op, r)
		}
	case Argument:
		if r, ok := right.(Literal); ok && rank(r.Value) != Text.rank() {
			return Constant(op.holds(cmp.Compare(Text.rank(), rank(r.Value))))
		}
	case Literal:
		return Constant(op.holds(order(l.Value, right.(Literal).Value)))
	}
	return Comparison{Left: left, Op: op, Right: right}
}

// before says that a stands to the left of b: columns, arguments, literals.
func before(a, b Operand) bool {
	place := func(o Operand) int {
		switch o.(type) {
		case Column:
			return 0
		case Argument:
			return 1
		default:
			return 2
		}
	}
	return place(a) < place(b)
}

func compareLiteral(c Column, op Op, l Literal) Predicate {
	switch {
	case l.Value == nil: // nothing is below null
		switch op {
		case Equal, LessOrEqual:
			return IsNull(c)
		case NotEqual, Greater:
			return Not(IsNull(c))
		default:
			return Constant(op == GreaterOrEqual)
		}
	case c.Type.rank() < rank(l.Value): // null is below as well
		return Constant(op.holds(-1))
	case c.Type.rank() > rank(l.Value): // all but null is above
		switch op {
		case Less, LessOrEqual:
			return IsNull(c)
		case Greater, GreaterOrEqual:
			return Not(IsNull(c))
		default:
			return Constant(op == NotEqual)
		}
	case c.Type == Bool:
		return compareBool(c, op, l.Value.(bool))
	}
	return Comparison{Left: c, Op: op, Right: l}
}

// compareBool leaves = and <> only: the order is null, false, true.
func compareBool(c Column, op Op, value bool) Predicate {
	switch op {
	case Less:
		if !value {
			return IsNull(c)
		}
		op = NotEqual
	case LessOrEqual:
		if value {
			return True
		}
		op, value = NotEqual, true
	case Greater:
		if value {
			return False
		}
		op, value = Equal, true
	case GreaterOrEqual:
		if !value {
			return Not(IsNull(c))
		}
		op = Equal
	}
	if op == NotEqual && c.NotNull {
		op, value = Equal, !value
	}
	return Comparison{Left: c, Op: op, Right: Literal{Value: value}}
}

// compareColumns leaves =, <>, < and <= between columns of one type.
func compareColumns(a Column, op Op, b Column) Predicate {
	if op == Greater || op == GreaterOrEqual {
		a, op, b = b, op.Mirrored(), a
	}
	if a.Type == b.Type {
		return Comparison{Left: a, Op: op, Right: b}
	}
	var p Predicate // of different types: only nulls can make them equal
	below := a.Type.rank() < b.Type.rank()
	switch {
	case op == Equal:
		return And(IsNull(a), IsNull(b))
	case op == NotEqual:
		return Or(Not(IsNull(a)), Not(IsNull(b)))
	case below && op == Less:
		p = Not(IsNull(b))
	case below:
		p = Or(IsNull(a), Not(IsNull(b)))
	case op == Less: // above, unless it is null and the other is not
		p = And(IsNull(a), Not(IsNull(b)))
	default:
		p = IsNull(a)
	}
	return p
}

// IsNull holds if the column is NULL.
func IsNull(c Column) Predicate {
	if c.NotNull {
		return False
	}
	return NullTest{Column: c}
}

// In holds if of is equal to one of the list, each a column, an argument or a literal.
func In(of Operand, list ...Operand) Predicate {
	var rest []Predicate
	var plain []Operand
	seen := make(map[Operand]bool, len(list))
	for _, o := range list {
		if seen[o] {
			continue
		}
		seen[o] = true
		switch p := Compare(of, Equal, o).(type) {
		case Constant:
			if p {
				return True
			}
		case Comparison:
			if _, literal := of.(Literal); !literal && p.Left == of && !isColumn(o) && !isBool(of) {
				plain = append(plain, o)
				continue
			}
			rest = append(rest, p)
		default:
			rest = append(rest, p)
		}
	}
	return Or(append(rest, membership(of, plain))...)
}

func membership(of Operand, list []Operand) Predicate {
	switch len(list) {
	case 0:
		return False
	case 1:
		return Compare(of, Equal, list[0])
	}
	return Membership{Of: of, List: list}
}

func isColumn(o Operand) bool { _, ok := o.(Column); return ok }

func isBool(o Operand) bool { c, ok := o.(Column); return ok && c.Type == Bool }

// Has holds if the row's relation has one of the values as a member. Members are
// text, so a value of another type is none.
func Has(relation string, values ...Operand) Predicate {
	var kept []Operand
	seen := make(map[Operand]bool, len(values))
	for _, v := range values {
		switch o := v.(type) {
		case Column:
			if o.Type != Text {
				continue
			}
		case Literal:
			if rank(o.Value) != Text.rank() {
				continue
			}
		}
		if !seen[v] {
			seen[v] = true
			kept = append(kept, v)
		}
	}
	if len(kept) == 0 {
		return False
	}
	return Holding{Relation: relation, Values: kept}
}
