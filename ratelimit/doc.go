// Package ratelimit says how much a caller may do: limits by plan, organisation,
// key, user, OAuth client or address, header fields that tell callers where they
// stand, and engines that count.
//
// The common case has two limiters, one on either side of authentication:
//
//	byAddress, err := ratelimit.New(ratelimit.Config{Rules: []ratelimit.Rule{
//		{Policy: ratelimit.Policy{Name: "address", Limit: 120, Period: time.Minute}, By: ratelimit.ByAddress},
//		{Policy: ratelimit.Policy{Name: "network", Limit: 6000, Period: time.Minute}, By: ratelimit.ByNetwork},
//	}})
//	...
//	plans, err := ratelimit.NewPlans(ratelimit.PlansConfig{Plans: []ratelimit.Plan{
//		{Name: "free", Policies: []ratelimit.Policy{{Name: "free", Limit: 60, Period: time.Minute}}},
//		{Name: "pro", Policies: []ratelimit.Policy{{Name: "pro", Limit: 300, Period: time.Minute}}},
//	}})
//	...
//	byPlan, err := ratelimit.New(ratelimit.Config{Plans: plans})
//	...
//	edge := strikeplate.Edge{Refusing: []func(http.Header, *http.Request, *strikeplate.Principal){byPlan.Refusing}}
//	edge.Handler(byAddress.Handler(strikeplate.Require(keys)(byPlan.Handler(mux))))
//
// The outer one refuses floods before anything is looked up, and charges only
// requests that end without a Principal. The inner one counts by plan: per
// organisation over all of its keys and tokens, live and test apart. A good key that is
// refused before it gets there, for want of a subscription, is counted by
// [Limiter.Refusing].
//
// # Which engine
//
//	                   burst around a boundary   bytes a counter    shared by a fleet
//	NewFixedWindow     up to 2 x Limit           150                package redis
//	NewSlidingLog      Limit                     150 to 2,300       package redis
//	NewGCRA            Limit, Burst at once      220                package redis
//
// The fixed window is the default: it is what clients expect of X-RateLimit-Reset,
// and the cheapest. Take one of the others where what is behind the limit can't
// stand twice as much for a moment. Engines in memory are exact, however many
// requests come at once. [Concurrency] bounds how many run at once.
//
// # What callers are told
//
// Every response, refusals included, carries X-RateLimit-Limit,
// X-RateLimit-Remaining and X-RateLimit-Reset (Unix seconds, rounded up: waiting
// until then is enough), and the fields RateLimit-Policy and RateLimit of
// draft-ietf-httpapi-ratelimit-headers-10, which list every policy where the X- fields
// tell the tightest. A 429 has Retry-After too, and names the limit. Over HTTP/1.1
// the names are sent in net/http's spelling, X-Ratelimit-Limit; names are
// case-insensitive. A reverse proxy that adds its upstream's fields to the response
// should drop them there (httputil.ReverseProxy.ModifyResponse), and
// http.TimeoutHandler should stand inside a limiter, as what it times out has no
// other fields than those set outside of it.
//
// # Security notes
//
// An engine that can't be asked is answered 503 unless Config.InsecureFailOpen.
// Guards against guessing belong into memory, which can't fail. A caller whose
// plan is unknown has the strictest one. Nothing that is counted is evicted before its
// window ends: a flood of made-up keys gives nobody a fresh quota (see
// [MemoryConfig]). A refused request consumes nothing. IPv6 is counted by /64,
// and by /48 for a second policy. Counters outside of the process are named by a
// digest, under which no two share one, and which tells nobody what is counted.
//
// Everybody behind one address shares its limit for requests without a Principal,
// and while it is spent, requests with a good key are refused there too: they
// can't be told from others before they are looked up. Choose it generously.
package ratelimit
