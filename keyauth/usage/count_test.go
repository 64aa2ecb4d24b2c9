package usage_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth/usage"
	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/memory"
)

// TestKinds: how one request is judged.
func TestKinds(t *testing.T) {
	k := principal("acme", "k1")
	refusal := func(code, credential string, err error) *strikeplate.Error {
		return &strikeplate.Error{Status: 401, Code: code, Credential: credential, Err: err}
	}
	own := storage.UsageKey{Organisation: "acme", Credential: "k1", Lineage: "line-k1", Environment: strikeplate.Live}
	for name, c := range map[string]struct {
		o      usage.Observation
		key    storage.UsageKey
		proven bool
		class  int
		route  string
	}{
		"success":           {usage.Observation{Principal: k, Status: 204, Pattern: "GET /"}, own, true, 2, "GET /"},
		"no route":          {usage.Observation{Principal: k, Status: 404}, own, true, 4, storage.UsageUnmatched},
		"upgraded":          {usage.Observation{Principal: k, Status: 101}, own, true, 1, storage.UsageUnmatched},
		"no status":         {usage.Observation{Principal: k}, own, true, 1, storage.UsageUnmatched},
		"strange status":    {usage.Observation{Principal: k, Status: 999}, own, true, 5, storage.UsageUnmatched},
		"499":               {usage.Observation{Principal: k, Status: 499}, own, true, 0, storage.UsageUnmatched},
		"left while asked":  {usage.Observation{Principal: k, Status: 503, Refusal: refusal("c", "", fmt.Errorf("asking: %w", context.Canceled))}, own, true, 0, storage.UsageUnmatched},
		"took too long":     {usage.Observation{Principal: k, Status: 503, Refusal: refusal("c", "", context.DeadlineExceeded)}, own, true, 5, storage.UsageUnmatched},
		"refused later":     {usage.Observation{Principal: k, Status: 403, Refusal: refusal("c", "other", nil)}, own, true, 4, storage.UsageUnmatched},
		"revoked":           {usage.Observation{Status: 401, Refusal: refusal(strikeplate.CodeRevoked, "k1", nil)}, storage.UsageKey{Credential: "k1"}, true, 4, storage.UsageUnmatched},
		"invalid with id":   {usage.Observation{Status: 401, Refusal: refusal(strikeplate.CodeInvalid, "k1", nil)}, storage.UsageKey{Credential: "k1"}, false, 4, storage.UsageUnmatched},
		"missing":           {usage.Observation{Status: 401, Refusal: refusal(strikeplate.CodeMissing, "", nil)}, storage.UsageKey{}, false, 4, storage.UsageUnmatched},
		"anonymous":         {usage.Observation{Status: 200}, storage.UsageKey{}, false, 2, storage.UsageUnmatched},
		"token":             {usage.Observation{Status: 200, Principal: &strikeplate.Principal{Kind: strikeplate.KindToken, Organisation: "acme", Credential: "t1", Lineage: "g1"}}, storage.UsageKey{Organisation: "acme", Credential: "g1", Lineage: "g1"}, true, 2, storage.UsageUnmatched},
		"no lineage":        {usage.Observation{Status: 200, Principal: &strikeplate.Principal{Organisation: "acme", Credential: "k1"}}, storage.UsageKey{Organisation: "acme", Credential: "k1", Lineage: "k1"}, true, 2, storage.UsageUnmatched},
		"no credential":     {usage.Observation{Status: 200, Principal: &strikeplate.Principal{Organisation: "acme", Lineage: "l1"}}, storage.UsageKey{Organisation: "acme", Credential: "l1", Lineage: "l1"}, true, 2, storage.UsageUnmatched},
		"nothing but a who": {usage.Observation{Status: 200, Principal: &strikeplate.Principal{Organisation: "acme"}}, storage.UsageKey{Organisation: "acme", Credential: storage.UsageOther, Lineage: storage.UsageOther}, true, 2, storage.UsageUnmatched},
	} {
		t.Run(name, func(t *testing.T) {
			key, proven := c.o.Key()
			if key != c.key || proven != c.proven || c.o.Class() != c.class || c.o.Route() != c.route {
				t.Errorf("%+v, proven %v, class %d, route %q", key, proven, c.o.Class(), c.o.Route())
			}
		})
	}
}

// TestWhatIsAdded: latency, abandoned requests, addresses, success and presence.
func TestWhatIsAdded(t *testing.T) {
	store := memory.New()
	counter := counting(t, slow(store))
	k := principal("acme", "k1")
	now := time.Now().Truncate(time.Microsecond)
	add := func(status int, elapsed time.Duration, at time.Time, client string, refusal *strikeplate.Error) {
		o := usage.Observation{Principal: k, Status: status, Elapsed: elapsed, At: at, Pattern: "GET /", Refusal: refusal}
		if client != "" {
			o.Client = netip.MustParseAddr(client)
		}
		counter.Count(o)
	}
	add(200, 5*time.Millisecond, now.Add(-4*time.Minute), "192.0.2.1", nil)
	add(200, 10*time.Millisecond, now.Add(-5*time.Minute), "::ffff:192.0.2.1", nil) // the same one
	add(500, 30*time.Millisecond, now.Add(-3*time.Minute), "192.0.2.2", nil)
	add(404, 10*time.Second, now.Add(-2*time.Minute), "", nil)
	add(503, time.Second, now.Add(-time.Minute), "192.0.2.1", &strikeplate.Error{Status: 503, Code: "c", Err: context.Canceled})
	flush(t, counter)
	s, err := counter.Series(t.Context(), lately("acme", "k1"))
	if err != nil {
		t.Fatal(err)
	}
	want(t, "counts", storage.UsageCounts{Class: [6]int64{0: 1, 2: 2, 4: 1, 5: 1}, Latency: [6]int64{0: 2, 1: 1, 5: 1}, Nanoseconds: int64(10*time.Second + 45*time.Millisecond)}, s.Total)
	if s.Total.ErrorRate() != 0.4 || s.Total.MeanLatency() != (10*time.Second+45*time.Millisecond)/4 {
		t.Errorf("error rate %v, mean latency %v", s.Total.ErrorRate(), s.Total.MeanLatency())
	}
	for part, want := range map[float64]time.Duration{0.5: 10 * time.Millisecond, 0.75: 50 * time.Millisecond} {
		if got, ok := s.Total.LatencyWithin(part); !ok || got != want {
			t.Errorf("%v of requests within %v, %v, want %v", part, got, ok, want)
		}
	}
	if _, ok := s.Total.LatencyWithin(0.99); ok {
		t.Error("99% of requests are said to be fast")
	}
	found, err := counter.Credentials(t.Context(), "acme", []string{"k1"})
	if err != nil {
		t.Fatal(err)
	}
	key := storage.UsageKey{Organisation: "acme", Credential: "k1", Lineage: "line-k1", Environment: strikeplate.Live}
	want(t, "what is known", storage.UsageSeen{UsageKey: key, First: now.Add(-5 * time.Minute), Succeeded: now.Add(-4 * time.Minute), Presented: now.Add(-time.Minute)}, atUTC(found["k1"]))
	addresses, err := counter.Addresses(t.Context(), "acme", "line-k1", "k1")
	if err != nil || len(addresses) != 2 || addresses[0].Count != 3 || addresses[1].Count != 1 {
		t.Errorf("addresses: %+v, %v", addresses, err)
	}
	refusals, err := counter.Refusals(t.Context(), lately("acme", "k1"))
	want(t, "refusals", map[string]int64{}, codes(t, refusals, err))
	if st := counter.Stats(); st.Abandoned != 1 || st.Requests != 5 {
		t.Errorf("stats: %+v", st)
	}
}

func atUTC(s storage.UsageSeen) storage.UsageSeen {
	s.First, s.Succeeded, s.Presented = s.First.Local(), s.Succeeded.Local(), s.Presented.Local()
	return s
}

// TestNoAllocations: once a key and its route were seen.
func TestNoAllocations(t *testing.T) {
	counter := counting(t, slow(memory.New()))
	all := exchanges(t, 3)
	refusals := refusedExchanges(t)
	for _, x := range append(all, refusals...) {
		counter.Observe(x)
	}
	i := 0
	if n := testing.AllocsPerRun(1000, func() { i++; counter.Observe(all[i%len(all)]) }); n != 0 {
		t.Errorf("%v allocations for a request", n)
	}
	if n := testing.AllocsPerRun(1000, func() { i++; counter.Observe(refusals[i%len(refusals)]) }); n != 0 {
		t.Errorf("%v allocations for a refusal", n)
	}
}

func refusedExchanges(tb testing.TB) []*strikeplate.Exchange {
	tb.Helper()
	var all []*strikeplate.Exchange
	edge := strikeplate.Edge{Done: []func(*strikeplate.Exchange){func(x *strikeplate.Exchange) { all = append(all, x) }}}
	for _, e := range []*strikeplate.Error{{Status: 401, Code: strikeplate.CodeInvalid}, {Status: 401, Code: strikeplate.CodeExpired, Credential: "k1"}, {Status: 429, Code: strikeplate.CodeFailures, Credential: "k1"}} {
		handler := edge.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { strikeplate.Fail(w, r, e) }))
		handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
	}
	return all
}

// TestPrincipalsMadeForEachRequest: an Authenticator may keep none of them.
func TestPrincipalsMadeForEachRequest(t *testing.T) {
	config := slow(memory.New())
	config.Keys = 16
	counter := counting(t, config)
	for range 5000 {
		counter.Count(request(principal("acme", "k1"), time.Now()))
	}
	flush(t, counter)
	want(t, "classes", [6]int64{2: 5000}, classes(t, counter, lately("acme", "k1")))
	if st := counter.Stats(); st.Others != 0 {
		t.Errorf("stats: %+v", st)
	}
}

// TestSameIDInTwoOrganisations: as another issuer's tokens may have.
func TestSameIDInTwoOrganisations(t *testing.T) {
	counter := counting(t, slow(memory.New()))
	for range 3 {
		counter.Count(request(principal("acme", "k1"), time.Now()))
	}
	counter.Count(request(principal("globex", "k1"), time.Now()))
	flush(t, counter)
	want(t, "acme", [6]int64{2: 3}, classes(t, counter, lately("acme", "k1")))
	want(t, "globex", [6]int64{2: 1}, classes(t, counter, lately("globex", "k1")))
}

// TestNothingHoldsUpTheRest: whatever is counted, the store takes the batch.
func TestNothingHoldsUpTheRest(t *testing.T) {
	counter := counting(t, slow(memory.New()))
	good := request(principal("acme", "k1"), time.Now())
	bad := strings.Repeat("\xff\x00", 500)
	for _, change := range []func(*usage.Observation, *strikeplate.Principal){
		func(o *usage.Observation, _ *strikeplate.Principal) { o.At = time.Time{} },
		func(o *usage.Observation, _ *strikeplate.Principal) { o.Elapsed = -time.Hour },
		func(o *usage.Observation, _ *strikeplate.Principal) { o.Pattern = bad },
		func(o *usage.Observation, _ *strikeplate.Principal) { o.Status = -1 },
		func(o *usage.Observation, _ *strikeplate.Principal) { o.Client = netip.MustParseAddr("fe80::1%eth0") },
		func(o *usage.Observation, _ *strikeplate.Principal) { o.Refusal = &strikeplate.Error{Status: 403} },
		func(o *usage.Observation, _ *strikeplate.Principal) {
			o.Refusal = &strikeplate.Error{Status: 403, Code: bad, Credential: bad}
		},
		func(_ *usage.Observation, p *strikeplate.Principal) { p.Organisation = bad },
		func(_ *usage.Observation, p *strikeplate.Principal) { p.Credential = bad },
		func(_ *usage.Observation, p *strikeplate.Principal) { p.Lineage = bad },
		func(_ *usage.Observation, p *strikeplate.Principal) { p.Environment = strikeplate.Environment(bad) },
		func(_ *usage.Observation, p *strikeplate.Principal) { *p = strikeplate.Principal{} },
		func(o *usage.Observation, p *strikeplate.Principal) {
			refused := *p
			refused.Lineage, refused.Environment = bad, strikeplate.Environment(bad)
			o.Refusal = &strikeplate.Error{Status: 402, Code: strikeplate.CodeLapsed, Principal: &refused}
		},
	} {
		o, p := good, *good.Principal
		o.Principal = &p
		change(&o, &p)
		counter.Count(o)
		if o.Principal = nil; o.Refusal != nil {
			counter.Count(o)
		}
	}
	flush(t, counter)
	if st := counter.Stats(); st.Stored != 14 || st.Dropped != 0 {
		t.Errorf("stats: %+v", st)
	}
}
