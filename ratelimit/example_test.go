package ratelimit_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/ratelimit"
)

func Example() {
	// Callers that don't authenticate, by address, before any look-up.
	byAddress, err := ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{
		{Policy: ratelimit.Policy{Name: "address", Limit: 120, Period: time.Minute}, By: ratelimit.ByAddress},
		{Policy: ratelimit.Policy{Name: "network", Limit: 6000, Period: time.Minute}, By: ratelimit.ByNetwork},
	}})
	if err != nil {
		panic(err)
	}
	// Everybody else by the plan of the organisation.
	plans, err := ratelimit.NewPlans(ratelimit.PlansConfig{Plans: []ratelimit.Plan{
		{Name: "free", Policies: []ratelimit.Policy{{Name: "free", Limit: 60, Period: time.Minute}}},
		{Name: "pro", Policies: []ratelimit.Policy{{Name: "pro", Limit: 300, Period: time.Minute}}},
	}})
	if err != nil {
		panic(err)
	}
	byPlan, err := ratelimit.New(ratelimit.Config{Plans: plans})
	if err != nil {
		panic(err)
	}
	api := http.NewServeMux()
	handler := strikeplate.Edge{}.Handler(byAddress.Handler(strikeplate.Require(keys)(byPlan.Handler(api))))

	for _, key := range []string{"other", "wrong"} {
		r := httptest.NewRequest("GET", "/v1/meetings", nil)
		r.Header.Set("Authorization", "Bearer "+key)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		fmt.Println(w.Code, w.Header().Get("RateLimit-Policy"))
		fmt.Println(w.Header().Get("X-RateLimit-Remaining"), "of", w.Header().Get("X-RateLimit-Limit"))
	}
	// Output:
	// 404 "pro";q=300;w=60
	// 299 of 300
	// 401 "address";q=120;w=60
	// 119 of 120
}

// An expected spike is accommodated for a time.
func ExampleOverrideTable() {
	engine, err := ratelimit.NewFixedWindow(ratelimit.MemoryConfig{})
	if err != nil {
		panic(err)
	}
	overrides, err := ratelimit.NewOverrideTable(engine, nil)
	if err != nil {
		panic(err)
	}
	plans, err := ratelimit.NewPlans(ratelimit.PlansConfig{Overrides: overrides, Plans: []ratelimit.Plan{
		{Name: "free", Policies: []ratelimit.Policy{{Name: "free", Limit: 60, Period: time.Minute}}},
	}})
	if err != nil {
		panic(err)
	}
	acme := &strikeplate.Principal{Organisation: "acme", Plan: "free"}
	limit := func() int64 { return plans.Charges(nil, acme, nil)[0].Policy.Limit }

	fmt.Println(limit())
	spike := ratelimit.Override{
		Organisation: "acme", Reason: "they import their archive", Until: time.Now().Add(48 * time.Hour),
		Policies: []ratelimit.Policy{{Name: "import", Limit: 5000, Period: time.Minute}},
	}
	if err := overrides.Put(spike); err != nil {
		panic(err)
	}
	fmt.Println(limit())
	overrides.Remove(spike)
	fmt.Println(limit())
	// Output:
	// 60
	// 5000
	// 60
}

// Give back what a request cost if the upstream it was meant for failed.
func ExampleRefund() {
	limiter, err := ratelimit.New(ratelimit.Config{Refundable: true, Rules: []ratelimit.Rule{
		{Policy: ratelimit.Policy{Name: "model", Limit: 10, Period: time.Hour}, By: ratelimit.ByOrganisation},
	}})
	if err != nil {
		panic(err)
	}
	upstreamFails := true
	handler := strikeplate.Require(keys)(limiter.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if upstreamFails {
			if err := ratelimit.Refund(r.Context()); err != nil {
				http.Error(w, "refund failed", http.StatusInternalServerError)
				return
			}
			w.WriteHeader(http.StatusBadGateway)
		}
	})))
	for range 2 {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", "Bearer other")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		fmt.Println(w.Code, w.Header().Get("X-RateLimit-Remaining"))
		upstreamFails = false
	}
	// Output:
	// 502 9
	// 200 9
}
