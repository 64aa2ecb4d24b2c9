package ratelimit_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunglas/httpsfv"
	"github.com/google/go-cmp/cmp"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/ratelimit"
	"github.com/strikeplate/strikeplate/strikeplatetest"
)

var keys = strikeplatetest.Keys{
	"acme-1": {Organisation: "acme", Environment: strikeplate.Live, Plan: "free", Lineage: "l1", Credential: "k1"},
	"acme-2": {Organisation: "acme", Environment: strikeplate.Live, Plan: "free", Lineage: "l2", Credential: "k2"},
	"test-1": {Organisation: "acme", Environment: strikeplate.Test, Plan: "free", Lineage: "l3", Credential: "k3"},
	"other":  {Organisation: "other", Environment: strikeplate.Live, Plan: "pro", Lineage: "l4", Credential: "k4"},
}

func policy(name string, limit int64, period time.Duration) ratelimit.Policy {
	return ratelimit.Policy{Name: name, Limit: limit, Period: period}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func newPlans(change ...func(*ratelimit.PlansConfig)) *ratelimit.Plans {
	c := ratelimit.PlansConfig{Plans: []ratelimit.Plan{
		{Name: "pro", Policies: []ratelimit.Policy{policy("pro", 300, time.Minute)}},
		{Name: "free", Policies: []ratelimit.Policy{policy("free", 3, time.Minute)}},
	}}
	for _, f := range change {
		f(&c)
	}
	return must(ratelimit.NewPlans(c))
}

func byAddress(limit int64) *ratelimit.Limiter {
	return must(ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{
		{Policy: policy("address", limit, time.Minute), By: ratelimit.ByAddress},
	}}))
}

func byPlan(change ...func(*ratelimit.Config)) *ratelimit.Limiter {
	c := ratelimit.Config{Plans: newPlans()}
	for _, f := range change {
		f(&c)
	}
	return must(ratelimit.New(c))
}

// service is the whole chain.
func service(outside, inside *ratelimit.Limiter, h http.Handler) http.Handler {
	return strikeplate.Edge{}.Handler(outside.Handler(strikeplate.Require(keys)(inside.Handler(h))))
}

func ask(h http.Handler, key string, change ...func(*http.Request)) *http.Response {
	r := httptest.NewRequest("GET", "/v1/meetings", nil)
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	for _, f := range change {
		f(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func from(address string) func(*http.Request) {
	return func(r *http.Request) { r.RemoteAddr = net.JoinHostPort(address, "4711") }
}

var hello = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") })

// fields are the X- fields of a response, and the error if one is wrong in form.
func fields(t testing.TB, h http.Header) (limit, remaining, reset int64) {
	t.Helper()
	for i, name := range []string{"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"} {
		values := h.Values(name)
		if len(values) != 1 {
			t.Fatalf("%s: %q, want one value", name, values)
		}
		n, err := strconv.ParseInt(values[0], 10, 64)
		if err != nil || n < 0 {
			t.Fatalf("%s: %q", name, values)
		}
		*[]*int64{&limit, &remaining, &reset}[i] = n
	}
	return limit, remaining, reset
}

type item struct {
	Name   string
	Params map[string]int64
}

// structured parses a field as a structured field's list of strings.
func structured(t testing.TB, h http.Header, name string) []item {
	t.Helper()
	list, err := httpsfv.UnmarshalList(h.Values(name))
	if err != nil {
		t.Fatalf("%s: %q: %v", name, h.Values(name), err)
	}
	var all []item
	for _, member := range list {
		i := member.(httpsfv.Item)
		parsed := item{i.Value.(string), map[string]int64{}}
		for _, key := range i.Params.Names() {
			v, _ := i.Params.Get(key)
			parsed.Params[key] = v.(int64)
		}
		all = append(all, parsed)
	}
	return all
}

func TestFieldsOfSeveralPolicies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		plans := newPlans(func(c *ratelimit.PlansConfig) {
			c.Plans = []ratelimit.Plan{{Name: "free", Policies: []ratelimit.Policy{
				policy("burst", 2, 1500*time.Millisecond), policy("sustained", 5, time.Hour),
			}}}
		})
		h := strikeplate.Require(keys)(byPlan(func(c *ratelimit.Config) { c.Plans = plans }).Handler(hello))
		quotas := []item{
			{"burst", map[string]int64{"q": 2, "w": 2}}, {"sustained", map[string]int64{"q": 5, "w": 3600}},
		}
		start := time.Now().Unix()
		for i, c := range []struct {
			wait                    time.Duration
			status                  int
			limit, remaining, reset int64
			retry                   string
			state                   []item
		}{
			{0, 200, 2, 1, 2, "", []item{{"burst", map[string]int64{"r": 1, "t": 2}}, {"sustained", map[string]int64{"r": 4, "t": 3600}}}},
			{0, 200, 2, 0, 2, "", []item{{"burst", map[string]int64{"r": 0, "t": 2}}, {"sustained", map[string]int64{"r": 3, "t": 3600}}}},
			{0, 429, 2, 0, 2, "2", []item{{"burst", map[string]int64{"r": 0, "t": 2}}, {"sustained", map[string]int64{"r": 3, "t": 3600}}}},
			{1500 * time.Millisecond, 200, 2, 1, 3, "", []item{{"burst", map[string]int64{"r": 1, "t": 2}}, {"sustained", map[string]int64{"r": 2, "t": 3599}}}},
			{3 * time.Second, 200, 5, 1, 3600, "", []item{{"burst", map[string]int64{"r": 1, "t": 2}}, {"sustained", map[string]int64{"r": 1, "t": 3596}}}},
			{0, 200, 5, 0, 3600, "", []item{{"burst", map[string]int64{"r": 0, "t": 2}}, {"sustained", map[string]int64{"r": 0, "t": 3596}}}},
			{0, 429, 5, 0, 3600, "3596", []item{{"burst", map[string]int64{"r": 0, "t": 2}}, {"sustained", map[string]int64{"r": 0, "t": 3596}}}},
		} {
			time.Sleep(c.wait) // of the bubble's clock
			resp := ask(h, "acme-1")
			limit, remaining, reset := fields(t, resp.Header)
			got := []int64{int64(resp.StatusCode), limit, remaining, reset - start}
			if diff := cmp.Diff([]int64{int64(c.status), c.limit, c.remaining, c.reset}, got); diff != "" {
				t.Errorf("request %d: status, limit, remaining, reset: %s", i, diff)
			}
			if diff := cmp.Diff(quotas, structured(t, resp.Header, "RateLimit-Policy")); diff != "" {
				t.Errorf("request %d: RateLimit-Policy: %s", i, diff)
			}
			if diff := cmp.Diff(c.state, structured(t, resp.Header, "RateLimit")); diff != "" {
				t.Errorf("request %d: RateLimit: %s", i, diff)
			}
			if got := resp.Header.Get("Retry-After"); got != c.retry {
				t.Errorf("request %d: Retry-After is %q, want %q", i, got, c.retry)
			}
		}
	})
}

// A client that waits until X-RateLimit-Reset, or for Retry-After, gets through.
func TestTrap3RetryingAtResetAndAtRetryAfterWorks(t *testing.T) {
	eachEngine(t, ratelimit.MemoryConfig{}, func(t *testing.T, e ratelimit.Engine, _ int64) {
		plans := newPlans(func(c *ratelimit.PlansConfig) {
			c.Plans = []ratelimit.Plan{{Name: "free", Policies: []ratelimit.Policy{
				policy("burst", 3, 700*time.Millisecond), policy("sustained", 20, 61*time.Second+333*time.Millisecond),
			}}}
		})
		h := strikeplate.Require(keys)(byPlan(func(c *ratelimit.Config) { c.Plans, c.Engine = plans, e }).Handler(hello))
		tries, worked := 0, 0
		for n := 0; tries < 1000; n++ {
			resp := ask(h, "acme-1")
			if resp.StatusCode == 200 {
				time.Sleep(time.Duration(n*7919%97) * time.Millisecond) // of the bubble's clock
				continue
			}
			if tries%2 == 0 {
				_, _, reset := fields(t, resp.Header)
				time.Sleep(time.Until(time.Unix(reset, 0))) // of the bubble's clock
			} else {
				s := must(strconv.Atoi(resp.Header.Get("Retry-After")))
				time.Sleep(time.Duration(s) * time.Second) // of the bubble's clock
			}
			tries++
			if ask(h, "acme-1").StatusCode == 200 {
				worked++
			}
		}
		if worked != tries {
			t.Errorf("%d of %d retries worked", worked, tries)
		}
	})
}

func TestRefusalNamesTheLimitAndWhenToRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, c := range map[string]struct {
			dialect strikeplate.Dialect
			want    string
		}{
			"problem+json": {nil, `{"type":"about:blank","title":"Too Many Requests","status":429,"detail":"Rate limit \"free\" of 3 per minute exceeded. Retry after 60 seconds.","code":"rate_limit_exceeded","request_id":"id"}`},
			"OpenAI":       {strikeplate.OpenAI, `{"error":{"message":"Rate limit \"free\" of 3 per minute exceeded. Retry after 60 seconds.","type":"rate_limit_error","code":"rate_limit_exceeded","param":null}}`},
			"params": {func(_ http.Header, e *strikeplate.Error, _ string) []byte {
				e.Params["reset"] = strconv.FormatBool(e.Params["reset"] == strconv.FormatInt(time.Now().Unix()+60, 10))
				return append(must(json.Marshal(e.Params)), '\n')
			}, `{"limit":"3","period":"60","policy":"free","reset":"true","retry_after":"60"}`},
		} {
			h := strikeplate.Edge{Dialect: c.dialect, TrustRequestID: true}.Handler(strikeplate.Require(keys)(byPlan().Handler(hello)))
			id := func(r *http.Request) { r.Header.Set("X-Request-Id", "id") }
			for range 3 {
				if got := ask(h, "acme-1", id).StatusCode; got != 200 {
					t.Fatalf("%s: %d", name, got)
				}
			}
			resp := ask(h, "acme-1", id)
			body := string(must(io.ReadAll(resp.Body)))
			if resp.StatusCode != 429 || resp.Header.Get("Retry-After") != "60" {
				t.Errorf("%s: %s, Retry-After %q", name, resp.Status, resp.Header.Get("Retry-After"))
			}
			if diff := cmp.Diff(c.want+"\n", body); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
		}
	})
}

func TestFieldsAreOnEveryResponse(t *testing.T) {
	broken := strikeplate.Edge{}
	authenticators := map[string]strikeplate.Authenticator{
		"200": keys, "401": strikeplatetest.Keys{},
		"402": refuser{402}, "403": refuser{403}, "429": refuser{429}, "503": refuser{503},
	}
	for status, a := range authenticators {
		t.Run(status, func(t *testing.T) {
			h := broken.Handler(byAddress(60).Handler(strikeplate.Require(a)(byPlan().Handler(hello))))
			resp := ask(h, "acme-1")
			if got := strconv.Itoa(resp.StatusCode); got != status {
				t.Fatalf("status %s", got)
			}
			limit, remaining, _ := fields(t, resp.Header)
			want := [2]int64{60, 59}
			if status == "200" {
				want = [2]int64{3, 2} // the plan's replace the address's
			}
			if got := [2]int64{limit, remaining}; got != want {
				t.Errorf("limit and remaining are %v, want %v", got, want)
			}
			if n := len(structured(t, resp.Header, "RateLimit")); n != 1 {
				t.Errorf("RateLimit lists %d policies", n)
			}
		})
	}
}

type refuser struct{ status int }

func (r refuser) Authenticate(*http.Request) (*strikeplate.Principal, error) {
	return nil, &strikeplate.Error{Status: r.status, Code: "refused", Message: "Refused."}
}

func TestAStackedLimiterReplacesFields(t *testing.T) {
	route := must(ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{{Policy: policy("route", 2, time.Minute), By: ratelimit.ByLineage}}}))
	foreign := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-RateLimit-Limit", "1")
		w.Header().Add("X-RateLimit-Limit", "2")
		byPlan().Handler(route.Handler(hello)).ServeHTTP(w, r)
	})
	resp := ask(strikeplate.Require(keys)(foreign), "acme-1")
	if limit, remaining, _ := fields(t, resp.Header); limit != 2 || remaining != 1 {
		t.Errorf("limit %d, remaining %d, want the innermost's 2 and 1", limit, remaining)
	}
	for _, name := range []string{"RateLimit-Policy", "RateLimit"} {
		if all := structured(t, resp.Header, name); len(all) != 1 || all[0].Name != "route" {
			t.Errorf("%s: %v", name, all)
		}
	}
}

// Charged are the requests that end without a Principal, and those alone.
func TestAddressesAreChargedForTheUnauthenticatedOnly(t *testing.T) {
	h := service(byAddress(3), byPlan(func(c *ratelimit.Config) {
		c.Plans = newPlans(func(c *ratelimit.PlansConfig) { c.Plans[1].Policies[0].Limit = 1000 })
	}), hello)
	for range 50 {
		if got := ask(h, "acme-1").StatusCode; got != 200 {
			t.Fatalf("an authenticated request: %d", got)
		}
	}
	for i := range 3 {
		resp := ask(h, "wrong")
		if _, remaining, _ := fields(t, resp.Header); resp.StatusCode != 401 || remaining != int64(2-i) {
			t.Errorf("failure %d: %d, %d remaining", i, resp.StatusCode, remaining)
		}
	}
	if got := ask(h, "wrong").StatusCode; got != 429 {
		t.Errorf("the fourth failure: %d", got)
	}
	if got := ask(h, "wrong", from("198.51.100.7")).StatusCode; got != 401 {
		t.Errorf("another address: %d", got)
	}
}

// However many unauthenticated requests come at once, the limit is what reaches
// authentication.
func TestThreat24AnUnauthenticatedFloodIsRefusedBeforeAnyLookUp(t *testing.T) {
	for range 20 {
		var looked atomic.Int64
		release := make(chan struct{})
		slow := authenticate(func(*http.Request) (*strikeplate.Principal, error) {
			looked.Add(1)
			<-release
			return nil, &strikeplate.Error{Status: 401, Code: strikeplate.CodeInvalid}
		})
		h := strikeplate.Edge{}.Handler(byAddress(10).Handler(strikeplate.Require(slow)(hello)))
		var refused atomic.Int64
		burst(func(int) {
			if ask(h, "wrong").StatusCode != 429 {
				return
			}
			if refused.Add(1) == 54 {
				close(release) // the ten that passed are all in there
			}
		})
		if looked.Load() != 10 {
			t.Fatalf("%d of 64 at once were looked up, want 10", looked.Load())
		}
	}
}

type authenticate func(*http.Request) (*strikeplate.Principal, error)

func (a authenticate) Authenticate(r *http.Request) (*strikeplate.Principal, error) { return a(r) }

// The reservation of an address ends when it is known who asks, not when the
// response does: a house full of streams doesn't lock its next one out.
func TestStreamsHoldNoReservation(t *testing.T) {
	release := make(chan struct{})
	streaming := make(chan struct{}, 8)
	h := service(byAddress(2), byPlan(func(c *ratelimit.Config) {
		c.Plans = newPlans(func(c *ratelimit.PlansConfig) { c.Plans[1].Policies[0].Limit = 1000 })
	}), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		streaming <- struct{}{}
		<-release
		fmt.Fprint(w, "done")
	}))
	done := make(chan int, 8)
	for i := range 8 {
		go func() { done <- ask(h, "acme-1").StatusCode }()
		select {
		case <-streaming:
		case got := <-done:
			t.Fatalf("stream %d: %d while the others run", i, got)
		}
	}
	close(release)
	for range 8 {
		if got := <-done; got != 200 {
			t.Errorf("a stream: %d", got)
		}
	}
}

// Without a limiter inside, the response's end gives the cost back, also after a panic.
func TestReservationsEndWithTheResponse(t *testing.T) {
	l := byAddress(2)
	h := strikeplate.Edge{}.Handler(l.Handler(strikeplate.Require(keys)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		panic(http.ErrAbortHandler)
	}))))
	for range 10 {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic was swallowed, or the request refused")
				}
			}()
			ask(h, "acme-1")
		}()
	}
}

func TestHandlerMakesAnExchangeWhereThereIsNone(t *testing.T) {
	h := byAddress(1).Handler(strikeplate.Require(keys)(hello))
	for range 5 {
		resp := ask(h, "acme-1")
		if resp.StatusCode != 200 || resp.Header.Get("X-Request-Id") == "" {
			t.Fatalf("%s, %v", resp.Status, resp.Header)
		}
	}
	if a, b := ask(h, "wrong").StatusCode, ask(h, "wrong").StatusCode; a != 401 || b != 429 {
		t.Errorf("%d, %d", a, b)
	}
}

// failing is an engine that can't be asked.
type failing struct {
	ratelimit.Engine
	err error
}

func (f failing) Take(context.Context, []ratelimit.Charge, []ratelimit.Decision) error { return f.err }

func TestAnEngineThatFails(t *testing.T) {
	down := failing{must(ratelimit.NewFixedWindow(ratelimit.MemoryConfig{})), errors.New("no connection to 10.0.0.7")}
	closed := strikeplate.Require(keys)(byPlan(func(c *ratelimit.Config) { c.Engine = down }).Handler(hello))
	resp := ask(closed, "acme-1")
	body := string(must(io.ReadAll(resp.Body)))
	if resp.StatusCode != 503 || resp.Header.Get("Retry-After") != "1" || strings.Contains(body, "10.0.0.7") {
		t.Errorf("%s, %v, %s", resp.Status, resp.Header, body)
	}
	if limit, remaining, reset := fields(t, resp.Header); limit != 3 || remaining != 0 || reset < time.Now().Unix() {
		t.Errorf("limit %d, remaining %d, reset %d", limit, remaining, reset)
	}
	open := strikeplate.Require(keys)(byPlan(func(c *ratelimit.Config) { c.Engine, c.InsecureFailOpen = down, true }).Handler(hello))
	if got := ask(open, "acme-1").StatusCode; got != 200 {
		t.Errorf("InsecureFailOpen: %d", got)
	}
	for _, own := range []error{ratelimit.ErrPolicy, ratelimit.ErrCost} { // mistakes, not failures
		down.err = own
		open := strikeplate.Require(keys)(byPlan(func(c *ratelimit.Config) { c.Engine, c.InsecureFailOpen = down, true }).Handler(hello))
		if got := ask(open, "acme-1").StatusCode; got != 503 {
			t.Errorf("InsecureFailOpen and %v: %d", own, got)
		}
	}
}

// An engine elsewhere may date what it took for its own purposes.
func TestResetIsToldFromNowWhateverTheEngineCallsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := backdating{must(ratelimit.NewFixedWindow(ratelimit.MemoryConfig{}))}
		h := strikeplate.Require(keys)(byPlan(func(c *ratelimit.Config) { c.Engine = e }).Handler(hello))
		if _, _, reset := fields(t, ask(h, "acme-1").Header); reset != time.Now().Add(time.Minute).Unix() {
			t.Errorf("X-RateLimit-Reset is %v from now, want a minute", time.Until(time.Unix(reset, 0)))
		}
	})
}

type backdating struct{ ratelimit.Engine }

func (b backdating) Take(ctx context.Context, charges []ratelimit.Charge, out []ratelimit.Decision) error {
	err := b.Engine.Take(ctx, charges, out)
	for i := range out {
		out[i].Taken = out[i].Taken.Add(-time.Hour)
	}
	return err
}

// An engine in memory asks nobody, so a guard that uses it can't be made to fail.
func TestThreat24GuardsAreInProcess(t *testing.T) {
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for _, engine := range engines {
		e := must(engine.make(ratelimit.MemoryConfig{}))
		out := make([]ratelimit.Decision, 1)
		for range engine.atOnce {
			if err := e.Take(gone, []ratelimit.Charge{charge(hundred, "a", 1)}, out); err != nil || !out[0].Allowed {
				t.Fatalf("%s: %v, %+v", engine.name, err, out[0])
			}
		}
		if err := e.Take(gone, []ratelimit.Charge{charge(hundred, "a", 1)}, out); err != nil || out[0].Allowed {
			t.Errorf("%s: a client that leaves is not counted: %v, %+v", engine.name, err, out[0])
		}
	}
}

func TestCosts(t *testing.T) {
	cost := int64(1)
	l := func() http.Handler {
		plans := newPlans(func(c *ratelimit.PlansConfig) {
			c.Cost = func(*http.Request, *strikeplate.Principal) int64 { return cost }
		})
		return strikeplate.Require(keys)(byPlan(func(c *ratelimit.Config) { c.Plans = plans }).Handler(hello))
	}()
	for _, c := range []struct {
		cost      int64
		status    int
		remaining int64
		code      string
	}{
		{0, 200, 3, ""}, {2, 200, 1, ""}, {2, 429, 1, "rate_limit_exceeded"}, {4, 403, -1, "cost_exceeds_limit"},
		{-1, 503, -1, "temporarily_unavailable"}, {1, 200, 0, ""}, {0, 200, 0, ""},
	} {
		cost = c.cost
		resp := ask(l, "acme-1")
		body := string(must(io.ReadAll(resp.Body)))
		if resp.StatusCode != c.status || !strings.Contains(body, c.code) {
			t.Errorf("cost %d: %s, %s", c.cost, resp.Status, body)
		}
		if c.remaining >= 0 {
			if _, remaining, _ := fields(t, resp.Header); remaining != c.remaining {
				t.Errorf("cost %d: %d remaining, want %d", c.cost, remaining, c.remaining)
			}
		}
		if c.status == 403 && resp.Header.Get("Retry-After") != "" {
			t.Error("what can never pass invites a retry")
		}
	}
}

func TestRefundByAHandler(t *testing.T) {
	for _, refundable := range []bool{false, true} {
		l := byPlan(func(c *ratelimit.Config) { c.Refundable = refundable })
		h := service(byAddress(9), l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for range 2 {
				if err := ratelimit.Refund(r.Context()); err != nil {
					t.Error(err)
				}
			}
			w.WriteHeader(502)
		}))
		passed := 0
		for range 10 {
			if ask(h, "acme-1").StatusCode == 502 {
				passed++
			}
		}
		if want := map[bool]int{false: 3, true: 10}[refundable]; passed != want {
			t.Errorf("Refundable %v: %d passed, want %d", refundable, passed, want)
		}
	}
	if err := ratelimit.Refund(t.Context()); err != nil {
		t.Errorf("outside of any limiter: %v", err)
	}
}

// A handler gives back what its own request cost, once, and never what an address
// was charged for.
func TestRefundGivesBackOnceAndItsOwn(t *testing.T) {
	refunding := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Refund") != "" {
			_ = ratelimit.Refund(r.Context())
			_ = ratelimit.Refund(r.Context())
		}
	})
	refund := func(r *http.Request) { r.Header.Set("Refund", "twice") }
	l := byPlan(func(c *ratelimit.Config) { c.Refundable = true })
	h := strikeplate.Require(keys)(l.Handler(refunding))
	ask(h, "acme-1")
	ask(h, "acme-1", refund)
	if _, remaining, _ := fields(t, ask(h, "acme-1").Header); remaining != 1 {
		t.Errorf("after two requests and one that was refunded %d of 3 remain, want 1", remaining)
	}
	anonymous := byAddress(1).Handler(refunding)
	if a, b := ask(anonymous, "", refund).StatusCode, ask(anonymous, "", refund).StatusCode; a != 200 || b != 429 {
		t.Errorf("anonymous requests: %d and %d, want 200 and 429", a, b)
	}
}

func TestAdministration(t *testing.T) {
	plans := newPlans()
	l := must(ratelimit.New(ratelimit.Config{Plans: plans}))
	h := strikeplate.Require(keys)(l.Handler(hello))
	for range 3 {
		ask(h, "acme-1")
	}
	charges := plans.Charges(nil, keys["acme-1"], nil)
	left := func() int64 {
		t.Helper()
		d, err := l.Peek(t.Context(), charges[0])
		if err != nil || d.Limit != 3 {
			t.Fatalf("%+v, %v", d, err)
		}
		return d.Remaining
	}
	if n := left(); n != 0 {
		t.Errorf("%d left", n)
	}
	one := charges[0]
	one.Cost = 1
	if err := l.Refund(t.Context(), one); err != nil || left() != 1 {
		t.Errorf("after a refund: %d left, %v", left(), err)
	}
	if err := l.Reset(t.Context(), charges...); err != nil || left() != 3 {
		t.Errorf("after a reset: %d left, %v", left(), err)
	}
	one.Cost = -1
	if err := l.Refund(t.Context(), one); !errors.Is(err, ratelimit.ErrCost) {
		t.Errorf("a negative refund: %v", err)
	}
}

// Over real HTTP: streams, connections that are taken over, time-outs and panics
// keep the fields, each once.
func TestFieldsOverHTTP(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/stream", func(w http.ResponseWriter, _ *http.Request) {
		for range 3 {
			fmt.Fprint(w, "data\n")
			w.(http.Flusher).Flush()
		}
	})
	mux.HandleFunc("/hijack", func(w http.ResponseWriter, _ *http.Request) {
		conn, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		resp := http.Response{StatusCode: 101, ProtoMajor: 1, ProtoMinor: 1, Header: w.Header().Clone()}
		resp.Header.Set("Upgrade", "echo")
		resp.Header.Set("Connection", "Upgrade")
		_ = resp.Write(rw)
		_ = rw.Flush()
	})
	mux.HandleFunc("/panic", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(500)
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	late := make(chan struct{})
	defer close(late)
	mux.Handle("/late", http.TimeoutHandler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-late }), time.Millisecond, "late"))
	server := httptest.NewServer(service(byAddress(60), byPlan(func(c *ratelimit.Config) {
		c.Plans = newPlans(func(c *ratelimit.PlansConfig) { c.Plans[1].Policies[0].Limit = 77 })
	}), mux))
	defer server.Close()
	for path, status := range map[string]int{"/stream": 200, "/hijack": 101, "/panic": 500, "/late": 503, "/nowhere": 404} {
		resp := overHTTP(t, server.Listener.Addr().String(), path)
		if resp.StatusCode != status {
			t.Errorf("%s: %s", path, resp.Status)
		}
		if limit, _, _ := fields(t, resp.Header); limit != 77 {
			t.Errorf("%s: limit %d", path, limit)
		}
		if len(structured(t, resp.Header, "RateLimit-Policy")) != 1 {
			t.Errorf("%s: %v", path, resp.Header)
		}
	}
}

// overHTTP reads the head of a response from the connection.
func overHTTP(t *testing.T, address, path string) *http.Response {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer acme-1\r\nConnection: close\r\n\r\n", path)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(path, err)
	}
	return resp
}

// A limiter inside of a time-out handler writes to a header of that handler's own.
func TestFieldsInsideATimeoutHandler(t *testing.T) {
	h := strikeplate.Edge{}.Handler(byAddress(60).Handler(http.TimeoutHandler(
		strikeplate.Require(keys)(byPlan().Handler(hello)), time.Minute, "late")))
	if limit, remaining, _ := fields(t, ask(h, "acme-1").Header); limit != 3 || remaining != 2 {
		t.Errorf("limit %d, remaining %d", limit, remaining)
	}
}

func TestNewRefuses(t *testing.T) {
	rule := ratelimit.Rule{Policy: policy("a", 1, time.Minute), By: ratelimit.ByAddress}
	unnamed, aimless := rule, rule
	unnamed.Policy.Name, aimless.By = "", nil
	charges := func(_ *http.Request, _ *strikeplate.Principal, out []ratelimit.Charge) []ratelimit.Charge { return out }
	gcra := must(ratelimit.NewGCRA(ratelimit.MemoryConfig{}))
	for name, c := range map[string]ratelimit.Config{
		"nothing":                      {},
		"an invalid rule":              {Rules: []ratelimit.Rule{unnamed}},
		"a rule that counts nothing":   {Rules: []ratelimit.Rule{aimless}},
		"what the engine can't honour": {Rules: []ratelimit.Rule{rule}, Engine: gcra},
		"a plan it can't honour": {Engine: gcra, Plans: newPlans(func(c *ratelimit.PlansConfig) {
			c.Plans[0].Policies = []ratelimit.Policy{rule.Policy}
		})},
		"charges without policies": {Charges: charges},
		"policies without charges": {Policies: []ratelimit.Policy{rule.Policy}, Rules: []ratelimit.Rule{rule}},
		"charges of invalid ones":  {Charges: charges, Policies: []ratelimit.Policy{unnamed.Policy}},
		"charges it can't honour":  {Charges: charges, Policies: []ratelimit.Policy{rule.Policy}, Engine: gcra},
	} {
		if _, err := ratelimit.New(c); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func TestOwnCharges(t *testing.T) {
	p := policy("workspace", 1, time.Minute)
	h := strikeplate.Require(keys)(must(ratelimit.New(ratelimit.Config{
		Charges: func(r *http.Request, _ *strikeplate.Principal, out []ratelimit.Charge) []ratelimit.Charge {
			if w := r.Header.Get("Workspace"); w != "" {
				out = append(out, ratelimit.Charge{Policy: p, Key: ratelimit.Key("workspace", w), Cost: 1})
			}
			return out
		},
		Policies: []ratelimit.Policy{p},
	})).Handler(hello))
	in := func(w string) func(*http.Request) { return func(r *http.Request) { r.Header.Set("Workspace", w) } }
	if a, b, c := ask(h, "acme-1", in("a")).StatusCode, ask(h, "acme-1", in("b")).StatusCode, ask(h, "acme-2", in("a")).StatusCode; a != 200 || b != 200 || c != 429 {
		t.Errorf("%d, %d, %d", a, b, c)
	}
	if resp := ask(h, "acme-1"); resp.StatusCode != 200 || len(resp.Header.Values("X-RateLimit-Limit")) != 0 {
		t.Errorf("where nothing applies: %s, %v", resp.Status, resp.Header)
	}
}

func TestAllocations(t *testing.T) {
	c, w := newCaller(), &discard{http.Header{}}
	h := byPlan(func(c *ratelimit.Config) {
		c.Plans = newPlans(func(c *ratelimit.PlansConfig) { c.Plans[0].Policies[0].Limit = plenty })
	}).Handler(nothing)
	n := testing.AllocsPerRun(200, func() {
		clear(w.h)
		h.ServeHTTP(w, c.request)
	})
	if t.Logf("%v allocations", n); n > 6 && !raceEnabled {
		t.Errorf("%v allocations, at most 6 are allowed", n)
	}
}

// refusingKeys knows whose each key is and refuses all the same.
type refusingKeys struct{}

func (refusingKeys) Authenticate(r *http.Request) (*strikeplate.Principal, error) {
	p, err := keys.Authenticate(r)
	if err != nil {
		return nil, err
	}
	return nil, &strikeplate.Error{Status: 402, Code: strikeplate.CodeLapsed, Message: "Renew.", Credential: p.Credential, Principal: p}
}

// 001-60: a refusal after proof tells the plan's limit, and is the plan's to count.
func TestRefusalsAfterProofTellThePlan(t *testing.T) {
	outside, inside := byAddress(2), byPlan()
	edge := strikeplate.Edge{Refusing: []func(http.Header, *http.Request, *strikeplate.Principal){inside.Refusing}}
	lapsed := edge.Handler(outside.Handler(strikeplate.Require(refusingKeys{})(inside.Handler(hello))))
	for want := range 5 { // more than the address may, and than the plan
		res := ask(lapsed, "acme-1")
		limit, remaining, _ := fields(t, res.Header)
		if res.StatusCode != 402 || limit != 3 || remaining != int64(max(0, 2-want)) {
			t.Errorf("request %d: %d with %d of %d left", want, res.StatusCode, remaining, limit)
		}
	}
	if res := ask(lapsed, "acme-2"); res.Header.Get("X-RateLimit-Remaining") != "0" {
		t.Error("the organisation's other key has a quota of its own")
	}
	if limit, remaining, _ := fields(t, ask(lapsed, "").Header); limit != 2 || remaining != 1 {
		t.Errorf("a request without a key finds %d of %d left: good keys were charged to the address", remaining, limit)
	}
}
