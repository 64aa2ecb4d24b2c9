// Package fleet starts several example servers with the PostgreSQL and the Redis that
// they share, breaks parts of that one after the other under load, and checks from
// outside what clients were promised. It is all tests:
//
//	go test -count=1 -v .                             # the short list of faults
//	go test -count=1 -v -timeout 20m . -args -full    # make fleet: everything
//	go test -count=1 -v -timeout 30m -run Soak . -args -soak 10m
//
// Every instance reaches PostgreSQL and Redis through proxies of its own
// (toxiproxy), so that one can be cut off, slowed down or kept waiting while the
// others go on. Everything listens on the loopback interface.
//
// # What is started
//
// The example avoma, changed in three ways by go build -overlay: one organisation may
// do 20 requests in four seconds, so that a limit is spent all the time, the other one
// more than it will; and a file names the secrets of an instance, as a secrets manager
// does, so that they can be rotated. Nothing of the library is changed, but in builds
// that are broken on purpose, and in the one that a fleet is upgraded to, which has a
// further migration. What an issuer of JWTs does to a service is shown with a server of
// its own, in resource.
//
// # What is broken
//
// faults_test.go lists what happens to the fleet: processes that are killed, stopped or
// replaced, connections that are reset, slow or dead, a migration, a clock that is
// ahead, secrets that rotate, an upgrade. disk_linux_test.go has one server with SQLite
// whose disk is full: as a small file system where one can be mounted, and by
// RLIMIT_FSIZE, which makes the same writes fail with another error. issuer_test.go
// takes an issuer's keys away.
//
// # What is checked
//
// A client asks all instances all the time, and remembers what was acknowledged:
//
//   - a revoked key is refused at once by the instance that revoked it, and
//     elsewhere for every request that is sent more than two seconds later; it stays
//     refused after whatever comes then;
//   - an expired key is refused for every request that is sent after its expiry, on
//     every instance; a key expires during every fault;
//   - a good key is never answered 401;
//   - a key with a wrong secret never passes;
//   - no request passes that its limit didn't count;
//   - in any four seconds no more pass than two windows hold, in all the time no more
//     than its windows hold, over all instances. Redis keeps nothing on disk here, so a
//     window may begin anew when it was killed: the bound says how often;
//   - what was acknowledged is there after the fault, and is in the audit log once;
//   - usage in the database is what was answered, but for the last moment of
//     instances that were killed.
//
// One line is printed for each, with the figure that was measured. What must make
// the checks fail is in broken_test.go: builds whose cache ignores the feed, whose
// fills bring revoked keys back, whose limiter lets everything pass while Redis is
// down, and that don't look at the expiry. Each must violate the invariant that it
// breaks, and is reported as CAUGHT.
//
// Package model simulates such fleets at sizes that nothing starts; model_check_test.go
// holds it to what is measured here.
package fleet
