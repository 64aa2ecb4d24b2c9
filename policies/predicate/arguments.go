package predicate

import "slices"

// Resolve replaces by constants those comparisons that need no row: an argument
// with a literal, another argument, or a list of them. What remains is about rows only.
func Resolve(p Predicate, args []string) (Predicate, error) {
	e := evaluation{args: args}
	p = rewrite(p, func(leaf Predicate) Predicate {
		if !rowless(leaf) {
			return leaf
		}
		return Constant(e.eval(leaf))
	})
	return p, e.err
}

// Rowless returns the comparisons in p that need no row, each once: they decide
// which query a set of arguments gets.
func Rowless(p Predicate) []Predicate {
	var found []Predicate
	rewrite(p, func(leaf Predicate) Predicate {
		if rowless(leaf) && !contains(found, leaf) {
			found = append(found, leaf)
		}
		return leaf
	})
	return found
}

// Bind replaces the arguments by their values, for those who walk the tree.
func Bind(p Predicate, args []string) (Predicate, error) {
	e := evaluation{args: args}
	bind := func(o Operand) Operand {
		if a, ok := o.(Argument); ok {
			return Literal{Value: e.value(a)}
		}
		return o
	}
	p = substitute(p, bind)
	return p, e.err
}

func rowless(leaf Predicate) bool {
	switch p := leaf.(type) {
	case Comparison:
		return !isColumn(p.Left) && !isColumn(p.Right)
	case Membership:
		return !isColumn(p.Of)
	}
	return false
}

// rewrite replaces the leaves.
func rewrite(p Predicate, f func(Predicate) Predicate) Predicate {
	again := func(p Predicate) Predicate { return rewrite(p, f) }
	switch p := p.(type) {
	case Conjunction:
		return And(each(p, again)...)
	case Disjunction:
		return Or(each(p, again)...)
	case Negation:
		return Not(again(p.Of))
	}
	return f(p)
}

// substitute replaces operands and keeps the tree's form, but for constants that
// show.
func substitute(p Predicate, f func(Operand) Operand) Predicate {
	again := func(p Predicate) Predicate { return substitute(p, f) }
	switch p := p.(type) {
	case Comparison:
		return Comparison{Left: f(p.Left), Op: p.Op, Right: f(p.Right)}
	case Membership:
		return Membership{Of: f(p.Of), List: eachOperand(p.List, f)}
	case Holding:
		return Holding{Relation: p.Relation, Values: eachOperand(p.Values, f)}
	case Conjunction:
		return Conjunction(each(p, again))
	case Disjunction:
		return Disjunction(each(p, again))
	case Negation:
		return Negation{Of: again(p.Of)}
	}
	return p
}

func eachOperand(list []Operand, f func(Operand) Operand) []Operand {
	out := make([]Operand, len(list))
	for i, o := range list {
		out[i] = f(o)
	}
	return out
}

// Operands returns the operands of p, each once.
func Operands(p Predicate) []Operand {
	var found []Operand
	seen := make(map[Operand]bool)
	substituted(p, func(o Operand) {
		if !seen[o] {
			seen[o] = true
			found = append(found, o)
		}
	})
	return found
}

func substituted(p Predicate, f func(Operand)) {
	substitute(p, func(o Operand) Operand { f(o); return o })
}

// Relations returns the names of the relations in p, each once.
func Relations(p Predicate) []string {
	var found []string
	rewrite(p, func(leaf Predicate) Predicate {
		if h, ok := leaf.(Holding); ok && !slices.Contains(found, h.Relation) {
			found = append(found, h.Relation)
		}
		return leaf
	})
	return found
}
