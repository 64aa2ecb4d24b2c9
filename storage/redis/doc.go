// Package redis lets the instances of a fleet share, in a Redis, what spares them
// work. PostgreSQL or another backend of package storage stays the truth: what is in
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
// Changes don't travel this way. The feed of storage/postgres tells every instance
// of them, and carries its own proof that it would.
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
// it makes keys be hashed again, at worst.
package redis
