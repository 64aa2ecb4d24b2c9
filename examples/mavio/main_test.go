package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate/examples/internal/catalogs"
	"github.com/strikeplate/strikeplate/examples/internal/demo"
	"github.com/strikeplate/strikeplate/examples/internal/demotest"
	"github.com/strikeplate/strikeplate/examples/internal/hooks"
	"github.com/strikeplate/strikeplate/examples/internal/mavio"
	"github.com/strikeplate/strikeplate/examples/internal/meetings"
	"github.com/strikeplate/strikeplate/scope"
)

// start runs a server whose every answer is held to openapi.json.
func start(t *testing.T, o demo.Options) *demotest.Server {
	t.Helper()
	s := demotest.Start(t, product, o)
	s.Check = demotest.Parse(t, openAPI).Fits
	return s
}

func registry() *scope.Routes {
	routes := scope.NewRoutes(scope.Plain{}, catalogs.Mavio(), nil)
	declare(routes, &mavio.API{})
	settings(routes, http.NotFoundHandler())
	(&demo.Site{}).Pages(routes, openAPI)
	return routes
}

func TestOpenAPIIsTheRegistry(t *testing.T) {
	demotest.Parse(t, openAPI).Routes(t, registry())
}

func TestEveryResponseHasItsFields(t *testing.T) {
	s := start(t, demo.Options{})
	for _, test := range []struct {
		key, method, path, body string
		status                  int
		code, limit             string
	}{
		{"live_all", "GET", "/v1/whoami", "", 200, "", "1000"},
		{"test_all", "GET", "/v1/whoami", "", 200, "", "1000"},
		{"live_all", "GET", "/v1/transcripts/search", "", 400, "invalid_request", "1000"},
		{"live_all", "GET", "/v1/meetings/none", "", 404, "not_found", "1000"},
		{"live_all", "POST", "/v1/meetings", "{}", 405, "method_not_allowed", "1000"},
		{"live_meetings_read", "DELETE", "/v1/meetings/none", "", 403, "insufficient_scope", "1000"},
		{"", "GET", "/v1/meetings", "", 401, "missing_api_key", "6000"},
		{"", "GET", "/", "", 200, "", "6000"},
		{"", "GET", "/.well-known/oauth-authorization-server", "", 200, "", "6000"},
		{"", "GET", "/.well-known/oauth-protected-resource", "", 200, "", "6000"},
	} {
		what := test.key + " " + test.method + " " + test.path
		r := s.Ask(t, test.key, test.method, test.path, test.body)
		demotest.Want(t, what, r, test.status, test.code)
		if r.Header.Get("X-RateLimit-Limit") != test.limit || r.Header.Get("X-RateLimit-Remaining") == "" || r.Header.Get("X-RateLimit-Reset") == "" || r.Header.Get("X-Request-Id") == "" {
			t.Errorf("%s: %v", what, r.Header)
		}
	}
}

// 000-2: a key is a Bearer token in Authorization, and nothing else is.
func Test000_2_WhoCallsIsRefusedOrTold(t *testing.T) {
	s := start(t, demo.Options{})
	key := s.Keys["live_all"].Key
	for what, path := range map[string]string{"in the URL": "/v1/meetings?api_key=" + key, "as a token in the URL": "/v1/meetings?access_token=" + key} {
		demotest.Want(t, what, s.Get(t, "", path), 401, "missing_api_key")
	}
	for what, header := range map[string]string{
		"changed":           "Bearer " + key[:len(key)-1],
		"made up":           "Bearer mvo_live_abc",
		"another prefix":    "Bearer mvo_prod_" + key[9:],
		"the sandbox's now": "Bearer mvo_test_" + strings.TrimPrefix(key, "mvo_live_"),
		"a token":           "Bearer mvo_at_" + strings.Repeat("A", 43),
	} {
		r := s.Get(t, "", "/v1/meetings", "Authorization", header)
		if r.StatusCode != 401 || demotest.Decode[demotest.Refused](t, r).Error.Code != "unauthorized" {
			t.Errorf("%s: %d %s", what, r.StatusCode, r.Body)
		}
	}
}

func Test000_15_EachScopeOpensItsRoutes(t *testing.T) {
	s := start(t, demo.Options{})
	for _, route := range registry().All() {
		if route.Public || route.Requires.Authenticated {
			continue
		}
		for _, one := range catalogs.Mavio().Scopes() {
			r := s.Ask(t, "live_"+strings.ReplaceAll(one, ":", "_"), route.Method, strings.ReplaceAll(route.Path, "{id}", "none"), "")
			opens := slices.Contains(route.Requires.AllOf, one)
			if (r.StatusCode == http.StatusForbidden) == opens {
				t.Errorf("%s with %s: %d, and it opens: %v", route.Pattern, one, r.StatusCode, opens)
			}
		}
	}
}

// world is the demo's data, which takes long to make with the race detector.
var world = sync.OnceValue(meetings.Generate)

// acme says which meetings Acme's keys see in an environment, in plain Go.
func acme(environment string) func(m meetings.Meeting) bool {
	return func(m meetings.Meeting) bool { return m.Organisation == "org_acme" && m.Environment == environment }
}

func ids(want func(meetings.Meeting) bool) []string {
	var found []string
	for _, m := range world().Meetings {
		if want(m) {
			found = append(found, m.ID)
		}
	}
	slices.Sort(found)
	return found
}

// named are the meetings that a list names, each once.
func named(t *testing.T, s *demotest.Server, key, path string) []string {
	t.Helper()
	var found []string
	for _, row := range demotest.List[map[string]any](t, s, key, path) {
		id, ok := row["meeting_id"].(string)
		if !ok {
			id, _ = row["id"].(string)
		}
		found = append(found, id)
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// 000-5, 000-6: live keys see live data and test keys the sandbox's, in lists, one
// by one, and in searches.
func Test000_5_LiveAndSandboxAreApart(t *testing.T) {
	demotest.Databases(t, func(t *testing.T, db string) {
		s := start(t, demo.Options{DB: db})
		items := func(environment string) []string {
			all, of := ids(acme(environment)), []string{}
			for _, a := range world().ActionItems {
				if slices.Contains(all, a.Meeting) {
					of = append(of, a.Meeting)
				}
			}
			slices.Sort(of)
			return slices.Compact(of)
		}
		for key, environment := range map[string]string{"live_all": "live", "test_all": "test"} {
			want := ids(acme(environment))
			for path, want := range map[string][]string{"/v1/meetings?limit=30": want, "/v1/transcripts/search?limit=90&q=the+reference+is": want, "/v1/action_items": items(environment)} {
				if got := named(t, s, key, path); !slices.Equal(got, want) {
					t.Errorf("%s %s: %d meetings, want %d", key, path, len(got), len(want))
				}
			}
			other := ids(acme(map[string]string{"live": "test", "test": "live"}[environment]))[0]
			for id, status := range map[string]int{want[0]: 200, other: 404, ids(func(m meetings.Meeting) bool { return m.Organisation == "org_fjord" })[0]: 404} {
				for _, part := range []string{"", "/transcript", "/summary"} {
					if r := s.Get(t, key, "/v1/meetings/"+id+part); r.StatusCode != status {
						t.Errorf("%s %s%s: %d, want %d", key, id, part, r.StatusCode, status)
					}
				}
			}
			for _, c := range [][2]string{{"DELETE", ""}, {"POST", "/summary/regenerate"}} {
				demotest.Want(t, key+c[0], s.Ask(t, key, c[0], "/v1/meetings/"+other+c[1], ""), 404, "not_found")
			}
		}
		// A quota each.
		left := s.Get(t, "test_all", "/v1/whoami").Header.Get("X-RateLimit-Remaining")
		for range 5 {
			s.Get(t, "live_all", "/v1/whoami")
		}
		if now := s.Get(t, "test_all", "/v1/whoami").Header.Get("X-RateLimit-Remaining"); fmt.Sprint(left) == now || number(t, left)-number(t, now) != 1 {
			t.Errorf("000-6b: the sandbox's quota went from %s to %s", left, now)
		}
	})
}

func number(t *testing.T, text string) (n int) {
	t.Helper()
	if _, err := fmt.Sscan(text, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

func Test000_16_ChangesOfMeetings(t *testing.T) {
	demotest.Databases(t, func(t *testing.T, db string) {
		s := start(t, demo.Options{DB: db})
		id := ids(acme("live"))[0]
		before := demotest.Decode[meetings.Summary](t, s.Get(t, "live_all", "/v1/meetings/"+id+"/summary"))
		r := s.Ask(t, "live_summaries_write", "POST", "/v1/meetings/"+id+"/summary/regenerate", "")
		after := demotest.Decode[meetings.Summary](t, r)
		if r.StatusCode != 200 || after.Version != before.Version+1 || time.Since(after.Generated).Abs() > time.Minute {
			t.Errorf("000-19: %d %s", r.StatusCode, r.Body)
		}
		if r := s.Ask(t, "live_meetings_write", "DELETE", "/v1/meetings/"+id, ""); r.StatusCode != 204 {
			t.Errorf("000-16: %d %s", r.StatusCode, r.Body)
		}
		if slices.Contains(named(t, s, "live_all", "/v1/meetings"), id) {
			t.Error("000-16: it is still there")
		}
	})
}

func Test000_21_ActionItems(t *testing.T) {
	demotest.Databases(t, func(t *testing.T, db string) {
		s := start(t, demo.Options{DB: db})
		item := demotest.List[meetings.ActionItem](t, s, "live_all", "/v1/action_items?status=open")[0]
		path := "/v1/action_items/" + item.ID
		r := s.Ask(t, "live_action_items_write", "PATCH", path, `{"status": "completed", "assignee": "usr_cy", "due_date": "2026-12-24"}`)
		now := demotest.Decode[meetings.ActionItem](t, r)
		if r.StatusCode != 200 || now.Status != "completed" || now.Completed == nil || *now.Assignee != "usr_cy" || *now.Due != "2026-12-24" {
			t.Errorf("000-21: %d %s", r.StatusCode, r.Body)
		}
		for field, body := range map[string]string{
			"title": `{"title": "x"}`, "meeting_id": `{"status": "open", "meeting_id": "x"}`, "Status": `{"Status": "open"}`, "assignee": `{"assignee": "usr_kit"}`,
			"status": `{"status": "late"}`, "due_date": `{"due_date": "tomorrow"}`,
		} {
			r := s.Ask(t, "live_all", "PATCH", path, body)
			if demotest.Want(t, body, r, 400, "invalid_request"); !slices.Equal(demotest.Fields(t, r), []string{field}) {
				t.Errorf("000-21 %s: %s", body, r.Body)
			}
		}
		demotest.Want(t, "the sandbox's key", s.Ask(t, "test_all", "PATCH", path, `{"status": "open"}`), 404, "not_found")
	})
}

type hook struct {
	meetings.Webhook
	Secret string
}

// 000-6b: what a sandbox's key subscribes to, and what it does, is the sandbox's.
func Test000_23_WebhooksOfTheirEnvironment(t *testing.T) {
	demotest.Databases(t, func(t *testing.T, db string) {
		s := start(t, demo.Options{DB: db})
		receivers, made := map[string]*demotest.Receiver{}, map[string]hook{}
		for _, key := range []string{"live_all", "test_all"} {
			receivers[key] = demotest.NewReceiver(t)
			r := s.Ask(t, key, "POST", "/v1/webhooks", `{"url": "`+receivers[key].URL+`", "events": ["summary.regenerated"]}`)
			if r.StatusCode != 201 {
				t.Fatalf("000-23: %d %s", r.StatusCode, r.Body)
			}
			made[key] = demotest.Decode[hook](t, r)
		}
		for key, environment := range map[string]string{"live_all": "live", "test_all": "test"} {
			id := ids(acme(environment))[1]
			s.Ask(t, key, "POST", "/v1/meetings/"+id+"/summary/regenerate", "")
			got := receivers[key].Wait(t, 1)
			if err := hooks.Verify(made[key].Secret, got[0].Header.Get(hooks.SignatureHeader), got[0].Body, time.Now()); err != nil {
				t.Error(err)
			}
			var event struct {
				Type, Environment string
				Data              map[string]string
			}
			if err := json.Unmarshal(got[0].Body, &event); err != nil || len(got) != 1 || event.Type != "summary.regenerated" || event.Environment != environment || event.Data["meeting_id"] != id {
				t.Errorf("%s: %s", key, got[0].Body)
			}
			list := demotest.List[meetings.Webhook](t, s, key, "/v1/webhooks")
			if len(list) != 2 || list[0].ID != made[key].ID || list[0].Environment != environment {
				t.Errorf("000-22 %s: %+v", key, list)
			}
		}
		seeded := demotest.List[meetings.Webhook](t, s, "live_all", "/v1/webhooks")[1]
		demotest.Want(t, "without a secret", s.Ask(t, "live_all", "PATCH", "/v1/webhooks/"+seeded.ID, `{"active": true}`), 400, "invalid_request")
		other := made["live_all"].ID
		demotest.Want(t, "the sandbox's key", s.Ask(t, "test_all", "DELETE", "/v1/webhooks/"+other, ""), 404, "not_found")
		if r := s.Ask(t, "live_webhooks_write", "PATCH", "/v1/webhooks/"+other, `{"active": false}`); r.StatusCode != 200 || strings.Contains(string(r.Body), "whsec_") {
			t.Errorf("000-23: %d %s", r.StatusCode, r.Body)
		}
		s.Ask(t, "live_all", "POST", "/v1/meetings/"+ids(acme("live"))[2]+"/summary/regenerate", "")
		if r := s.Ask(t, "live_webhooks_write", "DELETE", "/v1/webhooks/"+other, ""); r.StatusCode != 204 {
			t.Errorf("000-23: %d", r.StatusCode)
		}
		if n := len(receivers["live_all"].Got()); n != 1 {
			t.Errorf("%d deliveries to a webhook that is switched off", n-1)
		}
	})
}

func Test000_9_TheConsoleIsWhereThePageSays(t *testing.T) {
	s := start(t, demo.Options{})
	admin := s.As(t, "admin")
	for from, to := range map[string]string{"/settings/developer": "/settings/api", "/settings/developer/keys/new": "/settings/api/keys/new", "/settings/developer/api/keys?status=all": "/settings/api/api/keys?status=all", "/settings/oauth-apps": "/settings/api/apps"} {
		if r := admin.Get(t, "", from); r.StatusCode != 308 || r.Header.Get("Location") != to {
			t.Errorf("%s: %d %s", from, r.StatusCode, r.Header.Get("Location"))
		}
		if r := admin.Get(t, "", to); r.StatusCode != 200 {
			t.Errorf("%s: %d", to, r.StatusCode)
		}
	}
	if r := s.As(t, "member").Get(t, "", "/settings/api"); r.StatusCode != 403 {
		t.Errorf("a member: %d", r.StatusCode)
	}
	// A key of each environment.
	for environment, prefix := range map[string]string{"live": "mvo_live_", "test": "mvo_test_"} {
		r := admin.Send(t, "POST", "/settings/api/api/keys", `{"name": "Slack integration", "environment": "`+environment+`", "scopes": ["meetings:read"]}`)
		made := demotest.Decode[struct{ Secret string }](t, r)
		if r.StatusCode != 201 || !strings.HasPrefix(made.Secret, prefix) {
			t.Errorf("000-11d %s: %d", environment, r.StatusCode)
		}
		if r := s.Get(t, "", "/v1/whoami", "Authorization", "Bearer "+made.Secret); !strings.Contains(string(r.Body), `"environment":"`+environment+`"`) {
			t.Errorf("000-5 %s: %s", environment, r.Body)
		}
	}
	if r := admin.Send(t, "POST", "/settings/api/api/keys", `{"name": "x", "scopes": []}`); r.StatusCode != 400 {
		t.Errorf("000-13a: %d %s", r.StatusCode, r.Body)
	}
}

// What attackers try at the server's edges.
func TestAttacks(t *testing.T) {
	demotest.Attack(t, start(t, demo.Options{}), demotest.Target{Console: "/settings/api", API: "/v1", Key: "live_all"})
}
