package policies

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
)

// ruleset names the objects that decide an entry, in the order in which the
// first that speaks is told.
type ruleset struct {
	allow []ast.Ref // such as data.strikeplate.meetings.allow
	deny  []ast.Ref // walls are not among them
	walls []ast.Ref // such as data.strikeplate.resource.deny
	masks []ast.Ref
	// base is what the full ids of an object's rules begin with, such as
	// "meetings." or "policies.meetings.".
	base func(ast.Ref) string
	// rules are all of them by full id.
	rules map[string]*rule
}

// basePrefix implements ruleset.base.
func basePrefix(ref ast.Ref) string {
	parts := ref[1 : len(ref)-1]
	if parts[0].Value.Compare(ast.String(bundledRoot)) == 0 {
		parts = parts[1:]
	}
	prefix := ""
	for _, t := range parts {
		s, _ := t.Value.(ast.String)
		prefix += string(s) + "."
	}
	return prefix
}

// rulesetOf sorts the rules of an entry's modules: bundled ones first.
func rulesetOf(s *entrySpec, modules []*module) (ruleset, error) {
	set := ruleset{base: basePrefix}
	var all []*rule
	for _, isBundled := range []bool{true, false} {
		for _, m := range modules {
			if m.isBundled != isBundled {
				continue
			}
			for _, r := range m.rules {
				counts, err := set.add(s, m, r)
				if err != nil {
					return set, err
				}
				if counts {
					all = append(all, r)
				}
			}
		}
	}
	var err error
	set.rules, err = index(all)
	return set, err
}

// add files a rule, unless it is none of the entry's.
func (set *ruleset) add(s *entrySpec, m *module, r *rule) (counts bool, err error) {
	into := &set.deny
	deciding := m.name == s.line[len(s.line)-1]
	switch {
	case m.name == wallsName:
		into = &set.walls
	case r.kind() == denyName:
	case m.name == s.name && !deciding:
		return false, refused(r.at, "%s: %s inherits %s, whose rules decide; rules of its own can only deny", r.id, s.name, s.line[1])
	case r.kind() == allowName:
		into = &set.allow
	case s.resource == nil:
		return false, refused(r.at, "%s: masks hide columns, and %s has none", r.id, s.name)
	case len(s.line) > 1:
		return false, nil // what hides a parent's columns hides nothing of the heir's
	default:
		if err := s.resource.hides(r); err != nil {
			return false, err
		}
		into = &set.masks
	}
	if !slices.ContainsFunc(*into, func(have ast.Ref) bool { return have.Equal(r.ref) }) {
		*into = append(*into, r.ref)
	}
	return true, nil
}

// hides checks a mask against the columns.
func (r *Resource) hides(mask *rule) error {
	for _, name := range mask.hidden {
		_, isColumn := r.Columns[name]
		_, isRelation := r.Relations[name]
		if !isColumn && !isRelation {
			return refused(mask.at, "%s: %s has no column or relation %q", mask.id, r.Name, name)
		}
	}
	return nil
}

func (f *rule) kind() string {
	s, _ := f.ref[len(f.ref)-1].Value.(ast.String)
	return string(s)
}

// refs are all objects of the set, denials first.
func (set *ruleset) refs() []ast.Ref {
	return slices.Concat(set.walls, set.deny, set.allow, set.masks)
}

// compile makes a compiler of an entry's modules alone, so that what another
// entry means can't leak in.
func (c *Config) compile(modules []*module, schema any, data map[string]any) (*ast.Compiler, error) {
	compiler := ast.NewCompiler().
		WithCapabilities(c.capabilities()).
		WithStrict(true).
		WithUseTypeCheckAnnotations(true).
		WithPathConflictsCheck(holds(data))
	if schema != nil {
		set := ast.NewSchemaSet()
		set.Put(ast.SchemaRootRef, schema)
		compiler = compiler.WithSchemas(set)
	}
	parsed := make(map[string]*ast.Module, len(modules))
	for _, m := range modules {
		parsed[m.file] = m.Module
	}
	if compiler.Compile(parsed); compiler.Failed() {
		return nil, fmt.Errorf("%w: %w", ErrSource, compiler.Errors)
	}
	return compiler, checkDefined(compiler, data)
}

// holds tells the compiler where data stand, so that a rule can't hide some.
func holds(data map[string]any) func([]string) (bool, error) {
	return func(path []string) (bool, error) {
		var at any = data
		for _, name := range path {
			members, _ := at.(map[string]any)
			var present bool
			if at, present = members[name]; !present {
				return false, nil
			}
		}
		return len(path) > 0, nil
	}
}

// checkDefined refuses references to documents that no entry or file makes: they
// would be undefined for ever, and a denial with one never deny.
func checkDefined(c *ast.Compiler, data map[string]any) error {
	var err error
	for _, m := range c.Modules {
		ast.WalkRefs(m, func(r ast.Ref) bool {
			if err == nil && r.HasPrefix(ast.DefaultRootRef) {
				err = defined(c, data, r)
			}
			return err != nil
		})
	}
	return err
}

// definedDepth is how far into data a reference is followed: further down, a
// member may well be absent.
const definedDepth = 3

func defined(c *ast.Compiler, data map[string]any, r ast.Ref) error {
	node := c.RuleTree.Child(ast.DefaultRootDocument.Value)
	var document any = data
	for i := 1; i < min(len(r), definedDepth); i++ {
		name, ok := r[i].Value.(ast.String)
		if !ok {
			return nil
		}
		if node != nil {
			node = node.Child(name)
		}
		members, _ := document.(map[string]any)
		var present bool
		if document, present = members[string(name)]; node == nil && !present {
			return refused(r[0].Location, "%s: there is no such rule or data for this entry, so it would never be defined", r[:i+1])
		}
	}
	return nil
}

// schemaOf reads a bundled schema.
func schemaOf(name string) (any, error) {
	text, err := bundled.ReadFile("schemas/" + name + ".json")
	if err != nil {
		return nil, err
	}
	var schema any
	if err := json.Unmarshal(text, &schema); err != nil {
		return nil, err
	}
	return schema, nil
}
