package policies_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/policies"
	"github.com/strikeplate/strikeplate/scope"
)

// twice asks the same and reports whether the second answer was remembered.
func twice(t *testing.T, e *policies.Engine, p *strikeplate.Principal) bool {
	t.Helper()
	ctx := context.Background()
	first, err := e.Authorize(ctx, ask(p))
	if err != nil {
		t.Fatal(err)
	}
	before := e.Stats().Remembered
	second, err := e.Authorize(ctx, ask(p))
	if err != nil || first.Rule != second.Rule || first.Allowed != second.Allowed || first.Reason != second.Reason {
		t.Fatalf("first %+v, then %+v, %v", first, second, err)
	}
	return e.Stats().Remembered > before
}

func TestThreat23BundledDecisionsAreRemembered(t *testing.T) {
	e := engine(t, policies.Config{})
	if !twice(t, e, key(nil)) || e.Stats().Unremembered != "" {
		t.Errorf("not remembered: %+v", e.Stats())
	}
	if e := engine(t, policies.Config{Remember: -1}); twice(t, e, key(nil)) || e.Stats().Unremembered == "" {
		t.Error("remembered, though told not to")
	}
}

// What can't be told beforehand is never remembered.
func TestThreat23WhatIsNotRemembered(t *testing.T) {
	for name, c := range map[string]struct{ body, because string }{
		"any member of the input":     {`some k; count(input[k]) == 99`, "user.rego:"},
		"any member of the principal": {`some k; input.principal[k] == "never"`, "user.rego:"},
		"any setting":                 {`some k; input.principal.settings[k] == "never"`, "user.rego:"},
		"a computed member":           {`input.principal[input.route.method] == "never"`, "user.rego:"},
		"a computed setting":          {`input.principal.settings[input.principal.plan] == "never"`, "user.rego:"},
		"walk":                        {`walk(input, [_, "never"])`, "user.rego:"},
		"walk in the principal":       {`walk(input.principal, [_, "never"])`, "user.rego:"},
		"object.get":                  {`object.get(input, ["principal", "plan"], "") == "never"`, "user.rego:"},
		"object.get of the settings":  {`object.get(input.principal.settings, "x", "") == "never"`, "user.rego:"},
		"json.filter":                 {`json.filter(input, ["principal/plan"]) == {"principal": {"plan": "never"}}`, "user.rego:"},
		"input passed whole":          {`json.marshal(input) == "never"`, "user.rego:"},
		"input in a list":             {`[input][0].route.method == "never"`, "user.rego:"},
		"input under another name":    {`x := input; x.principal.plan == "never"`, "user.rego:"},
		"principal under another":     {`x := input.principal; x.plan == "never"`, "user.rego:"},
		"in a helper":                 {`helper("never")`, "user.rego:"},
		"in a comprehension":          {`count([1 | some k; input.principal[k] == "never"]) > 0`, "user.rego:"},
		"in every":                    {`every k in [input] { k == "never" }`, "user.rego:"},
		"in not":                      {`not walks`, "user.rego:"},
		"with":                        {`asks with input.principal.plan as "never"`, "user.rego:"},
		"the clock":                   {`time.now_ns() == 0`, "the rules call time.now_ns"},
		"the clock in a helper":       {`late`, "the rules call time.now_ns"},
	} {
		t.Run(name, func(t *testing.T) {
			text := "package policies.scopes\ndeny[\"x\"] := \"y\" if { " + c.body + " }\n" +
				"helper(v) if input.route[_] == v\nwalks if walk(input, [_, \"GET\"])\nasks if { input.principal.plan == \"never\"; input.route.method == \"never\" }\n" +
				"late if time.now_ns() == 0\n"
			e := engine(t, policies.Config{Source: policies.Source{FS: files("user.rego", text)}, Builtins: []string{"time.now_ns"}})
			if twice(t, e, key(nil)) {
				t.Error("remembered")
			}
			if why := e.Stats().Unremembered; !strings.HasPrefix(why, c.because) {
				t.Errorf("because: %q", why)
			}
		})
	}
}

// Rules that nothing leads to don't matter, nor do lists that are searched.
func TestThreat23WhatIsRemembered(t *testing.T) {
	for name, body := range map[string]string{
		"iterated scopes":     `some s in input.principal.scopes; s == "never"`,
		"a member of a list":  `input.principal.scopes[0] == "never"`,
		"a setting":           `input.principal.settings.deep.deeper == "never"`,
		"the client":          `net.cidr_contains("192.0.2.0/24", input.client.address)`,
		"a list passed whole": `count(input.principal.scopes) > 100`,
		"a function":          `is(input.principal.plan)`,
	} {
		t.Run(name, func(t *testing.T) {
			text := "package policies.scopes\ndeny[\"x\"] := \"y\" if { " + body + " }\nunused if input[_]\nis(x) if x == \"never\"\n"
			p := key(func(p *strikeplate.Principal) {
				p.Settings = map[string]any{"deep": map[string]any{"deeper": []any{"a", 1, nil}}}
			})
			if name == "the client" {
				text = strings.Replace(text, "input.client.address", `sprintf("192.0.3.%d", [count(input.client.address)])`, 1)
			}
			if e := user(t, text); !twice(t, e, p) {
				t.Errorf("not remembered: %s", e.Stats().Unremembered)
			}
		})
	}
}

// Each two of these settings are different to a rule, so neither may be given the
// other's decision: the same engine is asked about all, in both orders.
func TestThreat23DifferentValuesAreDifferentKeys(t *testing.T) {
	absent := struct{}{}
	values := []any{
		absent, nil, "", false, true, "false", "null", "0", 0, 1, -1, 1.5, json.Number("7"), "7", []any{}, []any{""}, []any{nil}, []any{[]any{}}, map[string]any{},
		map[string]any{"": ""}, map[string]any{"a": nil}, map[string]any{"a": "b", "c": "d"}, map[string]any{"a": "bc", "d": ""},
		[]any{"a", "b"}, []any{"b", "a"}, []any{"ab"}, []any{"a", "b", ""}, "a\x05\x01b", "a\x00b", "é", "e\u0301",
	}
	text := "package policies.scopes\nimport data.policies.lib\n"
	for i, v := range values {
		if v == absent {
			text += fmt.Sprintf("deny[\"v%d\"] := \"y\" if not present\n", i)
			continue
		}
		literal, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		text += fmt.Sprintf("deny[\"v%d\"] := \"y\" if input.principal.settings.x == %s\n", i, literal)
	}
	text = strings.Replace(text, "import data.policies.lib\n", "present if _ = input.principal.settings.x\n", 1)
	e := user(t, text)
	with := func(i int) *strikeplate.Principal {
		return key(func(p *strikeplate.Principal) {
			p.Settings = map[string]any{"x": values[i]}
			if values[i] == absent {
				p.Settings = nil
			}
		})
	}
	for round := range 2 {
		for n := range values {
			i := n
			if round == 1 {
				i = len(values) - 1 - n
			}
			d, err := e.Authorize(context.Background(), ask(with(i)))
			if want := fmt.Sprintf("policies.scopes.v%d", i); err != nil || d.Rule != want {
				t.Errorf("%#v: %+v, %v; want %s", values[i], d, err, want)
			}
		}
	}
	if s := e.Stats(); s.Remembered != uint64(len(values)) {
		t.Errorf("of %d, %d were remembered", len(values), s.Remembered)
	}
}

// A setting of a type whose Rego value is the embedder's to say is no key.
func TestThreat23StrangeTypesAreNotRemembered(t *testing.T) {
	type level struct{ Name string }
	e := user(t, "package policies.scopes\ndeny[\"x\"] := \"y\" if input.principal.settings.level.Name == \"low\"\n")
	p := key(func(p *strikeplate.Principal) { p.Settings = map[string]any{"level": level{"low"}} })
	if twice(t, e, p) {
		t.Error("remembered")
	}
	if d, err := e.Authorize(context.Background(), ask(p)); err != nil || d.Rule != "policies.scopes.x" {
		t.Errorf("%+v, %v", d, err)
	}
}

// Requests that differ in one thing the rules read, one after the other.
func TestThreat23EveryFieldReadIsInTheKey(t *testing.T) {
	for field, change := range map[string]func(*strikeplate.Principal){
		"kind": func(p *strikeplate.Principal) { p.Kind = "x" }, "environment": func(p *strikeplate.Principal) { p.Environment = "x" },
		"access": func(p *strikeplate.Principal) { p.Access = "x" }, "credential": func(p *strikeplate.Principal) { p.Credential = "x" },
		"lineage": func(p *strikeplate.Principal) { p.Lineage = "x" }, "client_id": func(p *strikeplate.Principal) { p.ClientID = "x" },
		"organisation": func(p *strikeplate.Principal) { p.Organisation = "x" }, "subject": func(p *strikeplate.Principal) { p.Subject = "x" },
		"plan": func(p *strikeplate.Principal) { p.Plan = "x" },
	} {
		e := user(t, fmt.Sprintf("package policies.scopes\ndeny[\"x\"] := \"y\" if input.principal.%s == \"x\"\n", field))
		if !twice(t, e, key(nil)) {
			t.Errorf("%s: not remembered", field)
		}
		if d, err := e.Authorize(context.Background(), ask(key(change))); err != nil || d.Rule != "policies.scopes.x" {
			t.Errorf("%s: %+v, %v", field, d, err)
		}
	}
	for field, change := range map[string]func(*scope.Request){
		`input.route.method == "x"`:      func(r *scope.Request) { r.Method = "x" },
		`input.route.pattern == "x"`:     func(r *scope.Request) { r.Route = "x" },
		`"x" in input.route.all_of`:      func(r *scope.Request) { r.Requirement.AllOf = []string{"x"} },
		`"x" in input.route.any_of`:      func(r *scope.Request) { r.Requirement.AnyOf = []string{"x"} },
		`"x" in input.route.access`:      func(r *scope.Request) { r.Requirement.Access = []strikeplate.Access{"x"} },
		`input.route.environment == "x"`: func(r *scope.Request) { r.Requirement.Environment = "x" },
		`"x" in input.principal.scopes`: func(r *scope.Request) {
			r.Principal = key(func(p *strikeplate.Principal) { p.Scopes = []string{"x"} })
		},
		`startswith(input.principal.expires, "2030")`: func(r *scope.Request) {
			r.Principal = key(func(p *strikeplate.Principal) { p.Expires = date(2030) })
		},
	} {
		e := user(t, "package policies.scopes\nallow[\"other\"] := \"y\" if "+field+"\ndeny[\"x\"] := \"y\" if "+field+"\n")
		if !twice(t, e, key(nil)) {
			t.Errorf("%s: not remembered", field)
		}
		r := ask(key(nil))
		change(&r)
		d, err := e.Authorize(context.Background(), r)
		if err != nil || d.Allowed || d.Rule == "scopes.granted" {
			t.Errorf("%s: %+v, %v", field, d, err)
		}
	}
}

// The address is part of the key where the rules read it.
func TestThreat23AddressIsInTheKey(t *testing.T) {
	e := user(t, "package policies.scopes\ndeny[\"x\"] := \"y\" if input.client.address == \"192.0.2.1\"\n")
	from := func(address string) (rule string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = address + ":1"
		strikeplate.Edge{}.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			d, err := e.Authorize(r.Context(), ask(key(nil)))
			if err != nil {
				t.Error(err)
			}
			rule = d.Rule
		})).ServeHTTP(httptest.NewRecorder(), r)
		return rule
	}
	for range 2 {
		if a, b := from("192.0.2.1"), from("192.0.2.2"); a != "policies.scopes.x" || b != "scopes.granted" {
			t.Errorf("%s, %s", a, b)
		}
	}
	if s := e.Stats(); s.Remembered != 2 {
		t.Errorf("%d were remembered", s.Remembered)
	}
}

// Questions whose keys share a hash are never given each other's answer.
func TestThreat23KeysAreComparedInFull(t *testing.T) {
	e := engine(t, policies.Config{})
	policies.CollideAll(e)
	good, bad := key(nil), key(func(p *strikeplate.Principal) { p.Scopes = nil })
	for range 3 {
		if got := decider(t, e); got != "scopes.granted" {
			t.Errorf("the good one: %s", got)
		}
		if d, err := e.Authorize(context.Background(), ask(bad)); err != nil || d.Rule != "scopes.missing" {
			t.Errorf("the bad one: %+v, %v", d, err)
		}
	}
	if !twice(t, e, good) {
		t.Error("nothing is remembered, so this test shows nothing")
	}
}

// A change of data is another revision, which remembers nothing of the one before.
func TestThreat23DataUpdateIsANewRevision(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/a.rego", "package policies.scopes\ndeny[\"x\"] := \"y\" if input.principal.organisation in data.policies.blocked\n")
	write(t, dir+"/policies/data.json", `{"blocked": []}`)
	e := engine(t, policies.Config{Source: policies.Source{Dir: dir}})
	if !twice(t, e, key(nil)) {
		t.Fatal("not remembered")
	}
	before := e.Stats().Revision
	write(t, dir+"/policies/data.json", `{"blocked": ["acme"]}`)
	if err := e.Reload(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got := decider(t, e); got != "policies.scopes.x" || e.Stats().Revision == before {
		t.Errorf("decided by %s in %s", got, e.Stats().Revision)
	}
}

func TestRememberedDecisionsAreBounded(t *testing.T) {
	e := engine(t, policies.Config{Remember: 100, Source: policies.Source{FS: files("a.rego", "package policies.scopes\ndeny[\"x\"] := \"y\" if input.principal.credential == \"never\"\n")}})
	for i := range 5000 {
		p := key(func(p *strikeplate.Principal) { p.Credential = fmt.Sprint(i) })
		if _, err := e.Authorize(context.Background(), ask(p)); err != nil {
			t.Fatal(err)
		}
	}
	if n := policies.RememberedSize(e); n > 100 {
		t.Errorf("%d are kept", n)
	}
}
