package policies_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/policies"
	"github.com/strikeplate/strikeplate/scope"
)

// randomRequest is made of few values, so that they often meet.
func randomRequest(r *rand.Rand) scope.Request {
	some := func(from ...string) (chosen []string) {
		for _, s := range from {
			if r.IntN(2) == 0 {
				chosen = append(chosen, s)
			}
		}
		return chosen
	}
	pick := func(from ...string) string { return from[r.IntN(len(from))] }
	p := key(func(p *strikeplate.Principal) {
		p.Environment = strikeplate.Environment(pick("live", "test", "", "sandbox"))
		p.Access = strikeplate.Access(pick("", "user-limited", "user-full", "org-limited", "org-full", "legacy", "root"))
		p.Scopes = some("a:read", "b:read", "c:write", "*", "", "a:READ")
		p.Subject = pick("", "ada")
	})
	need := scope.Requirement{AllOf: some("a:read", "b:read"), AnyOf: some("b:read", "c:write"), Environment: strikeplate.Environment(pick("", "live", "test"))}
	for _, a := range some("user-full", "org-full", "legacy") {
		need.Access = append(need.Access, strikeplate.Access(a))
	}
	return scope.Request{Principal: p, Requirement: need, Method: pick("GET", "POST"), Route: pick("GET /a", "POST /b/{id}", "")}
}

// The bundled rules decide as scope.Plain does: allowed, rule, reason and what is
// missing, fresh and remembered.
func TestAgreesWithPlain(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 2))
	engines := []*policies.Engine{engine(t, policies.Config{}), engine(t, policies.Config{Remember: -1})}
	seen := map[string]int{}
	for range 5000 {
		q := randomRequest(r)
		want, err := scope.Plain{}.Authorize(context.Background(), q)
		if err != nil {
			t.Fatal(err)
		}
		seen[want.Rule]++
		for _, e := range append(engines, engines[0]) { // the first one twice
			got, err := e.Authorize(context.Background(), q)
			got.Revision = ""
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); err != nil || diff != "" {
				t.Fatalf("%+v of %+v: %v\n%s", q.Requirement, q.Principal, err, diff)
			}
		}
	}
	if len(seen) != 4 {
		t.Errorf("not all rules were seen: %v", seen)
	}
	if s := engines[0].Stats(); s.Remembered < 100 || s.Evaluated < 100 {
		t.Errorf("not both fresh and remembered: %+v", s)
	}
}

func TestReasonsOfAnEmbeddersRules(t *testing.T) {
	for name, c := range map[string]struct{ before, want string }{
		"private":                {"package policies.scopes\n\n", "a policy of this service denies it"},
		"public":                 {"package policies.scopes\n\n# METADATA\n# custom: {public: true}\n", "closed for the audit"},
		"public by the package":  {"# METADATA\n# custom: {public: true}\npackage policies.scopes\n\n", "closed for the audit"},
		"not, by the rule":       {"# METADATA\n# custom: {public: true}\npackage policies.scopes\n\n# METADATA\n# custom: {public: false}\n", "a policy of this service denies it"},
		"public is not a string": {"package policies.scopes\n\n# METADATA\n# custom: {public: \"yes\"}\n", "a policy of this service denies it"},
	} {
		e := user(t, c.before+"deny[\"audit\"] := \"closed for the audit\" if input.route.method == \"GET\"\n")
		d, err := e.Authorize(context.Background(), ask(key(nil)))
		if err != nil || d.Reason != c.want || d.Rule != "policies.scopes.audit" || d.Missing != nil {
			t.Errorf("%s: %+v, %v", name, d, err)
		}
	}
	e := user(t, "package policies.scopes\nallow[\"friends\"] := \"they paid for lunch\" if input.principal.plan == \"friends\"\n")
	d, err := e.Authorize(context.Background(), scope.Request{Principal: key(func(p *strikeplate.Principal) { p.Plan = "friends" })})
	if err != nil || !d.Allowed || d.Rule != "scopes.granted" {
		t.Errorf("the base's rule is told first: %+v, %v", d, err)
	}
}

// Through the middleware: a refusal, what is missing, and what could not be decided.
func TestAnswersOfTheMiddleware(t *testing.T) {
	broken := `package policies.scopes
deny["broken"] := "never told" if count(input.route.all_of) / count(input.route.any_of) > 9
deny["audit"] := "case 4711" if input.route.method == "DELETE"
`
	good := engine(t, policies.Config{})
	audit := user(t, strings.Replace(broken, "/ count(input.route.any_of)", "", 1))
	for name, c := range map[string]struct {
		e      *policies.Engine
		method string
		scopes []string
		status int
		body   string
	}{
		"allowed":     {good, "GET", []string{"meetings:read"}, 200, ""},
		"missing":     {good, "GET", []string{"other:read"}, 403, "meetings:read"},
		"by a policy": {audit, "DELETE", []string{"meetings:read"}, 403, "a policy of this service denies it"},
		"undecided":   {user(t, broken), "GET", []string{"meetings:read"}, 503, "temporarily_unavailable"},
	} {
		ok := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
		h := scope.Require(c.e, scope.Requirement{AllOf: []string{"meetings:read"}})(ok)
		r := httptest.NewRequest(c.method, "/v1/meetings", nil)
		r = r.WithContext(strikeplate.NewContext(r.Context(), key(func(p *strikeplate.Principal) { p.Scopes = c.scopes })))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.body) || strings.Contains(w.Body.String(), "4711") || strings.Contains(w.Body.String(), "rego") {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
}

func TestNobodyIsNotDecidedAbout(t *testing.T) {
	if d, err := engine(t, policies.Config{}).Authorize(context.Background(), scope.Request{}); !errors.Is(err, policies.ErrUndecided) || d.Allowed {
		t.Errorf("%+v, %v", d, err)
	}
}

// One engine, asked by many at once for everything.
func TestConcurrentUse(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/a.rego", harmlessPolicy)
	var lines buffer
	e := engine(t, policies.Config{Source: policies.Source{Dir: dir}, Log: policies.Log{Sink: policies.JSONLines(&lines)}})
	trial, err := e.Try(context.Background(), policies.Source{FS: files("a.rego", denying("x"))})
	if err != nil {
		t.Fatal(err)
	}
	defer trial.Stop()
	barrier := make(chan struct{})
	var asking sync.WaitGroup
	for i := range 8 {
		r := rand.New(rand.NewPCG(1, uint64(i)))
		asking.Go(func() {
			<-barrier
			for range 200 {
				q := randomRequest(r)
				want, _ := scope.Plain{}.Authorize(context.Background(), q)
				if got, err := e.Authorize(context.Background(), q); err != nil || got.Allowed != want.Allowed || !slices.Equal(got.Missing, want.Missing) {
					t.Errorf("%+v, %v; want %+v", got, err, want)
				}
				if ds, err := e.Visible(context.Background(), key(nil), "meetings", meeting(nil), meeting(private)); err != nil || !ds[0].Allowed || ds[1].Allowed {
					t.Errorf("%+v, %v", ds, err)
				}
				if err := e.Manage(context.Background(), admin(), "key.view", managed()); err != nil {
					t.Error(err)
				}
				e.Stats()
				trial.Report()
			}
		})
	}
	close(barrier)
	for range 5 {
		if err := e.Reload(context.Background()); err != nil {
			t.Error(err)
		}
	}
	asking.Wait()
}
