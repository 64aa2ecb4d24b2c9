package policies

import (
	"fmt"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// The two roots of packages: whoever writes below one can't write below the
// other.
const (
	bundledRoot = "strikeplate"
	userRoot    = "policies"
)

// Names below a root that are no resource's.
const (
	scopesName = "scopes"
	manageName = "manage"
	libName    = "lib"      // helpers that every entry may use
	wallsName  = "resource" // rules that bind every resource
)

// entrySpec is what an entry is made from.
type entrySpec struct {
	name string
	// line is the entry's own name, then its parent's and so on: a resource that
	// inherits is decided by the last one's rules, and those before may only deny.
	line     []string
	resource *Resource
}

// entrySpecs lists the entries of a configuration.
func entrySpecs(resources []Resource) ([]entrySpec, error) {
	byName := make(map[string]*Resource, len(resources))
	for i := range resources {
		r := &resources[i]
		switch r.Name {
		case scopesName, manageName, libName, wallsName:
			return nil, fmt.Errorf("policies: Resources: the name %q is taken", r.Name)
		}
		if byName[r.Name] != nil {
			return nil, fmt.Errorf("policies: Resources: %q is registered twice", r.Name)
		}
		byName[r.Name] = r
	}
	specs := []entrySpec{{name: scopesName, line: []string{scopesName}}, {name: manageName, line: []string{manageName}}}
	for i := range resources {
		line, err := ancestry(&resources[i], byName)
		if err != nil {
			return nil, err
		}
		specs = append(specs, entrySpec{name: resources[i].Name, line: line, resource: &resources[i]})
	}
	return specs, nil
}

func ancestry(r *Resource, byName map[string]*Resource) ([]string, error) {
	var line []string
	for name := r.Name; name != ""; {
		at := byName[name]
		if at == nil {
			return nil, fmt.Errorf("policies: Resources: %q inherits %q, which is not registered", line[len(line)-1], name)
		}
		if line = append(line, name); len(line) > len(byName) {
			return nil, fmt.Errorf("policies: Resources: %q inherits itself", r.Name)
		}
		name = at.Inherits
	}
	return line, nil
}

// has reports whether the entry is decided with what is below root.name.
func (s *entrySpec) has(name string) bool {
	if name == libName || s.resource != nil && name == wallsName {
		return true
	}
	for _, n := range s.line {
		if n == name {
			return true
		}
	}
	return false
}

// packagePath takes a package's path apart; the second element is "" where the
// package is a root itself.
func packagePath(p *ast.Package) (root, name string, all []string) {
	for _, term := range p.Path[1:] {
		s, ok := term.Value.(ast.String)
		if !ok {
			return "", "", nil
		}
		all = append(all, string(s))
	}
	if len(all) > 1 {
		name = all[1]
	}
	return all[0], name, all
}

// checkPackage refuses packages that nobody would ask, or that are not the
// embedder's to write.
func checkPackage(m *ast.Module, isBundled bool, specs []entrySpec) error {
	root, name, all := packagePath(m.Package)
	at, full := m.Package.Location, strings.Join(all, ".")
	switch {
	case isBundled:
		return nil
	case root == bundledRoot:
		return refused(at, "package %s is the library's own; write package %s, whose denials hold besides", full, strings.Join(append([]string{userRoot}, all[1:]...), "."))
	case root != userRoot:
		return refused(at, "package %s is outside of policies; write package policies.%s", full, full)
	case name == libName:
		return nil
	case name == "":
		return refused(at, "package policies is nobody's; name the entry, as in package policies.scopes")
	}
	var names []string
	for _, s := range specs {
		if s.name == name {
			return nil
		}
		names = append(names, s.name)
	}
	return refused(at, "package %s: nothing named %q is decided here; the entries are %s, and helpers for all are in policies.lib", full, name, strings.Join(names, ", "))
}

// refused is an error at a place in a file.
func refused(at *ast.Location, format string, args ...any) error {
	if at == nil {
		return fmt.Errorf("%w: %s", ErrSource, fmt.Sprintf(format, args...))
	}
	return fmt.Errorf("%w: %s:%d: %s", ErrSource, at.File, at.Row, fmt.Sprintf(format, args...))
}
