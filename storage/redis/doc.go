// Package redis lets the instances of a fleet share, in a Redis, what spares them
// work and time. PostgreSQL or another backend of package storage stays the truth: what is in
// Redis may be lost at any time, and is believed by nobody who can't check it.
//
// [Proofs] keeps what instances proved, so that restarting all of them doesn't hash
// every key's secret again:
//
//	client := goredis.NewClient(&goredis.Options{
//		Addr:                  "redis.internal:6379",
//		ContextTimeoutEnabled: true, // or no time-out of a call holds
//	})
//	proofs, err := redis.NewProofs(redis.Config{Client: client})
//	…
//	keys, err := keyauth.New(keyauth.Config{Scheme: scheme, Keys: store, Directory: store, Feed: store,
//		Cache: keyauth.Cache{Shared: &keyauth.Shared{Store: proofs, Secret: secret}}})
//
// Nothing is asked of Redis until a key comes that this instance didn't prove, and a
// service starts and works while Redis is down: it hashes then.
//
// [Bell] makes changes reach instances at once that can't listen to PostgreSQL,
// because it is behind a pooler that loses LISTEN, or because there are more of them
// than it should have listeners:
//
//	bell, err := redis.NewBell(redis.Config{Client: client})
//	…
//	store, err := postgres.Open(ctx, postgres.Config{URL: url, Poll: true, Bell: bell})
//
// A change itself doesn't travel this way: the bell says "look", and every instance
// reads in PostgreSQL what changed, at most forty times a second however often it
// rings, and twice a second if it never does. That reading is also the proof that a
// cache is up to date, so while Redis is down revocation takes up to half a second
// instead of milliseconds, and its bound stays what it was.
//
// # Memory
//
// A proof takes some 200 bytes and expires by itself after keyauth.Cache.Proofs.
// Redis may evict them (maxmemory-policy volatile-lru is a good choice where it
// holds nothing else; counters of ratelimit/redis want noeviction, and a Redis or at
// least a maxmemory of their own).
//
// # Security notes
//
// Names and values are digests under keys that keyauth derives from its own secret:
// see keyauth.Shared. Whoever reads Redis learns no credential, and whoever writes to
// it makes keys be hashed again and PostgreSQL be asked what changed, at worst. What
// is published to the bell is not looked at, but it is received: Redis's own
// client-output-buffer-limit for pubsub bounds how much that is.
package redis
