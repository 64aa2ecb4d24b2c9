package policies

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// reads is what a set of rules can read of the input, found without running
// them. It errs on the side of more.
type reads struct {
	// paths are ground and below a document of broad, such as
	// input.principal.scopes; what is below a path belongs to it.
	paths []ast.Ref
	// whole: some rule reads more of the input than paths say, because says where.
	// A row is apart from that: it is never part of what is kept.
	whole bool
	// row: some rule may read input.resource.
	row bool
	// volatile are the functions called whose results depend on more than the
	// input.
	volatile []string
	because  string
}

// remembers reports whether the paths' values determine the rules' results.
func (r *reads) remembers() bool { return !r.whole && len(r.volatile) == 0 }

// broad are documents that hold others: who reads one of them whole, or a member
// that can't be told beforehand, may read anything below it.
var broad = map[string]bool{
	"input": true, "input.principal": true, "input.principal.settings": true, "input.route": true, "input.client": true,
	"input.actor": true, "input.key": true, "input.resource": true,
}

// readsOf follows the rules that refs can lead to.
func readsOf(c *ast.Compiler, refs []ast.Ref) reads {
	w := walkedFrom(c, refs)
	return w.result()
}

// reachable returns the rules that refs can lead to, in no order.
func reachable(c *ast.Compiler, refs []ast.Ref) []*ast.Rule {
	return slices.Collect(maps.Keys(walkedFrom(c, refs).seen))
}

func walkedFrom(c *ast.Compiler, refs []ast.Ref) *readsWalk {
	w := &readsWalk{compiler: c, seen: make(map[*ast.Rule]bool), paths: make(map[string]ast.Ref), impure: make(map[string]bool)}
	for _, name := range restricted() {
		w.impure[name] = true
	}
	for _, ref := range refs {
		w.follow(ref)
	}
	for len(w.queue) > 0 {
		next := w.queue[0]
		w.queue = w.queue[1:]
		w.rule(next)
	}
	return w
}

type readsWalk struct {
	compiler *ast.Compiler
	seen     map[*ast.Rule]bool
	queue    []*ast.Rule
	paths    map[string]ast.Ref
	impure   map[string]bool
	out      reads
}

func (w *readsWalk) result() reads {
	for _, key := range slices.Sorted(maps.Keys(w.paths)) {
		path := w.paths[key]
		covered := slices.ContainsFunc(w.out.paths, func(p ast.Ref) bool { return path.HasPrefix(p) })
		if !covered {
			w.out.paths = append(w.out.paths, path)
		}
	}
	slices.Sort(w.out.volatile)
	w.out.volatile = slices.Compact(w.out.volatile)
	return w.out
}

// follow queues the rules that a reference to data can lead to.
func (w *readsWalk) follow(ref ast.Ref) {
	for _, r := range w.compiler.GetRulesDynamicWithOpts(ref, ast.RulesOptions{IncludeHiddenModules: true}) {
		if !w.seen[r] {
			w.seen[r] = true
			w.queue = append(w.queue, r)
		}
	}
}

// rule looks at everything in a rule, its else branches included.
func (w *readsWalk) rule(r *ast.Rule) {
	var visitor *ast.GenericVisitor
	visitor = ast.NewGenericVisitor(func(x any) bool {
		switch x := x.(type) {
		case *ast.With:
			w.out.row = true
			w.broadRead(x.Location, "with")
		case ast.Ref:
			w.ref(x, r.Location)
			if _, ok := x[0].Value.(ast.Var); !ok {
				visitor.Walk(x[0])
			}
			for _, operand := range x[1:] {
				visitor.Walk(operand)
			}
			return true
		case ast.Var:
			if x.Equal(ast.InputRootDocument.Value) {
				w.out.row = true
				w.broadRead(r.Location, "input as a whole")
			}
		}
		return false
	})
	visitor.Walk(r)
}

func (w *readsWalk) broadRead(at *ast.Location, what string) {
	if !w.out.whole && at != nil {
		w.out.because = fmt.Sprintf("%s:%d: %s", at.File, at.Row, what)
	}
	w.out.whole = true
}

func (w *readsWalk) ref(ref ast.Ref, at *ast.Location) {
	head := ref[0].Value
	switch {
	case head.Compare(ast.DefaultRootDocument.Value) == 0:
		w.follow(ref)
	case head.Compare(ast.InputRootDocument.Value) == 0:
		if ref[0].Location != nil {
			at = ref[0].Location
		}
		w.input(ref, at)
	case w.impure[ref.String()]:
		w.out.volatile = append(w.out.volatile, ref.String())
	}
}

// input notes the longest part of a reference that is known beforehand. What
// follows reads within its value.
func (w *readsWalk) input(ref ast.Ref, at *ast.Location) {
	key := "input"
	n := 1
	for ; n < len(ref) && broad[key]; n++ {
		s, ok := ref[n].Value.(ast.String)
		if !ok {
			break
		}
		key += "." + string(s)
	}
	if key == "input" || key == "input.resource" || len(ref) > 1 && ref[1].Equal(keyResource) {
		w.out.row = true
	}
	if key == "input.resource" {
		return
	}
	if broad[key] {
		w.broadRead(at, ref.String())
		return
	}
	w.paths[pathKey(ref[:n])] = slices.Clone(ref[:n])
}

// pathKey tells paths apart, also where names hold dots.
func pathKey(ref ast.Ref) string {
	var b strings.Builder
	for _, t := range ref[1:] {
		fmt.Fprintf(&b, "%q.", string(t.Value.(ast.String))) //nolint:forcetypeassert // input made it of strings
	}
	return b.String()
}
