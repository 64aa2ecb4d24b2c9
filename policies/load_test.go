package policies_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/policies"
)

func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		files []string
		want  string
	}{
		"data outside of policies":          {[]string{"data.json", `{"strikeplate": {"scopes": {}}}`}, "data.strikeplate is outside of data.policies"},
		"data in a directory elsewhere":     {[]string{"strikeplate/lib/data.json", `{"a": 1}`}, "data.strikeplate is outside"},
		"data that are no object":           {[]string{"data.json", `[1]`}, "must be an object"},
		"policies that are no object":       {[]string{"data.json", `{"policies": [1]}`}, "data.policies must be an object"},
		"data that are no JSON":             {[]string{"policies/data.json", `{"a": `}, "policies/data.json"},
		"one value in two files":            {[]string{"policies/data.json", `{"a": {"b": 1}}`, "policies/a/data.yaml", "b: 2"}, "data.policies.a.b is also in another file"},
		"data in place of a denial":         {[]string{"policies/scopes/data.json", `{"deny": {}}`}, "policies.scopes.deny"},
		"data in place of a denial below":   {[]string{"policies/meetings/extra/data.json", `{"allow": {"x": "y"}}`}, "policies.meetings.extra.allow"},
		"data in place of a rule":           {[]string{"policies/lib/data.json", `{"a": 1}`, "lib.rego", "package policies.lib\na := 2"}, "conflicting rule for data path policies/lib/a"},
		"a rule in a package test":          {[]string{"a_test.rego", "package policies.scopes\ndeny[\"x\"] := \"y\" if true"}, "a_test.rego:2: deny"},
		"an id that two packages share":     {[]string{"a.rego", "package policies.scopes\ndeny[\"x\"] := \"y\" if true", "b.rego", "package policies.scopes\ndeny[\"x\"] := \"z\" if true"}, "one id has one reason"},
		"the id of no rule":                 {[]string{"a.rego", "package policies.scopes\ndeny[\"default\"] := \"y\" if true"}, "no rule spoke"},
		"a mask of an heir":                 {[]string{"a.rego", "package policies.transcripts\nmask[\"x\"] := [\"title\"] if true"}, "can only deny"},
		"a mask of no column":               {[]string{"a.rego", "package policies.meetings\nmask[\"x\"] := [\"titel\"] if true"}, `no column or relation "titel"`},
		"another entry's rules":             {[]string{"a.rego", "package policies.scopes\ndeny[\"x\"] := \"y\" if data.policies.manage.deny"}, "there is no such rule or data for this entry"},
		"a helper that nobody names":        {[]string{"lib.rego", "package policies.lib\na if b.c"}, "unsafe"},
		"a helper that calls the clock":     {[]string{"lib.rego", "package policies.lib\nnow := time.now_ns()"}, "undefined function time.now_ns"},
		"two mistakes":                      {[]string{"a.rego", "package policies.scopes\na := b\nc := d"}, "2 errors"},
		"a package test in a policy's file": {[]string{"a.rego", "package policies.scopes_test\ntest_a if true"}, "nothing named"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := tryEngine(t, policies.Config{Source: policies.Source{FS: files(c.files...)}})
			if !errors.Is(err, policies.ErrSource) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestConfigIsChecked(t *testing.T) {
	key := map[string]policies.VerificationKey{"k": {PEM: "-----BEGIN PUBLIC KEY-----"}}
	for want, c := range map[string]policies.Config{
		"at most one of":             {Source: policies.Source{Dir: "a", Bundle: "b", Keys: key}},
		"needs Keys":                 {Source: policies.Source{Bundle: "b"}},
		"are for a Bundle":           {Source: policies.Source{Dir: "a", MinRevision: 1}},
		"holds no public key":        {Source: policies.Source{Bundle: "b", Keys: map[string]policies.VerificationKey{"k": {PEM: "x"}}}},
		"is not one of RS256":        {Source: policies.Source{Bundle: "b", Keys: map[string]policies.VerificationKey{"k": {PEM: "x", Algorithm: "HS256"}}}},
		"Deadline is negative":       {Deadline: -1},
		"can't be negative":          {MaxBytes: -1},
		"MaxFiles can't be negative": {MaxFiles: -1},
		"not a restricted function":  {Builtins: []string{"startswith"}},
		"Log.Sample is a share":      {Log: policies.Log{Sample: 1.5}},
		"Log.Buffer is negative":     {Log: policies.Log{Buffer: -1}},
		`the name "scopes" is taken`: {Resources: renamed("scopes", "")},
		`the name "lib" is taken`:    {Resources: renamed("lib", "")},
		"registered twice":           {Resources: append(resources(), resources()...)},
		"is not registered":          {Resources: renamed("transcripts", "nobody")[:1]},
		"inherits itself":            {Resources: []policies.Resource{{Name: "a", Inherits: "b"}, {Name: "b", Inherits: "a"}}},
	} {
		if _, err := tryEngine(t, c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

func renamed(name, inherits string) []policies.Resource {
	r := resources()[0]
	if r.Name = name; inherits != "" {
		r = policies.Resource{Name: name, Inherits: inherits}
	}
	return []policies.Resource{r}
}

func TestHugeSourcesAreRefused(t *testing.T) {
	var list strings.Builder
	list.WriteString(`{"policies": {"blocked": [`)
	for i := range 500_000 {
		fmt.Fprintf(&list, `"organisation-%08d",`, i)
	}
	list.WriteString(`"last"]}}`)
	rule := "package policies.scopes\ndeny[\"blocked\"] := \"blocked\" if input.principal.organisation in data.policies.blocked\n"
	from := policies.Source{FS: files("data.json", list.String(), "a.rego", rule)}
	if list.Len() < 10<<20 {
		t.Fatal(list.Len())
	}
	_, err := tryEngine(t, policies.Config{Source: from})
	if !errors.Is(err, policies.ErrSource) || !strings.Contains(err.Error(), "data.json: the policies and their data have more than 8388608 bytes; see Config.MaxBytes") {
		t.Errorf("10 MB of data: %v", err)
	}
	e := engine(t, policies.Config{Source: from, MaxBytes: 16 << 20})
	d, err := e.Authorize(context.Background(), ask(key(func(p *strikeplate.Principal) { p.Organisation = "last" })))
	if err != nil || d.Allowed || d.Rule != "policies.scopes.blocked" {
		t.Errorf("with room for them: %+v, %v", d, err)
	}

	huge := "package policies.scopes\n" + strings.Repeat("# a comment that goes on\n", 400_000)
	if _, err := tryEngine(t, policies.Config{Source: policies.Source{FS: files("huge.rego", huge)}}); !errors.Is(err, policies.ErrSource) || !strings.Contains(err.Error(), "huge.rego") {
		t.Errorf("a huge file: %v", err)
	}
	many := make([]string, 0, 40)
	for i := range 20 {
		many = append(many, fmt.Sprintf("a%d.rego", i), "package policies.lib")
	}
	if _, err := tryEngine(t, policies.Config{Source: policies.Source{FS: files(many...)}, MaxFiles: 10}); !errors.Is(err, policies.ErrSource) || !strings.Contains(err.Error(), "more than 10 files") {
		t.Errorf("many files: %v", err)
	}
	deep := "package policies.scopes\ndeny[\"x\"] := \"y\" if " + strings.Repeat("[", 200_000) + strings.Repeat("]", 200_000)
	if _, err := tryEngine(t, policies.Config{Source: policies.Source{FS: files("deep.rego", deep)}}); !errors.Is(err, policies.ErrSource) {
		t.Errorf("deep nesting: %.300v", err)
	}
}

// Helpers are compiled with the entries that name them, and see each one's input.
func TestHelpers(t *testing.T) {
	e := engine(t, policies.Config{Source: policies.Source{FS: files(
		"lib/meetings.rego", "package policies.lib.rows\nown if input.resource.owner == input.principal.subject",
		"lib/all.rego", "package policies.lib\nblocked(organisation) if organisation in data.policies.blocked",
		"policies/data.yaml", "blocked: [evil]\nunused: null",
		"meetings.rego", "package policies.meetings\nimport data.policies.lib.rows\ndeny[\"own\"] := \"own\" if rows.own",
		"scopes/extra.rego", "package policies.scopes.extra\nimport data.policies.lib\ndeny[\"blocked\"] := \"blocked\" if lib.blocked(input.principal.organisation)",
		"ignored.json", "{", ".hidden/a.rego", "nonsense", "a_test.rego", "package policies.scopes_test\ntest_a if true",
	)}})
	d, err := e.Authorize(context.Background(), ask(key(func(p *strikeplate.Principal) { p.Organisation = "evil" })))
	if err != nil || d.Rule != "policies.scopes.extra.blocked" {
		t.Errorf("%+v, %v", d, err)
	}
	ds, err := e.Visible(context.Background(), key(func(p *strikeplate.Principal) { p.Subject = "ada" }), "meetings", meeting(nil))
	if err != nil || ds[0].Rule != "policies.meetings.own" {
		t.Errorf("%+v, %v", ds, err)
	}
}

func TestBuiltinsAreAllowedByName(t *testing.T) {
	text := "package policies.scopes\ndeny[\"late\"] := \"too late\" if time.now_ns() > 0"
	e := engine(t, policies.Config{Source: policies.Source{FS: files("a.rego", text)}, Builtins: []string{"time.now_ns"}})
	if d, err := e.Authorize(context.Background(), ask(key(nil))); err != nil || d.Rule != "policies.scopes.late" {
		t.Errorf("%+v, %v", d, err)
	}
	reach := "package policies.scopes\nallow[\"x\"] := \"y\" if http.send({\"method\": \"GET\", \"url\": \"http://127.0.0.1:1\"}).status_code == 200"
	e = engine(t, policies.Config{Source: policies.Source{FS: files("a.rego", reach)}, Builtins: []string{"http.send"}})
	if d, err := e.Authorize(context.Background(), ask(key(nil))); !errors.Is(err, policies.ErrUndecided) || !strings.Contains(err.Error(), "disallowed host") {
		t.Errorf("a host that is not in AllowNet: %+v, %v", d, err)
	}
}

func FuzzLoader(f *testing.F) {
	for _, seed := range []string{
		"package policies.scopes\ndeny[\"x\"] := \"y\" if input.route.method == \"GET\"", "package policies.meetings\nallow[\"x\"] := \"y\" if true",
		"package strikeplate.scopes", "package policies", "package", "", "\x00", "# METADATA\n# custom: {public: 1}\npackage policies.scopes",
		"package policies.scopes\nallow contains x if x := 1", "package policies.scopes\ndefault deny := 1", "package policies[\"a b\"]",
		"package policies.scopes\ndeny.x.y.z := 1", "package policies.scopes\nmask[\"a\"] := [1]", "package policies.lib\nf(x) := x",
		"package policies.meetings\nallow[\"x\"] := \"y\" if { some p in input.resource.participants; p == input.principal.subject }",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		e, err := tryEngine(t, policies.Config{Source: policies.Source{FS: files("fuzz.rego", text)}})
		if err != nil {
			if !errors.Is(err, policies.ErrSource) || strings.Contains(err.Error(), "panicked") {
				t.Fatal(err)
			}
			return
		}
		p := key(func(p *strikeplate.Principal) { p.Scopes = nil })
		if d, err := e.Authorize(context.Background(), ask(p)); d.Allowed {
			t.Fatalf("a credential without scopes came in: %+v, %v", d, err)
		}
		foreign := meeting(func(r policies.Row) { r["organisation"] = "other" })
		ds, err := e.Visible(context.Background(), key(nil), "meetings", foreign)
		if err == nil && (ds[0].Allowed || ds[0].Hidden != nil) {
			t.Fatalf("a foreign row was seen: %s", cmp.Diff(nil, ds))
		}
	})
}
