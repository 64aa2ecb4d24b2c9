// Package conformance holds the example servers to the pages of the products that
// they stand for. rows.txt has every behaviour that the pages state, each under
// the id of its line; the tests show each over HTTP, with the servers as they are
// built and started by anybody:
//
//	go test ./conformance
//	go test ./conformance -run 'TestAvoma/sqlite/002-130'
//
// They run on SQLite, and on PostgreSQL with Redis where the environment names
// them: STRIKEPLATE_EXAMPLES_POSTGRES and STRIKEPLATE_EXAMPLES_REDIS, which
// `make test` sets. Nothing of this library is imported: what a case knows, it
// knows from the pages, from the file that -credentials writes and from answers.
//
// A case has a name of ids, such as 002-130a,002-130b. The cases of a product
// share a server, and leave it as they found it; one that sets the clock forward,
// which can't be undone, starts a server of its own.
package conformance
