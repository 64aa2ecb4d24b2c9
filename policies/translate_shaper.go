package policies

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/metrics"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/strikeplate/strikeplate/policies/predicate"
)

// shaperConfig is what a shaper needs of an entry.
type shaperConfig struct {
	compiler *ast.Compiler
	store    storage.Store
	txn      storage.Transaction
	resource *Resource // settled
	kind     string
	rules    *ruleset
	reads    *reads
	deadline time.Duration
	now      func() time.Time
}

// shaper makes shapes of one resource's rules: what is left of them for a
// principal once all is known but the row and a few arguments.
type shaper struct {
	shaperConfig
	objects []shaperObject
	// fields are the arguments, in the order of their slots.
	fields []argument
	// unknown are input.resource and the fields.
	unknown []*ast.Term
	shapes  shapes
}

// shaperObject is one object of rules, such as data.strikeplate.meetings.allow.
type shaperObject struct {
	query ast.Body
	rules map[string]*rule // by the part of the id that the object holds
}

// Variables of the queries; policies can't name them.
const (
	idVar   = ast.Var("__strikeplate_id")
	saidVar = ast.Var("__strikeplate_said")
)

// newShaper checks that all rules about the row can become SQL: the error names
// file, line and expression.
func newShaper(ctx context.Context, c shaperConfig) (*shaper, error) {
	s := &shaper{shaperConfig: c}
	for _, ref := range c.rules.refs() {
		said := ref.Append(ast.NewTerm(idVar))
		query, err := c.compiler.QueryCompiler().Compile(ast.NewBody(ast.Equality.Expr(ast.NewTerm(said), ast.NewTerm(saidVar))))
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrSource, err)
		}
		s.objects = append(s.objects, shaperObject{query: query, rules: c.rules.of(ref)})
	}
	if err := checkNegations(c.compiler, c.rules.refs()); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrSource, c.kind, err)
	}
	if err := s.choose(ctx); err != nil {
		return nil, err
	}
	s.unknown = []*ast.Term{ast.NewTerm(resourceRef)}
	for _, f := range s.fields {
		s.unknown = append(s.unknown, ast.NewTerm(principalPath(f.name)))
	}
	return s, s.shapes.open(s)
}

// of are the rules of one object.
func (set *ruleset) of(ref ast.Ref) map[string]*rule {
	rules := make(map[string]*rule)
	for _, r := range set.rules {
		if r.ref.Equal(ref) {
			rules[r.id[len(set.base(ref)):]] = r
		}
	}
	return rules
}

// choose translates the rules while nothing is known, and makes arguments of those
// fields of the principal that are only ever compared, and with the row.
func (s *shaper) choose(ctx context.Context) error {
	slots := make(map[string]int)
	for i, a := range arguments {
		if !s.reads.whole {
			slots[a.name] = i
		}
	}
	compared, unfit := make(map[string]bool), make(map[string]bool)
	var problems []error
	for i := range s.objects {
		bodies, support, err := s.partial(ctx, &s.objects[i], nil, []*ast.Term{ast.NewTerm(ast.InputRootRef)})
		if err != nil {
			return err
		}
		for _, body := range bodies {
			t := newTranslator(s, slots, true, support)
			if _, _, err := s.ruleOf(t, &s.objects[i], body); err != nil {
				problems = append(problems, fmt.Errorf("%w: %s: %w", ErrSource, s.kind, err))
			}
			for name := range slots {
				compared[name] = compared[name] || t.compared[name]
				unfit[name] = unfit[name] || t.unfit[name]
			}
		}
	}
	for _, a := range arguments {
		if compared[a.name] && !unfit[a.name] {
			s.fields = append(s.fields, a)
		}
	}
	return joined(problems)
}

// joined is every problem once: partial evaluation may copy an expression.
func joined(problems []error) error {
	slices.SortFunc(problems, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(slices.CompactFunc(problems, func(a, b error) bool { return a.Error() == b.Error() })...)
}

// ruleOf translates one of the ways in which an object's rules may hold.
func (s *shaper) ruleOf(t *translator, o *shaperObject, body ast.Body) (*rule, predicate.Predicate, error) {
	var r *rule
	rest := make(ast.Body, 0, len(body))
	for _, expr := range body {
		name, x := assigned(expr)
		switch name {
		case idVar:
			id, _ := x.Value.(ast.String)
			r = o.rules[string(id)]
		case saidVar: // the rule's reason or columns, which were read when it was parsed
		default:
			rest = append(rest, expr)
		}
	}
	if r == nil {
		return nil, nil, cannot("%v: the rule has no literal id", body)
	}
	f := newFrame()
	f.vars[idVar], f.vars[saidVar] = value{}, value{}
	p, err := t.body(rest, f)
	return r, p, located(err, &ast.Expr{Location: r.at})
}

// assigned takes name = term apart.
func assigned(expr *ast.Expr) (ast.Var, *ast.Term) {
	if !expr.IsEquality() || expr.Negated || len(expr.With) > 0 {
		return "", nil
	}
	for i := range 2 {
		if name, ok := expr.Operand(i).Value.(ast.Var); ok && (name == idVar || name == saidVar) {
			return name, expr.Operand(1 - i)
		}
	}
	return "", nil
}

// partial evaluates an object as far as input goes.
func (s *shaper) partial(ctx context.Context, o *shaperObject, input ast.Value, unknown []*ast.Term) ([]ast.Body, []*ast.Module, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrUndecided, err)
	}
	cancel := topdown.NewCancel()
	defer context.AfterFunc(ctx, cancel.Cancel)()
	deadline := cmp.Or(s.deadline, defaultDeadline)
	if input == nil {
		deadline = max(deadline, loadDeadline) // nobody waits, and a busy machine must not refuse good policies
	}
	defer time.AfterFunc(deadline, cancel.Cancel).Stop()
	q := topdown.NewQuery(o.query).
		WithQueryCompiler(s.compiler.QueryCompiler()).
		WithCompiler(s.compiler).
		WithStore(s.store).
		WithTransaction(s.txn).
		WithMetrics(metrics.NoOp()).
		WithCancel(cancel).
		WithTime(s.now()).
		WithStrictBuiltinErrors(true).
		WithUnknowns(unknown)
	if input != nil {
		q = q.WithInput(ast.NewTerm(input)).WithNondeterministicBuiltins(true)
	}
	bodies, support, err := q.PartialRun(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrUndecided, err)
	}
	return bodies, support, nil
}
