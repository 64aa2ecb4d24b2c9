package policies

import (
	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/strikeplate/strikeplate/policies/predicate"
)

type kind uint8

const (
	isScalar     kind = iota + 1
	isKnown           // will be known; while loading only
	isCollection      // an array, a set or an object: its values
	isRelation
	isMember  // one member of a relation: some x in input.resource.participants
	isBetween // a number that is no int64
)

// value is what a term stands for.
type value struct {
	kind     kind
	operand  predicate.Operand   // isScalar
	list     []predicate.Operand // isCollection
	relation string              // isRelation, isMember
	floor    int64               // isBetween: the int64 below it
	beyond   int                 // isBetween: below or above all int64
}

// beyond stands for arrays and objects, which no column is equal to.
var beyond = predicate.Literal{Value: struct{}{}}

// scalar is the operand of a comparison.
func (v value) scalar() predicate.Operand {
	if v.kind == isCollection {
		return beyond
	}
	return v.operand
}

// row reports whether the value is one of the row's.
func (v value) row() bool {
	if v.kind == isRelation || v.kind == isMember {
		return true
	}
	for _, o := range append(v.list, v.operand) {
		if _, ok := o.(predicate.Column); ok {
			return true
		}
	}
	return false
}

// frame is what variables stand for in a body.
type frame struct {
	outer   *frame
	vars    map[ast.Var]value
	members map[ast.Var]*membership
	bound   map[*ast.Expr]bool // expressions that only name something
}

// membership is a variable that stands for some member of a relation.
type membership struct {
	relation string
	uses     int
}

func newFrame() *frame {
	return &frame{vars: make(map[ast.Var]value), members: make(map[ast.Var]*membership), bound: make(map[*ast.Expr]bool)}
}

func (s *frame) child() *frame {
	c := newFrame()
	c.outer = s
	return c
}

func (s *frame) find(name ast.Var) (value, *membership, bool) {
	for at := s; at != nil; at = at.outer {
		if m := at.members[name]; m != nil {
			return value{kind: isMember, relation: m.relation}, m, true
		}
		if v, ok := at.vars[name]; ok {
			return v, nil, true
		}
	}
	return value{}, nil, false
}

func (s *frame) touches(name ast.Var) bool {
	v, _, ok := s.find(name)
	return ok && v.row()
}

// bind finds what the variables of a body stand for: x = input.resource.owner, or
// while loading the results of what will be known.
func (t *translator) bind(body ast.Body, s *frame) error {
	for {
		bound, err := t.bindNext(body, s)
		if err != nil {
			return err
		}
		if bound || t.loading && t.results(body, s) {
			continue
		}
		return nil
	}
}

// bindNext binds what it can, and reports whether there was any.
func (t *translator) bindNext(body ast.Body, s *frame) (bound bool, err error) {
	for _, expr := range body {
		if s.bound[expr] || expr.Negated || len(expr.With) > 0 {
			continue
		}
		done, err := t.bindExpr(expr, s)
		if err != nil {
			return false, located(err, expr)
		}
		if done {
			s.bound[expr], bound = true, true
		}
	}
	return bound, nil
}

func (t *translator) bindExpr(expr *ast.Expr, s *frame) (done bool, err error) {
	terms, _ := expr.Terms.([]*ast.Term)
	if len(terms) == 3 && comparisons[operator(terms)] == predicate.Equal && operator(terms) != "neq" {
		for i := 1; i <= 2; i++ {
			name, ok := terms[i].Value.(ast.Var)
			if !ok || t.defined(name, s) || !t.resolved(terms[3-i], s) {
				continue
			}
			v, err := t.operand(terms[3-i], s)
			if err != nil {
				return false, err
			}
			if v.kind == isMember {
				s.members[name] = &membership{relation: v.relation}
			} else {
				s.vars[name] = v
			}
			return true, nil
		}
	}
	return false, nil
}

// results gives the variables of one expression that will be known, and reports
// whether there was one.
func (t *translator) results(body ast.Body, s *frame) (found bool) {
	for _, expr := range body {
		if found || s.bound[expr] || expr.Negated || t.touches(expr, s) {
			continue
		}
		ast.WalkVars(expr, func(v ast.Var) bool {
			if !t.defined(v, s) {
				s.vars[v], found = value{kind: isKnown}, true
			}
			return false
		})
	}
	return found
}

func (t *translator) defined(name ast.Var, s *frame) bool {
	if name.Equal(ast.InputRootDocument.Value) || name.Equal(ast.DefaultRootDocument.Value) {
		return true
	}
	_, _, ok := s.find(name)
	return ok
}

// resolved reports whether a term stands for something already.
func (t *translator) resolved(x *ast.Term, s *frame) bool {
	if v, ok := x.Value.(ast.Var); ok {
		return t.defined(v, s)
	}
	return true
}

// operand is what a term stands for in a comparison.
func (t *translator) operand(x *ast.Term, s *frame) (value, error) {
	switch v := x.Value.(type) {
	case ast.Null:
		return value{kind: isScalar, operand: predicate.Literal{}}, nil
	case ast.Boolean:
		return value{kind: isScalar, operand: predicate.Literal{Value: bool(v)}}, nil
	case ast.String:
		return value{kind: isScalar, operand: predicate.Literal{Value: string(v)}}, nil
	case ast.Number:
		return number(v)
	case ast.Var:
		found, m, ok := s.find(v)
		if m != nil {
			m.uses++
		}
		if !ok || found.kind == 0 {
			return value{}, cannot("the variable %s takes values that a query can't follow", v)
		}
		return found, nil
	case ast.Ref:
		return t.ref(v, s)
	case *ast.Array, ast.Set, ast.Object:
		return t.collection(x, s)
	}
	if t.loading && !t.touches(x, s) {
		t.spoil(x)
		return value{kind: isKnown}, nil
	}
	if call, ok := x.Value.(ast.Call); ok {
		return value{}, cannot("%s of a row can't become SQL; ==, !=, <, <=, >, >=, in, is_null and not can", call[0])
	}
	return value{}, cannot("a comprehension over a row can't become SQL")
}

func (t *translator) collection(x *ast.Term, s *frame) (value, error) {
	c := value{kind: isCollection}
	var failed error
	add := func(element *ast.Term) {
		v, err := t.operand(element, s)
		switch {
		case failed != nil:
		case err != nil:
			failed = err
		case v.kind == isScalar:
			c.list = append(c.list, v.operand)
		case v.kind == isKnown:
			c.kind = isKnown
		case v.kind == isBetween, v.kind == isCollection && !v.row(): // no column is equal to it
		default:
			failed = cannot("a list in a list can't become SQL")
		}
	}
	switch list := x.Value.(type) {
	case *ast.Array:
		list.Foreach(add)
	case ast.Set:
		list.Foreach(add)
	case ast.Object:
		list.Foreach(func(_, element *ast.Term) { add(element) })
	}
	return c, failed
}

// ref is a column, a relation, an argument, or what will be known.
func (t *translator) ref(ref ast.Ref, s *frame) (value, error) {
	if ref.HasPrefix(resourceRef) {
		return t.resourceRef(ref, s)
	}
	if len(ref) == 3 && ref.HasPrefix(principalRef) {
		if name, ok := ref[2].Value.(ast.String); ok {
			if slot, ok := t.slots[string(name)]; ok {
				return value{kind: isScalar, operand: predicate.Argument{Name: argumentPrefix + string(name), Slot: slot}}, nil
			}
		}
	}
	term := ast.NewTerm(ref)
	switch {
	case t.loading && !t.touches(term, s):
		t.spoil(term)
		return value{kind: isKnown}, nil
	case ref.HasPrefix(ast.DefaultRootRef):
		return value{}, cannot("the value of a helper with else, a default or several results depends on the row, and can't become SQL")
	case t.loading && ref.HasPrefix(ast.InputRootRef) && len(ref) > 1 && ref[1].IsGround():
		return t.lookup(ref, s)
	}
	return value{}, cannot("%s is neither a column, a relation nor known", ref)
}

// lookup is something known that is looked up by a value of the row. Once it is known,
// partial evaluation lists its members instead.
func (t *translator) lookup(ref ast.Ref, s *frame) (value, error) {
	for _, key := range ref[1:] {
		if !t.touches(key, s) {
			continue
		}
		v, err := t.operand(key, s)
		if err != nil {
			return value{}, err
		}
		if v.kind != isScalar && v.kind != isMember {
			return value{}, cannot("%s can be looked up by a column only", ref)
		}
	}
	t.spoil(ast.NewTerm(ref.GroundPrefix()))
	return value{kind: isKnown}, nil
}

var principalRef = ast.InputRootRef.Append(keyPrincipal)

func (t *translator) resourceRef(ref ast.Ref, s *frame) (value, error) {
	if len(ref) == 2 {
		return value{}, cannot("the row as a whole can't become SQL; name its columns")
	}
	field, ok := ref[2].Value.(ast.String)
	if !ok {
		return value{}, cannot("input.resource[%v]: a column must be named by a literal string", ref[2])
	}
	name := string(field)
	if _, ok := t.resource.Relations[name]; ok {
		return t.relationRef(ref, name, s)
	}
	c, ok := t.resource.Columns[name]
	switch {
	case !ok:
		return value{}, cannot("%s has no column or relation %q", t.resource.Name, name)
	case len(ref) > 3:
		return value{}, cannot("the column %s is %s and has no members", name, c.Type)
	case c.Constant != nil:
		return value{kind: isScalar, operand: predicate.Literal{Value: c.Constant}}, nil
	}
	return value{kind: isScalar, operand: t.resource.column(name)}, nil
}

func (t *translator) relationRef(ref ast.Ref, name string, s *frame) (value, error) {
	switch len(ref) {
	case 3:
		return value{kind: isRelation, relation: name}, nil
	case 4:
		if index, ok := ref[3].Value.(ast.Var); ok {
			if t.defined(index, s) {
				return value{}, cannot("one thing can be asked of a member of input.resource.%s, by == or in, and nothing of its position", name)
			}
			s.vars[index] = value{} // used again it is of no kind, which fits nowhere
			return value{kind: isMember, relation: name}, nil
		}
		return value{}, cannot("the members of input.resource.%s have no order; ask for some of them", name)
	}
	return value{}, cannot("members of input.resource.%s are text and have no members", name)
}
