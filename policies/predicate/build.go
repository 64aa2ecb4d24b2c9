package predicate

import "slices"

// pairs bounds the comparisons of part with part in one And or Or: beyond it the
// parts are only flattened and merged, which is as correct, only longer.
const pairs = 64

// And holds if each part does.
func And(parts ...Predicate) Predicate {
	kept, decided := flatten(parts, False)
	if decided {
		return False
	}
	kept = mergeMembers(kept, true)
	if len(kept) <= pairs {
		if kept, decided = absorb(kept, False); decided {
			return False
		}
		if kept, decided = implied(kept); decided {
			return False
		}
	}
	switch len(kept) {
	case 0:
		return True
	case 1:
		return kept[0]
	}
	return Conjunction(kept)
}

// Or holds if at least one part does.
func Or(parts ...Predicate) Predicate {
	kept, decided := flatten(parts, True)
	if decided {
		return True
	}
	kept = mergeMembers(kept, false)
	if len(kept) <= pairs {
		if kept, decided = absorb(kept, True); decided {
			return True
		}
		if p, ok := factor(kept); ok {
			return p
		}
	}
	switch len(kept) {
	case 0:
		return False
	case 1:
		return kept[0]
	}
	return Disjunction(kept)
}

// Not holds if p does not. It turns p into its opposite: the order of values is
// total, so each comparison has one, and De Morgan has the rest.
func Not(p Predicate) Predicate {
	switch p := p.(type) {
	case Constant:
		return !p
	case Comparison:
		return Compare(p.Left, p.Op.opposite(), p.Right)
	case Conjunction:
		return Or(each(p, Not)...)
	case Disjunction:
		return And(each(p, Not)...)
	case Negation:
		return Simplify(p.Of)
	case nil:
		return nil
	}
	return Negation{Of: p}
}

// Simplify rebuilds p by the constructors: it means the same.
func Simplify(p Predicate) Predicate {
	switch p := p.(type) {
	case Comparison:
		return Compare(p.Left, p.Op, p.Right)
	case Membership:
		return In(p.Of, p.List...)
	case Holding:
		return Has(p.Relation, p.Values...)
	case NullTest:
		return IsNull(p.Column)
	case Conjunction:
		return And(each(p, Simplify)...)
	case Disjunction:
		return Or(each(p, Simplify)...)
	case Negation:
		return Not(Simplify(p.Of))
	}
	return p
}

func each(parts []Predicate, f func(Predicate) Predicate) []Predicate {
	out := make([]Predicate, len(parts))
	for i, p := range parts {
		out[i] = f(p)
	}
	return out
}

// flatten takes nested parts of the same kind out and drops the neutral constant.
// The other constant, zero, decides the whole.
func flatten(parts []Predicate, zero Constant) (kept []Predicate, decided bool) {
	kept = make([]Predicate, 0, len(parts))
	for _, p := range parts {
		var inner []Predicate
		switch p := p.(type) {
		case Constant:
			if p == zero {
				return nil, true
			}
			continue
		case Conjunction:
			if zero == False {
				inner = p
			}
		case Disjunction:
			if zero == True {
				inner = p
			}
		}
		if inner == nil {
			kept = append(kept, p)
			continue
		}
		more, decided := flatten(inner, zero)
		if decided {
			return nil, true
		}
		kept = append(kept, more...)
	}
	return kept, false
}

// mergeMembers makes one list of equalities with the same operand: in an Or of
// "=" and IN, in an And (negated) of "<>" and NOT IN; and in an Or one of the
// values that a relation may have.
func mergeMembers(parts []Predicate, negated bool) []Predicate {
	type list struct {
		at, parts int
		of        any // an Operand, or the name of a relation
		values    []Operand
	}
	out := parts[:0:0]
	var lists []*list
	index := make(map[any]*list)
	for _, p := range parts {
		var of any
		of, values, ok := members(p, negated)
		if h, is := p.(Holding); is && !negated {
			of, values, ok = h.Relation, h.Values, true
		}
		if !ok {
			out = append(out, p)
			continue
		}
		l := index[of]
		if l == nil {
			l = &list{at: len(out), of: of}
			index[of], lists, out = l, append(lists, l), append(out, p)
		}
		l.parts++
		l.values = append(l.values, values...)
	}
	for _, l := range lists {
		if l.parts < 2 {
			continue
		}
		if relation, is := l.of.(string); is {
			out[l.at] = Has(relation, l.values...)
			continue
		}
		of, _ := l.of.(Operand)
		out[l.at] = listed(of, l.values, negated)
	}
	return out
}

// members takes apart what says that an operand is (or, negated, is not) one of a list.
func members(p Predicate, negated bool) (of Operand, list []Operand, ok bool) {
	wanted := Equal
	if negated {
		wanted = NotEqual
		if n, is := p.(Negation); is {
			m, is := n.Of.(Membership)
			return m.Of, m.List, is
		}
	}
	switch p := p.(type) {
	case Comparison:
		if p.Op == wanted && !isColumn(p.Right) && !isBool(p.Left) {
			return p.Left, []Operand{p.Right}, true
		}
	case Membership:
		return p.Of, p.List, !negated
	}
	return nil, nil, false
}

func listed(of Operand, list []Operand, negated bool) Predicate {
	p := In(of, list...)
	if negated {
		return Not(p)
	}
	return p
}

// absorb drops duplicates and parts that another one makes needless, in the sense
// of an And (zero False): x and (x or y) is x, x and (not x or y) is x and y, x and
// not x decides the whole. Or is the mirror image.
func absorb(parts []Predicate, zero Constant) (kept []Predicate, decided bool) {
	kept = slices.Clone(parts)
	for i := 0; i < len(kept); i++ {
		for j := 0; j < len(kept); j++ {
			if i == j {
				continue
			}
			p, gone := without(kept[j], kept[i], zero)
			switch {
			case gone:
				kept = slices.Delete(kept, j, j+1)
				if j < i {
					i--
				}
				j--
			case p == nil:
			case p == zero:
				return nil, true
			default: // smaller, and perhaps of the kind that is flattened: begin again
				kept[j] = p
				return again(kept, zero)
			}
		}
	}
	return kept, false
}

func again(parts []Predicate, zero Constant) ([]Predicate, bool) {
	flat, decided := flatten(parts, zero)
	if decided {
		return nil, true
	}
	return absorb(flat, zero)
}

// without simplifies p beside known, which holds (zero False) or does not (zero True).
// It returns gone where p adds nothing, and nil where p stays as it is.
func without(p, known Predicate, zero Constant) (_ Predicate, gone bool) {
	if same(p, known) {
		return nil, true
	}
	opposite := Not(known)
	if same(p, opposite) {
		return zero, false
	}
	var inner []Predicate
	switch p := p.(type) {
	case Disjunction:
		if zero == False {
			inner = p
		}
	case Conjunction:
		if zero == True {
			inner = p
		}
	}
	if slices.ContainsFunc(inner, func(x Predicate) bool { return same(x, known) }) {
		return nil, true
	}
	rest := slices.DeleteFunc(slices.Clone(inner), func(x Predicate) bool { return same(x, opposite) })
	if len(rest) == len(inner) {
		return nil, false
	}
	if zero == False {
		return Or(rest...), false
	}
	return And(rest...), false
}

// implied drops NOT NULL of columns that another part compares with a value,
// and tells two different values of one column.
func implied(parts []Predicate) (kept []Predicate, decided bool) {
	equal := make(map[Operand]Operand)
	compared := make(map[Column]bool)
	for _, p := range parts {
		c, ok := p.(Comparison)
		if !ok || isColumn(c.Right) || c.Right == (Literal{}) {
			continue
		}
		if column, is := c.Left.(Column); is && (c.Op == Equal || c.Op == Greater || c.Op == GreaterOrEqual) {
			compared[column] = true
		}
		if _, literal := c.Right.(Literal); !literal || c.Op != Equal {
			continue
		}
		if other, twice := equal[c.Left]; twice && other != c.Right {
			return nil, true
		}
		equal[c.Left] = c.Right
	}
	return slices.DeleteFunc(slices.Clone(parts), func(p Predicate) bool {
		n, negated := p.(Negation)
		if !negated {
			return false
		}
		null, is := n.Of.(NullTest)
		return is && compared[null.Column]
	}), false
}

// factor takes out what all alternatives have in common: (x and y) or (x and z) is
// x and (y or z).
func factor(alternatives []Predicate) (Predicate, bool) {
	if len(alternatives) < 2 {
		return nil, false
	}
	var common []Predicate
	for _, part := range conjuncts(alternatives[0]) {
		everywhere := !slices.ContainsFunc(alternatives[1:], func(a Predicate) bool { return !contains(conjuncts(a), part) })
		if everywhere {
			common = append(common, part)
		}
	}
	if len(common) == 0 {
		return nil, false
	}
	rest := make([]Predicate, len(alternatives))
	for i, a := range alternatives {
		rest[i] = And(slices.DeleteFunc(slices.Clone(conjuncts(a)), func(p Predicate) bool { return contains(common, p) })...)
	}
	return And(append(common, Or(rest...))...), true
}

func conjuncts(p Predicate) []Predicate {
	if c, ok := p.(Conjunction); ok {
		return c
	}
	return []Predicate{p}
}

func contains(parts []Predicate, p Predicate) bool {
	return slices.ContainsFunc(parts, func(x Predicate) bool { return same(x, p) })
}

// same says that two predicates are written alike.
func same(a, b Predicate) bool {
	switch a := a.(type) {
	case Membership:
		b, ok := b.(Membership)
		return ok && a.Of == b.Of && slices.Equal(a.List, b.List)
	case Holding:
		b, ok := b.(Holding)
		return ok && a.Relation == b.Relation && slices.Equal(a.Values, b.Values)
	case Conjunction:
		b, ok := b.(Conjunction)
		return ok && slices.EqualFunc(a, b, same)
	case Disjunction:
		b, ok := b.(Disjunction)
		return ok && slices.EqualFunc(a, b, same)
	case Negation:
		b, ok := b.(Negation)
		return ok && same(a.Of, b.Of)
	case Constant, Comparison, NullTest:
		switch b.(type) {
		case Constant, Comparison, NullTest:
			return a == b
		}
	}
	return false
}
