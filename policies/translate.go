package policies

import (
	"fmt"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/strikeplate/strikeplate/policies/predicate"
)

// translator turns what partial evaluation left of rules into predicates on rows.
// What it doesn't understand is an error: no condition is ever left out.
//
// It runs twice. When policies load nothing is known, and it only finds out
// whether everything about the row can be translated; then terms that will be
// known are anything. When a shape is made all is known but the row and the
// arguments.
type translator struct {
	resource *Resource
	// slots are the principal's fields that become arguments.
	slots map[string]int
	// loading: nothing is known.
	loading bool
	support map[string][]*ast.Rule
	// compiler knows the rules that partial evaluation leaves alone.
	compiler *ast.Compiler
	// compared are the fields that were compared with the row; unfit those that
	// stand where no argument can.
	compared, unfit map[string]bool
	depth           int
}

// maxSupport bounds how deep negated helpers may be nested.
const maxSupport = 32

// untranslatable says why an expression can't become SQL.
type untranslatable struct {
	at  *ast.Location
	why string
}

func (e *untranslatable) Error() string {
	if e.at == nil {
		return e.why
	}
	return fmt.Sprintf("%s:%d: %s: %s", e.at.File, e.at.Row, e.at.Text, e.why)
}

func cannot(format string, args ...any) error {
	return &untranslatable{why: fmt.Sprintf(format, args...)}
}

func newTranslator(s *shaper, slots map[string]int, loading bool, support []*ast.Module) *translator {
	t := &translator{
		resource: s.resource, slots: slots, loading: loading, compiler: s.compiler,
		support: make(map[string][]*ast.Rule), compared: make(map[string]bool), unfit: make(map[string]bool),
	}
	for _, m := range support {
		for _, rule := range m.Rules {
			ref := m.Package.Path.Extend(rule.Head.Ref()).String()
			t.support[ref] = append(t.support[ref], rule)
		}
	}
	return t
}

// body translates a conjunction of expressions.
func (t *translator) body(body ast.Body, s *frame) (predicate.Predicate, error) {
	if err := t.bind(body, s); err != nil {
		return nil, err
	}
	parts := make([]predicate.Predicate, 0, len(body))
	for _, expr := range body {
		if s.bound[expr] {
			continue
		}
		p, err := t.expr(expr, s)
		if err != nil {
			return nil, located(err, expr)
		}
		parts = append(parts, p)
	}
	for v, m := range s.members {
		if m.uses != 1 {
			return nil, located(cannot("%s is a member of input.resource.%s and is used %d times; it can be compared once, with == or in", v, m.relation, m.uses), body[0])
		}
	}
	return predicate.And(parts...), nil
}

// located says where an expression is, unless the error knows better.
func located(err error, expr *ast.Expr) error {
	if e, ok := err.(*untranslatable); ok && e.at == nil { //nolint:errorlint // made here, never wrapped
		return &untranslatable{at: expr.Location, why: e.why}
	}
	return err
}

func (t *translator) expr(expr *ast.Expr, s *frame) (predicate.Predicate, error) {
	if len(expr.With) > 0 {
		return nil, cannot("with can't become SQL")
	}
	if !expr.Negated {
		return t.positive(expr, s)
	}
	bare := expr.Copy()
	bare.Negated = false
	inner := s.child()
	p, err := t.positive(bare, inner)
	if err != nil {
		return nil, err
	}
	return predicate.Not(p), nil
}

func (t *translator) positive(expr *ast.Expr, s *frame) (predicate.Predicate, error) {
	if t.loading && !t.touches(expr, s) {
		return t.known(expr, s)
	}
	switch terms := expr.Terms.(type) {
	case *ast.Term:
		return t.truth(terms, s)
	case []*ast.Term:
		return t.call(terms, s)
	case *ast.Every:
		return t.every(terms, s)
	}
	return nil, cannot("this can't become SQL")
}

// known is an expression that no row changes. While loading, it is any; what it
// shows is whether a field of the principal can stay an argument.
func (t *translator) known(expr *ast.Expr, s *frame) (predicate.Predicate, error) {
	translates := false
	switch terms := expr.Terms.(type) {
	case []*ast.Term:
		_, compares := comparisons[operator(terms)]
		ref, _ := terms[0].Value.(ast.Ref)
		if compares || operator(terms) == member || ref.HasPrefix(ast.DefaultRootRef) {
			_, err := t.call(terms, s)
			translates = err == nil
		}
	case *ast.Term:
		if ref, ok := terms.Value.(ast.Ref); ok && ref.HasPrefix(ast.DefaultRootRef) {
			_, err := t.helper(ref, nil, s)
			translates = err == nil
		}
	}
	if !translates {
		t.spoil(expr)
	}
	return predicate.True, nil
}

// spoil notes the fields of the principal that occur where no argument can stand.
func (t *translator) spoil(x any) {
	ast.WalkRefs(x, func(ref ast.Ref) bool {
		switch {
		case ref.HasPrefix(ast.InputRootRef):
			t.spoilPaths(ref.ConstantPrefix())
		case !ref.HasPrefix(ast.DefaultRootRef):
		case t.supporting(ref) == nil:
			r := readsOf(t.compiler, []ast.Ref{ref})
			t.spoilPaths(r.paths...)
			if r.whole {
				t.spoilPaths(ast.InputRootRef)
			}
		default:
			for _, rule := range t.supporting(ref) {
				t.spoilRule(rule)
			}
		}
		return false
	})
}

func (t *translator) spoilPaths(read ...ast.Ref) {
	for name := range t.slots {
		path := principalPath(name)
		for _, ref := range read {
			if ref.HasPrefix(path) || path.HasPrefix(ref) {
				t.unfit[name] = true
			}
		}
	}
}

func (t *translator) spoilRule(rule *ast.Rule) {
	if t.depth >= maxSupport {
		t.spoilPaths(ast.InputRootRef)
		return
	}
	t.depth++
	defer func() { t.depth-- }()
	for ; rule != nil; rule = rule.Else {
		t.spoil(rule.Body)
		t.spoil(rule.Head)
	}
}

func principalPath(name string) ast.Ref {
	return ast.InputRootRef.Append(keyPrincipal).Append(term(name))
}

// supporting returns the rules that partial evaluation made for a reference.
func (t *translator) supporting(ref ast.Ref) []*ast.Rule {
	for n := len(ref); n > 1; n-- {
		if rules := t.support[ref[:n].String()]; rules != nil {
			return rules
		}
	}
	return nil
}

// touches reports whether an expression or a term depends on the row.
func (t *translator) touches(x any, s *frame) bool {
	found := false
	var vis *ast.GenericVisitor
	vis = ast.NewGenericVisitor(func(x any) bool {
		switch x := x.(type) {
		case ast.Ref:
			switch {
			case x.HasPrefix(ast.InputRootRef):
				found = found || len(x) < 2 || !x[1].IsGround() || x.HasPrefix(resourceRef)
			case x.HasPrefix(ast.DefaultRootRef):
				found = found || t.supportTouches(x)
			default:
				vis.Walk(x[0])
			}
			for _, element := range x[1:] {
				vis.Walk(element)
			}
			return true
		case ast.Var:
			found = found || s.touches(x) || x.Equal(ast.InputRootDocument.Value)
		}
		return found
	})
	vis.Walk(x)
	return found
}

var resourceRef = ast.InputRootRef.Append(keyResource)

func (t *translator) supportTouches(ref ast.Ref) bool {
	if t.depth >= maxSupport {
		return true
	}
	t.depth++
	defer func() { t.depth-- }()
	rules := t.supporting(ref)
	if rules == nil { // rules that were left alone, or data
		r := readsOf(t.compiler, []ast.Ref{ref})
		return r.row
	}
	for _, rule := range rules {
		for r := rule; r != nil; r = r.Else {
			empty := newFrame()
			if t.touches(r.Body, empty) || t.touches(r.Head.Value, empty) {
				return true
			}
		}
	}
	return false
}

// every over what is known: partial evaluation writes out few elements and leaves
// many, and what is no collection.
func (t *translator) every(e *ast.Every, s *frame) (predicate.Predicate, error) {
	if t.touches(e.Domain, s) {
		return nil, cannot("every over the row's own lists can't become SQL; every over known values can")
	}
	if t.loading {
		t.spoil(e.Domain)
		return t.element(e, value{kind: isKnown}, value{kind: isKnown}, s)
	}
	var parts []predicate.Predicate
	var failed error
	add := func(key, element *ast.Term) {
		p, err := t.elementTerms(e, key, element, s)
		if parts = append(parts, p); failed == nil {
			failed = err
		}
	}
	switch domain := e.Domain.Value.(type) {
	case *ast.Array:
		for i := range domain.Len() {
			add(ast.InternedTerm(i), domain.Elem(i))
		}
	case ast.Set:
		domain.Foreach(func(x *ast.Term) { add(x, x) })
	case ast.Object:
		domain.Foreach(add)
	case ast.Null, ast.Boolean, ast.Number, ast.String:
		return predicate.False, nil // undefined
	default:
		return nil, cannot("every over this can't become SQL")
	}
	if failed != nil {
		return nil, failed
	}
	return predicate.And(parts...), nil
}

func (t *translator) elementTerms(e *ast.Every, key, element *ast.Term, s *frame) (predicate.Predicate, error) {
	k, err := t.operand(key, s)
	if err != nil {
		return nil, err
	}
	v, err := t.operand(element, s)
	if err != nil {
		return nil, err
	}
	return t.element(e, k, v, s)
}

// element is the body of every for one element.
func (t *translator) element(e *ast.Every, key, element value, s *frame) (predicate.Predicate, error) {
	inner := s.child()
	for x, v := range map[*ast.Term]value{e.Key: key, e.Value: element} {
		if x == nil {
			continue
		}
		if name, ok := x.Value.(ast.Var); ok {
			inner.vars[name] = v
		}
	}
	return t.body(e.Body, inner)
}

// helper translates a rule that partial evaluation left, by its bodies.
func (t *translator) helper(ref ast.Ref, args []*ast.Term, s *frame) (predicate.Predicate, error) {
	rules := t.support[ref.String()]
	if rules == nil {
		return nil, cannot("%s can't become SQL", ref)
	}
	if t.depth >= maxSupport {
		return nil, cannot("helpers are nested more than %d deep", maxSupport)
	}
	t.depth++
	defer func() { t.depth-- }()
	var bodies []predicate.Predicate
	for _, rule := range rules {
		inner, err := t.parameters(rule, args, s)
		if err != nil {
			return nil, located(err, &ast.Expr{Location: rule.Location})
		}
		p, err := t.body(rule.Body, inner)
		if err != nil {
			return nil, err
		}
		bodies = append(bodies, p)
	}
	return predicate.Or(bodies...), nil
}

// parameters is the frame of a helper's body.
func (t *translator) parameters(rule *ast.Rule, args []*ast.Term, s *frame) (*frame, error) {
	switch {
	case rule.Default:
		return nil, cannot("a helper with a default can't become SQL where it depends on the row")
	case rule.Else != nil:
		return nil, cannot("a helper with else can't become SQL where it depends on the row")
	case rule.Head.Key != nil || rule.Head.Value == nil || rule.Head.Value.Value.Compare(ast.Boolean(true)) != 0:
		return nil, cannot("a helper that depends on the row must be true or undefined")
	case len(rule.Head.Args) != len(args):
		return nil, cannot("a helper is called with %d arguments and has %d", len(args), len(rule.Head.Args))
	}
	inner := newFrame()
	for i, parameter := range rule.Head.Args {
		name, ok := parameter.Value.(ast.Var)
		if !ok {
			return nil, cannot("a helper's parameter must be a name, not %v, where it depends on the row", parameter)
		}
		v, err := t.operand(args[i], s)
		if err != nil {
			return nil, err
		}
		if v.kind == isMember {
			return nil, cannot("a member of a relation can't be handed to a helper")
		}
		inner.vars[name] = v
	}
	return inner, nil
}
