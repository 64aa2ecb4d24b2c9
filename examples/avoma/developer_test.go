package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/strikeplate/strikeplate/examples/internal/demo"
	"github.com/strikeplate/strikeplate/examples/internal/demotest"
)

const developer = "/settings/developer/api"

type keyInfo struct {
	ID, Name, Access, Owner, Creator, Created, Status string
	Legacy, Revealable                                bool
	OwnerInactive                                     bool `json:"owner_inactive"`
	Version                                           int
}

// call uses the Developer page's JSON API as whoever is signed in.
func (s *server) call(t *testing.T, method, path, body string, headers ...string) demotest.Response {
	t.Helper()
	return s.Send(t, method, developer+path, body, append([]string{"Content-Type", "application/json"}, headers...)...)
}

// want checks an answer of the Developer page's API.
func want(t *testing.T, what string, r demotest.Response, status int, code string) {
	t.Helper()
	got := struct{ Code string }{}
	if len(r.Body) > 0 && status >= 400 {
		got = demotest.Decode[struct{ Code string }](t, r)
	}
	if r.StatusCode != status || got.Code != code {
		t.Errorf("%s: %d %q, want %d %q: %s", what, r.StatusCode, got.Code, status, code, r.Body)
	}
}

// key is a demo key's record, as the signed-in user sees it.
func (s *server) key(t *testing.T, name string) keyInfo {
	t.Helper()
	return demotest.Decode[keyInfo](t, s.call(t, http.MethodGet, "/keys/"+s.Keys[name].ID, ""))
}

// whoami asks with the text of a key.
func (s *server) whoami(t *testing.T, key string) demotest.Response {
	t.Helper()
	return s.Get(t, "", "/v1/whoami", "Authorization", "Bearer "+key)
}

type createdKey struct {
	Key    keyInfo
	Secret string
}

func Test002_90_AdminsOnly(t *testing.T) {
	s := start(t, demo.Options{})
	want(t, "002-90b: nobody is signed in", s.call(t, http.MethodGet, "/keys", ""), http.StatusUnauthorized, "signed_out")
	member := s.as(t, "member")
	id := s.Keys["user_full"].ID // the member is its owner
	for _, call := range [][3]string{
		{http.MethodGet, "/keys", ""}, {http.MethodGet, "/keys/" + id, ""}, {http.MethodGet, "/audit", ""},
		{http.MethodPost, "/keys", `{"name": "Mine", "access": "user-limited", "owner": "usr_bo"}`},
		{http.MethodPost, "/keys/" + id + "/revoke", "{}"}, {http.MethodPost, "/keys/" + id + "/regenerate", ""}, {http.MethodPost, "/keys/" + id + "/reveal", ""},
	} {
		want(t, "002-90a member: "+call[0]+" "+call[1], member.call(t, call[0], call[1], call[2]), http.StatusForbidden, "forbidden")
	}
	if r := member.Get(t, "", "/settings/developer"); r.StatusCode != http.StatusForbidden {
		t.Errorf("002-90b: the page answers a member %d", r.StatusCode)
	}
	other := s.as(t, "other_admin")
	want(t, "002-90a another organisation's admin", other.call(t, http.MethodGet, "/keys/"+id, ""), http.StatusNotFound, "key_not_found")
	want(t, "002-90a another organisation's admin", other.call(t, http.MethodPost, "/keys/"+id+"/revoke", "{}"), http.StatusNotFound, "key_not_found")
	if r := s.as(t, "second_admin").call(t, http.MethodGet, "/keys/"+id, ""); r.StatusCode != http.StatusOK {
		t.Errorf("002-136a: any admin: %d", r.StatusCode)
	}
}

func Test002_19_CreatingKeys(t *testing.T) {
	s := start(t, demo.Options{})
	admin := s.as(t, "admin")
	for what, body := range map[string]string{
		"002-4: no level":                        `{"name": "x"}`,
		"002-49: user-limited without an owner":  `{"name": "x", "access": "user-limited"}`,
		"002-54: user-full without an owner":     `{"name": "x", "access": "user-full"}`,
		"002-48a: another organisation's user":   `{"name": "x", "access": "user-full", "owner": "usr_kit"}`,
		"002-130: an owner who is deactivated":   `{"name": "x", "access": "user-full", "owner": "usr_dee"}`,
		"002-58b: an owner for the organisation": `{"name": "x", "access": "org-limited", "owner": "usr_bo"}`,
		"002-95: no name":                        `{"name": " ", "access": "org-limited"}`,
		"002-9a: legacy":                         `{"name": "x", "access": "legacy"}`,
	} {
		if r := admin.call(t, http.MethodPost, "/keys", body); r.StatusCode != http.StatusBadRequest && r.StatusCode != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d %s", what, r.StatusCode, r.Body)
		}
	}
	r := admin.call(t, http.MethodPost, "/keys", `{"name": "Zapier – CS Team", "access": "user-limited", "owner": "usr_bo"}`)
	want(t, "002-95…101", r, http.StatusCreated, "")
	created := demotest.Decode[createdKey](t, r)
	if strings.Count(created.Secret, ":") != 1 || created.Key.Owner != "usr_bo" || created.Key.Creator != "usr_ada" {
		t.Errorf("002-103: %s", r.Body)
	}
	if r := s.whoami(t, created.Secret); r.StatusCode != http.StatusOK || !strings.Contains(string(r.Body), `"user-limited"`) {
		t.Errorf("002-6: %d %s", r.StatusCode, r.Body)
	}
	tag := admin.call(t, http.MethodGet, "/keys/"+created.Key.ID, "").Header.Get("Etag")
	for what, body := range map[string]string{"002-81, 002-126": `{"access": "org-full"}`, "002-84, 002-128a": `{"owner": "usr_cy"}`} {
		if r := admin.call(t, http.MethodPatch, "/keys/"+created.Key.ID, body, "If-Match", tag); r.StatusCode < 400 {
			t.Errorf("%s: %d %s", what, r.StatusCode, r.Body)
		}
	}
	if now := demotest.Decode[keyInfo](t, admin.call(t, http.MethodGet, "/keys/"+created.Key.ID, "")); now.Access != "user-limited" || now.Owner != "usr_bo" {
		t.Errorf("002-81, 002-84: now %+v", now)
	}
}

func Test002_87_TenKeys(t *testing.T) {
	s := start(t, demo.Options{})
	admin := s.as(t, "admin")
	const made = 6 // of Acme's, the legacy one too: 002-73b
	var last createdKey
	for i := made; i < 10; i++ {
		r := admin.call(t, http.MethodPost, "/keys", fmt.Sprintf(`{"name": "Key of reporting %d", "access": "org-limited"}`, i))
		want(t, "002-87a", r, http.StatusCreated, "")
		last = demotest.Decode[createdKey](t, r)
	}
	eleventh := `{"name": "One more", "access": "org-limited"}`
	want(t, "002-87a the eleventh", admin.call(t, http.MethodPost, "/keys", eleventh), http.StatusConflict, "key_limit_reached")
	want(t, "002-87b", admin.call(t, http.MethodPost, "/keys/"+last.Key.ID+"/revoke", "{}"), http.StatusOK, "")
	want(t, "002-87b, 002-134a", admin.call(t, http.MethodPost, "/keys", eleventh), http.StatusCreated, "")
	want(t, "002-87a again", admin.call(t, http.MethodPost, "/keys", eleventh), http.StatusConflict, "key_limit_reached")
	if r := s.as(t, "other_admin").call(t, http.MethodPost, "/keys", eleventh); r.StatusCode != http.StatusCreated {
		t.Errorf("002-87a another organisation: %d", r.StatusCode)
	}
}

func Test002_107_ManagingKeys(t *testing.T) {
	demotest.Databases(t, func(t *testing.T, db string) {
		s := start(t, demo.Options{DB: db})
		admin := s.as(t, "admin")
		list := demotest.Decode[struct{ Data []keyInfo }](t, admin.call(t, http.MethodGet, "/keys", ""))
		byID := make(map[string]keyInfo)
		for _, k := range list.Data {
			byID[k.ID] = k
		}
		limited, org, gone := byID[s.Keys["user_limited"].ID], byID[s.Keys["org_full"].ID], byID[s.Keys["deactivated_owner"].ID]
		if limited.Access != "user-limited" || limited.Owner != "usr_bo" || limited.Created == "" {
			t.Errorf("002-107: %+v", limited)
		}
		if org.Owner != "" || org.Creator != "usr_ada" {
			t.Errorf("002-59, 002-64: %+v", org)
		}
		if !gone.OwnerInactive || gone.Status != "active" {
			t.Errorf("002-130b: %+v", gone)
		}
		if _, listed := byID[s.Keys["other_org_full"].ID]; listed || len(list.Data) != 6 {
			t.Errorf("%d keys are listed", len(list.Data))
		}

		// Rename: nothing else changes.
		tag := admin.call(t, http.MethodGet, "/keys/"+limited.ID, "").Header.Get("Etag")
		want(t, "002-110a", admin.call(t, http.MethodPatch, "/keys/"+limited.ID, `{"name": "Zapier"}`, "If-Match", tag), http.StatusOK, "")
		if r := s.Get(t, "user_limited", "/v1/meetings"); r.StatusCode != http.StatusOK || admin.key(t, "user_limited").Name != "Zapier" {
			t.Errorf("002-110b: %d", r.StatusCode)
		}

		// Copy: the text that was shown at creation.
		revealed := demotest.Decode[struct{ Secret string }](t, admin.call(t, http.MethodPost, "/keys/"+limited.ID+"/reveal", ""))
		if revealed.Secret != s.Keys["user_limited"].Key {
			t.Errorf("002-109, 002-136a: another text is copied: %d characters", len(revealed.Secret))
		}

		// Regenerate: the old secret is dead, the name stays, others don't notice.
		r := admin.call(t, http.MethodPost, "/keys/"+limited.ID+"/regenerate", "")
		want(t, "002-112", r, http.StatusOK, "")
		fresh := demotest.Decode[createdKey](t, r)
		if fresh.Key.ID != limited.ID || fresh.Key.Name != "Zapier" {
			t.Errorf("002-120: %+v", fresh.Key)
		}
		refusal(t, "002-120 the old one", s.Get(t, "user_limited", "/v1/whoami"), http.StatusUnauthorized, "invalid_api_key")
		for what, r := range map[string]demotest.Response{"the new one": s.whoami(t, fresh.Secret), "another key": s.Get(t, "user_full", "/v1/whoami")} {
			if r.StatusCode != http.StatusOK {
				t.Errorf("002-120, 002-123 %s: %d", what, r.StatusCode)
			}
		}

		// Delete: at once, and for ever.
		want(t, "002-111", admin.call(t, http.MethodPost, "/keys/"+limited.ID+"/revoke", `{"reason": "gone"}`), http.StatusOK, "")
		refusal(t, "002-111", s.whoami(t, fresh.Secret), http.StatusUnauthorized, "revoked_api_key")
		want(t, "002-111 for ever", admin.call(t, http.MethodPost, "/keys/"+limited.ID+"/regenerate", ""), http.StatusConflict, "revoked_api_key")

		// An old sign-in copies nothing.
		s.Control(t, "/demo/clock", `{"advance": "1h"}`)
		want(t, "002-109 an hour later", admin.call(t, http.MethodPost, "/keys/"+org.ID+"/reveal", ""), http.StatusForbidden, "fresh_sign_in_required")
	})
}

func Test002_71_LegacyIsViewedAndRevoked(t *testing.T) {
	s := start(t, demo.Options{})
	admin := s.as(t, "admin")
	legacy := admin.key(t, "legacy")
	if !legacy.Legacy || legacy.Revealable || legacy.Owner != "" || legacy.Access != "legacy" {
		t.Errorf("002-9a, 002-113: %+v", legacy)
	}
	tag := admin.call(t, http.MethodGet, "/keys/"+legacy.ID, "").Header.Get("Etag")
	want(t, "002-71a rename", admin.call(t, http.MethodPatch, "/keys/"+legacy.ID, `{"name": "New"}`, "If-Match", tag), http.StatusConflict, "legacy_key")
	want(t, "002-73a rotate", admin.call(t, http.MethodPost, "/keys/"+legacy.ID+"/rotate", `{"overlap_seconds": 60}`), http.StatusConflict, "legacy_key")
	want(t, "002-73a regenerate", admin.call(t, http.MethodPost, "/keys/"+legacy.ID+"/regenerate", ""), http.StatusConflict, "legacy_key")
	want(t, "002-109 copy", admin.call(t, http.MethodPost, "/keys/"+legacy.ID+"/reveal", ""), http.StatusConflict, "secret_not_kept")
	if r := s.Get(t, "legacy", "/v1/meetings"); r.StatusCode != http.StatusOK {
		t.Errorf("002-70: %d", r.StatusCode)
	}
	want(t, "002-73b revoke", admin.call(t, http.MethodPost, "/keys/"+legacy.ID+"/revoke", "{}"), http.StatusOK, "")
	refusal(t, "002-73b", s.Get(t, "legacy", "/v1/meetings"), http.StatusUnauthorized, "revoked_api_key")
}
