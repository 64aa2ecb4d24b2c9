package policies

import (
	"slices"

	"github.com/strikeplate/strikeplate/policies/predicate"
)

// guard is a condition on arguments alone. The usual ones, an argument that is or
// isn't one of some texts, are told without the detour of values of any type.
type guard struct {
	slot    int
	texts   []string
	negated bool
	other   predicate.Predicate // nil: the usual
}

func newGuard(p predicate.Predicate) guard {
	g := guard{other: p}
	var of predicate.Operand
	var list []predicate.Operand
	switch p := p.(type) {
	case predicate.Comparison:
		of, list, g.negated = p.Left, []predicate.Operand{p.Right}, p.Op == predicate.NotEqual
		if p.Op != predicate.Equal && p.Op != predicate.NotEqual {
			return g
		}
	case predicate.Membership:
		of, list = p.Of, p.List
	}
	argument, ok := of.(predicate.Argument)
	if !ok {
		return g
	}
	for _, o := range list {
		literal, _ := o.(predicate.Literal)
		text, ok := literal.Value.(string)
		if !ok {
			return g
		}
		g.texts = append(g.texts, text)
	}
	g.slot, g.other = argument.Slot, nil
	return g
}

func (g *guard) holds(args []string) (bool, error) {
	if g.other != nil {
		return predicate.Eval(g.other, nil, args)
	}
	return slices.Contains(g.texts, args[g.slot]) != g.negated, nil
}
