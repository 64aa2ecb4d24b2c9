package conformance_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Mavio's page for developers: fifteen scopes, four plans, rotation, usage and
// allowlists.
var mavioDeveloper = product{
	name: "mavio-developer", page: "001", base: "/v1", console: "/settings/developer", variable: "MAVIO_API_KEY",
	key: "team", admin: "admin", list: "/meetings", code: codeInHeader,
	creation: map[string]any{"scopes": []string{"meetings:read"}}, form: map[string][]string{"scope": {"meetings:read"}},
	cases: slices.Concat(developerKeys, developerScopes, developerLimits, developerUsage),
}

var developerCatalog = []string{
	"action-items:read", "action-items:write", "channels:read", "channels:write", "meetings:read", "meetings:write", "notes:read", "notes:write",
	"recordings:read", "speakers:read", "speakers:write", "team:read", "transcripts:read", "transcripts:write", "webhooks:manage",
}

var developerKeys = []check{
	{"001-9,001-12", func(p *probe) {
		p.visit("").page("/").one("a", "href", "/settings/developer")
		g := p.admin().page("").want(http.StatusOK).says("API keys")
		if button := g.one("a", "href", "/settings/developer/keys/new"); textOf(button) != "Create API key" {
			p.Errorf("the button says %q", textOf(button))
		}
	}},
	{"001-15", named},
	{"001-16,001-50a", func(p *probe) {
		g := p.admin().page("keys/new").says("Only what the integration requires.", "Download recordings")
		all, chosen := g.choices("scope")
		slices.Sort(all)
		if !slices.Equal(all, developerCatalog) || len(chosen) > 0 {
			p.Errorf("to choose from are %q, chosen %q", all, chosen)
		}
		k := p.admin().create(map[string]any{"scopes": []string{"team:read", "notes:read"}})
		if who := read[struct{ Scopes []string }](p.whoami(k.secret)); !slices.Equal(slices.Sorted(slices.Values(who.Scopes)), []string{"notes:read", "team:read"}) {
			p.Errorf("it may %q", who.Scopes)
		}
	}},
	{"001-17,001-99a", func(p *probe) {
		p.admin().page("keys/new").says("Expires", "90 days", "Recommended")
		day := func(days int) string {
			return time.Now().Add(time.Duration(days) * 24 * time.Hour).UTC().Format(time.RFC3339)
		}
		p.admin().api(http.MethodPost, "/keys", map[string]any{"name": "Past", "scopes": []string{"meetings:read"}, "expires": day(-1)}).refusedBy(http.StatusBadRequest, "invalid_request")
		p.with(p.secret("expired")).refused(http.StatusUnauthorized, "expired_api_key")
		p = p.alone()
		admin := p.admin()
		short, never := admin.create(map[string]any{"expires": day(1)}), admin.create(map[string]any{"no_expiry": true})
		p.with(short.secret).want(http.StatusOK)
		p.clock("25h")
		p.with(short.secret).refused(http.StatusUnauthorized, "expired_api_key")
		p.with(never.secret).want(http.StatusOK)
	}},
	{"001-22a", shownOnce},
	{"001-22b", replayed},
	{"001-28", func(p *probe) {
		for _, text := range []string{p.secret("team"), p.admin().create(nil).secret} {
			if !strings.HasPrefix(text, "mavio_sk_") {
				p.Errorf("a key begins with %q", text[:9])
			}
		}
		bearerAlone(p)
		nothingWithoutKey(p)
	}},
	{"001-29b", inWebPages},
	{"001-98", inEnvironment},
	{"001-70", func(p *probe) {
		admin := p.admin()
		k := admin.create(nil)
		gone := admin.create(nil)
		admin.revoke(gone.ID).want(http.StatusOK)
		shown := admin.keys("")
		if _, there := shown[k.ID]; !there {
			p.Error("an active key isn't listed")
		}
		if expired, there := shown[p.Keys["expired"].ID]; !there || expired.Status != "expired" {
			p.Errorf("the expired key is told as %+v", expired)
		}
		if _, there := shown[gone.ID]; there {
			p.Error("a revoked key is listed")
		}
		if now, there := admin.keys("&status=revoked")[gone.ID]; !there || now.Status != "revoked" {
			p.Errorf("among the revoked ones it is %+v", now)
		}
		if row := admin.page("").row(p.Keys["expired"].ID); !strings.Contains(row, "Expired") {
			p.Errorf("its row says %q", row)
		}
	}},
	{"001-71,001-72,001-73,001-74", func(p *probe) { listed(p, "meetings:read") }},
	{"001-79,001-80,001-82", rotated},
	{"001-79", func(p *probe) { // at the limit
		p = p.alone()
		admin := p.visit("pro_admin")
		var last key
		for range 24 { // and the demo's
			last = admin.create(nil)
		}
		admin.rotate(last.ID, 60).refusedBy(http.StatusConflict, "key_limit_reached")
		admin.page("keys/"+last.ID+"/rotate").says("All 25 keys are in use", "regenerate")
		admin.regenerate(last.ID).want(http.StatusOK)
	}},
	{"001-81", func(p *probe) {
		admin := p.admin()
		k := admin.create(nil)
		p.with(k.secret).want(http.StatusOK)
		p.eventually("the first use is known", func() bool { return admin.usage(k.ID, "key").Total.Requests == 1 })
		admin.page("keys/" + k.ID + "/rotate").says("was last used")
		next := admin.kept(admin.rotate(k.ID, 3600).want(http.StatusCreated))
		if u := admin.usage(next.ID, "key"); u.Total.Requests != 0 || u.LastUsed != "" {
			p.Errorf("the new key begins with %+v", u)
		}
		p.with(next.secret).want(http.StatusOK)
		p.eventually("the new key's use is its own", func() bool { return admin.usage(next.ID, "key").Total.Requests == 1 })
		if n := admin.usage(next.ID, "lineage").Total.Requests; n != 2 {
			p.Errorf("both together have %d requests, want 2", n)
		}
		admin.page("keys/"+next.ID+"/rotate").says("was last used", "ends in")
	}},
	{"001-86a,001-86b,001-86c", func(p *probe) {
		menu := p.admin().page("").find("details", "class", "menu")
		if len(menu) == 0 || !strings.Contains(textOf(menu[0]), "Revoke") {
			p.Error("no menu offers Revoke")
		}
		revokedByHand(p)
	}},
	{"001-99b", overdue},
	{"001-100", func(p *probe) {
		admin := p.admin()
		admin.page("").says("give each integration its own")
		a, b := admin.create(map[string]any{"name": "CRM"}), admin.create(map[string]any{"name": "BI"})
		admin.revoke(a.ID).want(http.StatusOK)
		p.with(a.secret).refused(http.StatusUnauthorized, "revoked_api_key")
		p.with(b.secret).want(http.StatusOK)
	}},
	{"001-102a", func(p *probe) {
		p.admin().api(http.MethodPost, "/keys", map[string]any{"name": "Team", "scopes": []string{"meetings:read"}, "allow": []string{"127.0.0.1"}}).refusedBy(http.StatusForbidden, "plan_required")
		k := p.admin().create(nil)
		p.admin().change(k.ID, map[string]any{"allow": []string{"127.0.0.1"}}).refusedBy(http.StatusForbidden, "plan_required")
		// A stored one stays enforced after a downgrade.
		p.organisation("enterprise", `{"plan": "team"}`, `{"plan": "enterprise"}`)
		p.with(p.secret("enterprise_restricted")).refused(http.StatusForbidden, "ip_not_allowed")
		p.with(p.secret("enterprise")).want(http.StatusOK)
	}},
	{"001-102b", func(p *probe) {
		p.with(p.secret("enterprise_restricted")).refused(http.StatusForbidden, "ip_not_allowed")
		p.with(p.secret("enterprise")).want(http.StatusOK)
		admin := p.visit("enterprise_admin")
		k := admin.create(map[string]any{"allow": []string{"192.0.2.0/24", "2001:db8::/32"}})
		p.with(k.secret).refused(http.StatusForbidden, "ip_not_allowed")
		p.call(http.MethodGet, k.secret, "/meetings", nil, "X-Forwarded-For", "192.0.2.7").refused(http.StatusForbidden, "ip_not_allowed") // nobody is trusted to say so
		admin.api(http.MethodPatch, "/keys/"+k.ID, map[string]any{"allow": []string{"127.0.0.1"}}).refusedBy(http.StatusPreconditionRequired, "precondition_required")
		admin.change(k.ID, map[string]any{"allow": []string{"127.0.0.0/8"}}).want(http.StatusOK)
		p.with(k.secret).want(http.StatusOK)
		for _, permanent := range []map[string]any{{"scopes": []string{"team:read"}}, {"access": "org-limited"}, {"owner": "usr_hal"}, {"environment": "test"}} {
			admin.change(k.ID, permanent).want(http.StatusUnprocessableEntity)
		}
	}},
}

// developerRoutes are the routes, and the scopes of which each wants one. Ids that
// aren't there show that a scope suffices without changing anything.
var developerRoutes = []struct {
	route  string
	scopes []string
}{
	{"GET /meetings", []string{"meetings:read"}},
	{"GET /meetings/none", []string{"meetings:read"}},
	{"POST /meetings", []string{"meetings:write"}},
	{"PATCH /meetings/none", []string{"meetings:write"}},
	{"DELETE /meetings/none", []string{"meetings:write"}},
	{"GET /meetings/none/recording", []string{"recordings:read"}},
	{"GET /meetings/none/transcript", []string{"transcripts:read", "meetings:read"}},
	{"GET /meetings/none/summary", []string{"meetings:read"}},
	{"GET /summaries", []string{"meetings:read"}},
	{"GET /transcripts", []string{"transcripts:read", "meetings:read"}},
	{"PATCH /meetings/none/transcript", []string{"transcripts:write"}},
	{"GET /meetings/none/notes", []string{"notes:read"}},
	{"POST /meetings/none/notes", []string{"notes:write"}},
	{"PATCH /notes/none", []string{"notes:write"}},
	{"GET /action-items", []string{"action-items:read"}},
	{"POST /action-items", []string{"action-items:write"}},
	{"PATCH /action-items/none", []string{"action-items:write"}},
	{"GET /channels", []string{"channels:read"}},
	{"GET /channels/none/meetings", []string{"channels:read"}},
	{"POST /channels", []string{"channels:write"}},
	{"POST /channels/none/meetings", []string{"channels:write"}},
	{"PUT /channels/none/members", []string{"channels:write"}},
	{"GET /speakers", []string{"speakers:read"}},
	{"POST /speakers", []string{"speakers:write"}},
	{"PATCH /speakers/none", []string{"speakers:write"}},
	{"DELETE /speakers/none", []string{"speakers:write"}},
	{"GET /team", []string{"team:read"}},
	{"GET /webhooks", []string{"webhooks:manage"}},
	{"POST /webhooks", []string{"webhooks:manage"}},
	{"PATCH /webhooks/none", []string{"webhooks:manage"}},
	{"DELETE /webhooks/none", []string{"webhooks:manage"}},
}

// scoped is the text of the demo key that has that scope alone.
func (p *probe) scoped(scope string) string {
	p.Helper()
	return p.secret("scope_" + strings.ReplaceAll(scope, ":", "_"))
}

// by calls the API with the demo key that has that scope alone.
func (p *probe) by(scope, method, path string, body any) answer {
	p.Helper()
	return p.call(method, p.scoped(scope), path, body)
}

// anyMeeting is a meeting that has what the path names, such as "/recording".
func anyMeeting(p *probe, text, part string) string {
	p.Helper()
	for _, m := range list[meeting](p, text, "/meetings") {
		if p.call(http.MethodGet, text, "/meetings/"+m.ID+part, nil).status == http.StatusOK {
			return m.ID
		}
	}
	p.Fatalf("no meeting has %s", part)
	return ""
}

func tomorrow() string { return time.Now().Add(24 * time.Hour).UTC().Format(time.RFC3339) }

var developerScopes = []check{
	{"001-33,001-50a", func(p *probe) { // each key does what its scopes say, and nothing else
		p = p.alone() // a thousand requests a minute are its own
		for _, scope := range developerCatalog {
			for _, r := range developerRoutes {
				method, path, _ := strings.Cut(r.route, " ")
				body := any(map[string]any{})
				if method == http.MethodGet || method == http.MethodDelete {
					body = nil
				}
				a := p.by(scope, method, path, body)
				if allowed := slices.Contains(r.scopes, scope); allowed == (a.status == http.StatusForbidden) || a.status == http.StatusUnauthorized || a.status == http.StatusTooManyRequests {
					p.Errorf("%s with %s: %d %s", r.route, scope, a.status, a.body)
				} else if !allowed {
					a.refused(http.StatusForbidden, "insufficient_scope")
				}
			}
		}
	}},
	{"001-33", func(p *probe) { // no scopes grant nothing
		for _, wrong := range []map[string]any{{"name": "None"}, {"name": "Empty", "scopes": []string{}}, {"name": "Unknown", "scopes": []string{"meetings:delete"}}, {"name": "All", "scopes": []string{"all"}}} {
			p.admin().api(http.MethodPost, "/keys", wrong).refusedBy(http.StatusBadRequest, "invalid_request")
		}
	}},
	{"001-50b", func(p *probe) {
		admin := p.admin()
		narrow, broad := admin.create(map[string]any{"scopes": []string{"team:read"}}), admin.create(map[string]any{"scopes": []string{"team:read", "meetings:read"}})
		p.with(narrow.secret).refused(http.StatusForbidden, "insufficient_scope")
		p.with(broad.secret).want(http.StatusOK)
		admin.page("keys/new").says("A key with more can always be made later.")
	}},
	{"001-35", func(p *probe) {
		id := anyMeeting(p, p.secret("team"), "/summary")
		for _, path := range []string{"/meetings", "/meetings/" + id, "/meetings/" + id + "/transcript", "/meetings/" + id + "/summary", "/transcripts", "/summaries"} {
			p.by("meetings:read", http.MethodGet, path, nil).want(http.StatusOK)
		}
	}},
	{"001-36", func(p *probe) {
		a := p.by("meetings:write", http.MethodPost, "/meetings", map[string]any{"title": "Kick-off", "starts_at": tomorrow()}).want(http.StatusCreated).has("title", "Kick-off")
		path := "/meetings/" + a.at("id")
		p.by("meetings:read", http.MethodGet, path, nil).want(http.StatusOK)
		p.by("meetings:write", http.MethodPatch, path, map[string]any{"title": "Kick-off, moved"}).want(http.StatusOK).has("title", "Kick-off, moved")
		p.by("meetings:write", http.MethodDelete, path, nil).want(http.StatusNoContent)
		p.by("meetings:read", http.MethodGet, path, nil).refused(http.StatusNotFound, "not_found")
	}},
	{"001-37", func(p *probe) {
		path := "/meetings/" + anyMeeting(p, p.secret("team"), "/recording") + "/recording"
		a := p.by("recordings:read", http.MethodGet, path, nil).want(http.StatusOK)
		if !strings.HasPrefix(a.header.Get("Content-Type"), "audio/") || !strings.HasPrefix(a.header.Get("Content-Disposition"), "attachment") || a.header.Get("Cache-Control") != "no-store" || len(a.body) < 1000 {
			p.Errorf("%v, %d bytes", a.header, len(a.body))
		}
		part := p.call(http.MethodGet, p.scoped("recordings:read"), path, nil, "Range", "bytes=0-3").want(http.StatusPartialContent)
		if string(part.body) != string(a.body[:4]) {
			p.Errorf("the range is %q", part.body)
		}
		p.call(http.MethodGet, "", path, nil).refused(http.StatusUnauthorized, "missing_api_key")
	}},
	{"001-38", func(p *probe) {
		id := anyMeeting(p, p.secret("team"), "/transcript")
		if a := p.by("transcripts:read", http.MethodGet, "/meetings/"+id+"/transcript", nil).want(http.StatusOK); a.at("segments.0.text") == "" || a.at("segments.0.speaker") == "" {
			p.Errorf("it says %s", a.body)
		}
		p.by("transcripts:read", http.MethodGet, "/transcripts", nil).want(http.StatusOK)
	}},
	{"001-39", func(p *probe) {
		path := "/meetings/" + anyMeeting(p, p.secret("team"), "/transcript") + "/transcript"
		before := p.by("transcripts:read", http.MethodGet, path, nil).at("segments.0.speaker")
		p.by("transcripts:write", http.MethodPatch, path, map[string]any{"segments": []any{map[string]any{"position": 0, "text": "What I meant to say."}}}).want(http.StatusOK)
		p.by("transcripts:write", http.MethodPatch, path, map[string]any{"speaker_labels": map[string]string{before: "The chair"}}).want(http.StatusOK)
		p.by("transcripts:read", http.MethodGet, path, nil).has("segments.0.text", "What I meant to say.").has("segments.0.speaker", "The chair")
	}},
	{"001-40,001-41", func(p *probe) {
		path := "/meetings/" + anyMeeting(p, p.secret("team"), "/notes") + "/notes"
		minutes := p.by("notes:write", http.MethodPost, path+"?kind=minutes", map[string]any{"text": "We met."}).want(http.StatusCreated).has("kind", "minutes")
		note := p.by("notes:write", http.MethodPost, path, map[string]any{"text": "Call back."}).want(http.StatusCreated).has("kind", "note")
		p.by("notes:write", http.MethodPatch, "/notes/"+minutes.at("id"), map[string]any{"text": "We met, and agreed."}).want(http.StatusOK).has("text", "We met, and agreed.")
		p.by("notes:write", http.MethodPatch, "/notes/"+note.at("id"), map[string]any{"text": "Call back on Monday."}).want(http.StatusOK)
		for kind, want := range map[string]string{"minutes": "We met, and agreed.", "note": "Call back on Monday."} {
			a := p.by("notes:read", http.MethodGet, path+"?kind="+kind, nil).want(http.StatusOK)
			for _, n := range read[struct{ Data []struct{ Kind string } }](a).Data {
				if n.Kind != kind {
					p.Errorf("among the %s is a %s", kind, n.Kind)
				}
			}
			if !strings.Contains(string(a.body), want) {
				p.Errorf("%s: %s", kind, a.body)
			}
		}
		if all := string(p.by("notes:read", http.MethodGet, path, nil).body); !strings.Contains(all, minutes.at("id")) || !strings.Contains(all, note.at("id")) {
			p.Error("notes and minutes aren't together")
		}
	}},
	{"001-42,001-43", func(p *probe) {
		id := anyMeeting(p, p.secret("team"), "")
		a := p.by("action-items:write", http.MethodPost, "/action-items", map[string]any{"meeting_id": id, "title": "Send the offer"}).want(http.StatusCreated).has("status", "open").has("completed_at", "null")
		path := "/action-items/" + a.at("id")
		p.by("action-items:write", http.MethodPatch, path, map[string]any{"due_date": "2027-01-15", "assignee": p.Users["member"].ID}).want(http.StatusOK).has("assignee", p.Users["member"].ID)
		if done := p.by("action-items:write", http.MethodPatch, path, map[string]any{"status": "completed"}).want(http.StatusOK).has("status", "completed"); done.at("completed_at") == "null" {
			p.Error("it doesn't say when it was completed")
		}
		if all := p.by("action-items:read", http.MethodGet, "/action-items?meeting_id="+id, nil).want(http.StatusOK); !strings.Contains(string(all.body), a.at("id")) {
			p.Error("it isn't listed")
		}
	}},
	{"001-44,001-45", func(p *probe) {
		a := p.by("channels:write", http.MethodPost, "/channels", map[string]any{"name": "Renewals ", "members": []string{p.Users["member"].ID}}).want(http.StatusCreated)
		path, id := "/channels/"+a.at("id"), anyMeeting(p, p.secret("team"), "")
		p.by("channels:write", http.MethodPost, path+"/meetings", map[string]any{"meeting_ids": []string{id}}).want(http.StatusOK)
		foreign := anyMeeting(p, p.secret("pro"), "")
		p.by("channels:write", http.MethodPost, path+"/meetings", map[string]any{"meeting_ids": []string{foreign}}).want(http.StatusNotFound, http.StatusBadRequest)
		p.by("channels:write", http.MethodPut, path+"/members", map[string]any{"members": []string{p.Users["member"].ID, p.Users["colleague"].ID}}).want(http.StatusOK)
		p.by("channels:write", http.MethodPut, path+"/members", map[string]any{"members": []string{p.Users["other_member"].ID}}).want(http.StatusBadRequest)
		if all := p.by("channels:read", http.MethodGet, "/channels", nil).want(http.StatusOK); !strings.Contains(string(all.body), a.at("id")) {
			p.Error("it isn't listed")
		}
		p.by("channels:read", http.MethodGet, path+"/meetings", nil).want(http.StatusOK).has("data.0.id", id).has("data.1.id", "")
	}},
	{"001-46,001-47", func(p *probe) {
		a := p.by("speakers:write", http.MethodPost, "/speakers", map[string]any{"name": "Voice from outside"}).want(http.StatusCreated)
		path := "/speakers/" + a.at("id")
		p.by("speakers:write", http.MethodPatch, path, map[string]any{"user_id": p.Users["member"].ID}).want(http.StatusOK).has("user_id", p.Users["member"].ID)
		shown := func() bool {
			return slices.ContainsFunc(list[struct{ ID string }](p, p.scoped("speakers:read"), "/speakers"), func(k struct{ ID string }) bool { return k.ID == a.at("id") })
		}
		if !shown() {
			p.Error("it isn't listed")
		}
		p.by("speakers:write", http.MethodDelete, path, nil).want(http.StatusNoContent)
		if shown() {
			p.Error("it is still listed")
		}
	}},
	{"001-48", func(p *probe) {
		a := p.by("team:read", http.MethodGet, "/team", nil).want(http.StatusOK).has("settings.plan", "team")
		team := read[struct{ Members []struct{ ID, Role string } }](a)
		if len(team.Members) != 5 { // Acme's, as the file of credentials lists them
			p.Errorf("%d members", len(team.Members))
		}
		for _, m := range team.Members {
			if !slices.Contains([]string{"admin", "member"}, m.Role) {
				p.Errorf("%s is a %q", m.ID, m.Role)
			}
		}
	}},
	{"001-49", func(p *probe) {
		hook := p.receiver()
		a := p.by("webhooks:manage", http.MethodPost, "/webhooks", map[string]any{"url": hook.url, "events": []string{"meeting.deleted"}}).want(http.StatusCreated)
		path := "/webhooks/" + a.at("id")
		delivered(p, hook, a.at("secret"), p.scoped("meetings:write"), createdMeeting(p, p.scoped("meetings:write")))
		p.by("webhooks:manage", http.MethodPatch, path, map[string]any{"active": false}).want(http.StatusOK).has("active", "false")
		p.by("webhooks:manage", http.MethodDelete, path, nil).want(http.StatusNoContent)
		if all := p.by("webhooks:manage", http.MethodGet, "/webhooks", nil).want(http.StatusOK); strings.Contains(string(all.body), a.at("id")) {
			p.Error("it is still listed")
		}
	}},
}

func createdMeeting(p *probe, text string) string {
	p.Helper()
	return p.call(http.MethodPost, text, "/meetings", map[string]any{"title": "To be deleted", "starts_at": tomorrow()}).want(http.StatusCreated).at("id")
}

var developerLimits = []check{
	{"001-54", func(p *probe) { // an organisation's keys share its quota
		second := p.visit("pro_admin").create(nil)
		first := p.with(p.secret("pro")).number("X-RateLimit-Remaining")
		then := p.with(second.secret).number("X-RateLimit-Remaining")
		if then != first-1 && then < 298 { // or a new minute has begun
			p.Errorf("%d are left of one key, then %d of another of its organisation", first, then)
		}
	}},
	{"001-55,001-56,001-57,001-58,001-59", func(p *probe) {
		for plan, limit := range map[string]int64{"free": 60, "pro": 300, "team": 1000, "enterprise": 5000} {
			a := p.with(p.secret(plan)).want(http.StatusOK)
			if got := a.number("X-RateLimit-Limit"); got != limit {
				p.Errorf("%s: %d a minute, want %d", plan, got, limit)
			}
			there := false
			for _, o := range p.Organisations {
				there = there || o.Plan == plan
			}
			if !there {
				p.Errorf("no organisation has the plan %s", plan)
			}
		}
		p.organisation("free", `{"plan": "pro"}`, `{"plan": "free"}`)
		if got := p.with(p.secret("free")).number("X-RateLimit-Limit"); got != 300 {
			p.Errorf("after its upgrade: %d a minute", got)
		}
	}},
	{"001-60,001-61,001-62", func(p *probe) { // refusals after proof tell the plan's, others the address's
		for _, one := range []struct {
			a     answer
			limit int64
		}{
			{p.with(p.secret("enterprise_restricted")).want(http.StatusForbidden), 5000},
			{p.by("team:read", http.MethodGet, "/meetings", nil).want(http.StatusForbidden), 1000},
			{p.call(http.MethodGet, p.secret("pro"), "/nowhere", nil).want(http.StatusNotFound), 300},
		} {
			if got := one.a.number("X-RateLimit-Limit"); got != one.limit {
				p.Errorf("%s: %d: a limit of %d, want %d", one.a.what, one.a.status, got, one.limit)
			}
		}
		a, b := p.with(p.secret("team")).number("X-RateLimit-Remaining"), p.with(p.secret("team")).number("X-RateLimit-Remaining")
		if b != a-1 && b < 990 {
			p.Errorf("%d are left, then %d", a, b)
		}
		p.with("nonsense").want(http.StatusUnauthorized).number("X-RateLimit-Remaining")
		p.organisation("pro", `{"subscription": "lapsed"}`, `{"subscription": "active"}`)
		if got := p.with(p.secret("pro")).refused(http.StatusPaymentRequired, "subscription_required").number("X-RateLimit-Limit"); got != 300 {
			p.Errorf("402 tells a limit of %d", got)
		}
	}},
	{"001-63,001-64a,001-64b", func(p *probe) {
		now := time.Now().Unix()
		if reset := p.with(p.secret("free")).number("X-RateLimit-Reset"); reset < now || reset > now+61 {
			p.Errorf("the limit resets at %d, now it is %d", reset, now)
		}
		var a answer
		for range 125 { // a new minute may begin in between
			if a = p.whoami(p.secret("free")); a.status == http.StatusTooManyRequests {
				break
			}
		}
		a.refused(http.StatusTooManyRequests, "rate_limit_exceeded").has("error.code", "rate_limit_exceeded")
		now = time.Now().Unix()
		if wait := a.number("Retry-After"); a.number("X-RateLimit-Remaining") != 0 || a.number("X-RateLimit-Reset") < now || wait < 1 || a.number("X-RateLimit-Reset")-now > wait+1 {
			p.Errorf("the refusal says %v", a.header)
		}
		p.with(p.secret("pro")).want(http.StatusOK) // another organisation
	}},
}

var developerUsage = []check{
	{"001-90,001-91,001-92,001-93,001-101", func(p *probe) {
		admin := p.admin()
		k := admin.create(nil)
		admin.page("").one("a", "href", "/settings/developer/keys/"+k.ID+"/usage")
		for range 3 {
			p.with(k.secret).want(http.StatusOK)
		}
		p.call(http.MethodGet, k.secret, "/team", nil).want(http.StatusForbidden)
		p.eventually("four requests are counted", func() bool { return admin.usage(k.ID, "key").Total.Requests == 4 })
		u := admin.usage(k.ID, "key")
		inSeries := 0
		for _, bucket := range u.Series {
			inSeries += bucket.Requests
		}
		if inSeries != 4 || u.Total.Errors != 1 || u.Total.Rate != 0.25 {
			p.Errorf("told is %+v", u)
		}
		endpoints := make(map[string]int)
		for _, e := range u.Endpoints {
			endpoints[e.Pattern] = e.Counts.Requests
		}
		if fmt.Sprint(endpoints) != "map[GET /v1/meetings:3 GET /v1/team:1]" {
			p.Errorf("endpoints: %v", endpoints)
		}
		admin.page("keys/"+k.ID+"/usage").says("Requests over time", "GET /v1/meetings", "25.0%")
	}},
	{"001-93", func(p *probe) { // whoever only knows the id is counted apart
		admin := p.admin()
		k := admin.create(nil)
		p.with(k.secret).want(http.StatusOK)
		for range 2 {
			p.with(k.secret[:len(k.secret)-1]+other(k.secret[len(k.secret)-1])).refused(http.StatusUnauthorized, "invalid_api_key")
		}
		p.eventually("one request is counted", func() bool { return admin.usage(k.ID, "key").Total.Requests == 1 })
		if u := admin.usage(k.ID, "key"); u.Total.Errors != 0 {
			p.Errorf("strangers' failures count as the key's: %+v", u)
		}
	}},
	{"001-94", func(p *probe) {
		admin := p.admin()
		k := admin.create(nil)
		p.call(http.MethodGet, k.secret, "/team", nil).want(http.StatusForbidden)
		p.eventually("the refusal is counted", func() bool { return admin.usage(k.ID, "key").Total.Errors == 1 })
		if u := admin.usage(k.ID, "key"); u.LastUsed != "" {
			p.Errorf("a refused request is the last use: %s", u.LastUsed)
		}
		p.with(k.secret).want(http.StatusOK)
		p.eventually("the successful one is the last use", func() bool { return admin.usage(k.ID, "key").LastUsed != "" })
	}},
	{"001-101", monitored},
}
