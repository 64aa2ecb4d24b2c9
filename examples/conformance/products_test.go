package conformance_test

import (
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// product is one of the example servers, and what is particular to its API.
type product struct {
	name, page string // page numbers the rows
	base       string // of the API's paths
	console    string
	variable   string                // the environment variable that its snippets read
	key        string                // a demo key that works
	admin      string                // a demo user who manages keys
	list       string                // a path of the API that reads much
	code       func(a answer) string // the stable code of a refusal
	creation   map[string]any        // the least that creates a key that reads list, by the API
	form       url.Values            // likewise, by the page's form
	cases      []check
}

// check is a case: the rows that it shows, separated by commas, and how.
type check struct {
	ids string
	do  func(p *probe)
}

func (c check) rows() []string { return strings.Split(c.ids, ",") }

var products = []product{mavio, mavioDeveloper, avoma, mavera}

func codeInError(a answer) string  { return a.at("error.code") }
func codeInHeader(a answer) string { return a.header.Get("X-Error-Code") }

func TestMavio(t *testing.T)          { conforms(t, mavio) }
func TestMavioDeveloper(t *testing.T) { conforms(t, mavioDeveloper) }
func TestAvoma(t *testing.T)          { conforms(t, avoma) }
func TestMavera(t *testing.T)         { conforms(t, mavera) }

// quickstart keeps what it has in memory, has no pages and no controls.
var quickstart = product{name: "quickstart", base: "/v1", key: "demo", list: "/meetings", code: func(a answer) string { return a.at("code") }}

func TestQuickstart(t *testing.T) {
	t.Parallel()
	fresh := func(t *testing.T) *server { return start(t, quickstart) }
	shared := fresh(t)
	for _, c := range basics {
		t.Run(c.ids, func(t *testing.T) {
			c.do(&probe{T: t, server: shared, fresh: fresh})
		})
	}
}

// storages are what each suite runs on.
var storages = []struct {
	name  string
	flags func(t *testing.T) []string
}{
	{"sqlite", func(t *testing.T) []string { return []string{"-db", filepath.Join(t.TempDir(), "demo.db")} }},
	{"postgres,redis", func(t *testing.T) []string { return []string{"-db", schema(t), "-redis", service(t, redisVariable)} }},
}

const (
	postgresVariable = "STRIKEPLATE_EXAMPLES_POSTGRES"
	redisVariable    = "STRIKEPLATE_EXAMPLES_REDIS"
)

// service is the address of a server that the environment names.
func service(t *testing.T, variable string) string {
	t.Helper()
	url := os.Getenv(variable)
	switch {
	case url != "":
	case os.Getenv("STRIKEPLATE_REQUIRE_SERVICES") == "1":
		t.Fatalf("%s is not set; `make test` sets it", variable)
	default:
		t.Skipf("set %s to a URL to run this test, as `make test` does", variable)
	}
	return url
}

// conforms runs the contract of all servers, and the product's own cases.
func conforms(t *testing.T, of product) {
	t.Parallel()
	for _, storage := range storages {
		t.Run(storage.name, func(t *testing.T) {
			t.Parallel()
			fresh := func(t *testing.T) *server { return start(t, of, storage.flags(t)...) }
			shared := fresh(t)
			for _, c := range slices.Concat(basics, contract, of.cases) {
				t.Run(c.ids, func(t *testing.T) {
					c.do(&probe{T: t, server: shared, fresh: fresh})
				})
			}
		})
	}
}
