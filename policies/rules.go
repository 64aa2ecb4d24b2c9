package policies

import (
	"regexp"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// The names of the objects that decide.
const (
	allowName = "allow"
	denyName  = "deny"
	maskName  = "mask"
)

// rule is one id of an allow, deny or mask object.
type rule struct {
	id     string // in full, such as policies.meetings.tenant
	reason string
	// public: the reason may be told to the caller.
	public bool
	allows bool
	hidden []string // columns, of a mask
	ref    ast.Ref  // the object, such as data.policies.meetings.deny
	at     *ast.Location
}

// idForm keeps ids fit for logs, headers and dashboards.
var idForm = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,63}$`)

// noRuleID ends the id that is told where no rule speaks.
const noRuleID = "default"

// noRule is what decides an entry where no rule does.
func noRule(entry string) *rule {
	return &rule{id: entry + "." + noRuleID, reason: "no rule allows it", public: true}
}

// rulesOf checks the form of a module's deciding rules and returns them.
func rulesOf(m *ast.Module, isBundled bool) ([]*rule, error) {
	root, name, all := packagePath(m.Package)
	var found []*rule
	for _, r := range m.Rules {
		kind := headName(r)
		if kind != allowName && kind != denyName && kind != maskName {
			continue
		}
		if name == libName {
			return nil, refused(r.Location, "%s in %s decides nothing; move it into the package of an entry", kind, strings.Join(all, "."))
		}
		id, err := checkForm(r, kind)
		if err != nil {
			return nil, err
		}
		prefix := all
		if root == bundledRoot {
			prefix = all[1:]
		}
		f := &rule{
			id: strings.Join(prefix, ".") + "." + id, allows: kind == allowName, at: r.Location,
			ref:    m.Package.Path.Append(ast.StringTerm(kind)),
			public: isBundled || saysPublic(m, r),
		}
		if err := f.takeValue(r, kind); err != nil {
			return nil, err
		}
		found = append(found, f)
	}
	return found, nil
}

func headName(r *ast.Rule) string {
	if v, ok := r.Head.Reference[0].Value.(ast.Var); ok {
		return string(v)
	}
	return string(r.Head.Name)
}

// checkForm returns the rule's id.
func checkForm(r *ast.Rule, kind string) (string, error) {
	h := r.Head
	switch {
	case r.Default:
		return "", refused(r.Location, "default %s is not needed: what no rule allows is denied. Remove it", kind)
	case len(h.Args) > 0:
		return "", refused(r.Location, "%s is a function here; a rule has the form %s", kind, form(kind))
	case h.Key != nil && h.Value == nil, len(h.Reference) == 1:
		return "", refused(r.Location, "%s has no id and no reason; a rule has the form %s", kind, form(kind))
	case len(h.Reference) > 2:
		return "", refused(r.Location, "the id of %s has more than one part; a rule has the form %s", kind, form(kind))
	case r.Else != nil:
		return "", refused(r.Location, "%s has an else; write a second rule with an id of its own", kind)
	}
	id, ok := h.Reference[1].Value.(ast.String)
	switch {
	case !ok:
		return "", refused(r.Location, "the id of %s must be a literal string, not %v; a rule has the form %s", kind, h.Reference[1], form(kind))
	case id == noRuleID:
		return "", refused(r.Location, "the id %q means that no rule spoke; give %s another id", noRuleID, kind)
	case !idForm.MatchString(string(id)):
		return "", refused(r.Location, "the id %q must be up to 64 of a-z, 0-9, _ and -", string(id))
	}
	return string(id), nil
}

func form(kind string) string {
	if kind == maskName {
		return `mask["an-id"] := ["column"] if { … }`
	}
	return kind + `["an-id"] := "the reason" if { … }`
}

// takeValue reads the reason, or a mask's columns.
func (f *rule) takeValue(r *ast.Rule, kind string) error {
	if kind != maskName {
		reason, ok := r.Head.Value.Value.(ast.String)
		if !ok || reason == "" {
			return refused(r.Location, "the reason of %s must be a literal string, not %v; a rule has the form %s", f.id, r.Head.Value, form(kind))
		}
		f.reason = string(reason)
		return nil
	}
	columns, ok := r.Head.Value.Value.(*ast.Array)
	if !ok || columns.Len() == 0 {
		return refused(r.Location, "%s must list column names; a mask has the form %s", f.id, form(kind))
	}
	for i := range columns.Len() {
		name, ok := columns.Elem(i).Value.(ast.String)
		if !ok {
			return refused(r.Location, "%s must list column names as literal strings, not %v", f.id, columns.Elem(i))
		}
		f.hidden = append(f.hidden, string(name))
	}
	f.reason = "hidden: " + strings.Join(f.hidden, ", ")
	return nil
}

// saysPublic reads the metadata `custom: {public: true}` of a rule, or of its
// package or document.
func saysPublic(m *ast.Module, r *ast.Rule) bool {
	says := func(a *ast.Annotations) bool { return a.Custom["public"] == true }
	for _, a := range r.Annotations {
		if _, said := a.Custom["public"]; said {
			return says(a)
		}
	}
	for _, a := range m.Annotations {
		if (a.Scope == "package" || a.Scope == "subpackages") && says(a) {
			return true
		}
	}
	return false
}

// index orders rules by their ids and refuses two meanings of one.
func index(rules []*rule) (map[string]*rule, error) {
	byID := make(map[string]*rule, len(rules))
	for _, r := range rules {
		was := byID[r.id]
		switch {
		case was == nil:
			byID[r.id] = r
		case !was.ref.Equal(r.ref):
			return nil, refused(r.at, "the id %s is also that of another kind of rule, at %s:%d; give one of them another id", r.id, was.at.File, was.at.Row)
		case was.reason != r.reason:
			return nil, refused(r.at, "%s has another reason at %s:%d; one id has one reason", r.id, was.at.File, was.at.Row)
		default:
			was.public = was.public && r.public
		}
	}
	return byID, nil
}
