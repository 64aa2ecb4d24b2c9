package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate/examples/internal/demo"
	"github.com/strikeplate/strikeplate/examples/internal/demotest"
)

// wantConsole checks an answer of the Developer page's API.
func wantConsole(t *testing.T, what string, r demotest.Response, status int, code string) {
	t.Helper()
	got := struct{ Code string }{}
	if status >= 400 {
		got = demotest.Decode[struct{ Code string }](t, r)
	}
	if r.StatusCode != status || got.Code != code {
		t.Errorf("%s: %d %q, want %d %q: %s", what, r.StatusCode, got.Code, status, code, r.Body)
	}
}

func with(secret string) []string { return []string{"Authorization", "Bearer " + secret} }

// 001-12…29, 001-79…86: a key's life, from its creation to its end.
func Test001_79_RotatingWithoutDowntime(t *testing.T) {
	demotest.Databases(t, func(t *testing.T, db string) {
		s := start(t, demo.Options{DB: db})
		admin := s.As(t, "admin")
		old := createKey(t, admin, `{"name": "CRM Sync", "scopes": ["meetings:read", "notes:read"], "expires": "`+time.Now().Add(90*24*time.Hour).UTC().Format(time.RFC3339)+`"}`)
		if !strings.HasPrefix(old.Secret, "mavio_sk_") {
			t.Error("001-28: another prefix")
		}
		r := admin.Get(t, "", developerAPI+"/keys/"+old.Key.ID)
		if strings.Contains(string(r.Body), old.Secret) || strings.Contains(string(r.Body), `"secret"`) {
			t.Error("001-22b: the key is shown again")
		}
		wantConsole(t, "001-22b", admin.Send(t, http.MethodPost, developerAPI+"/keys/"+old.Key.ID+"/reveal", "{}"), http.StatusConflict, "secret_not_kept")

		r = admin.Send(t, http.MethodPost, developerAPI+"/keys/"+old.Key.ID+"/rotate", `{"overlap_seconds": 3600}`)
		if r.StatusCode != http.StatusCreated && r.StatusCode != http.StatusOK {
			t.Fatalf("001-79: %d %s", r.StatusCode, r.Body)
		}
		fresh := demotest.Decode[created](t, r)
		if fresh.Key.Lineage != old.Key.Lineage || fresh.Key.ID == old.Key.ID || !strings.Contains(string(r.Body), `"notes:read"`) {
			t.Errorf("001-79: %s", r.Body)
		}
		for what, secret := range map[string]string{"001-80 old": old.Secret, "001-81 new": fresh.Secret} {
			if r := s.Get(t, "", "/v1/meetings", with(secret)...); r.StatusCode != http.StatusOK {
				t.Errorf("%s: %d", what, r.StatusCode)
			}
		}
		wantConsole(t, "001-82", admin.Send(t, http.MethodPost, developerAPI+"/keys/"+old.Key.ID+"/revoke", `{"reason": "rotated"}`), http.StatusOK, "")
		demotest.Want(t, "001-86b", s.Get(t, "", "/v1/meetings", with(old.Secret)...), http.StatusUnauthorized, "revoked_api_key")
		if r := s.Get(t, "", "/v1/meetings", with(fresh.Secret)...); r.StatusCode != http.StatusOK {
			t.Errorf("001-100: %d after the other's end", r.StatusCode)
		}
		wantConsole(t, "001-86c", admin.Send(t, http.MethodPost, developerAPI+"/keys/"+old.Key.ID+"/rotate", `{"overlap_seconds": 0}`), http.StatusConflict, "revoked_api_key")
		list := string(admin.Get(t, "", developerAPI+"/keys").Body)
		if strings.Contains(list, `"id":"`+old.Key.ID) || !strings.Contains(list, fresh.Key.ID) || !strings.Contains(list, s.Keys["expired"].ID) {
			t.Errorf("001-70: %s", list)
		}
	})
}

// 001-17, 001-99: a key ends when its creator said.
func Test001_17_KeysExpire(t *testing.T) {
	s := start(t, demo.Options{})
	admin := s.As(t, "admin")
	k := createKey(t, admin, `{"name": "Short", "scopes": ["meetings:read"], "expires": "`+time.Now().Add(25*time.Hour).UTC().Format(time.RFC3339)+`"}`)
	for _, step := range []struct {
		advance string
		status  int
		code    string
	}{{"24h", 200, ""}, {"1h1m", 401, "expired_api_key"}} {
		s.Control(t, "/demo/clock", `{"advance": "`+step.advance+`"}`)
		demotest.Want(t, "001-17 after "+step.advance, s.Get(t, "", "/v1/meetings", with(k.Secret)...), step.status, step.code)
	}
	demotest.Want(t, "001-17 expired", s.Get(t, "expired", "/v1/meetings"), 401, "expired_api_key")
}

// 001-102: allowlists are the Enterprise plan's, and hold after a downgrade.
func Test001_102_AllowlistsAreForEnterprise(t *testing.T) {
	demotest.Databases(t, func(t *testing.T, db string) {
		s := start(t, demo.Options{DB: db})
		const body = `{"name": "x", "scopes": ["meetings:read"], "allow": ["192.0.2.7"]}`
		for user, want := range map[string]int{"free_admin": 403, "pro_admin": 403, "admin": 403, "enterprise_admin": 201} {
			r := s.As(t, user).Send(t, http.MethodPost, developerAPI+"/keys", body)
			if want == 403 {
				wantConsole(t, "001-102a "+user, r, 403, "plan_required")
			} else if r.StatusCode != want {
				t.Errorf("001-102a %s: %d %s", user, r.StatusCode, r.Body)
			}
		}
		demotest.Want(t, "001-102b", s.Get(t, "enterprise_restricted", "/v1/meetings"), 403, "ip_not_allowed")
		demotest.Want(t, "001-102b", s.Get(t, "enterprise", "/v1/meetings"), 200, "")
		s.Control(t, "/demo/organisations/org_delta", `{"plan": "free"}`)
		demotest.Want(t, "001-102a downgraded", s.Get(t, "enterprise_restricted", "/v1/meetings"), 403, "ip_not_allowed")
		demotest.Want(t, "001-102a downgraded", s.Get(t, "enterprise", "/v1/meetings"), 200, "")
	})
}

// An allowlist is about the address that trusted proxies tell, and no others.
func Test001_102_AddressesAreThoseOfTrustedProxies(t *testing.T) {
	for proxies, want := range map[string]int{"": 403, "127.0.0.1": 200} {
		s := start(t, demo.Options{TrustedProxies: proxies})
		if r := s.Get(t, "enterprise_restricted", "/v1/meetings", "X-Forwarded-For", "192.0.2.9"); r.StatusCode != want {
			t.Errorf("trusted %q: %d, want %d", proxies, r.StatusCode, want)
		}
	}
}

type used struct {
	Total struct {
		Requests, Errors int64
		ErrorRate        float64 `json:"error_rate"`
	}
	Endpoints []struct {
		Pattern string
		Counts  struct{ Requests int64 }
	}
	LastUsed      *time.Time `json:"last_used"`
	BrowserOrigin string     `json:"browser_origin"`
}

// 001-90…94, 001-29b: what a key does is on its page; a browser's Origin is, too.
func Test001_90_UsageIsPerKey(t *testing.T) {
	demotest.Databases(t, func(t *testing.T, db string) {
		s := start(t, demo.Options{DB: db})
		for range 3 {
			s.Get(t, "scope_meetings_read", "/v1/meetings")
		}
		s.Get(t, "scope_meetings_read", "/v1/team") // 403: an error of this key's
		s.Get(t, "scope_meetings_read", "/v1/summaries", "Origin", "https://shop.example")
		admin := s.As(t, "admin")
		path := developerAPI + "/keys/" + s.Keys["scope_meetings_read"].ID + "/usage?range=24h"
		var u used
		for deadline := time.Now().Add(20 * time.Second); u.Total.Requests < 5; { // counts are stored each second
			if u = demotest.Decode[used](t, admin.Get(t, "", path)); time.Now().After(deadline) {
				t.Fatalf("001-91: %+v", u)
			}
			select {
			case <-time.After(50 * time.Millisecond):
			case <-t.Context().Done():
			}
		}
		patterns := map[string]int64{}
		for _, e := range u.Endpoints {
			patterns[e.Pattern] = e.Counts.Requests
		}
		if u.Total.Errors != 1 || u.Total.ErrorRate != 0.2 || patterns["GET /v1/meetings"] != 3 || patterns["GET /v1/summaries"] != 1 {
			t.Errorf("001-92, 001-93: %+v", u)
		}
		if u.LastUsed == nil || time.Since(*u.LastUsed).Abs() > time.Minute || u.BrowserOrigin != "https://shop.example" {
			t.Errorf("001-94, 001-29b: %v, %q", u.LastUsed, u.BrowserOrigin)
		}
		if other := demotest.Decode[used](t, admin.Get(t, "", developerAPI+"/keys/"+s.Keys["pro"].ID+"/usage")); other.Total.Requests != 0 {
			t.Errorf("another organisation's key: %+v", other)
		}
		page := admin.Get(t, "", "/settings/developer/keys/"+s.Keys["scope_meetings_read"].ID+"/usage")
		if page.StatusCode != 200 || !strings.Contains(string(page.Body), "shop.example") {
			t.Errorf("001-29b: the page doesn't warn: %d", page.StatusCode)
		}
	})
}

// 25 keys, and admins only.
func TestManagingKeysIsBounded(t *testing.T) {
	s := start(t, demo.Options{})
	wantConsole(t, "a member", s.As(t, "member").Send(t, http.MethodGet, developerAPI+"/keys", ""), 403, "forbidden")
	admin := s.As(t, "pro_admin")
	for i := range 24 {
		createKey(t, admin, fmt.Sprintf(`{"name": "Key %d", "scopes": ["meetings:read"]}`, i))
	}
	wantConsole(t, "the 26th", admin.Send(t, http.MethodPost, developerAPI+"/keys", `{"name": "One more", "scopes": ["meetings:read"]}`), 409, "key_limit_reached")
	wantConsole(t, "001-33 no scopes", s.As(t, "admin").Send(t, http.MethodPost, developerAPI+"/keys", `{"name": "x"}`), 400, "invalid_request")
	wantConsole(t, "001-33 the other product's scope", s.As(t, "admin").Send(t, http.MethodPost, developerAPI+"/keys", `{"name": "x", "scopes": ["action_items:read"]}`), 400, "invalid_request")
}

// A database that is filled stays as it is; -reseed renews it.
func TestDataOutliveTheServer(t *testing.T) {
	demotest.Databases(t, func(t *testing.T, db string) {
		file := t.TempDir() + "/credentials.json"
		first := start(t, demo.Options{DB: db, Credentials: file})
		do[any](t, first, "", "POST", "/v1/meetings", planning, 201)
		count := func(s *demotest.Server) int {
			return len(demotest.List[meeting](t, s, "team", "/v1/meetings?limit=100"))
		}
		before := count(first)
		if second := start(t, demo.Options{DB: db, Credentials: file}); count(second) != before || second.Keys["team"].Key != first.Keys["team"].Key {
			t.Error("another start has other data or keys")
		}
		renewed := start(t, demo.Options{DB: db, Reseed: true})
		if n := count(renewed); n != before-1 {
			t.Errorf("after -reseed there are %d meetings, want %d", n, before-1)
		}
		demotest.Want(t, "an old key", renewed.Get(t, "", "/v1/whoami", with(first.Keys["team"].Key)...), 401, "invalid_api_key")
	})
}
