// Package fleet starts several example servers with the PostgreSQL and the Redis that
// they share, breaks parts of that one after the other under load, and checks from
// outside what clients were promised. It is all tests:
//
//	go test -count=1 -v .                     # the short list of faults, about a minute after building
//	go test -count=1 -v -timeout 20m . -full  # every fault, and builds that are broken on purpose
//	go test -count=1 -v -timeout 20m -run Soak . -soak 10m
//
// Every instance reaches PostgreSQL and Redis through proxies of its own
// (toxiproxy), so that one can be cut off, slowed down or kept waiting while the
// others go on. Everything listens on the loopback interface.
//
// # What is checked
//
// A client asks all instances all the time, and remembers what was acknowledged:
//
//   - a revoked key is refused at once by the instance that revoked it, and
//     elsewhere for every request that is sent more than two seconds later;
//   - a good key is never answered 401;
//   - a key with a wrong secret never passes;
//   - no request passes that its limit didn't count, nor more than the limit;
//   - what was acknowledged is there after the fault, and is in the audit log once;
//   - usage in the database is what was answered, but for the last moment of
//     instances that were killed.
//
// One line is printed for each, with the figure that was measured. What must make
// the checks fail is in broken_test.go: builds whose cache ignores the feed, whose
// fills bring revoked keys back, and whose limiter lets everything pass while Redis
// is down.
package fleet
