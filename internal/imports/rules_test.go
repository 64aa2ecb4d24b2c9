package imports_test

import "regexp"

// Paths in these tables: "~" is this repository's root package, "~/scope" the
// package in scope/. A pattern ending in "/..." means a package and all below
// it; "*" stands for one element. The standard library is always allowed.

// A room is a part of the tree, and whom its packages may import. It binds what is
// shipped; test files may import what they need, within never and the closures.
type room struct {
	in        string
	may       []string
	strangers bool     // may import modules that are not ours
	never     []string // not even in test files
}

// same stands for the importer's own feature or backend: parent, siblings and
// what is below.
const same = "same"

// rooms: the first that matches a package rules it, so a new directory is a
// feature until a line says otherwise.
var rooms = []room{
	{in: "~"},
	{in: "~/storage", may: []string{"~"}},
	{in: "~/storage/memory/...", may: []string{"~", "~/storage", "~/internal/...", same}},
	{in: "~/storage/*/...", may: []string{"~", "~/storage", "~/internal/...", same}, strangers: true},
	{in: "~/scope/...", may: []string{"~", same}},
	{in: "~/internal/tools/...", may: []string{"~/..."}, strangers: true},      // own module
	{in: "~/internal/benchmarks/...", may: []string{"~/..."}, strangers: true}, // own module
	{in: "~/internal/browser/...", may: []string{"~/..."}, strangers: true},    // own module
	{in: "~/internal/fleet/...", may: []string{"~/..."}, strangers: true},      // own module
	{in: "~/internal/...", may: []string{"~", "~/storage", "~/scope/...", "~/internal/..."}, strangers: true},
	{in: "~/examples/...", may: []string{"~/..."}, strangers: true, never: []string{"~/internal/..."}}, // own module; what it shows must be open to everybody
	{in: "~/...", may: []string{"~", "~/storage", "~/scope/...", "~/internal/...", same}, strangers: true},
}

// A closure keeps packages to a few importers, whatever the rooms say.
type closure struct {
	what  []string
	only  []string // packages that may import it
	tests bool     // test files anywhere but in examples may too
	links bool     // and packages elsewhere may not even link it, programs apart
}

// programs wire rooms together, so they link what their rooms link.
var programs = []string{"~/examples/...", "~/internal/tools/...", "~/internal/benchmarks/...", "~/internal/fleet/...", "~/internal/withservices"}

var closures = []closure{
	{what: []string{"~/examples/..."}, only: []string{"~/examples/..."}},
	{what: []string{"~/storage/storagetest/...", "~/strikeplatetest/...", "~/internal/*mock*/..."}, tests: true},
	{what: []string{"~/internal/*test/..."}, only: []string{"~/internal/withservices"}, tests: true},
	{what: []string{"testing", "testing/..."}, only: []string{"~/storage/storagetest/...", "~/strikeplatetest/...", "~/internal/*test/...", "~/examples/internal/*test/..."}, tests: true, links: true},
	{what: []string{"github.com/golang/mock/..."}, only: []string{"~/internal/*mock*/..."}, tests: true, links: true},
	{what: []string{"github.com/open-policy-agent/..."}, only: []string{"~/policies/...", "~/internal/tools/...", "~/internal/benchmarks/..."}, links: true},
	{what: limiters, only: []string{"~/ratelimit/...", "~/internal/benchmarks/..."}, links: true},
	{what: []string{"github.com/go-jose/..."}, only: append([]string{"~/oauth/..."}, programs...), links: true},
	{
		what:  []string{"github.com/jackc/...", "github.com/lib/pq/..."},
		only:  append([]string{"~/storage/postgres/...", "~/internal/pgtest/..."}, programs...),
		tests: true, links: true,
	},
	{
		what:  []string{"modernc.org/sqlite/...", "github.com/mattn/go-sqlite3/...", "github.com/ncruces/go-sqlite3/..."},
		only:  append([]string{"~/storage/sqlite/..."}, programs...),
		tests: true, links: true,
	},
	{
		what:  []string{"github.com/redis/...", "github.com/go-redis/...", "github.com/gomodule/redigo/..."},
		only:  append([]string{"~/storage/redis/...", "~/ratelimit/redis/...", "~/internal/redistest/..."}, programs...),
		tests: true, links: true,
	},
	{
		what:  []string{"github.com/go-sql-driver/..."},
		only:  append([]string{"~/internal/mariatest/..."}, programs...),
		tests: true, links: true,
	},
}

// limiters count requests for a service. golang.org/x/time/rate, a token bucket
// without keys or a store, is not one: keyauth's throttle is built of it.
var limiters = []string{
	"github.com/ulule/limiter/...", "github.com/sethvargo/go-limiter/...", "github.com/go-chi/httprate/...",
	"github.com/throttled/throttled/...", "github.com/didip/tollbooth/...", "github.com/go-redis/redis_rate/...", "go.uber.org/ratelimit/...",
}

const unlimited = -1

// A surface is how many names a package may export, constants and methods apart.
type surface struct {
	in  string
	max int
}

var surfaces = []surface{
	{"~", 20},
	{"~/storage/storagetest", unlimited}, // a suite has a Run… for each contract
	{"~/storage/*", 6},
}

// traces are what a path of somebody's machine looks like: a home, a checkout or
// a temporary directory of one run, at the start of a path. "you" and "user" are
// names for anybody.
var traces = regexp.MustCompile(`(?:^|[\s"'` + "`" + `(=:,>])(?:file://)?(/(?:root|work)/[\w.-]+|/(?:home|Users)/[\w.-]+|[A-Z]:\\Users\\\w+|/tmp/(?:go-build|Test|tmp\.)\w+|/(?:var/folders|go/pkg/mod)/\S+)`)

// anybody are homes that a document may name, because nobody has them.
var anybody = regexp.MustCompile(`^/(?:home|Users)/(?:you|user|me|app|strikeplate)$`)
