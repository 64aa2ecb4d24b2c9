// Package usage counts what each credential does: requests by route and status,
// latency, addresses, when it was last used, and what was refused.
//
//	counter, err := usage.New(usage.Config{Store: store})
//	...
//	defer counter.Close(ctx) // after the server's Shutdown
//	edge := strikeplate.Edge{Done: []func(*strikeplate.Exchange){counter.Observe}}
//	handler := edge.Handler(counter.Browsers(strikeplate.Require(keys)(mux)))
//
// Observe only adds to counters in memory. A goroutine hands them to the store
// every few seconds, in batches that never count twice, and Close hands over the
// rest. A process that is killed loses what it counted since its last batch.
//
// A [Counter] answers the questions of a usage page, tells package manage when
// keys were last used and package operate's sweep what is known for certain, and
// raises an alarm when a key does much more than it used to, or something new.
// Packages usage/prometheus and usage/otel, modules of their own, give the same
// counts to a monitoring system.
//
// # What counts
//
// A request counts as a credential's own if the credential was proven: it has a
// Principal, or was refused with one of the codes that only the holder of the
// secret is told, which are those of a revoked or expired key, a deactivated
// owner, a lapsed account and an address outside of the allowlist. An
// [strikeplate.Authenticator] of your own must not set Error.Credential with
// these codes before it has checked the secret. All other refusals are counted
// apart, by code, and by key where one was recognised.
//
// A request counts when it is complete, so a stream when it ends. An error is a
// status of 400 or more. A request whose client left before it was
// checked is abandoned and no error; so is a status of 499. Routes are the
// patterns that are registered, never paths; what matched none is one row. OAuth
// tokens are counted by their grant.
//
// # Bounds
//
// Memory is bounded by [Config.Keys] and [Config.Rows], what is stored by package
// storage. Beyond a bound requests are added to the pattern or credential
// "(other)", and beyond that dropped; [Stats] tells both, and neither is silent
// about keys in use: [Counter.Idle] says that knowledge has a gap.
//
// # Security notes
//
// Nobody can make a key look used, or erroneous, without its secret. Names that
// callers choose, such as paths, are never kept, save the last Origin of a
// credential that was proven; it is the caller's text, so escape it. Addresses
// are personal data: [Retention.Addresses] says how long they are kept.
package usage
