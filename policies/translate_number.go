package policies

import (
	"cmp"
	"math"
	"math/big"
	"strconv"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/strikeplate/strikeplate/policies/predicate"
)

// number is what a JSON number stands for: a literal if it is an int64, else where
// it lies among them.
func number(n ast.Number) (value, error) {
	if i, ok := n.Int64(); ok {
		return value{kind: isScalar, operand: predicate.Literal{Value: i}}, nil
	}
	text := string(n)
	near, err := strconv.ParseFloat(text, 64)
	switch {
	case math.IsInf(near, 0) || math.Abs(near) > 1e19:
		return value{kind: isBetween, beyond: cmp.Compare(near, 0)}, nil
	case err != nil || len(text) > 1000:
		return value{}, cannot("%.40s is no number", text)
	}
	if mantissa, _, _ := strings.Cut(strings.ToLower(text), "e"); math.Abs(near) < 1e-9 && strings.ContainsAny(mantissa, "123456789") {
		if strings.HasPrefix(mantissa, "-") {
			return value{kind: isBetween, floor: -1}, nil
		}
		return value{kind: isBetween}, nil // between 0 and 1; its digits may be endless
	}
	exact, ok := new(big.Rat).SetString(text)
	if !ok {
		return value{}, cannot("%.40s is no number", text)
	}
	floor := new(big.Int).Div(exact.Num(), exact.Denom()) // Euclidean; the denominator is positive
	switch {
	case !floor.IsInt64():
		return value{kind: isBetween, beyond: floor.Sign()}, nil
	case exact.IsInt():
		return value{kind: isScalar, operand: predicate.Literal{Value: floor.Int64()}}, nil
	}
	return value{kind: isBetween, floor: floor.Int64()}, nil
}

// compareNumber compares with a number that no column holds.
func compareNumber(l value, op predicate.Op, r value) predicate.Predicate {
	if l.kind == isBetween {
		if r.kind == isBetween || r.kind == isKnown {
			return predicate.True // while loading only
		}
		l, op, r = r, op.Mirrored(), l
	}
	if l.kind == isKnown {
		return predicate.True
	}
	column, _ := l.operand.(predicate.Column)
	switch {
	case l.kind != isScalar || column.Type != Integer:
		return predicate.Compare(l.scalar(), op, predicate.Literal{Value: int64(0)}) // the types tell
	case r.beyond > 0: // as text is
		return predicate.Compare(column, op, predicate.Literal{Value: ""})
	case r.beyond < 0: // as bools are
		return predicate.Compare(column, op, predicate.Literal{Value: false})
	}
	switch op {
	case predicate.Equal:
		return predicate.False
	case predicate.NotEqual:
		return predicate.True
	case predicate.Less, predicate.LessOrEqual:
		return predicate.Compare(column, predicate.LessOrEqual, predicate.Literal{Value: r.floor})
	default:
		return predicate.Compare(column, predicate.Greater, predicate.Literal{Value: r.floor})
	}
}
