package usage_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth/manage"
	"github.com/strikeplate/strikeplate/storage"
)

// TestRequestsOverHTTP: what each kind of request counts as.
func TestRequestsOverHTTP(t *testing.T) {
	s := newService(t)
	live := s.create(manage.Creation{})
	sandbox := s.create(manage.Creation{Environment: strikeplate.Test})
	key := live.Secret.Reveal()
	for _, c := range []struct {
		n      int
		path   string
		status int
	}{
		{5, "/v1/things/7", 200}, {2, "/v1/missing/1", 404}, {3, "/nowhere/at/all", 404}, {1, "/v1/moved", 302},
		{2, "/v1/stream", 200}, {1, "/v1/panics", 0}, {2, "/v1/forbidden", 403}, {1, "/v1/left", 503},
	} {
		if got := s.get(c.n, key, c.path); got != c.status {
			t.Fatalf("%s: %d, want %d", c.path, got, c.status)
		}
	}
	s.upgrade(key, "/v1/hijacks")
	s.get(4, sandbox.Secret.Reveal(), "/v1/things/8")
	s.counted(5 + 2 + 3 + 1 + 2 + 1 + 2*2 + 1 + 1 + 4)

	id := live.Key.ID
	want(t, "classes of the key", [6]int64{1, 1, 7, 1, 7, 1}, classes(t, s.counter, lately("acme", id)))
	want(t, "endpoints of the key", map[string]int64{
		"GET /v1/things/{id}": 5, "GET /v1/missing/{id}": 2, storage.UsageUnmatched: 3, "GET /v1/moved": 1,
		"GET /v1/stream": 2, "GET /v1/panics": 1, "GET /v1/hijacks": 1, "GET /v1/forbidden": 2, "GET /v1/left": 1,
	}, endpoints(t, s.counter, lately("acme", id)))
	want(t, "classes of the organisation", [6]int64{1, 1, 11, 1, 7, 1}, classes(t, s.counter, lately("acme", "")))
	tests := lately("acme", "")
	tests.Environment = strikeplate.Test
	want(t, "classes in the sandbox", [6]int64{2: 4}, classes(t, s.counter, tests))
	refused, err := s.counter.Refusals(t.Context(), lately("acme", id))
	want(t, "refusals", map[string]int64{"insufficient_scope": 2}, codes(t, refused, err))
	addresses, err := s.counter.Addresses(t.Context(), "acme", live.Key.Lineage, id)
	if err != nil || len(addresses) != 1 || addresses[0].Address != netip.MustParseAddr("127.0.0.1") || addresses[0].Count != 18 {
		t.Errorf("addresses: %+v, %v", addresses, err)
	}
	page, err := s.manage.List(t.Context(), s.admin, manage.Filter{})
	s.check(err)
	for _, k := range page.Keys {
		if age := time.Since(k.LastUsed); age < 0 || age > patience {
			t.Errorf("%s was last used %v ago", k.ID, age)
		}
	}
	st := s.counter.Stats()
	if st.Requests != 22 || st.Stored != 22 || st.Pending != 0 || st.Abandoned != 1 || st.Dropped != 0 || st.Others != 0 {
		t.Errorf("stats: %+v", st)
	}
}

// TestRefusalsOverHTTP: those after the secret was proven are the key's errors,
// those before are nobody's.
func TestRefusalsOverHTTP(t *testing.T) {
	s := newService(t)
	s.putUser(storage.User{ID: "bob", Organisation: "acme", Active: true})
	good := s.create(manage.Creation{})
	fenced := s.create(manage.Creation{Allow: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	revoked := s.create(manage.Creation{})
	expired := s.create(manage.Creation{Expires: s.clock.now().Add(48 * time.Hour)})
	owned := s.create(manage.Creation{Access: strikeplate.UserFull, Owner: "bob"})
	s.get(1, good.Secret.Reveal(), "/v1/things/7")
	_, err := s.manage.Revoke(t.Context(), s.admin, revoked.Key.ID, "test")
	s.check(err)
	s.putUser(storage.User{ID: "bob", Organisation: "acme", Active: false})
	s.get(1, "", "/v1/things/7")
	s.get(2, "acme_live_nonsense", "/v1/things/7")
	s.get(3, fenced.Secret.Reveal(), "/v1/things/7")
	s.get(4, revoked.Secret.Reveal(), "/v1/things/7")
	s.get(5, owned.Secret.Reveal(), "/v1/things/7")
	s.clock.advance(72 * time.Hour)
	s.get(6, expired.Secret.Reveal(), "/v1/things/7")
	s.put(storage.Account{Organisation: "acme", Lapsed: true})
	s.get(7, good.Secret.Reveal(), "/v1/things/7")
	s.counted(1 + 1 + 2 + 2*(3+4+5+6+7))

	for _, c := range []struct {
		id   string
		n    int64
		code string
	}{{fenced.Key.ID, 3, "ip_not_allowed"}, {revoked.Key.ID, 4, "revoked_api_key"}, {owned.Key.ID, 5, "inactive_owner"}, {expired.Key.ID, 6, "expired_api_key"}, {good.Key.ID, 7, "subscription_required"}} {
		want(t, c.code+": errors of the key", c.n, classes(t, s.counter, lately("acme", c.id))[4])
		refused, err := s.counter.Refusals(t.Context(), lately("acme", c.id))
		want(t, c.code+": refusals of the key", map[string]int64{c.code: c.n}, codes(t, refused, err))
		found, err := s.counter.Credentials(t.Context(), "acme", []string{c.id})
		s.check(err)
		if seen := found[c.id]; seen.Presented.IsZero() || seen.Succeeded.IsZero() != (c.id != good.Key.ID) {
			t.Errorf("%s: succeeded %v, presented %v", c.code, seen.Succeeded, seen.Presented)
		}
	}
	want(t, "classes of the organisation", [6]int64{2: 1, 4: 25}, classes(t, s.counter, lately("acme", "")))
	now := time.Now()
	nobodys, err := s.counter.Unrecognised(t.Context(), now.Add(-time.Hour), now.Add(time.Hour))
	want(t, "refusals of nobody", map[string]int64{"missing_api_key?": 1, "invalid_api_key?": 2}, codes(t, nobodys, err))
}

// TestKeyInABrowser: it is everybody's, so the page says so.
func TestKeyInABrowser(t *testing.T) {
	s := newService(t)
	hidden, shown := s.create(manage.Creation{}), s.create(manage.Creation{})
	fenced := s.create(manage.Creation{Allow: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	s.get(3, hidden.Secret.Reveal(), "/v1/things/7")
	s.get(1, shown.Secret.Reveal(), "/v1/things/7", "Origin", "https://first.example")
	s.get(1, shown.Secret.Reveal(), "/v1/things/7", "Origin", "https://shop.example")
	s.get(2, shown.Secret.Reveal(), "/v1/things/7")
	s.get(1, fenced.Secret.Reveal(), "/v1/things/7", "Origin", "https://thief.example")
	s.get(1, "acme_live_nonsense", "/v1/things/7", "Origin", "https://noise.example")
	s.counted(3 + 4 + 2*1 + 1)
	ids := []string{hidden.Key.ID, shown.Key.ID, fenced.Key.ID}
	found, err := s.counter.Credentials(t.Context(), "acme", ids)
	s.check(err)
	for i, c := range []struct {
		n      int64
		origin string
	}{{0, ""}, {2, "https://shop.example"}, {1, "https://thief.example"}} {
		if seen := found[ids[i]]; seen.Browser != c.n || seen.Origin != c.origin || seen.BrowserAt.IsZero() != (c.n == 0) {
			t.Errorf("key %d: %+v, want %d by a browser, from %q", i, seen, c.n, c.origin)
		}
	}
}

// TestRotatedKeysShareALineage: and each has its own last use.
func TestRotatedKeysShareALineage(t *testing.T) {
	s := newService(t)
	first := s.create(manage.Creation{})
	s.get(2, first.Secret.Reveal(), "/v1/things/7")
	next, err := s.manage.Rotate(t.Context(), s.admin, first.Key.ID, time.Hour)
	s.check(err)
	s.counted(2)
	used, err := s.counter.LastUsed(t.Context(), []string{first.Key.ID, next.Key.ID})
	s.check(err)
	if _, ok := used[next.Key.ID]; ok || used[first.Key.ID].IsZero() {
		t.Errorf("before the successor was used: %v", used)
	}
	s.get(3, next.Secret.Reveal(), "/v1/things/7")
	s.counted(5)
	line := lately("acme", "")
	line.Lineage = first.Key.Lineage
	want(t, "requests of the lineage", [6]int64{2: 5}, classes(t, s.counter, line))
	want(t, "requests of the first", [6]int64{2: 2}, classes(t, s.counter, lately("acme", first.Key.ID)))
	found, err := s.counter.Lineages(t.Context(), "acme", []string{first.Key.Lineage})
	s.check(err)
	if seen := found[first.Key.Lineage]; seen.Credential != next.Key.ID {
		t.Errorf("the lineage's most recent credential is %+v, want %s", seen, next.Key.ID)
	}
}
