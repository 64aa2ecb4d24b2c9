package main

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/strikeplate/strikeplate/examples/internal/demo"
	"github.com/strikeplate/strikeplate/examples/internal/demotest"
	"github.com/strikeplate/strikeplate/examples/internal/meetings"
)

func bearer(tokens demotest.Tokens) []string {
	return []string{"Authorization", "Bearer " + tokens.Access}
}

// bo says what Bo sees himself, in plain Go.
func bo(m meetings.Meeting) bool {
	concerns := m.Owner != nil && *m.Owner == "usr_bo" || slices.Contains(m.Participants, "usr_bo")
	return acme("live")(m) && (concerns || !m.Private)
}

// 000-25…36: an app acts for a user, with what the user granted, and sees what the
// user sees.
func Test000_25_AppsActForUsers(t *testing.T) {
	demotest.Databases(t, func(t *testing.T, db string) {
		s := start(t, demo.Options{DB: db})
		browser := s.As(t, "member")
		for _, name := range []string{"confidential", "public"} {
			f := browser.NewFlow(t, name)
			tokens := f.Grant(t, "meetings:read", "action_items:read", "transcripts:read")
			if tokens.ExpiresIn != 3600 || tokens.Type != "Bearer" || tokens.Refresh == "" {
				t.Errorf("000-36a %s: %+v", name, tokens)
			}
			who := demotest.Decode[map[string]any](t, s.Get(t, "", "/v1/whoami", bearer(tokens)...))
			if who["kind"] != "token" || who["subject"] != "usr_bo" || who["access"] != "user-full" || who["environment"] != "live" || who["organisation"] != "org_acme" || who["client_id"] != f.App.ID {
				t.Errorf("000-25 %s: %v", name, who)
			}
			if got := tokenList(t, s, tokens, "/v1/meetings?limit=100"); !slices.Equal(got, ids(bo)) {
				t.Errorf("000-25 %s: %d meetings, want %d", name, len(got), len(ids(bo)))
			}
			for _, item := range tokenList(t, s, tokens, "/v1/action_items?limit=100") {
				if !slices.Contains(ids(bo), item) {
					t.Errorf("an action item of %s, which Bo doesn't see", item)
				}
			}
			demotest.Want(t, "000-31b", s.Send(t, http.MethodDelete, "/v1/meetings/"+ids(bo)[0], "", bearer(tokens)...), 403, "insufficient_scope")
			for _, m := range world().Meetings[:60] {
				want := map[bool]int{true: 200, false: 404}[bo(m)]
				for _, part := range []string{"", "/transcript"} {
					if r := s.Get(t, "", "/v1/meetings/"+m.ID+part, bearer(tokens)...); r.StatusCode != want {
						t.Errorf("000-25 %s%s: %d, want %d", m.ID, part, r.StatusCode, want)
					}
				}
			}
			if r := start(t, demo.Options{DB: db}).Get(t, "", "/v1/whoami", bearer(tokens)...); r.StatusCode != 200 {
				t.Errorf("000-25 another instance: %d %s", r.StatusCode, r.Body)
			}
			refreshing(t, s, f, tokens)
		}
	})
}

// tokenList are the meetings that a list names to a token.
func tokenList(t *testing.T, s *demotest.Server, tokens demotest.Tokens, path string) []string {
	t.Helper()
	var found []string
	for next := ""; ; {
		page := demotest.Decode[struct {
			Data []map[string]any
			Next *string
		}](t, s.Get(t, "", path+"&cursor="+next, bearer(tokens)...))
		for _, row := range page.Data {
			id, ok := row["meeting_id"].(string)
			if !ok {
				id, _ = row["id"].(string)
			}
			found = append(found, id)
		}
		if page.Next == nil {
			slices.Sort(found)
			return slices.Compact(found)
		}
		next = *page.Next
	}
}

// refreshing: 000-36b, and the grant's end.
func refreshing(t *testing.T, s *demotest.Server, f *demotest.Flow, tokens demotest.Tokens) {
	t.Helper()
	r := f.Token(t, "/oauth/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tokens.Refresh}})
	fresh := demotest.Decode[demotest.Tokens](t, r)
	if r.StatusCode != 200 || fresh.Access == tokens.Access || fresh.Refresh == tokens.Refresh {
		t.Fatalf("000-36b: %d %s", r.StatusCode, r.Body)
	}
	if r := s.Get(t, "", "/v1/whoami", bearer(fresh)...); r.StatusCode != 200 {
		t.Errorf("000-36b: %d", r.StatusCode)
	}
	if f.App.Secret != "" {
		told := demotest.Decode[map[string]any](t, f.Token(t, "/oauth/introspect", url.Values{"token": {fresh.Access}}))
		if told["active"] != true || told["client_id"] != f.App.ID {
			t.Errorf("introspection: %v", told)
		}
	}
	if r := f.Token(t, "/oauth/revoke", url.Values{"token": {fresh.Refresh}}); r.StatusCode != 200 {
		t.Errorf("revoke: %d %s", r.StatusCode, r.Body)
	}
	for _, one := range []demotest.Tokens{tokens, fresh} {
		r := s.Get(t, "", "/v1/whoami", bearer(one)...)
		if r.StatusCode != 401 || demotest.Decode[demotest.Refused](t, r).Error.Code != "unauthorized" || !strings.Contains(r.Header.Get("WWW-Authenticate"), "invalid_token") {
			t.Errorf("after revocation: %d %v", r.StatusCode, r.Header)
		}
	}
}

func Test000_36_TokensExpire(t *testing.T) {
	s := start(t, demo.Options{})
	f := s.As(t, "member").NewFlow(t, "public")
	tokens := f.Grant(t, "meetings:read")
	s.Control(t, "/demo/clock", `{"advance": "59m"}`)
	if r := s.Get(t, "", "/v1/whoami", bearer(tokens)...); r.StatusCode != 200 {
		t.Errorf("000-36a: %d after 59 minutes", r.StatusCode)
	}
	s.Control(t, "/demo/clock", `{"advance": "2m"}`)
	if r := s.Get(t, "", "/v1/whoami", bearer(tokens)...); r.StatusCode != 401 {
		t.Errorf("000-36a: %d after 61 minutes", r.StatusCode)
	}
	r := f.Token(t, "/oauth/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tokens.Refresh}})
	if fresh := demotest.Decode[demotest.Tokens](t, r); s.Get(t, "", "/v1/whoami", bearer(fresh)...).StatusCode != 200 {
		t.Errorf("000-36b: %d %s", r.StatusCode, r.Body)
	}
}

// 000-29…32: what is wrong with a request is told, and never by redirect where the
// address isn't the app's.
func Test000_29_BadAuthorizationRequests(t *testing.T) {
	s := start(t, demo.Options{})
	browser := s.As(t, "member")
	for _, name := range []string{"confidential", "public"} {
		f := browser.NewFlow(t, name)
		for what, change := range map[string]func(q url.Values){
			"000-28 unknown client":           func(q url.Values) { q.Set("client_id", "app_none") },
			"000-29b another address":         func(q url.Values) { q.Set("redirect_uri", "https://evil.example/callback") },
			"000-29b a longer one":            func(q url.Values) { q.Set("redirect_uri", f.Redirect+"/more") },
			"000-29b with a query":            func(q url.Values) { q.Set("redirect_uri", f.Redirect+"?x=1") },
			"000-29b another spelling's host": func(q url.Values) { q.Set("redirect_uri", strings.Replace(f.Redirect, "127.0.0.1", "127.0.0.2", 1)) },
		} {
			q := f.Query("meetings:read")
			change(q)
			if r := browser.Get(t, "", "/oauth/authorize?"+q.Encode()); r.StatusCode != 400 || r.Header.Get("Location") != "" {
				t.Errorf("%s %s: %d %s", name, what, r.StatusCode, r.Header.Get("Location"))
			}
		}
		changes := map[string]func(q url.Values){
			"unsupported_response_type": func(q url.Values) { q.Set("response_type", "token") }, // 000-31a
			"invalid_scope":             func(q url.Values) { q.Del("scope") },                  // 000-31b
		}
		if f.App.Secret == "" {
			changes["invalid_request"] = func(q url.Values) { q.Del("code_challenge"); q.Del("code_challenge_method") }
		} else {
			changes["invalid_request"] = func(q url.Values) { q.Del("state") } // 000-32a
		}
		for code, change := range changes {
			q := f.Query("meetings:read")
			change(q)
			if to := f.Authorize(t, q, "allow"); to.Query().Get("error") != code || to.Query().Get("state") != q.Get("state") {
				t.Errorf("%s: sent to %s, want %s", name, to, code)
			}
		}
		if to := f.Authorize(t, f.Query("meetings:write"), "deny"); to.Query().Get("error") != "access_denied" || to.Query().Get("code") != "" {
			t.Errorf("%s: denied, and sent to %s", name, to)
		}
		back := f.Authorize(t, f.Query("meetings:write"), "allow")
		wrong := *f
		wrong.Redirect += "/other"
		if r := wrong.Exchange(t, back.Query().Get("code")); r.StatusCode != 400 || !strings.Contains(string(r.Body), "invalid_grant") {
			t.Errorf("%s: a code with another address: %d %s", name, r.StatusCode, r.Body)
		}
	}
	// Signed out: to the sign-in page and back.
	r := s.Get(t, "", "/oauth/authorize?"+s.NewFlow(t, "public").Query("meetings:read").Encode())
	if to := r.Header.Get("Location"); r.StatusCode != 303 || !strings.HasPrefix(to, "/sign-in?next=%2Foauth%2Fauthorize") {
		t.Errorf("signed out: %d %s", r.StatusCode, to)
	}
}

// 000-26: administrators register apps, and members don't.
func Test000_26_AppsAreRegistered(t *testing.T) {
	s := start(t, demo.Options{})
	const path = "/settings/api/api/apps"
	body := `{"name": "CRM", "redirect_uris": ["https://crm.example.com/callback"], "scopes": ["meetings:read"]}`
	r := s.As(t, "admin").Send(t, http.MethodPost, path, body)
	if r.StatusCode != 201 || !strings.Contains(string(r.Body), "client_id") || !strings.Contains(string(r.Body), "mvo_cs_") {
		t.Errorf("000-26: %d %s", r.StatusCode, r.Body)
	}
	if r := s.As(t, "member").Send(t, http.MethodPost, path, body); r.StatusCode != 403 {
		t.Errorf("000-26 a member: %d", r.StatusCode)
	}
	if r := s.As(t, "admin").Send(t, http.MethodPost, path, strings.Replace(body, "https", "http", 1)); r.StatusCode < 400 {
		t.Errorf("an address without TLS: %d", r.StatusCode)
	}
}

// A deactivated user's tokens and a lapsed account's end at once; so does what an
// app hears by a user's webhook.
func TestTokensEndWithWhatTheyStandFor(t *testing.T) {
	s := start(t, demo.Options{})
	f := s.As(t, "member").NewFlow(t, "confidential")
	tokens := f.Grant(t, "meetings:read", "webhooks:read", "webhooks:write")
	receiver := demotest.NewReceiver(t)
	r := s.Send(t, http.MethodPost, "/v1/webhooks", `{"url": "`+receiver.URL+`", "events": ["summary.regenerated"]}`, bearer(tokens)...)
	made := demotest.Decode[hook](t, r)
	if r.StatusCode != 201 || made.User == nil || *made.User != "usr_bo" {
		t.Fatalf("%d %s", r.StatusCode, r.Body)
	}
	if list := demotest.Decode[meetings.Page[meetings.Webhook]](t, s.Get(t, "", "/v1/webhooks", bearer(tokens)...)); len(list.Data) != 1 {
		t.Errorf("Bo's app sees %d webhooks", len(list.Data))
	}
	regenerate := func(id string) {
		if r := s.Ask(t, "live_all", http.MethodPost, "/v1/meetings/"+id+"/summary/regenerate", ""); r.StatusCode != 200 {
			t.Fatalf("%d %s", r.StatusCode, r.Body)
		}
	}
	hidden := ids(func(m meetings.Meeting) bool { return acme("live")(m) && !bo(m) })
	regenerate(hidden[0])
	regenerate(ids(bo)[0])
	if got := receiver.Wait(t, 1); !strings.Contains(string(got[0].Body), ids(bo)[0]) {
		t.Errorf("Bo's app hears of %s", got[0].Body)
	}

	s.Control(t, "/demo/users/usr_bo", `{"active": false}`)
	if r := s.Get(t, "", "/v1/meetings", bearer(tokens)...); r.StatusCode != 401 {
		t.Errorf("deactivated: %d", r.StatusCode)
	}
	s.Control(t, "/demo/users/usr_bo", `{"active": true}`)
	s.Control(t, "/demo/organisations/org_acme", `{"subscription": "lapsed"}`)
	demotest.Want(t, "lapsed", s.Get(t, "", "/v1/meetings", bearer(tokens)...), 402, "subscription_required")
	s.Control(t, "/demo/organisations/org_acme", `{"subscription": "active"}`)
	if r := s.Get(t, "", "/v1/meetings", bearer(tokens)...); r.StatusCode != 200 {
		t.Errorf("renewed: %d", r.StatusCode)
	}
	f.Token(t, "/oauth/revoke", url.Values{"token": {tokens.Refresh}})
	regenerate(ids(bo)[1])
	marker := demotest.NewReceiver(t)
	s.Ask(t, "live_all", http.MethodPost, "/v1/webhooks", `{"url": "`+marker.URL+`", "events": ["summary.regenerated"]}`)
	regenerate(ids(bo)[2])
	marker.Wait(t, 1)
	if n := len(receiver.Got()); n != 1 {
		t.Errorf("%d deliveries after the grant's end", n-1)
	}
}
