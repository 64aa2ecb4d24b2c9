package usage_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/keyauth/manage"
	"github.com/strikeplate/strikeplate/keyauth/operate"
	"github.com/strikeplate/strikeplate/keyauth/usage"
	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/memory"
)

// refused is an observation of a refusal before anybody was known.
func refused(status int, code, credential string, at time.Time) usage.Observation {
	return usage.Observation{Refusal: &strikeplate.Error{Status: status, Code: code, Credential: credential}, Status: status,
		Client: netip.MustParseAddr("198.51.100.7"), At: at}
}

// record stores a key, as package manage would.
func record(t testing.TB, s storage.Keys, organisation, id string, created time.Time) {
	t.Helper()
	err := s.Commit(t.Context(), storage.Mutation{Now: created,
		Put: []storage.Key{{ID: id, Lookup: "lookup-" + id, Lineage: "line-" + id, Organisation: organisation, Environment: strikeplate.Live,
			Access: strikeplate.OrganisationFull, Created: created}},
		Audit: []storage.Entry{{Organisation: organisation, Action: "key.create", Target: id, At: created}}})
	if err != nil {
		t.Fatal(err)
	}
}

// Whoever knows a key's id but not its secret changes nothing that is told of the
// key itself: not when it was used, nor how often, nor from where, nor its errors.
func TestThreat25UnprovenIdsAreCountedApart(t *testing.T) {
	store := memory.New()
	now := time.Now()
	record(t, store, "acme", "k1", now.Add(-day))
	counter := counting(t, slow(store))
	counter.Count(request(principal("acme", "k1"), now.Add(-time.Hour)))
	flush(t, counter)
	facts := func() []any {
		seen, err := counter.Credentials(t.Context(), "acme", []string{"k1"})
		if err != nil {
			t.Fatal(err)
		}
		used, err := counter.LastUsed(t.Context(), []string{"k1"})
		if err != nil {
			t.Fatal(err)
		}
		addresses, err := counter.Addresses(t.Context(), "acme", "", "k1")
		if err != nil {
			t.Fatal(err)
		}
		return []any{seen, used, addresses, classes(t, counter, lately("acme", "k1")), classes(t, counter, lately("acme", "")), endpoints(t, counter, lately("acme", "k1"))}
	}
	before := facts()
	for range 100 {
		counter.Count(refused(429, strikeplate.CodeFailures, "k1", now))
		counter.Count(refused(503, strikeplate.CodeUnavailable, "k1", now))
		counter.Count(refused(401, strikeplate.CodeInvalid, "k1", now))
		counter.Count(refused(401, strikeplate.CodeInvalid, "", now))
		counter.Count(refused(401, strikeplate.CodeExpired, "", now)) // names nobody
	}
	flush(t, counter)
	want(t, "what is told of the key", before, facts())
	all, err := counter.Refusals(t.Context(), lately("acme", "k1"))
	want(t, "refusals that name the key", map[string]int64{"too_many_failures?": 100, "temporarily_unavailable?": 100, "invalid_api_key?": 100}, codes(t, all, err))
	all, err = counter.Unrecognised(t.Context(), now.Add(-time.Hour), now.Add(time.Hour))
	want(t, "refusals that name nobody", map[string]int64{"invalid_api_key?": 100, "expired_api_key?": 100}, codes(t, all, err))
	// The holder's own count, by the record's organisation.
	counter.Count(refused(401, strikeplate.CodeRevoked, "k1", now))
	flush(t, counter)
	want(t, "the holder's own errors", [6]int64{2: 1, 4: 1}, classes(t, counter, lately("acme", "k1")))
}

// A stranger's paths and methods become nobody's rows.
func TestThreat25PathsAreNoLabels(t *testing.T) {
	s := newService(t)
	k := s.create(manage.Creation{})
	for i := range 50 {
		s.get(1, k.Secret.Reveal(), fmt.Sprintf("/%d/%%3Cscript%%3E/..%%2f%d", i, i))
		s.get(1, k.Secret.Reveal(), fmt.Sprintf("/v1/things/%d", i))
	}
	s.counted(100)
	want(t, "endpoints", map[string]int64{"GET /v1/things/{id}": 50, storage.UsageUnmatched: 50}, endpoints(t, s.counter, lately("acme", "")))
}

// However many credentials, routes, codes and addresses there are, memory and
// tables are bounded, nothing is uncounted, and it is told.
func TestThreat25TablesAreBounded(t *testing.T) {
	store := memory.New()
	config := slow(store)
	config.Keys, config.Rows = 100, 200
	counter := counting(t, config)
	flush(t, counter)
	now := time.Now()
	const n = 5000
	text := strings.Repeat("x", 1000)
	for i := range n {
		o := request(principal("acme", fmt.Sprint("k", i)), now)
		o.Client = netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
		counter.Count(o)
		o = request(principal("globex", "k1"), now)
		o.Pattern = fmt.Sprint("GET /", i)
		o.Client = netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)})
		counter.Count(o)
		counter.Count(refused(401, fmt.Sprint("code-", i), fmt.Sprint("id-", i), now))
	}
	flush(t, counter)
	if use, err := counter.Idle(t.Context(), "acme", nil); err != nil || use.CompleteSince.Before(now.Truncate(time.Microsecond)) {
		t.Errorf("complete since %v, %v, though not each key was counted singly", use.CompleteSince, err)
	}
	counter.Count(request(principal("acme", text), now)) // no store takes it
	bad := request(principal("globex", "k1"), now)
	bad.Pattern = "GET /\x00\xff"
	counter.Count(bad)
	counter.Count(refused(401, text, text, now))
	flush(t, counter)
	st := counter.Stats()
	if st.Dropped != 0 || st.Stored != 2*n+2 || st.Others == 0 {
		t.Errorf("stats: %+v", st)
	}
	want(t, "all requests by keys", [6]int64{2: n + 1}, classes(t, counter, lately("acme", "")))
	want(t, "all requests by routes", [6]int64{2: n + 1}, classes(t, counter, lately("globex", "k1")))
	routes := endpoints(t, counter, lately("globex", "k1"))
	if len(routes) > 2*200 || routes[storage.UsageOther] == 0 {
		t.Errorf("%d routes, %d requests to others", len(routes), routes[storage.UsageOther])
	}
	if others := classes(t, counter, lately("acme", storage.UsageOther))[2]; others < n-2*100 || others > n {
		t.Errorf("%d of %d requests are by others", others, n)
	}
	addresses, err := counter.Addresses(t.Context(), "globex", "line-k1", "")
	var sum int64
	for _, a := range addresses {
		sum += a.Count
	}
	if err != nil || len(addresses) > storage.MaxUsageAddresses+1 || sum != n+1 {
		t.Errorf("%d addresses with %d requests, %v", len(addresses), sum, err)
	}
}

// The sweep of idle keys, on what this package knows.
func TestThreat25IdleOnlyOnCompleteWindows(t *testing.T) {
	clock := newClock()
	store := memory.New()
	if err := store.PutAccount(t.Context(), storage.Account{Organisation: "acme"}); err != nil {
		t.Fatal(err)
	}
	config := slow(store)
	config.Now = clock.now
	config.Keep.Instances = 30 * day
	counter := counting(t, config)
	scheme, err := keyauth.NewScheme(keyauth.SchemeConfig{Formats: []keyauth.Format{{Prefix: "a_"}}, TagKeys: [][]byte{make([]byte, 32)}})
	if err != nil {
		t.Fatal(err)
	}
	service, err := operate.New(operate.Config{Scheme: scheme, Keys: store, Operator: store, Directory: store, Now: clock.now})
	if err != nil {
		t.Fatal(err)
	}
	sweep := func(what string, wantRevoked, wantUnknown int) {
		t.Helper()
		report, err := service.Sweep(t.Context(), operate.Hygiene{Idle: operate.Idle{After: 30 * day, Revoke: true, LastUsed: counter.Idle}, MaxAge: -1, Expiring: -1})
		if err != nil || report.Revoked != wantRevoked || report.Unknown != wantUnknown {
			t.Errorf("%s: %d revoked, %d unknown, %v, want %d and %d", what, report.Revoked, report.Unknown, err, wantRevoked, wantUnknown)
		}
	}
	flush(t, counter)
	for _, id := range []string{"used", "tried", "old"} {
		record(t, store, "acme", id, noon.Add(time.Minute))
	}
	clock.advance(31 * day)
	counter.Count(request(principal("acme", "used"), clock.now()))
	counter.Count(refused(403, strikeplate.CodeAddress, "tried", clock.now()))
	// Another process counted once and fell silent: it may know more.
	err = store.AddUsage(t.Context(), storage.UsageBatch{Instance: "another", Sequence: 1, Now: clock.now().Add(-time.Hour), Until: clock.now().Add(-time.Hour), Every: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	sweep("while an instance is silent", 0, 1)
	err = store.AddUsage(t.Context(), storage.UsageBatch{Instance: "another", Sequence: 2, Now: clock.now(), Until: clock.now(), Every: time.Second, Final: true, Gap: clock.now().Add(-time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	sweep("after something was dropped", 0, 1)
	record(t, store, "acme", "idle", clock.now())
	clock.advance(31 * day)
	counter.Count(request(principal("acme", "used"), clock.now()))
	counter.Count(refused(403, strikeplate.CodeAddress, "tried", clock.now()))
	counter.Count(refused(429, strikeplate.CodeFailures, "idle", clock.now())) // no use: nobody proved it
	// Of the old one it will never be known: it was there before the gap.
	sweep("when all has been known for long enough", 1, 1)
	for id, revoked := range map[string]bool{"used": false, "tried": false, "old": false, "idle": true} {
		if k, err := store.Key(t.Context(), "acme", id); err != nil || k.Revoked.IsZero() == revoked {
			t.Errorf("%s: revoked %v, %v", id, k.Revoked, err)
		}
	}
	down := slow(&failing{Usage: store, before: func(storage.UsageBatch) error { return errDown }})
	if _, err := counting(t, down).Idle(t.Context(), "acme", []string{"used"}); !errors.Is(err, errDown) {
		t.Errorf("Idle while nothing can be stored: %v", err)
	}
}

// TestFits: where the functions go.
func TestFits(*testing.T) {
	var counter *usage.Counter
	_ = manage.Config{LastUsed: counter.LastUsed}
	_ = operate.Idle{LastUsed: counter.Idle}
	_ = strikeplate.Edge{Done: []func(*strikeplate.Exchange){counter.Observe}}
}
