package conformance_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Mavio's page: production and sandbox, nine scopes, and OAuth apps.
var mavio = product{
	name: "mavio", page: "000", base: "/v1", console: "/settings/api", variable: "MAVIO_API_KEY",
	key: "live_all", admin: "admin", list: "/meetings", code: codeInHeader,
	creation: map[string]any{"scopes": []string{"meetings:read"}, "environment": "live"},
	form:     url.Values{"scope": {"meetings:read"}, "kind": {"mvo_|live"}},
	cases:    slices.Concat(mavioKeys, mavioScopes, mavioOAuth),
}

var mavioCatalog = []string{
	"action_items:read", "action_items:write", "meetings:read", "meetings:write", "summaries:read", "summaries:write",
	"transcripts:read", "webhooks:read", "webhooks:write",
}

var mavioKeys = []check{
	{"000-2", func(p *probe) { bearerAlone(p); nothingWithoutKey(p) }},
	{"000-5a,000-5b,000-6a,000-6b", func(p *probe) { // each prefix has its own world
		environments := map[string]string{"live_all": "live", "test_all": "test"}
		ids := make(map[string]string)
		for name, environment := range environments {
			if text := p.secret(name); !strings.HasPrefix(text, "mvo_"+environment+"_") {
				p.Errorf("%s begins with %q", name, text[:9])
			}
			p.whoami(p.secret(name)).has("environment", environment)
			for _, m := range list[struct{ ID, Environment string }](p, p.secret(name), "/meetings") {
				ids[m.ID] = name
				if m.Environment != environment {
					p.Errorf("%s lists a meeting of %q", name, m.Environment)
				}
			}
		}
		tried := map[string]bool{}
		for id, name := range ids {
			if !tried[name] {
				tried[name] = true
				for another := range environments {
					if another != name {
						p.get(another, "/meetings/"+id).refused(http.StatusNotFound, "not_found")
						p.call(http.MethodDelete, p.secret(another), "/meetings/"+id, nil).refused(http.StatusNotFound, "not_found")
					}
				}
			}
		}
		if len(tried) != 2 {
			p.Errorf("meetings are listed to %v alone", tried)
		}
	}},
	{"000-6b", func(p *probe) { // the sandbox's writes, webhooks, quota and usage are its own
		hook := map[string]any{"url": "https://sandbox.example/hook", "events": []string{"meeting.deleted"}}
		a := p.call(http.MethodPost, p.secret("test_all"), "/webhooks", hook).want(http.StatusCreated)
		live := list[struct{ ID string }](p, p.secret("live_all"), "/webhooks")
		if slices.ContainsFunc(live, func(h struct{ ID string }) bool { return h.ID == a.at("id") }) {
			p.Error("the sandbox's webhook is listed to a live key")
		}
		p.call(http.MethodDelete, p.secret("live_all"), "/webhooks/"+a.at("id"), nil).refused(http.StatusNotFound, "not_found")
		p.call(http.MethodDelete, p.secret("test_all"), "/webhooks/"+a.at("id"), nil).want(http.StatusNoContent)

		before := p.whoami(p.secret("test_all")).number("X-RateLimit-Remaining")
		for range 5 {
			p.whoami(p.secret("live_all"))
		}
		if after := p.whoami(p.secret("test_all")).number("X-RateLimit-Remaining"); after < before-1 {
			p.Errorf("live requests spend the sandbox's quota: %d, then %d", before, after)
		}
		admin := p.admin()
		sandbox, production := admin.create(map[string]any{"environment": "test"}), admin.create(nil)
		p.with(sandbox.secret).want(http.StatusOK)
		p.eventually("the sandbox key's use is counted", func() bool { return admin.usage(sandbox.ID, "key").Total.Requests == 1 })
		if n := admin.usage(production.ID, "key").Total.Requests; n != 0 {
			p.Errorf("the live key's usage has %d requests", n)
		}
	}},
	{"000-5c", func(p *probe) { // keys are the organisation's, and see all of it
		p.whoami(p.secret("live_all")).has("access", "org-full").has("subject", "")
		if !slices.ContainsFunc(list[meeting](p, p.secret("live_all"), "/meetings"), func(m meeting) bool { return m.Private }) {
			p.Error("it sees no private meeting")
		}
		p.admin().api(http.MethodGet, "/options", nil).has("access", "[]")
	}},
	{"000-9", func(p *probe) {
		p.send(plain(), http.MethodGet, "/settings/developer", "").want(http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect)
		p.visit("").page("/settings/api").says("Sign in")
		p.admin().page("/settings/api").want(http.StatusOK).says("API keys")
		p.admin().page("/settings/developer").want(http.StatusOK).says("API keys")
	}},
	{"000-11a", func(p *probe) {
		if button := p.admin().page("").one("a", "href", "/settings/api/keys/new"); textOf(button) != "Create API key" {
			p.Errorf("the button says %q", textOf(button))
		}
	}},
	{"000-11b", named},
	{"000-11c,000-13b,000-39", func(p *probe) {
		g := p.admin().page("keys/new").says("Only what the integration requires.")
		all, chosen := g.choices("scope")
		slices.Sort(all)
		if !slices.Equal(all, mavioCatalog) || len(chosen) > 0 {
			p.Errorf("to choose from are %q, chosen %q", all, chosen)
		}
	}},
	{"000-11d", func(p *probe) {
		all, chosen := p.admin().page("keys/new").choices("kind")
		if !slices.Equal(chosen, []string{"mvo_|test"}) || len(all) != 2 {
			p.Errorf("to choose from are %q, chosen %q", all, chosen)
		}
		for _, environment := range []string{"live", "test"} {
			k := p.admin().create(map[string]any{"environment": environment})
			if !strings.HasPrefix(k.secret, "mvo_"+environment+"_") || k.Environment != environment {
				p.Errorf("made is %+v", k)
			}
		}
	}},
	{"000-13a", func(p *probe) {
		admin := p.admin()
		for _, wrong := range []map[string]any{{"name": "None"}, {"name": "Empty", "scopes": []string{}}, {"name": "Unknown", "scopes": []string{"meetings:delete"}}} {
			admin.api(http.MethodPost, "/keys", wrong).refusedBy(http.StatusBadRequest, "invalid_request")
		}
		g := admin.submit(admin.page("keys/new"), "/keys", url.Values{"name": {"All"}, "preset": {"all"}}) // the button All: the list is expanded
		if _, chosen := g.choices("scope"); len(chosen) != len(mavioCatalog) {
			p.Errorf("All chooses %q", chosen)
		}
		k := admin.create(map[string]any{"scopes": []string{"summaries:read"}})
		p.with(k.secret).refused(http.StatusForbidden, "insufficient_scope")
	}},
	{"000-37", inEnvironment},
	{"000-38a", func(p *probe) { rotated(p); overdue(p) }},
	{"000-38b", suspected},
	{"000-41b", monitored},
}

// mavioRoutes are the routes and the scope of each.
var mavioRoutes = map[string]string{
	"GET /meetings":                          "meetings:read",
	"GET /meetings/none":                     "meetings:read",
	"DELETE /meetings/none":                  "meetings:write",
	"GET /meetings/none/transcript":          "transcripts:read",
	"GET /transcripts/search?q=a":            "transcripts:read",
	"GET /meetings/none/summary":             "summaries:read",
	"POST /meetings/none/summary/regenerate": "summaries:write",
	"GET /action_items":                      "action_items:read",
	"PATCH /action_items/none":               "action_items:write",
	"GET /webhooks":                          "webhooks:read",
	"POST /webhooks":                         "webhooks:write",
	"PATCH /webhooks/none":                   "webhooks:write",
	"DELETE /webhooks/none":                  "webhooks:write",
}

// live calls the API with the demo key that has that scope alone.
func (p *probe) live(scope, method, path string, body any) answer {
	p.Helper()
	return p.call(method, p.secret("live_"+strings.ReplaceAll(scope, ":", "_")), path, body)
}

var mavioScopes = []check{
	{"000-13a,000-39", func(p *probe) { // each key does what its scope says, and nothing else
		for _, scope := range mavioCatalog {
			for route, needs := range mavioRoutes {
				method, path, _ := strings.Cut(route, " ")
				var body any
				if method == http.MethodPost || method == http.MethodPatch {
					body = map[string]any{}
				}
				a := p.live(scope, method, path, body)
				if allowed := needs == scope; allowed == (a.status == http.StatusForbidden) || a.status == http.StatusUnauthorized || a.status == http.StatusTooManyRequests {
					p.Errorf("%s with %s: %d %s", route, scope, a.status, a.body)
				} else if !allowed {
					a.refused(http.StatusForbidden, "insufficient_scope").has("error.code", "forbidden")
				}
			}
		}
	}},
	{"000-15", func(p *probe) {
		a := p.live("meetings:read", http.MethodGet, "/meetings", nil).want(http.StatusOK)
		p.live("meetings:read", http.MethodGet, "/meetings/"+a.at("data.0.id"), nil).want(http.StatusOK).has("id", a.at("data.0.id"))
	}},
	{"000-16", func(p *probe) {
		id := p.get("live_all", "/meetings").at("data.0.id")
		p.live("meetings:read", http.MethodDelete, "/meetings/"+id, nil).refused(http.StatusForbidden, "insufficient_scope")
		p.live("meetings:write", http.MethodDelete, "/meetings/"+id, nil).want(http.StatusNoContent)
		p.live("meetings:read", http.MethodGet, "/meetings/"+id, nil).refused(http.StatusNotFound, "not_found")
	}},
	{"000-17", func(p *probe) {
		id := anyMeeting(p, p.secret("live_all"), "/transcript")
		a := p.live("transcripts:read", http.MethodGet, "/meetings/"+id+"/transcript", nil).want(http.StatusOK)
		word := strings.Trim(strings.Fields(a.at("segments.0.text"))[0], ".,!?")
		found := p.live("transcripts:read", http.MethodGet, "/transcripts/search?q="+url.QueryEscape(word), nil).want(http.StatusOK)
		if found.at("data.0") == "" {
			p.Errorf("%q isn't found: %s", word, found.body)
		}
		p.live("transcripts:read", http.MethodGet, "/transcripts/search", nil).refused(http.StatusBadRequest, "invalid_request")
	}},
	{"000-18,000-19", func(p *probe) {
		path := "/meetings/" + anyMeeting(p, p.secret("live_all"), "/summary") + "/summary"
		before := p.live("summaries:read", http.MethodGet, path, nil).want(http.StatusOK).at("version")
		p.live("summaries:read", http.MethodPost, path+"/regenerate", map[string]any{}).refused(http.StatusForbidden, "insufficient_scope")
		p.live("summaries:write", http.MethodPost, path+"/regenerate", map[string]any{}).want(http.StatusOK, http.StatusAccepted)
		if after := p.live("summaries:read", http.MethodGet, path, nil).at("version"); after == before {
			p.Errorf("it is still version %s", after)
		}
	}},
	{"000-20,000-21", func(p *probe) {
		a := p.live("action_items:read", http.MethodGet, "/action_items?status=open", nil).want(http.StatusOK)
		path, bo := "/action_items/"+a.at("data.0.id"), p.Users["member"].ID
		p.live("action_items:write", http.MethodPatch, path, map[string]any{"status": "completed", "assignee": bo, "due_date": "2027-02-01"}).want(http.StatusOK).
			has("status", "completed").has("assignee", bo).has("due_date", "2027-02-01")
		for field, value := range map[string]any{"title": "Another", "meeting_id": "none", "assignee": p.Users["other_member"].ID} {
			wrong := p.live("action_items:write", http.MethodPatch, path, map[string]any{field: value}).refused(http.StatusBadRequest, "invalid_request")
			if !strings.Contains(string(wrong.body), field) {
				p.Errorf("the refusal doesn't name %s: %s", field, wrong.body)
			}
		}
	}},
	{"000-22,000-23", func(p *probe) {
		hook := p.receiver()
		a := p.live("webhooks:write", http.MethodPost, "/webhooks", map[string]any{"url": hook.url, "events": []string{"meeting.deleted"}}).want(http.StatusCreated)
		path := "/webhooks/" + a.at("id")
		if all := p.live("webhooks:read", http.MethodGet, "/webhooks", nil).want(http.StatusOK); !strings.Contains(string(all.body), a.at("id")) || strings.Contains(string(all.body), a.at("secret")) {
			p.Error("it isn't listed, or with its secret")
		}
		delivered(p, hook, a.at("secret"), p.secret("live_meetings_write"), p.get("live_all", "/meetings").at("data.0.id"))
		p.live("webhooks:write", http.MethodPatch, path, map[string]any{"active": false}).want(http.StatusOK).has("active", "false")
		p.live("webhooks:write", http.MethodDelete, path, nil).want(http.StatusNoContent)
	}},
}
