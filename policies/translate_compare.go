package policies

import (
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/strikeplate/strikeplate/policies/predicate"
)

// truth is a term that stands alone: it holds unless it is false.
func (t *translator) truth(x *ast.Term, s *frame) (predicate.Predicate, error) {
	if ref, ok := x.Value.(ast.Ref); ok && ref.HasPrefix(ast.DefaultRootRef) {
		return t.helper(ref, nil, s)
	}
	v, err := t.operand(x, s)
	if err != nil {
		return nil, err
	}
	switch v.kind {
	case isScalar:
		return predicate.Compare(v.operand, predicate.NotEqual, predicate.Literal{Value: false}), nil
	case isKnown, isCollection, isBetween:
		return predicate.True, nil
	case isRelation:
		return nil, cannot("a list counts as true even when it is empty; ask what is in it")
	}
	return nil, cannot("a member of a relation has to be compared")
}

var comparisons = map[string]predicate.Op{
	"eq": predicate.Equal, "equal": predicate.Equal, "assign": predicate.Equal, "neq": predicate.NotEqual,
	"lt": predicate.Less, "lte": predicate.LessOrEqual, "gt": predicate.Greater, "gte": predicate.GreaterOrEqual,
}

// member is what "x in xs" calls.
const member = "internal.member_2"

func operator(terms []*ast.Term) string { return terms[0].Value.String() }

func (t *translator) call(terms []*ast.Term, s *frame) (predicate.Predicate, error) {
	name, args := operator(terms), terms[1:]
	if ref, ok := terms[0].Value.(ast.Ref); ok && ref.HasPrefix(ast.DefaultRootRef) {
		return t.helper(ref, args, s)
	}
	op, compares := comparisons[name]
	switch {
	case compares && len(args) == 2:
		return t.compare(args[0], op, args[1], s)
	case name == member && len(args) == 2:
		return t.member(args[0], args[1], s)
	case len(args) == 1 && (name == "is_null" || name == "is_string" || name == "is_boolean" || name == "is_number"):
		return t.typeTest(name, args[0], s)
	}
	return nil, cannot("%s of a row can't become SQL; ==, !=, <, <=, >, >=, in, is_null and not can", name)
}

func (t *translator) compare(a *ast.Term, op predicate.Op, b *ast.Term, s *frame) (predicate.Predicate, error) {
	l, err := t.operand(a, s)
	if err != nil {
		return nil, err
	}
	r, err := t.operand(b, s)
	if err != nil {
		return nil, err
	}
	if r.kind == isMember {
		l, r = r, l
	}
	switch {
	case l.kind == isRelation || r.kind == isRelation:
		return nil, cannot("a relation can't be compared as a whole; ask whether something is in it")
	case l.kind == isMember && op != predicate.Equal:
		return nil, cannot("a member of a relation can be compared by == or in only")
	case l.kind == isMember && r.kind == isBetween:
		return predicate.False, nil // members are text
	case l.kind == isBetween || r.kind == isBetween:
		return compareNumber(l, op, r), nil
	case l.kind == isMember && r.kind == isScalar:
		return t.has(l.relation, r.operand), nil
	case l.kind == isMember && r.kind != isMember:
		return predicate.Constant(r.kind == isKnown), nil // no member is an array
	case l.kind == isMember:
		return nil, cannot("two members of relations can't be compared")
	case l.kind == isKnown || r.kind == isKnown:
		t.together(l, r)
		return predicate.True, nil
	case l.kind == isCollection && r.kind == isCollection:
		return nil, cannot("arrays with values of the row can't be compared as a whole")
	}
	t.together(l, r)
	return predicate.Compare(l.scalar(), op, r.scalar()), nil
}

// together notes arguments that are compared with the row.
func (t *translator) together(values ...value) {
	row := slices.ContainsFunc(values, func(v value) bool { return v.row() })
	for _, v := range values {
		for _, o := range append(v.list, v.operand) {
			if a, ok := o.(predicate.Argument); ok && row {
				t.compared[strings.TrimPrefix(a.Name, argumentPrefix)] = true
			}
		}
	}
}

func (t *translator) has(relation string, operands ...predicate.Operand) predicate.Predicate {
	t.together(value{kind: isRelation}, value{list: operands})
	return predicate.Has(relation, operands...)
}

func (t *translator) member(x, of *ast.Term, s *frame) (predicate.Predicate, error) {
	v, err := t.operand(x, s)
	if err != nil {
		return nil, err
	}
	list, err := t.operand(of, s)
	if err != nil {
		return nil, err
	}
	switch {
	case v.kind == isRelation:
		return nil, cannot("a relation can't be searched for as a whole")
	case list.kind == isMember:
		return nil, cannot("nothing is in a member of a relation: it is text")
	case v.kind == isBetween && list.kind != isKnown, list.kind == isBetween: // no column holds it
		return predicate.False, nil
	case list.kind == isRelation && v.kind == isScalar:
		return t.has(list.relation, v.operand), nil
	case list.kind == isRelation && v.kind == isMember:
		return nil, cannot("members of two relations can't be compared")
	case list.kind == isRelation: // no member is an array; what will be known may be text
		return predicate.Constant(v.kind == isKnown), nil
	case list.kind == isKnown || v.kind == isKnown:
		t.together(v, list)
		return predicate.True, nil
	case list.kind == isScalar: // nothing is in a text, a number, a bool or null
		return predicate.False, nil
	case v.kind == isMember:
		return t.has(v.relation, list.list...), nil
	}
	t.together(v, list)
	return predicate.In(v.scalar(), list.list...), nil
}

func (t *translator) typeTest(name string, x *ast.Term, s *frame) (predicate.Predicate, error) {
	v, err := t.operand(x, s)
	if err != nil {
		return nil, err
	}
	column, ok := v.operand.(predicate.Column)
	if v.kind != isScalar || !ok {
		return nil, cannot("%s can be asked of a column", name)
	}
	if name == "is_null" {
		return predicate.IsNull(column), nil
	}
	if map[Type]string{Text: "is_string", Bool: "is_boolean", Integer: "is_number"}[column.Type] != name {
		return predicate.False, nil
	}
	return predicate.Not(predicate.IsNull(column)), nil
}
