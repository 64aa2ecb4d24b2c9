// Package redis counts limits in a Redis server that many instances share: the
// engines of package ratelimit, and its gate.
//
//	client := goredis.NewClient(&goredis.Options{
//		Addr:                  "redis.internal:6379",
//		ContextTimeoutEnabled: true, // or no time-out of a call holds
//	})
//	engine, err := redis.NewFixedWindow(redis.Config{Client: client, Secret: secret})
//	…
//	limiter, err := ratelimit.New(ratelimit.Config{Engine: engine, …})
//
// Nothing is asked of Redis until the first request, so a service starts while
// Redis is down. What happens then and later is up to ratelimit.NewFallback:
// behind it a Redis that is down, paused or empty costs no request more than a
// time-out. Consider ratelimit.NewDenyCache and ratelimit.NewLease as well, which
// ask Redis less often. The example puts them in order.
//
// Redis 5 or newer, alone, with replicas, or as a cluster: each script has one key.
// Time is the server's. A counter expires by itself once nothing is counted in
// it, so Redis's memory is bounded by the callers of one Period. Let Redis refuse
// what has no room (maxmemory-policy noeviction): a counter that it evicts grants a
// fresh quota.
//
// # Exactness
//
// No engine lets more through than the limit, however many instances ask at
// once, as long as Redis keeps its data. A replica that takes over may not have
// the last moment's charges, and a server that is restarted without persistence
// has none.
//
// Several charges of one request are taken one after the other, and given back if
// a later one doesn't fit. Meanwhile others see them, so a limit may let fewer
// through than it could, by the requests in flight that another limit refuses. A
// call that Redis executes and whose answer is lost stays charged.
//
// # Security notes
//
// Keys in Redis are digests under a secret ([ratelimit.Charge.Digest]): whoever
// reads Redis learns neither an address nor an organisation, and no two counters
// share a key. Whoever writes to Redis decides over limits.
package redis
