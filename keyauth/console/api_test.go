package console_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/keyauth/manage"
)

type keyBody struct {
	ID, Lineage, Name, Last4, Format, Environment, Access, Owner, Creator, Status string
	Scopes, Allow                                                                 []string
	Metadata                                                                      map[string]string
	Created                                                                       time.Time
	Regenerated, Expires, Revoked                                                 *time.Time
	RevokedBecause                                                                string     `json:"revoked_because"`
	LastUsed                                                                      *time.Time `json:"last_used"`
	Version                                                                       int64
	SecretVersion                                                                 int64 `json:"secret_version"`
	Legacy                                                                        bool
	OwnerInactive                                                                 bool `json:"owner_inactive"`
	RotateRecommended                                                             bool `json:"rotate_recommended"`
	Revealable                                                                    bool
}

type createdBody struct {
	Key         keyBody
	Secret      string
	Predecessor *keyBody
	Code        string
}

type pageBody struct {
	Data    []keyBody
	Next    *string
	Slots   struct{ Used, Max int }
	Missing []string
}

// A key's whole life through the API; each answer is checked against the OpenAPI
// document by call.
func TestAPILifecycle(t *testing.T) {
	w := newWorld(t)
	res := w.call("ada", "POST", "/keys", `{"name": "CRM Sync", "environment": "test", "access": "user-limited", "owner": "user_ben",
		"scopes": ["meetings:read"], "expires": "2026-06-01T00:00:00Z", "allow": ["192.0.2.0/24", "2001:db8::1"], "metadata": {"team": "crm"}}`).want(t, 201)
	made := into[createdBody](t, res)
	k := made.Key
	switch {
	case !strings.HasPrefix(made.Secret, "mvo_test_") || !strings.HasSuffix(made.Secret, k.Last4):
		t.Errorf("secret %q of %+v", made.Secret, k)
	case k.Environment != "test" || k.Access != "user-limited" || k.Owner != "user_ben" || k.Creator != "user_ada" || k.Metadata["team"] != "crm":
		t.Errorf("made %+v", k)
	case fmt.Sprint(k.Allow) != "[192.0.2.0/24 2001:db8::1]" || k.Expires == nil || !k.Expires.Equal(time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)):
		t.Errorf("made %+v", k)
	case res.Header.Get("Location") != base+"/api/keys/"+k.ID:
		t.Errorf("Location %q", res.Header.Get("Location"))
	}
	p, err := w.scheme.Parse(made.Secret, noon)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.store.KeyByLookup(t.Context(), p.Lookup); err != nil {
		t.Errorf("the new key isn't found: %v", err)
	}

	got := w.call("alan", "GET", "/keys/"+k.ID, "").want(t, 200)
	tag := got.Header.Get("ETag")
	if tag != `"v1"` || into[keyBody](t, got).ID != k.ID {
		t.Errorf("ETag %s of %s", tag, got.body)
	}
	res = w.call("ada", "PATCH", "/keys/"+k.ID, `{"name": "CRM"}`, "If-Match", tag).want(t, 200)
	if into[keyBody](t, res).Name != "CRM" {
		t.Error(res.body)
	}
	tag = res.Header.Get("ETag")
	res = w.call("ada", "PATCH", "/keys/"+k.ID, `{"allow": [], "expires": null, "metadata": {}}`, "If-Match", tag).want(t, 200)
	if k := into[keyBody](t, res); len(k.Allow) != 0 || k.Expires != nil || len(k.Metadata) != 0 || k.Name != "CRM" {
		t.Errorf("changed to %+v", k)
	}
	res = w.call("ada", "POST", "/keys/"+k.ID+"/rotate", `{"overlap_seconds": 3600}`).want(t, 201)
	next := into[createdBody](t, res)
	if next.Predecessor == nil || next.Predecessor.ID != k.ID || !next.Predecessor.Expires.Equal(noon.Add(time.Hour)) || next.Key.Lineage != k.Lineage || next.Secret == "" {
		t.Errorf("rotated: %s", res.body)
	}
	res = w.call("ada", "POST", "/keys/"+next.Key.ID+"/regenerate", "{}").want(t, 200)
	if again := into[createdBody](t, res); again.Secret == "" || again.Secret == next.Secret || again.Key.SecretVersion != 2 {
		t.Errorf("regenerated: %s", res.body)
	}
	res = w.call("ada", "POST", "/keys/"+next.Key.ID+"/revoke", `{"reason": "leaked"}`).want(t, 200)
	if k := into[keyBody](t, res); k.Status != "revoked" || k.RevokedBecause != "leaked" || k.Revoked == nil {
		t.Errorf("revoked: %+v", k)
	}
	res = w.call("ada", "POST", "/keys/revoke", `{"all": true, "reason": "incident"}`).want(t, 200)
	if strings.TrimSpace(res.body) != `{"revoked":1}` {
		t.Error(res.body)
	}
}

func TestAPIListPagesAndFilters(t *testing.T) {
	w := newWorld(t, func(s *setting) { s.manage.MaxKeys = 7 })
	for i := range 5 {
		w.pass(time.Minute)
		w.create("ada", creation(fmt.Sprint("key ", i)))
	}
	gone := w.create("ada", creation("gone"))
	if _, err := w.keys.Revoke(t.Context(), people["ada"], gone.Key.ID, ""); err != nil {
		t.Fatal(err)
	}
	var names []string
	next := ""
	for pages := 0; pages == 0 || next != ""; pages++ {
		page := into[pageBody](t, w.call("ada", "GET", "/keys?limit=2&cursor="+next, "").want(t, 200))
		for _, k := range page.Data {
			names = append(names, k.Name)
		}
		if page.Slots.Used != 5 || page.Slots.Max != 7 {
			t.Errorf("slots %+v", page.Slots)
		}
		if next = ""; page.Next != nil {
			next = *page.Next
		}
	}
	if got := strings.Join(names, ","); got != "key 4,key 3,key 2,key 1,key 0" {
		t.Errorf("listed %s", got)
	}
	for status, want := range map[string]int{"revoked": 1, "active": 5, "expired": 0, "all": 6, "unrevoked": 5} {
		if page := into[pageBody](t, w.call("ada", "GET", "/keys?status="+status, "").want(t, 200)); len(page.Data) != want {
			t.Errorf("%s: %d keys, want %d", status, len(page.Data), want)
		}
	}
	w.call("ada", "GET", "/keys?cursor=nonsense", "").wantCode(t, 400, "invalid_request")
	w.call("ada", "GET", "/keys?status=odd", "").wantCode(t, 422, "invalid_request")
	w.call("ada", "GET", "/keys?colour=red", "").wantCode(t, 422, "invalid_request")
}

// Every refusal is problem+json with a stable code, on every operation.
func TestAPIRefusals(t *testing.T) {
	w := newWorld(t, func(s *setting) {
		s.manage.MaxKeys = 3
		s.manage.Terms.AllowlistPlans = []string{"enterprise"}
	})
	k := w.create("ada", creation("one"))
	full := func() {
		w.create("ada", creation("two"))
		w.create("ada", creation("three"))
	}
	for _, c := range []struct {
		about                       string
		visitor, method, path, body string
		headers                     []string
		status                      int
		code                        string
	}{
		{"no name", "ada", "POST", "/keys", `{"name": " ", "access": "org-full", "scopes": ["meetings:read"]}`, nil, 400, manage.CodeRequest},
		{"no scopes", "ada", "POST", "/keys", `{"name": "x", "access": "org-full"}`, nil, 400, manage.CodeRequest},
		{"no level", "ada", "POST", "/keys", `{"name": "x", "scopes": ["meetings:read"]}`, nil, 400, manage.CodeRequest},
		{"legacy", "ada", "POST", "/keys", `{"name": "x", "access": "legacy", "scopes": ["meetings:read"]}`, nil, 422, "invalid_request"},
		{"a member that there isn't", "ada", "POST", "/keys", `{"name": "x", "access": "org-full", "scopes": ["meetings:read"], "owner": "user_ben", "colour": 1}`, nil, 422, "invalid_request"},
		{"not JSON", "ada", "POST", "/keys", `{`, nil, 400, "invalid_request"},
		{"bad network", "ada", "POST", "/keys", `{"name": "x", "access": "org-full", "scopes": ["meetings:read"], "allow": ["here"]}`, nil, 400, manage.CodeRequest},
		{"plan", "ada", "POST", "/keys", `{"name": "x", "access": "org-full", "scopes": ["meetings:read"], "allow": ["192.0.2.1"]}`, nil, 403, manage.CodePlan},
		{"lapsed", "lena", "POST", "/keys", `{"name": "x", "access": "org-full", "scopes": ["meetings:read"]}`, nil, 402, strikeplate.CodeLapsed},
		{"member", "ben", "POST", "/keys", `{"name": "x", "access": "org-full", "scopes": ["meetings:read"]}`, nil, 403, manage.CodeForbidden},
		{"member lists", "ben", "GET", "/keys", "", nil, 403, manage.CodeForbidden},
		{"member's options", "ben", "GET", "/options", "", nil, 403, manage.CodeForbidden},
		{"member's log", "ben", "GET", "/audit", "", nil, 403, manage.CodeForbidden},
		{"member's export", "ben", "GET", "/audit/export", "", nil, 403, manage.CodeForbidden},
		{"member's usage", "ben", "GET", "/keys/" + k.Key.ID + "/usage", "", nil, 403, manage.CodeForbidden},
		{"member's apps", "ben", "GET", "/apps", "", nil, 403, "forbidden"},
		{"signed out", "", "GET", "/keys", "", nil, 401, "signed_out"},
		{"nobody", "nobody", "GET", "/keys", "", nil, 401, "signed_out"},
		{"unknown key", "ada", "GET", "/keys/key_none", "", nil, 404, manage.CodeNotFound},
		{"unknown key's usage", "ada", "GET", "/keys/key_none/usage", "", nil, 404, manage.CodeNotFound},
		{"strange range", "ada", "GET", "/keys/" + k.Key.ID + "/usage?range=1y", "", nil, 422, "invalid_request"},
		{"long overlap", "ada", "POST", "/keys/" + k.Key.ID + "/rotate", `{"overlap_seconds": 9999999}`, nil, 400, manage.CodeRequest},
		{"negative overlap", "ada", "POST", "/keys/" + k.Key.ID + "/rotate", `{"overlap_seconds": -1}`, nil, 422, "invalid_request"},
		{"no criterion", "ada", "POST", "/keys/revoke", `{}`, nil, 400, manage.CodeRequest},
		{"nothing kept", "ada", "POST", "/keys/" + k.Key.ID + "/reveal", `{}`, nil, 409, manage.CodeNoSecret},
		{"no condition", "ada", "PATCH", "/keys/" + k.Key.ID, `{"name": "x"}`, nil, 428, "precondition_required"},
		{"old version", "ada", "PATCH", "/keys/" + k.Key.ID, `{"name": "x"}`, []string{"If-Match", `"v7"`}, 412, "precondition_failed"},
		{"weak tag", "ada", "PATCH", "/keys/" + k.Key.ID, `{"name": "x"}`, []string{"If-Match", `W/"v1"`}, 412, "precondition_failed"},
		{"name and more", "ada", "PATCH", "/keys/" + k.Key.ID, `{"name": "x", "allow": []}`, []string{"If-Match", "*"}, 400, manage.CodeRequest},
		{"old version regenerated", "ada", "POST", "/keys/" + k.Key.ID + "/regenerate", `{}`, []string{"If-Match", `"v7"`}, 412, "precondition_failed"},
		{"long idempotency key", "ada", "POST", "/keys", `{"name": "x"}`, []string{"Idempotency-Key", strings.Repeat("x", 256)}, 422, "invalid_request"},
		{"a form's type", "ada", "POST", "/keys", `name=x`, []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, "unsupported_media_type"},
		{"text that says nothing", "ada", "POST", "/keys", `{}`, []string{"Content-Type", "text/plain"}, 415, "unsupported_media_type"},
		{"too large", "ada", "POST", "/keys", `{"name": "` + strings.Repeat("x", 70000) + `"}`, nil, 413, "invalid_request"},
		{"another site", "ada", "POST", "/keys", `{}`, []string{"Sec-Fetch-Site", "cross-site"}, 403, "cross_origin"},
		{"another origin", "ada", "POST", "/keys", `{}`, []string{"Origin", "https://evil.example"}, 403, "cross_origin"},
	} {
		t.Run(c.about, func(t *testing.T) {
			w := &world{TB: t, server: w.server}
			res := w.call(c.visitor, c.method, c.path, c.body, c.headers...).wantCode(t, c.status, c.code)
			if res.Header.Get("Cache-Control") != "no-store" || !strings.Contains(res.body, res.Header.Get("X-Request-Id")) {
				t.Errorf("headers %v of %s", res.Header, res.body)
			}
		})
	}
	full()
	w.call("ada", "POST", "/keys", `{"name": "x", "access": "org-full", "scopes": ["meetings:read"]}`).wantCode(t, 409, manage.CodeLimit)
	if n := w.count("ada"); n != 3 {
		t.Errorf("%d keys after refusals", n)
	}
	w.send("ada", w.request("GET", base+"/api/nowhere", "")).wantCode(t, 404, "not_found")
}

// A sign-in that can't be asked is 503, and tells nobody why.
func TestAPISignInDown(t *testing.T) {
	w := newWorld(t)
	w.call("ada", "GET", "/options", "").want(t, 200)
	w.dead = true
	w.call("ada", "GET", "/keys", "").wantCode(t, 503, strikeplate.CodeUnavailable).wantNone(t, "secret-hostname")
	w.get("ada", "/").want(t, 503, "can&#39;t be shown right now").wantNone(t, "secret-hostname")
}

// 000-11c, 000-11d, 001-17, 002-96, 002-101: what a dialog needs to know.
func TestAPIOptions(t *testing.T) {
	w := newWorld(t, func(s *setting) {
		terms := manage.Terms{DefaultLifetime: 90 * day, MaxLifetime: 365 * day}
		s.manage.Terms, s.console.Terms = terms, terms
	})
	var got struct {
		Formats []struct {
			Format       string
			Environments []string
		}
		Access  []struct{ Access, Title, Reaches, BestFor, Caution string }
		Scopes  []struct{ Scope, Resource, Description string }
		Expiry  map[string]int64
		Members []struct{ ID, Name string }
		Slots   struct{ Used, Max int }
		Address string
		Overlap map[string]int64
	}
	if err := json.Unmarshal([]byte(w.call("ada", "GET", "/options", "").want(t, 200).body), &got); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(got.Formats) != "[{mvo_ [live test]}]" || len(got.Access) != 4 || len(got.Scopes) != 3 || got.Scopes[2].Resource != "webhooks" {
		t.Errorf("options %+v", got)
	}
	if fmt.Sprint(got.Members) != "[{user_ada Ada Lovelace} {user_alan Alan Turing} {user_ben Ben Okafor}]" {
		t.Errorf("members %v: active ones of the organisation only", got.Members)
	}
	if got.Expiry["default_seconds"] != 90*86400 || got.Expiry["max_seconds"] != 365*86400 || got.Overlap["max_seconds"] != 7*86400 {
		t.Errorf("expiry %v, overlap %v", got.Expiry, got.Overlap)
	}
	if got.Address != "127.0.0.1" || got.Slots.Max != 10 {
		t.Errorf("address %q, slots %+v", got.Address, got.Slots)
	}
}

// The only format needs no name, and pairs have none.
func TestAPIFormatMayBeLeftOut(t *testing.T) {
	w := newWorld(t, func(s *setting) { s.formats = pairs })
	made := into[createdBody](t, w.call("ada", "POST", "/keys", `{"name": "x", "access": "org-full", "scopes": ["meetings:read"], "no_expiry": true}`).want(t, 201))
	if !strings.Contains(made.Secret, ":") {
		t.Errorf("a pair is %q", made.Secret)
	}
}

func TestAPIReveal(t *testing.T) {
	w := newWorld(t, func(s *setting) { s.manage.Reveal.Seal = newSeal(t) })
	made := w.create("ada", creation("kept"))
	res := w.call("alan", "POST", "/keys/"+made.Key.ID+"/reveal", `{}`).want(t, 200, made.Secret.Reveal())
	if res.Header.Get("Cache-Control") != "no-store" {
		t.Error("a secret that may be stored")
	}
	w.pass(time.Hour)
	w.call("alan", "POST", "/keys/"+made.Key.ID+"/reveal", `{}`).wantCode(t, 403, manage.CodeSignIn).wantNone(t, made.Secret.Reveal())
	w.signedIn = w.now
	w.call("mallory", "POST", "/keys/"+made.Key.ID+"/reveal", `{}`).wantCode(t, 404, manage.CodeNotFound)
}

func TestAPIAudit(t *testing.T) {
	w := newWorld(t)
	made := w.create("ada", creation("CRM"))
	if _, err := w.keys.Rename(t.Context(), people["alan"], made.Key.ID, "CRM Sync"); err != nil {
		t.Fatal(err)
	}
	type log struct {
		Data []struct {
			Position       int64
			At             time.Time
			Actor          struct{ User, Role, Client string }
			Action, Target string
			Before, After  json.RawMessage
		}
		Next string
	}
	first := into[log](t, w.call("ada", "GET", "/audit?limit=1", "").want(t, 200))
	rest := into[log](t, w.call("ada", "GET", "/audit?cursor="+first.Next, "").want(t, 200))
	if len(first.Data) != 1 || first.Data[0].Action != manage.ActionCreate || len(rest.Data) != 1 || rest.Data[0].Actor.User != "user_alan" || rest.Next == "" {
		t.Errorf("the log: %+v, then %+v", first, rest)
	}
	last := into[log](t, w.call("ada", "GET", "/audit?order=newest&limit=1", "").want(t, 200))
	before := into[log](t, w.call("ada", "GET", "/audit?order=newest&limit=1&cursor="+last.Next, "").want(t, 200))
	if len(last.Data) != 1 || last.Data[0].Action != manage.ActionRename || len(before.Data) != 1 || before.Data[0].Action != manage.ActionCreate || before.Next != "" {
		t.Errorf("newest first: %+v, then %+v", last, before)
	}
	w.call("ada", "GET", "/audit?order=sideways", "").want(t, 422)
	res := w.get("ada", "/api/audit/export").want(t, 200, "CRM Sync")
	if lines := strings.Split(strings.TrimSpace(res.body), "\n"); len(lines) != 2 || res.Header.Get("Content-Type") != "application/x-ndjson" {
		t.Errorf("exported %d lines as %s", len(lines), res.Header.Get("Content-Type"))
	}
	w.call("ada", "GET", "/audit?cursor=nonsense", "").wantCode(t, 400, manage.CodeRequest)
	if res := w.get("mallory", "/api/audit/export").want(t, 200); res.body != "" {
		t.Errorf("another organisation's log: %s", res.body)
	}
}

// 001-91..001-94: requests over time, endpoints, error rate and last use; errors
// are of proven requests, refusals of unproven ones stand apart.
func TestAPIUsage(t *testing.T) {
	w := newWorld(t)
	made := w.create("ada", creation("CRM"))
	w.use(made.Key, "GET /v1/meetings", "https://shop.example", "192.0.2.7")
	next, err := w.keys.Rotate(t.Context(), people["ada"], made.Key.ID, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	type usage struct {
		Counted     bool
		From, To    time.Time
		StepSeconds int64 `json:"step_seconds"`
		Total       struct {
			Requests, Errors int64
			ErrorRate        float64 `json:"error_rate"`
			Latency          float64 `json:"mean_latency_seconds"`
		}
		Series []struct {
			Start            time.Time
			Requests, Errors int64
		}
		Endpoints []struct {
			Pattern string
			Counts  struct {
				Requests, Errors int64
				ErrorRate        float64 `json:"error_rate"`
				Latency          float64 `json:"mean_latency_seconds"`
			}
		}
		Addresses []struct {
			Address     string
			Requests    int64
			First, Last time.Time
		}
		Refusals []struct {
			Code   string
			Proven bool
			Count  int64
			Last   time.Time
		}
		LastUsed      *time.Time `json:"last_used"`
		BrowserOrigin string     `json:"browser_origin"`
		Unusual       []struct{ Kind string }
		Missing       []string
	}
	u := into[usage](t, w.call("ada", "GET", "/keys/"+made.Key.ID+"/usage?range=24h", "").want(t, 200))
	if !u.Counted || u.Total.Requests != 40 || u.Total.Errors != 10 || u.Total.ErrorRate != 0.25 || len(u.Series) != 24 || u.StepSeconds != 3600 {
		t.Errorf("usage %+v", u)
	}
	if last := u.Series[23]; last.Requests != 10 || !last.Start.Equal(noon) || !u.To.Equal(noon.Add(time.Hour)) {
		t.Errorf("the last bucket is %+v, the end %s", last, u.To)
	}
	if len(u.Endpoints) != 2 || u.Endpoints[0].Pattern != "GET /v1/meetings" || u.Endpoints[0].Counts.Requests != 30 || u.Addresses[0].Address != "192.0.2.7" || len(u.Refusals) != 2 {
		t.Errorf("usage %+v", u)
	}
	if u.LastUsed == nil || !u.LastUsed.Equal(noon.Add(-3*time.Hour)) || u.BrowserOrigin != "https://shop.example" {
		t.Errorf("last used %v, seen on %q", u.LastUsed, u.BrowserOrigin)
	}
	for path, want := range map[string]int64{"": 0, "?of=key": 0, "?of=lineage": 40} {
		u := into[usage](t, w.call("ada", "GET", "/keys/"+next.Key.ID+"/usage"+path, "").want(t, 200))
		if u.Total.Requests != want {
			t.Errorf("%q: %d requests of the successor, want %d", path, u.Total.Requests, want)
		}
	}
	none := newWorld(t, func(s *setting) { s.console.Usage = nil })
	k := none.create("ada", creation("x"))
	none.call("ada", "GET", "/keys/"+k.Key.ID+"/usage", "").want(t, 200, `"counted":false`)
}

// The reader of a conflicting change gets 412, and nothing of the other's
// change is lost.
func TestAPIConflicts(t *testing.T) {
	w := newWorld(t)
	made := w.create("ada", creation("CRM"))
	path := "/keys/" + made.Key.ID
	tag := w.call("ada", "GET", path, "").Header.Get("ETag")
	w.call("alan", "PATCH", path, `{"allow": ["192.0.2.1"]}`, "If-Match", tag).want(t, 200)
	w.call("ada", "PATCH", path, `{"metadata": {"a": "b"}}`, "If-Match", tag).wantCode(t, 412, "precondition_failed")
	w.call("ada", "PATCH", path, `{"name": "mine"}`, "If-Match", tag).wantCode(t, 412, "precondition_failed")
	k := w.gotten(made.Key.ID)
	if k.Name != "CRM" || len(k.Metadata) != 0 || len(k.Allow) != 1 || k.Allow[0] != netip.MustParsePrefix("192.0.2.1/32") {
		t.Errorf("the key is %+v", k)
	}
	w.call("ada", "PATCH", path, `{"metadata": {"a": "b"}}`, "If-Match", `"v1", "v2"`).want(t, 200)
	w.call("ada", "PATCH", path, `{"metadata": {}}`, "If-Match", "*").want(t, 200)
}

// pairs are Avoma's keys: CLIENT_KEY:CLIENT_SECRET.
var pairs = []keyauth.Format{{Pair: true}}
