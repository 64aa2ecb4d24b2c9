package policies

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/util"
)

// module is a parsed file of policies.
type module struct {
	*ast.Module
	file      string
	isBundled bool
	rules     []*rule
	// root.name are the first two parts of its package.
	root, name string
}

// material is what a revision is compiled from.
type material struct {
	modules []*module
	data    map[string]any
	hash    string
}

// parse turns the bundled files and the embedder's into material.
func (c *Config) parse(ctx context.Context, specs []entrySpec, base, user *snapshot) (*material, error) {
	m := &material{data: map[string]any{}}
	sum := sha256.New()
	for _, s := range []*snapshot{base, user} {
		for _, f := range s.files {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			sum.Write(fmt.Appendf(nil, "%q %d ", f.name, len(f.text)))
			sum.Write(f.text)
			if err := m.add(f, s == base, specs); err != nil {
				return nil, err
			}
		}
	}
	if user.data != nil {
		sum.Write(fmt.Appendf(nil, "data %x", util.MustMarshalJSON(user.data)))
		m.data = user.data
	}
	m.hash = hex.EncodeToString(sum.Sum(nil))[:12]
	if err := m.checkData(); err != nil {
		return nil, err
	}
	return m, nil
}

func (m *material) add(f file, isBundled bool, specs []entrySpec) error {
	switch {
	case isTest(f.name):
		return checkTest(f)
	case isPolicy(f.name):
		return m.addPolicy(f, isBundled, specs)
	case isData(f.name) && !isBundled:
		return m.addData(f)
	}
	return nil
}

// checkTest refuses tests that hold rules of a decision: they would be left out.
func checkTest(f file) error {
	parsed, err := parseModule(f.name, f.text)
	if err != nil {
		return nil //nolint:nilerr // a broken test changes no decision, and whoever runs it is told
	}
	_, _, all := packagePath(parsed.Package)
	for _, r := range parsed.Rules {
		switch name := headName(r); {
		case all[0] != userRoot || strings.HasSuffix(all[len(all)-1], "_test"):
		case name == allowName || name == denyName || name == maskName:
			return refused(r.Location, "%s in a file of tests, which is not loaded; move it, or call the package %s_test", name, strings.Join(all, "."))
		}
	}
	return nil
}

func parseModule(name string, text []byte) (*ast.Module, error) {
	parsed, err := ast.ParseModuleWithOpts(name, string(text), ast.ParserOptions{ProcessAnnotation: true, RegoVersion: ast.RegoV1})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSource, err)
	}
	if parsed == nil || len(parsed.Package.Path) < 2 {
		return nil, fmt.Errorf("%w: %s: the file is empty", ErrSource, name)
	}
	return parsed, nil
}

func (m *material) addPolicy(f file, isBundled bool, specs []entrySpec) error {
	name := f.name
	if isBundled {
		name = "strikeplate/" + name
	}
	parsed, err := parseModule(name, f.text)
	if err != nil {
		return err
	}
	if err := checkPackage(parsed, isBundled, specs); err != nil {
		return err
	}
	added := &module{Module: parsed, file: name, isBundled: isBundled}
	added.root, added.name, _ = packagePath(parsed.Package)
	if added.rules, err = rulesOf(parsed, isBundled); err != nil {
		return err
	}
	m.modules = append(m.modules, added)
	return nil
}

// addData puts a file's content at the path of its directory.
func (m *material) addData(f file) error {
	var content any
	if err := util.Unmarshal(f.text, &content); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrSource, f.name, err)
	}
	if dir := path.Dir(f.name); dir != "." {
		for _, part := range slices.Backward(strings.Split(dir, "/")) {
			content = map[string]any{part: content}
		}
	}
	object, ok := content.(map[string]any)
	if !ok {
		return fmt.Errorf("%w: %s: data at the top must be an object, with the member policies", ErrSource, f.name)
	}
	if at, ok := merge(m.data, object); !ok {
		return fmt.Errorf("%w: %s: data.%s is also in another file", ErrSource, f.name, at)
	}
	return nil
}

// merge adds an object to another one, and names what both have.
func merge(into, from map[string]any) (at string, ok bool) {
	for k, v := range from {
		was, both := into[k]
		if !both {
			into[k] = v
			continue
		}
		a, isObject := was.(map[string]any)
		b, areObjects := v.(map[string]any)
		if !isObject || !areObjects {
			return k, false
		}
		if at, ok := merge(a, b); !ok {
			return k + "." + at, false
		}
	}
	return "", true
}

func (m *material) checkData() error {
	for name := range m.data {
		if name != userRoot {
			return fmt.Errorf("%w: data.%s is outside of data.policies; put the file into a directory policies, or its content into a member of that name", ErrSource, name)
		}
	}
	top, ok := m.data[userRoot].(map[string]any)
	if !ok && len(m.data) > 0 {
		return fmt.Errorf("%w: data.policies must be an object", ErrSource)
	}
	return checkNoRules(top, "data."+userRoot)
}

// checkNoRules refuses data that would stand for rules, unchecked ones. Lists are
// not looked into: no rule's object is in one.
func checkNoRules(at map[string]any, path string) error {
	for name, v := range at {
		below := path + "." + name
		if name == allowName || name == denyName || name == maskName {
			return fmt.Errorf("%w: %s is the name of rules; data can't take their place", ErrSource, below)
		}
		if members, ok := v.(map[string]any); ok {
			if err := checkNoRules(members, below); err != nil {
				return err
			}
		}
	}
	return nil
}

// of are the modules that an entry is compiled from: its own, the walls, and
// the helpers that those name.
func (m *material) of(s *entrySpec) []*module {
	var chosen []*module
	libs := make([]*module, 0, len(m.modules))
	for _, mod := range m.modules {
		switch {
		case mod.name == libName:
			libs = append(libs, mod)
		case s.has(mod.name):
			chosen = append(chosen, mod)
		}
	}
	for i := 0; i < len(chosen); i++ {
		named := namedPackages(chosen[i].Module)
		libs = slices.DeleteFunc(libs, func(lib *module) bool {
			used := slices.ContainsFunc(named, func(ref ast.Ref) bool {
				return ref.HasPrefix(lib.Package.Path) || lib.Package.Path.HasPrefix(ref)
			})
			if used {
				chosen = append(chosen, lib)
			}
			return used
		})
	}
	return chosen
}

// namedPackages are the references below data that a module makes, those through
// its imports too.
func namedPackages(m *ast.Module) []ast.Ref {
	imports := make(map[ast.Var]ast.Ref, len(m.Imports))
	for _, i := range m.Imports {
		if path, ok := i.Path.Value.(ast.Ref); ok {
			imports[i.Name()] = path
		}
	}
	var named []ast.Ref
	for _, rule := range m.Rules {
		ast.WalkRefs(rule, func(r ast.Ref) bool {
			head, _ := r[0].Value.(ast.Var)
			if path, imported := imports[head]; imported {
				r = path.Concat(r[1:])
			}
			if r.HasPrefix(ast.DefaultRootRef) {
				named = append(named, r.ConstantPrefix())
			}
			return false
		})
		ast.WalkVars(rule, func(v ast.Var) bool {
			if path, imported := imports[v]; imported && !path.HasPrefix(ast.InputRootRef) && len(path) > 3 {
				named = append(named, path) // a rule imported by its own name
			}
			return false
		})
	}
	return named
}
