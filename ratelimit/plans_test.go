package ratelimit_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/ratelimit"
)

// limitOf tells which limit binds a request, and what is counted.
func limitOf(ps *ratelimit.Plans, p *strikeplate.Principal, route string) (limit int64, key string) {
	var r *http.Request
	if route != "" {
		var method, path string
		if n, _ := fmt.Sscan(route, &method, &path); n != 2 {
			panic(route)
		}
		r = httptest.NewRequest(method, path, nil)
	}
	charges := ps.Charges(r, p, nil)
	if len(charges) == 0 {
		return 0, ""
	}
	return charges[0].Policy.Limit, charges[0].Key
}

func TestPlanLimitsCountPerOrganisationLiveAndTestApart(t *testing.T) {
	h := strikeplate.Require(keys)(byPlan().Handler(hello))
	for i, c := range []struct {
		key    string
		status int
	}{
		{"acme-1", 200}, {"acme-2", 200}, {"acme-1", 200}, {"acme-2", 429}, {"acme-1", 429}, // one quota for 25 keys
		{"test-1", 200}, {"other", 200},
	} {
		if got := ask(h, c.key).StatusCode; got != c.status {
			t.Errorf("request %d, %s: %d, want %d", i, c.key, got, c.status)
		}
	}
}

func TestUnknownPlans(t *testing.T) {
	free, burst := policy("free", 60, time.Minute), policy("burst", 900, time.Second)
	plans := []ratelimit.Plan{
		{Name: "team", Policies: []ratelimit.Policy{policy("team", 1000, time.Minute)}},
		{Name: "free", Policies: []ratelimit.Policy{burst, free}}, // its sustained policy is the tightest
		{Name: "pro", Policies: []ratelimit.Policy{policy("pro", 2, time.Second)}},
	}
	for name, c := range map[string]struct {
		fallback string
		want     int64
	}{"the strictest": {"", 900}, "as configured": {"pro", 2}} {
		ps := must(ratelimit.NewPlans(ratelimit.PlansConfig{Plans: plans, Default: c.fallback}))
		for _, plan := range []string{"", "enterprise"} {
			charges := ps.Charges(nil, &strikeplate.Principal{Organisation: "acme", Plan: plan}, nil)
			if len(charges) == 0 || charges[0].Policy.Limit != c.want {
				t.Errorf("%s: plan %q has %+v, want a limit of %d", name, plan, charges, c.want)
			}
		}
	}
	if limit, _ := limitOf(must(ratelimit.NewPlans(ratelimit.PlansConfig{Plans: plans, Default: "pro"})), &strikeplate.Principal{Plan: "team"}, ""); limit != 1000 {
		t.Errorf("a known plan has %d", limit)
	}
}

func TestNewPlansRefuses(t *testing.T) {
	one := []ratelimit.Policy{policy("a", 1, time.Minute)}
	for name, c := range map[string]ratelimit.PlansConfig{
		"no plans":                {},
		"a plan without a name":   {Plans: []ratelimit.Plan{{Policies: one}}},
		"a plan named twice":      {Plans: []ratelimit.Plan{{Name: "a", Policies: one}, {Name: "a", Policies: one}}},
		"a plan without policies": {Plans: []ratelimit.Plan{{Name: "a"}}},
		"an invalid policy":       {Plans: []ratelimit.Plan{{Name: "a", Policies: []ratelimit.Policy{{Name: "a", Limit: 1}}}}},
		"policies of one name":    {Plans: []ratelimit.Plan{{Name: "a", Policies: []ratelimit.Policy{one[0], policy("a", 2, time.Hour)}}}},
		"an unknown default":      {Plans: []ratelimit.Plan{{Name: "a", Policies: one}}, Default: "b"},
	} {
		if _, err := ratelimit.NewPlans(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func table(now func() time.Time) *ratelimit.OverrideTable {
	return must(ratelimit.NewOverrideTable(must(ratelimit.NewFixedWindow(ratelimit.MemoryConfig{})), now))
}

func override(limit int64, change func(*ratelimit.Override)) ratelimit.Override {
	o := ratelimit.Override{Organisation: "acme", Reason: "an import", Policies: []ratelimit.Policy{policy("override", limit, time.Minute)}}
	if change != nil {
		change(&o)
	}
	return o
}

func TestTheOverrideThatSaysMostBinds(t *testing.T) {
	const route = "POST /v1/meetings/{id}/summary"
	table := table(nil)
	for _, o := range []ratelimit.Override{
		override(10, func(o *ratelimit.Override) { o.Organisation, o.Route = "", "GET /v1/search" }),
		override(20, nil),
		override(21, func(o *ratelimit.Override) { o.Environment = strikeplate.Test }),
		override(30, func(o *ratelimit.Override) { o.Route = route }),
		override(31, func(o *ratelimit.Override) { o.Route = "POST /v1/meetings/best/summary" }),
		override(40, func(o *ratelimit.Override) { o.Lineage = "l2" }),
		override(50, func(o *ratelimit.Override) { o.Lineage, o.Route = "l2", route }),
	} {
		if err := table.Put(o); err != nil {
			t.Fatal(err)
		}
	}
	plans := newPlans(func(c *ratelimit.PlansConfig) { c.Overrides = table })
	for _, c := range []struct {
		key, route string
		want       int64
	}{
		{"acme-1", "", 20}, {"acme-1", "GET /v1/meetings", 20}, {"test-1", "GET /v1/meetings", 21}, {"other", "GET /v1/meetings", 300},
		{"acme-1", "POST /v1/meetings/7/summary", 30}, {"acme-1", "POST /v1/meetings/best/summary", 31}, {"acme-1", "GET /v1/meetings/7/summary", 20},
		{"acme-2", "GET /v1/meetings", 40}, {"acme-2", "POST /v1/meetings/7/summary", 50},
		{"other", "GET /v1/search", 10}, {"acme-1", "GET /v1/search", 20},
	} {
		if got, _ := limitOf(plans, keys[c.key], c.route); got != c.want {
			t.Errorf("%s, %q: limit %d, want %d", c.key, c.route, got, c.want)
		}
	}
	_, all := limitOf(plans, keys["acme-1"], "GET /v1/meetings")
	_, one := limitOf(plans, keys["acme-1"], "POST /v1/meetings/7/summary")
	_, key := limitOf(plans, keys["acme-2"], "GET /v1/meetings")
	if all == one || all == key || one == key {
		t.Error("an override's quota is not its own")
	}
}

func TestOverridesEndOnTime(t *testing.T) {
	now := time.Date(2026, 4, 1, 12, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	table := table(clock)
	plans := newPlans(func(c *ratelimit.PlansConfig) { c.Overrides, c.Now = table, clock })
	if err := table.Put(override(500, func(o *ratelimit.Override) { o.Until = now.Add(time.Hour) })); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		wait   time.Duration
		limit  int64
		listed int
	}{{0, 500, 1}, {time.Hour - 1, 500, 1}, {1, 3, 0}} {
		now = now.Add(c.wait)
		if limit, _ := limitOf(plans, keys["acme-1"], ""); limit != c.limit || len(table.List()) != c.listed {
			t.Errorf("%v: limit %d, want %d, %d listed", now, limit, c.limit, len(table.List()))
		}
	}
	if err := table.Put(override(500, func(o *ratelimit.Override) { o.Until = now })); err == nil {
		t.Error("an override that is over was accepted")
	}
}

// A source of the embedder's own may be careless: nobody becomes unlimited by it.
func TestACarelessSourceOfOverrides(t *testing.T) {
	now := time.Now()
	for name, o := range map[string]ratelimit.Override{
		"no policies": {Organisation: "acme"},
		"ended":       override(500, func(o *ratelimit.Override) { o.Until = now }),
	} {
		plans := newPlans(func(c *ratelimit.PlansConfig) { c.Overrides = always(o) })
		if limit, _ := limitOf(plans, keys["acme-1"], ""); limit != 3 {
			t.Errorf("%s: limit %d, want the plan's 3", name, limit)
		}
	}
}

type always ratelimit.Override

func (a always) Override(*http.Request, *strikeplate.Principal) (ratelimit.Override, bool) {
	return ratelimit.Override(a), true
}

func TestOverrideTable(t *testing.T) {
	table := table(nil)
	a, b := override(1, nil), override(2, func(o *ratelimit.Override) { o.Route = "GET /a" })
	for _, o := range []ratelimit.Override{a, b, a} {
		if err := table.Put(o); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]ratelimit.Override{a, b}, table.List()); diff != "" {
		t.Error(diff)
	}
	if !table.Remove(a) || table.Remove(a) || !table.Remove(b) || table.Remove(b) {
		t.Error("Remove doesn't tell whether there was one")
	}
	if n := len(table.List()); n != 0 {
		t.Errorf("%d left", n)
	}
	for name, o := range map[string]ratelimit.Override{
		"no reason":          override(1, func(o *ratelimit.Override) { o.Reason = "" }),
		"nobody":             override(1, func(o *ratelimit.Override) { o.Organisation = "" }),
		"a key of nobody":    override(1, func(o *ratelimit.Override) { o.Organisation, o.Lineage, o.Route = "", "l", "/" }),
		"no policies":        override(1, func(o *ratelimit.Override) { o.Policies = nil }),
		"an invalid policy":  override(0, nil),
		"a policy too much":  override(1, func(o *ratelimit.Override) { o.Policies[0].Burst = 1 }),
		"an invalid pattern": override(1, func(o *ratelimit.Override) { o.Route = "GET  /{" }),
	} {
		if err := table.Put(o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if err := table.Put(override(1, func(o *ratelimit.Override) { o.Route = "/a/{x}/c" })); err != nil {
		t.Fatal(err)
	}
	if err := table.Put(override(1, func(o *ratelimit.Override) { o.Route = "/a/b/{y}" })); err == nil {
		t.Error("patterns that conflict were accepted")
	}
	if n := len(table.List()); n != 1 {
		t.Errorf("%d overrides after refusals, want 1", n)
	}
}

func TestOverrideTableIsBounded(t *testing.T) {
	now := time.Now()
	table := table(func() time.Time { return now })
	put := func(i int) error {
		return table.Put(override(1, func(o *ratelimit.Override) {
			o.Organisation, o.Until = fmt.Sprint(i), now.Add(time.Hour)
		}))
	}
	for i := range ratelimit.MaxOverrides {
		if err := put(i); err != nil {
			t.Fatal(err)
		}
	}
	if err := put(-1); !errors.Is(err, ratelimit.ErrOverrides) {
		t.Errorf("one too many: %v", err)
	}
	if err := put(7); err != nil {
		t.Errorf("replacing one of a full table: %v", err)
	}
	now = now.Add(time.Hour)
	if err := put(-1); err != nil || len(table.List()) != 1 {
		t.Errorf("after the others ended: %v, %d listed", err, len(table.List()))
	}
}

// Overrides are changed while requests ask for them.
func TestOverridesChangeAtAnyTime(t *testing.T) {
	table := table(nil)
	plans := newPlans(func(c *ratelimit.PlansConfig) { c.Overrides = table })
	burst(func(i int) {
		for n := range 50 {
			o := override(int64(500+i), func(o *ratelimit.Override) { o.Route = []string{"", "GET /a"}[n%2] })
			switch i % 4 {
			case 0:
				if err := table.Put(o); err != nil {
					t.Error(err)
				}
			case 1:
				table.Remove(o)
			case 2:
				table.List()
			default:
				if limit, _ := limitOf(plans, keys["acme-1"], "GET /a"); limit != 3 && limit < 500 {
					t.Errorf("limit %d", limit)
				}
			}
		}
	})
}

func TestCostByRoute(t *testing.T) {
	cost := must(ratelimit.CostByRoute(map[string]int64{
		"POST /v1/meetings/{id}/summary": 10, "GET /v1/search": 5, "/v1/free/": 0,
	}))
	for route, want := range map[string]int64{
		"POST /v1/meetings/7/summary": 10, "GET /v1/meetings/7/summary": 1, "GET /v1/search": 5, "HEAD /v1/search": 5,
		"GET /v1/free/of/charge": 0, "GET /elsewhere": 1, "GET /v1//search": 5, // as the path it is cleaned to
	} {
		var method, path string
		fmt.Sscan(route, &method, &path)
		if got := cost(httptest.NewRequest(method, path, nil), nil); got != want {
			t.Errorf("%s costs %d, want %d", route, got, want)
		}
	}
	for name, costs := range map[string]map[string]int64{
		"a negative cost":  {"/": -1},
		"a broken pattern": {"GET {": 1},
		"a conflict":       {"/a/{x}/c": 1, "/a/b/{y}": 2},
	} {
		if _, err := ratelimit.CostByRoute(costs); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}
