package policies

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/policies/predicate"
)

// shape is what is left of a resource's rules for all principals that are alike in
// what the rules read, their arguments apart. It is never changed, but for what
// it keeps.
type shape struct {
	key     []byte
	fields  []argument
	objects [][]shapeRule // as ruleset.refs has them, each by id
	// guards are conditions on the arguments alone, such as "there is a subject".
	// How they come out chooses a variant.
	guards   []guard
	resource *Resource

	mu       sync.RWMutex
	variants map[uint64]*variant
}

type shapeRule struct {
	*rule
	when predicate.Predicate
}

const (
	maxGuards   = 64  // beyond, every call makes its variant anew
	maxVariants = 256 // likewise
	maxQueries  = 64  // of a variant: more aliases and dialects than that are rendered each time
)

// variant is a shape for arguments that are alike in the guards.
type variant struct {
	resource *Resource
	objects  [][]shapeRule
	// visible and masked select rows; used are the arguments in them or in a rule.
	visible, masked predicate.Predicate
	used            []int
	// unstorable: a known text can't be in a query, so that all is denied.
	unstorable bool

	mu      sync.RWMutex
	queries map[As]predicate.Query
}

// newShape evaluates the rules as far as they are known.
func (s *shaper) newShape(ctx context.Context, q question, key []byte) (*shape, error) {
	input, err := s.known(q)
	if err != nil {
		return nil, err
	}
	slots := make(map[string]int)
	for i, f := range s.fields {
		slots[f.name] = i
	}
	made := &shape{key: key, fields: s.fields, resource: s.resource, variants: make(map[uint64]*variant)}
	var all []predicate.Predicate
	for i := range s.objects {
		bodies, support, err := s.partial(ctx, &s.objects[i], input, s.unknown)
		if err != nil {
			return nil, err
		}
		t := newTranslator(s, slots, false, support)
		when := make(map[*rule][]predicate.Predicate)
		for _, body := range bodies {
			r, p, err := s.ruleOf(t, &s.objects[i], body)
			if err != nil {
				return nil, fmt.Errorf("%w: %s: %w", ErrUndecided, s.kind, err)
			}
			when[r] = append(when[r], p)
		}
		var rules []shapeRule
		for r, parts := range when {
			rules = append(rules, shapeRule{r, predicate.Or(parts...)})
		}
		slices.SortFunc(rules, func(a, b shapeRule) int { return cmp.Compare(a.id, b.id) })
		for _, r := range rules {
			all = append(all, r.when)
		}
		made.objects = append(made.objects, rules)
	}
	for _, p := range predicate.Rowless(predicate.Conjunction(all)) {
		made.guards = append(made.guards, newGuard(p))
	}
	return made, nil
}

// variant chooses by the arguments, which it also returns.
func (s *shape) variant(p *strikeplate.Principal) (*variant, []string, error) {
	args := make([]string, len(s.fields))
	for i := range s.fields {
		args[i] = s.fields[i].of(p)
	}
	if len(s.guards) > maxGuards {
		v, err := s.newVariant(args)
		return v, args, err
	}
	var key uint64
	for i := range s.guards {
		g := &s.guards[i]
		holds, err := g.holds(args)
		if err != nil {
			return nil, nil, fmt.Errorf("%w: %w", ErrUndecided, err)
		}
		if holds {
			key |= 1 << i
		}
	}
	s.mu.RLock()
	v := s.variants[key]
	s.mu.RUnlock()
	if v != nil {
		return v, args, nil
	}
	v, err := s.newVariant(args)
	if err != nil {
		return nil, nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.variants) < maxVariants {
		s.variants[key] = v
	}
	return v, args, nil
}

func (s *shape) newVariant(args []string) (*variant, error) {
	v := &variant{resource: s.resource, queries: make(map[As]predicate.Query)}
	for _, rules := range s.objects {
		var kept []shapeRule
		for _, r := range rules {
			when, err := predicate.Resolve(r.when, args)
			if err != nil {
				return nil, fmt.Errorf("%w: %w", ErrUndecided, err)
			}
			if when != predicate.False {
				kept = append(kept, shapeRule{r.rule, when})
			}
		}
		v.objects = append(v.objects, kept)
	}
	v.compose()
	return v, nil
}

// compose makes one condition of the rules: no wall, then a reason to allow and no
// other denial; for masked lists a mask will do instead.
func (v *variant) compose() {
	var walls, denies, allows, masks, all []predicate.Predicate
	for _, rules := range v.objects {
		for _, r := range rules {
			all = append(all, r.when)
			switch {
			case r.isWall():
				walls = append(walls, r.when)
			case r.kind() == maskName:
				masks = append(masks, r.when)
			case r.allows:
				allows = append(allows, r.when)
			default:
				denies = append(denies, r.when)
			}
		}
	}
	allowed := predicate.And(predicate.Or(allows...), predicate.Not(predicate.Or(denies...)))
	unwalled := predicate.Not(predicate.Or(walls...))
	v.visible = predicate.And(unwalled, allowed)
	v.masked = predicate.And(unwalled, predicate.Or(append(masks, allowed)...))
	for _, o := range predicate.Operands(predicate.Conjunction(all)) {
		switch o := o.(type) {
		case predicate.Argument:
			v.used = append(v.used, o.Slot)
		case predicate.Literal:
			text, is := o.Value.(string)
			v.unstorable = v.unstorable || is && !predicate.Storable(text)
		}
	}
}

// denied reports whether the arguments, or something known, is text that a
// database can't compare: then nothing is visible, here as there.
func (v *variant) denied(args []string) bool {
	return v.unstorable || slices.ContainsFunc(v.used, func(slot int) bool { return !predicate.Storable(args[slot]) })
}

// decide is the verdict on one row that was checked; noRule is told where none
// speaks.
func (v *variant) decide(row Row, args []string, noRule *rule) (verdict, error) {
	d := verdict{}
	if v.denied(args) {
		d.rule = noRule
		return d, nil
	}
	for _, rules := range v.objects {
		for _, r := range rules {
			if d.rule != nil && r.kind() != maskName {
				break // the first that speaks is told
			}
			holds, err := predicate.Eval(r.when, predicate.Row(row), args)
			if err != nil {
				return verdict{}, fmt.Errorf("%w: %w", ErrUndecided, err)
			}
			if holds && d.take(r.rule) {
				break
			}
		}
	}
	if d.rule == nil {
		d.rule = noRule
	}
	return d, nil
}

// query renders the condition, or finds it rendered.
func (v *variant) query(as As) (predicate.Query, error) {
	v.mu.RLock()
	q, ok := v.queries[as]
	v.mu.RUnlock()
	if ok {
		return q, nil
	}
	p := v.visible
	if as.Masked {
		p = v.masked
	}
	table, err := v.resource.table(as.Alias, p)
	if err != nil {
		return q, err
	}
	q, err = predicate.Render(p, predicate.Dialect(as.Dialect), as.FirstArg, table)
	if err != nil {
		return q, fmt.Errorf("policies: %w", err)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.queries) < maxQueries {
		v.queries[as] = q
	}
	return q, nil
}

// errNoShape: the rules of the resource are evaluated, not compiled.
var errNoShape = errors.New("policies: the resource has no filter")
