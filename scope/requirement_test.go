package scope_test

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/scope"
)

func TestRequirementCheck(t *testing.T) {
	c := mustCatalog(t, "a:read", "a:write", "b:*", "b:read")
	type need = scope.Requirement
	type levels = []strikeplate.Access
	for _, r := range []struct {
		need  need
		wrong string // empty: nothing
	}{
		{need{AllOf: []string{"a:read"}}, ""},
		{need{AllOf: []string{"a:read", "a:write"}, AnyOf: []string{"b:read"}}, ""},
		{need{AnyOf: []string{"a:read", "a:write"}}, ""},
		{need{Access: levels{strikeplate.UserLimited, strikeplate.UserFull, strikeplate.OrganisationLimited, strikeplate.OrganisationFull, strikeplate.Legacy}}, ""},
		{need{AllOf: []string{"a:read"}, Access: levels{strikeplate.Legacy}, Environment: strikeplate.Live}, ""},
		{need{Authenticated: true}, ""},
		{need{Authenticated: true, Environment: strikeplate.Test}, ""},

		{need{}, "demands neither"},
		{need{AllOf: []string{}, AnyOf: []string{}, Access: levels{}}, "demands neither"},
		{need{Environment: strikeplate.Live}, "demands neither"},
		{need{Authenticated: true, AllOf: []string{"a:read"}}, "and demands more"},
		{need{Authenticated: true, AnyOf: []string{"a:read"}}, "and demands more"},
		{need{Authenticated: true, Access: levels{strikeplate.Legacy}}, "and demands more"},
		{need{Authenticated: true, Environment: "staging"}, `no environment "staging"`},
		{need{Access: levels{""}}, `no access level ""`},
		{need{Access: levels{strikeplate.Legacy, "org-ful"}}, `no access level "org-ful"`},
		{need{Access: levels{strikeplate.Legacy, strikeplate.Legacy}}, "listed twice"},
		{need{AllOf: []string{""}}, "not a scope"},
		{need{AllOf: []string{"a:read b:read"}}, "not a scope"},
		{need{AnyOf: []string{"b:*"}}, "not a scope"},
		{need{AllOf: []string{"a:read", "a:read"}}, "listed twice"},
		{need{AllOf: []string{"a:read"}, AnyOf: []string{"a:write", "a:read"}}, "listed twice"},
		{need{AllOf: []string{"a:raed"}}, `not in the catalog: "a:raed"`},
		{need{AnyOf: []string{"a:read", "b:write"}}, `not in the catalog: "b:write"`},
	} {
		err := r.need.Check(c)
		if (err == nil) != (r.wrong == "") || err != nil && !strings.Contains(err.Error(), r.wrong) {
			t.Errorf("%+v: %v, want %q", r.need, err, r.wrong)
		}
		if err := r.need.Check(nil); strings.Contains(r.wrong, "catalog") != (err == nil && r.wrong != "") {
			t.Errorf("%+v without a catalog: %v", r.need, err)
		}
	}
}

func TestRequirementMissing(t *testing.T) {
	for _, c := range []struct {
		allOf, anyOf, held, missing string
	}{
		{"", "", "", ""},
		{"a:r", "", "a:r", ""},
		{"a:r", "", "", "a:r"},
		{"b:r a:r c:r", "", "a:r", "b:r c:r"}, // in the requirement's order
		{"", "a:r b:r", "b:r", ""},
		{"", "b:r a:r", "c:r", "b:r a:r"}, // one would do, so all are told
		{"c:r", "a:r b:r", "a:r", "c:r"},
		{"c:r", "a:r b:r", "c:r", "a:r b:r"},
		{"c:r", "a:r b:r", "", "c:r a:r b:r"},
		{"a:r", "", "A:r a:R a:* * a a:r2 a: :r", "a:r"}, // compared whole
	} {
		need := scope.Requirement{AllOf: strings.Fields(c.allOf), AnyOf: strings.Fields(c.anyOf)}
		if got := need.Missing(strings.Fields(c.held)); !slices.Equal(got, strings.Fields(c.missing)) || (got == nil) != (c.missing == "") {
			t.Errorf("%+v: missing %q", c, got)
		}
		if got := need.Scopes(); !slices.Equal(got, strings.Fields(c.allOf+" "+c.anyOf)) {
			t.Errorf("%+v names %q", c, got)
		}
	}
}

func TestRequirementJSON(t *testing.T) {
	for want, need := range map[string]scope.Requirement{
		`{"all_of":["a:r"],"any_of":["b:r"],"access":["org-full"],"environment":"live"}`: {AllOf: []string{"a:r"}, AnyOf: []string{"b:r"},
			Access: []strikeplate.Access{strikeplate.OrganisationFull}, Environment: strikeplate.Live},
		`{"authenticated":true}`: {Authenticated: true},
	} {
		got, err := json.Marshal(need)
		var back scope.Requirement
		if err != nil || string(got) != want || json.Unmarshal(got, &back) != nil || cmp.Diff(need, back) != "" {
			t.Errorf("%+v is %s, %v, and back %+v", need, got, err, back)
		}
	}
}

// TestPlain: one rule decides, the first that applies: environment before access
// level before scopes.
func TestPlain(t *testing.T) {
	good := strikeplate.Principal{Environment: strikeplate.Live, Access: strikeplate.OrganisationLimited, Scopes: []string{"a:read"}}
	all := scope.Requirement{AllOf: []string{"a:read"}, Environment: strikeplate.Live,
		Access: []strikeplate.Access{strikeplate.OrganisationFull, strikeplate.OrganisationLimited}}
	type principal = strikeplate.Principal
	for _, c := range []struct {
		name      string
		need      scope.Requirement
		principal func(*principal)
		rule      string
		missing   []string
	}{
		{"all is met", all, func(*principal) {}, scope.RuleGranted, nil},
		{"another environment", all, func(p *principal) { p.Environment = strikeplate.Test }, scope.RuleEnvironment, nil},
		{"no environment", all, func(p *principal) { p.Environment = "" }, scope.RuleEnvironment, nil},
		{"another level", all, func(p *principal) { p.Access = strikeplate.UserFull }, scope.RuleAccess, nil},
		{"no level", all, func(p *principal) { p.Access = "" }, scope.RuleAccess, nil},
		{"no scope", all, func(p *principal) { p.Scopes = nil }, scope.RuleMissing, []string{"a:read"}},
		{"environment before level", all, func(p *principal) { p.Environment, p.Access, p.Scopes = "", "", nil }, scope.RuleEnvironment, nil},
		{"level before scopes", all, func(p *principal) { p.Access, p.Scopes = "", nil }, scope.RuleAccess, nil},
		{"no level, and the list has an empty one", scope.Requirement{Access: []strikeplate.Access{""}}, func(p *principal) { p.Access = "" }, scope.RuleAccess, nil},
		{"any credential", scope.Requirement{Authenticated: true}, func(p *principal) { *p = principal{} }, scope.RuleGranted, nil},
		{"any of one environment", scope.Requirement{Authenticated: true, Environment: strikeplate.Test}, func(*principal) {}, scope.RuleEnvironment, nil},
		{"no environment asked", scope.Requirement{AllOf: []string{"a:read"}}, func(p *principal) { p.Environment, p.Access = "", "" }, scope.RuleGranted, nil},
		{"one of", scope.Requirement{AnyOf: []string{"b:read", "a:read"}}, func(*principal) {}, scope.RuleGranted, nil},
		{"none of", scope.Requirement{AnyOf: []string{"b:read", "c:read"}}, func(*principal) {}, scope.RuleMissing, []string{"b:read", "c:read"}},
	} {
		p := good
		c.principal(&p)
		d, err := scope.Plain{}.Authorize(t.Context(), scope.Request{Principal: &p, Requirement: c.need})
		if err != nil || d.Rule != c.rule || d.Allowed != (c.rule == scope.RuleGranted) || d.Reason == "" || !slices.Equal(d.Missing, c.missing) {
			t.Errorf("%s: %+v, %v, want %s", c.name, d, err, c.rule)
		}
	}
	if d, err := (scope.Plain{}).Authorize(t.Context(), scope.Request{Requirement: all}); err == nil || d.Allowed {
		t.Errorf("nobody: %+v, %v", d, err)
	}
}

// TestPlainAllowsWhatIsMet: of random requirements and principals, those are
// allowed that meet all three parts.
func TestPlainAllowsWhatIsMet(t *testing.T) {
	dice := rand.New(rand.NewPCG(3, 4))
	some := func(of []string) []string {
		return slices.DeleteFunc(slices.Clone(of), func(string) bool { return dice.IntN(2) == 0 })
	}
	universe := numbered(5)
	environments := []strikeplate.Environment{"", strikeplate.Live, strikeplate.Test}
	levels := []strikeplate.Access{"", strikeplate.UserLimited, strikeplate.OrganisationFull}
	allowed := 0
	for range 20_000 {
		need := scope.Requirement{AllOf: some(universe[:3]), AnyOf: some(universe[3:]), Environment: environments[dice.IntN(3)]}
		for _, l := range levels[1:] {
			if dice.IntN(3) == 0 {
				need.Access = append(need.Access, l)
			}
		}
		p := &strikeplate.Principal{Scopes: some(universe), Environment: environments[dice.IntN(3)], Access: levels[dice.IntN(3)]}
		held := scope.NewSet(p.Scopes...)
		want := held.HasAll(need.AllOf...) && (len(need.AnyOf) == 0 || held.HasAny(need.AnyOf...)) &&
			(len(need.Access) == 0 || slices.Contains(need.Access, p.Access)) &&
			(need.Environment == "" || need.Environment == p.Environment)
		d, err := scope.Plain{}.Authorize(t.Context(), scope.Request{Principal: p, Requirement: need})
		if err != nil || d.Allowed != want || (d.Rule == scope.RuleMissing) != (len(d.Missing) > 0) {
			t.Fatalf("%+v for %+v: %+v, %v, want %v", p, need, d, err, want)
		}
		if d.Allowed {
			allowed++
		}
	}
	if allowed < 500 || allowed > 15_000 {
		t.Errorf("%d of 20,000 were allowed: the dice are loaded", allowed)
	}
}
