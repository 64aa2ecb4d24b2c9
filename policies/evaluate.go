package policies

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/metrics"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// ErrUndecided is wrapped by errors of decisions that could not be made: no
// policies are ready, a deadline passed, an evaluation failed. They deny, and the
// caller answers 503.
var ErrUndecided = errors.New("policies: could not decide")

// prepared is one query that asks for all objects of an entry at once. It is safe
// for concurrent use.
type prepared struct {
	query    ast.Body
	queries  ast.QueryCompiler
	compiler *ast.Compiler
	store    storage.Store
	// txn is one reading transaction for all: the store is never written to.
	txn     storage.Transaction
	objects []object
}

// object is one of a query's answers.
type object struct {
	variable ast.Var
	rules    map[string]*rule // by the part of the id that the object holds
}

// verdict is what an evaluation found.
type verdict struct {
	allowed bool
	rule    *rule // nil: no rule spoke, which denies
	hidden  []string
	walled  bool // a wall denied
}

func prepare(ctx context.Context, c *ast.Compiler, store storage.Store, set *ruleset) (prepared, error) {
	p := prepared{compiler: c, store: store, queries: c.QueryCompiler()}
	refs := set.refs()
	if len(refs) == 0 {
		return p, nil
	}
	var body ast.Body
	for i, ref := range refs {
		o := object{variable: ast.Var("object" + strconv.Itoa(i)), rules: make(map[string]*rule)}
		for _, r := range set.rules {
			if r.ref.Equal(ref) {
				o.rules[r.id[len(set.base(ref)):]] = r
			}
		}
		body.Append(ast.Equality.Expr(ast.NewTerm(o.variable), ast.NewTerm(ref)))
		p.objects = append(p.objects, o)
	}
	var err error
	if p.query, err = p.queries.Compile(body); err != nil {
		return p, fmt.Errorf("%w: %w", ErrSource, err)
	}
	p.txn, err = store.NewTransaction(ctx)
	return p, err
}

// evaluate decides on one input.
func (p *prepared) evaluate(ctx context.Context, deadline time.Duration, now func() time.Time, input ast.Value) (verdict, error) {
	if len(p.objects) == 0 {
		return verdict{}, nil
	}
	if err := ctx.Err(); err != nil {
		return verdict{}, fmt.Errorf("%w: %w", ErrUndecided, err)
	}
	cancel := topdown.NewCancel()
	if ctx.Done() != nil {
		defer context.AfterFunc(ctx, cancel.Cancel)()
	}
	defer time.AfterFunc(deadline, cancel.Cancel).Stop()
	var v verdict
	answered := false
	err := topdown.NewQuery(p.query).
		WithQueryCompiler(p.queries).
		WithCompiler(p.compiler).
		WithStore(p.store).
		WithTransaction(p.txn).
		WithMetrics(metrics.NoOp()).
		WithCancel(cancel).
		WithTime(now()).
		WithStrictBuiltinErrors(true). // an error that is undefined would keep a denial silent
		WithInput(ast.NewTerm(input)).
		Iter(ctx, func(answer topdown.QueryResult) error {
			answered = true
			return p.judge(answer, &v)
		})
	if err == nil && !answered {
		err = errors.New("the rules are undefined")
	}
	switch {
	case err == nil:
		return v, nil
	case topdown.IsCancel(err) && ctx.Err() != nil:
		err = ctx.Err()
	case topdown.IsCancel(err):
		err = fmt.Errorf("the deadline of %v passed: %w", deadline, err)
	}
	return verdict{}, fmt.Errorf("%w: %w", ErrUndecided, err)
}

// judge finds the rule that decides: the first denial, else the first allowing
// one, by the order of the objects and then of the ids.
func (p *prepared) judge(answer topdown.QueryResult, v *verdict) error {
	for i := range p.objects {
		o := &p.objects[i]
		said, ok := answer[o.variable].Value.(ast.Object)
		if !ok {
			return fmt.Errorf("an object of rules is a %T", answer[o.variable].Value)
		}
		if said.Len() == 0 {
			continue
		}
		if err := o.first(said, v); err != nil {
			return err
		}
	}
	return nil
}

func (o *object) first(said ast.Object, v *verdict) error {
	var failed error
	said.Until(func(key, _ *ast.Term) bool {
		id, _ := key.Value.(ast.String)
		r := o.rules[string(id)]
		if r == nil {
			failed = fmt.Errorf("no rule has the id %v", key)
			return true
		}
		return v.take(r)
	})
	return failed
}

// take adds one rule that holds, and reports whether the others of its object
// don't matter.
func (v *verdict) take(r *rule) bool {
	switch {
	case r.kind() == maskName:
		if !v.walled && !v.allowed {
			v.hidden = append(v.hidden, r.hidden...)
		}
		return false
	case v.rule == nil:
		v.rule, v.allowed = r, r.allows
		v.walled = r.isWall()
	}
	return true
}

func (f *rule) isWall() bool {
	s, _ := f.ref[2].Value.(ast.String)
	return string(s) == wallsName
}
