package keyauth_test

import (
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/storage"
)

// refusal returns what err tells the client.
func refusal(t testing.TB, err error) *strikeplate.Error {
	t.Helper()
	var e *strikeplate.Error
	if !errors.As(err, &e) {
		t.Fatalf("got error %v, want a *strikeplate.Error", err)
	}
	return e
}

func wantCode(t testing.TB, err error, status int, code string) {
	t.Helper()
	e := refusal(t, err)
	if e.Status != status || e.Code != code {
		t.Fatalf("refused with %d %s, want %d %s", e.Status, e.Code, status, code)
	}
}

var client = netip.MustParseAddr("203.0.113.7")

// Each state has its code, and of several the first in the documented order is told.
func TestStates(t *testing.T) {
	past, future := time.Now().Add(-time.Minute), time.Now().Add(time.Hour)
	elsewhere := []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}
	revoke := func(k *storage.Key) { k.Revoked = past }
	expire := func(k *storage.Key) { k.Expires = past }
	deactivated := func(k *storage.Key) { k.Access, k.Owner = strikeplate.UserFull, "gone" }
	restrict := func(k *storage.Key) { k.Allow = elsewhere }
	unpaid := func(k *storage.Key) { k.Organisation = "unpaid" }
	for _, test := range []struct {
		name   string
		change []func(*storage.Key)
		status int
		code   string
	}{
		{"revoked", []func(*storage.Key){revoke}, 401, "revoked_api_key"},
		{"expired", []func(*storage.Key){expire}, 401, "expired_api_key"},
		{"owner deactivated", []func(*storage.Key){deactivated}, 401, "inactive_owner"},
		{"owner unknown", []func(*storage.Key){func(k *storage.Key) { k.Access, k.Owner = strikeplate.UserLimited, "nobody" }}, 401, "inactive_owner"},
		{"user-level without an owner", []func(*storage.Key){func(k *storage.Key) { k.Access = strikeplate.UserLimited }}, 401, "inactive_owner"},
		{"address", []func(*storage.Key){restrict}, 403, "ip_not_allowed"},
		{"lapsed", []func(*storage.Key){unpaid}, 402, "subscription_required"},
		{"no account", []func(*storage.Key){func(k *storage.Key) { k.Organisation = "unknown" }}, 402, "subscription_required"},
		{"revoked before expired", []func(*storage.Key){revoke, expire}, 401, "revoked_api_key"},
		{"expired before owner", []func(*storage.Key){expire, deactivated}, 401, "expired_api_key"},
		{"owner before address", []func(*storage.Key){deactivated, restrict}, 401, "inactive_owner"},
		{"address before lapsed", []func(*storage.Key){restrict, unpaid}, 403, "ip_not_allowed"},
		{"good", []func(*storage.Key){func(k *storage.Key) { k.Expires = future }}, 0, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newService(t, nil)
			s.account(t, storage.Account{Organisation: "unpaid", Lapsed: true})
			s.user(t, storage.User{ID: "gone", Organisation: "acme", Active: false})
			text := s.mint(t, strikeplate.Live, test.change...)
			for range 2 { // cold, then warm
				p, err := s.auth.Verify(t.Context(), text, client)
				if test.code != "" {
					wantCode(t, err, test.status, test.code)
					wantWhose(t, err, test.status != 401)
				} else if err != nil || p == nil {
					t.Fatalf("refused: %v", err)
				}
			}
			// State is told only to who proves the secret.
			wrong, _ := s.mintAs(t, s.scheme, "mvo_", strikeplate.Live)
			_, err := s.auth.Verify(t.Context(), forge(t, s, text, wrong), client)
			wantCode(t, err, 401, "invalid_api_key")
			wantWhose(t, err, false)
		})
	}
}

// wantWhose: a refusal tells limits and usage whose a good key is, and says
// nothing of one that is bad.
func wantWhose(t *testing.T, err error, told bool) {
	t.Helper()
	var e *strikeplate.Error
	if !errors.As(err, &e) || (e.Principal != nil) != told || told && e.Principal.Credential != e.Credential {
		t.Errorf("%v tells the principal %+v, want one: %v", err, e.Principal, told)
	}
}

// forge returns a well-formed key with the look-up id of one and the secret of
// another, sealed anew. It takes the tag key, which attackers don't have.
func forge(t testing.TB, s *service, id, secret string) string {
	t.Helper()
	const prefix, idEnd, secretEnd = len("mvo_live_"), len("mvo_live_") + 11, len("mvo_live_") + 38
	return keyauth.Seal(s.scheme, id[:idEnd]+secret[idEnd:secretEnd])
}

func TestPrincipal(t *testing.T) {
	s := newService(t, nil)
	s.account(t, storage.Account{Organisation: "acme", Plan: "team", Settings: map[string]any{"private_via_api": true}})
	s.user(t, storage.User{ID: "ada", Organisation: "acme", Active: true, Scopes: []string{"notes:read", "team:read"}})
	expires := time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond)
	text, key := s.mintAs(t, s.scheme, "mvo_", strikeplate.Test, func(k *storage.Key) {
		k.Access, k.Owner, k.Expires = strikeplate.UserFull, "ada", expires
		k.Scopes, k.Lineage = []string{"meetings:read", "notes:read"}, "line"
	})
	got, err := s.auth.Verify(t.Context(), text, client)
	if err != nil {
		t.Fatal(err)
	}
	want := &strikeplate.Principal{
		Kind: strikeplate.KindKey, Environment: strikeplate.Test, Access: strikeplate.UserFull, Expires: expires,
		Credential: key.ID, Lineage: "line", Organisation: "acme", Subject: "ada", Plan: "team",
		Scopes: []string{"notes:read"}, Settings: map[string]any{"private_via_api": true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Principal (-want +got):\n%s", diff)
	}
	if again, err := s.auth.Verify(t.Context(), text, client); err != nil || again != got {
		t.Errorf("a warm request got another Principal (%v)", err)
	}
}

func TestAllowlist(t *testing.T) {
	s := newService(t, nil)
	text := s.mint(t, strikeplate.Live, func(k *storage.Key) {
		k.Allow = []netip.Prefix{netip.MustParsePrefix("203.0.113.0/29"), netip.MustParsePrefix("2001:db8:7::/48")}
	})
	for from, allowed := range map[string]bool{
		"203.0.113.7": true, "::ffff:203.0.113.7": true, "203.0.113.8": false,
		"2001:db8:7:ffff::1": true, "2001:db8:8::1": false, "127.0.0.1": false,
	} {
		_, err := s.auth.Verify(t.Context(), text, netip.MustParseAddr(from))
		if allowed && err != nil {
			t.Errorf("%s: %v", from, err)
		}
		if !allowed {
			wantCode(t, err, 403, "ip_not_allowed")
		}
	}
	_, err := s.auth.Verify(t.Context(), text, netip.Addr{})
	wantCode(t, err, 403, "ip_not_allowed") // an unknown address is in no list

	// Over HTTP it is the Edge's client address that counts.
	h := strikeplate.Edge{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}.
		Handler(strikeplate.Require(s.auth)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	r := bearer(text) // from 192.0.2.1, as httptest has it
	r.Header.Set("X-Forwarded-For", "203.0.113.200, 203.0.113.3")
	if res := serve(h, r); res.StatusCode != http.StatusOK {
		t.Errorf("through a trusted proxy: %d", res.StatusCode)
	}
	r.Header.Set("X-Forwarded-For", "203.0.113.3, 203.0.113.200")
	if res := serve(h, r); res.StatusCode != http.StatusForbidden {
		t.Errorf("with a forged first hop: %d", res.StatusCode)
	}
}

// A change of the key's state is seen by the next request, and costs no hash:
// the proof outlives it.
func TestThreat5StateChangesCostNoHash(t *testing.T) {
	feed := newManualFeed()
	s := newService(t, func(c *keyauth.Config) { c.Feed = both{c.Feed, feed} })
	text, key := s.mintAs(t, s.scheme, "mvo_", strikeplate.Live)
	verify := func() error { _, err := s.auth.Verify(t.Context(), text, client); return err }
	if err := verify(); err != nil {
		t.Fatal(err)
	}
	before := s.auth.Stats().Hashes
	steps := []struct {
		name   string
		change func()
		code   string
	}{
		{"rename", func() { s.update(t, key.ID, func(k *storage.Key) { k.Name = "other" }) }, ""},
		{"lapse", func() { s.account(t, storage.Account{Organisation: "acme", Lapsed: true}) }, "subscription_required"},
		{"renewal", func() { s.account(t, storage.Account{Organisation: "acme"}) }, ""},
		{"lost feed", func() { feed.sink().Lost(errors.New("test")) }, ""},
		{"shorter life", func() { s.update(t, key.ID, func(k *storage.Key) { k.Expires = time.Now().Add(-time.Second) }) }, "expired_api_key"},
		{"longer life", func() { s.update(t, key.ID, func(k *storage.Key) { k.Expires = time.Time{} }) }, ""},
		{"revocation", func() { s.update(t, key.ID, func(k *storage.Key) { k.Revoked = time.Now() }) }, "revoked_api_key"},
	}
	for _, step := range steps {
		step.change()
		for range 3 {
			err := verify()
			if step.code == "" && err != nil {
				t.Fatalf("after %s: %v", step.name, err)
			}
			if step.code != "" && refusal(t, err).Code != step.code {
				t.Fatalf("after %s: %v, want %s", step.name, err, step.code)
			}
		}
	}
	if after := s.auth.Stats().Hashes; after != before {
		t.Errorf("%d hashes for changes of state", after-before)
	}
}

// Regenerate: the old secret is dead at once and unknown, the new one works
// under the same key id.
func TestRegeneratedSecret(t *testing.T) {
	s := newService(t, nil)
	text, key := s.mintAs(t, s.scheme, "mvo_", strikeplate.Live)
	if _, err := s.auth.Verify(t.Context(), text, client); err != nil {
		t.Fatal(err)
	}
	fresh, err := s.scheme.Mint(t.Context(), "mvo_", strikeplate.Live)
	if err != nil {
		t.Fatal(err)
	}
	s.update(t, key.ID, func(k *storage.Key) {
		k.Lookup, k.Hash, k.Last4 = fresh.Lookup, fresh.Hash, fresh.Last4
		k.SecretVersion++
	})
	_, err = s.auth.Verify(t.Context(), text, client)
	wantCode(t, err, 401, "invalid_api_key")
	p, err := s.auth.Verify(t.Context(), fresh.Secret.Reveal(), client)
	if err != nil || p.Credential != key.ID {
		t.Fatalf("new secret: %+v, %v", p, err)
	}
}

// A key is never stronger than its owner is now; nil narrows nothing, empty
// leaves nothing.
func TestOwnerNarrowsScopes(t *testing.T) {
	s := newService(t, nil)
	text := s.mint(t, strikeplate.Live, func(k *storage.Key) {
		k.Access, k.Owner, k.Scopes = strikeplate.UserFull, "ada", []string{"a:read", "b:read"}
	})
	for _, test := range []struct{ granted, want []string }{
		{nil, []string{"a:read", "b:read"}},
		{[]string{"b:read", "c:read"}, []string{"b:read"}},
		{[]string{}, []string{}},
		{nil, []string{"a:read", "b:read"}},
	} {
		s.user(t, storage.User{ID: "ada", Organisation: "acme", Active: true, Scopes: test.granted})
		p, err := s.auth.Verify(t.Context(), text, client)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(p.Scopes, test.want) {
			t.Errorf("owner has %v: key has %v, want %v", test.granted, p.Scopes, test.want)
		}
	}
}
