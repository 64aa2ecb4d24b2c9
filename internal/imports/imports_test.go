package imports_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	module = "github.com/strikeplate/strikeplate"
	top    = "../.."
)

func TestWhoMayImportWhom(t *testing.T) {
	var graph []pkg
	for _, l := range listed(t) {
		graph = append(graph, l.pkg(t))
	}
	for _, sentence := range check(graph) {
		t.Error(sentence)
	}
}

// The loader has to see what is there, or the check above passes on nothing.
func TestTheGraphIsTheTree(t *testing.T) {
	var all []pkg
	for _, l := range listed(t) {
		all = append(all, l.pkg(t))
	}
	for from, links := range map[string]string{
		"~/storage":             "~",
		"~/keyauth":             "github.com/alexedwards/argon2id",
		"~/keyauth/manage":      "golang.org/x/crypto/argon2", // two steps away
		"~/storage/postgres":    "github.com/jackc/pgx/v5",
		"~/examples/quickstart": "~/keyauth", // another module
		"~/storage/storagetest": "testing",
	} {
		found := slices.ContainsFunc(all, func(p pkg) bool { return match(from, p.path) && slices.Contains(p.links, links) })
		if !found {
			t.Errorf("the graph has no %s that links %s", from, links)
		}
	}
}

// Each made-up package breaks one rule, and the sentence says which.
func TestWrongGraphsAreReported(t *testing.T) {
	for _, c := range []struct {
		name string
		p    pkg
		want string // a part of the sentence; none: the package is fine
	}{
		{"root is the standard library's", pkg{path: "~", imports: []string{"net/http", "golang.org/x/crypto/blake2b"}}, "~ imports golang.org/x/crypto/blake2b"},
		{"root imports no room", pkg{path: "~", imports: []string{"~/storage"}}, "~ imports ~/storage"},
		{"root's tests are free", pkg{path: "~", tests: []string{"github.com/google/go-cmp/cmp", "~/keyauth", "~/storage/memory"}}, ""},
		{"storage imports root", pkg{path: "~/storage", imports: []string{"~", "time"}}, ""},
		{"storage imports no module", pkg{path: "~/storage", imports: []string{"github.com/google/uuid"}}, "~/storage imports github.com/google/uuid"},
		{"storage imports no backend", pkg{path: "~/storage", imports: []string{"~/storage/memory"}}, "~/storage imports ~/storage/memory"},
		{"scope imports root only", pkg{path: "~/scope", imports: []string{"~/storage"}}, "~/scope imports ~/storage"},
		{"scope imports no module", pkg{path: "~/scope", imports: []string{"golang.org/x/text/cases"}}, "~/scope imports golang.org/x/text/cases"},
		{"everybody imports scope", pkg{path: "~/keyauth/manage", imports: []string{"~/scope", "~", "~/storage", "~/keyauth", "~/keyauth/usage", "~/internal/standing"}}, ""},
		{"features keep apart", pkg{path: "~/keyauth/console", imports: []string{"~/oauth/authserver"}}, "~/keyauth/console imports ~/oauth/authserver"},
		{"also the other way", pkg{path: "~/oauth", imports: []string{"~/keyauth"}}, "~/oauth imports ~/keyauth"},
		{"no prefix is a family", pkg{path: "~/keyauth", imports: []string{"~/keyauthx"}}, "~/keyauth imports ~/keyauthx"},
		{"features name no backend", pkg{path: "~/keyauth", imports: []string{"~/storage/memory"}}, "~/keyauth imports ~/storage/memory"},
		{"their tests may", pkg{path: "~/keyauth", tests: []string{"~/storage/memory", "~/storage/storagetest", "~/internal/pgtest"}}, ""},
		{"a feature nobody thought of", pkg{path: "~/webhooks/out", imports: []string{"~/policies"}}, "~/webhooks/out imports ~/policies"},
		{"its own rooms", pkg{path: "~/webhooks/out", imports: []string{"~/webhooks", "~/storage", "github.com/some/thing"}}, ""},
		{"internal is no way round", pkg{path: "~/internal/standing", imports: []string{"~/policies"}}, "~/internal/standing imports ~/policies"},
		{"backends keep apart", pkg{path: "~/storage/postgres", imports: []string{"~/storage/memory"}}, "~/storage/postgres imports ~/storage/memory"},
		{"backends import no feature", pkg{path: "~/storage/sqlite", imports: []string{"~/keyauth"}}, "~/storage/sqlite imports ~/keyauth"},
		{"a backend and its driver", pkg{path: "~/storage/postgres", imports: []string{"~/storage", "~", "github.com/jackc/pgx/v5"}, links: []string{"github.com/jackc/pgx/v5/pgconn"}}, ""},
		{"not another's driver", pkg{path: "~/storage/postgres", imports: []string{"modernc.org/sqlite"}}, "~/storage/postgres imports modernc.org/sqlite, which only ~/storage/sqlite/..."},
		{"a backend nobody thought of", pkg{path: "~/storage/mssql", imports: []string{"~/storage", "github.com/microsoft/go-mssqldb"}}, ""},
		{"MySQL's driver is for tests", pkg{path: "~/policies", imports: []string{"github.com/go-sql-driver/mysql"}}, "~/policies imports github.com/go-sql-driver/mysql, which only ~/internal/mariatest/..."},
		{"which may import it", pkg{path: "~/policies", tests: []string{"github.com/go-sql-driver/mysql", "~/internal/mariatest"}}, ""},
		{"memory has no driver", pkg{path: "~/storage/memory", imports: []string{"github.com/jackc/pgx/v5"}}, "~/storage/memory imports github.com/jackc/pgx/v5"},
		{"OPA elsewhere", pkg{path: "~/scope/rego", imports: []string{"github.com/open-policy-agent/opa/v1/rego"}}, "which only ~/policies/..."},
		{"OPA in a test elsewhere", pkg{path: "~/keyauth", tests: []string{"github.com/open-policy-agent/opa/v1/rego"}}, "~/keyauth tests import github.com/open-policy-agent/opa/v1/rego"},
		{"OPA in an example", pkg{path: "~/examples/mavio", imports: []string{"github.com/open-policy-agent/opa/v1/rego"}}, "~/examples/mavio imports github.com/open-policy-agent"},
		{"OPA linked by an example", pkg{path: "~/examples/mavio", imports: []string{"~/policies"}, links: []string{"github.com/open-policy-agent/opa/v1/rego"}}, ""},
		{"OPA at home", pkg{path: "~/policies/engine", imports: []string{"github.com/open-policy-agent/opa/v1/rego"}}, ""},
		{"keyauth links OPA", pkg{path: "~/keyauth", links: []string{"github.com/open-policy-agent/opa/v1/rego"}}, "~/keyauth links github.com/open-policy-agent"},
		{"keyauth links a driver", pkg{path: "~/keyauth/manage", links: []string{"github.com/jackc/pgx/v5/pgxpool"}}, "~/keyauth/manage links github.com/jackc/pgx/v5/pgxpool"},
		{"keyauth links Redis", pkg{path: "~/keyauth", links: []string{"github.com/redis/go-redis/v9"}}, "~/keyauth links github.com/redis/go-redis/v9"},
		{"a limiter elsewhere", pkg{path: "~/keyauth", imports: []string{"github.com/ulule/limiter/v3"}}, "~/keyauth imports github.com/ulule/limiter/v3"},
		{"a limiter at home", pkg{path: "~/ratelimit", imports: []string{"github.com/ulule/limiter/v3"}}, ""},
		{"Redis beside its engine", pkg{path: "~/ratelimit", imports: []string{"github.com/redis/go-redis/v9"}}, "~/ratelimit imports github.com/redis/go-redis/v9"},
		{"Redis in its engine", pkg{path: "~/ratelimit/redis", imports: []string{"~/ratelimit", "github.com/redis/go-redis/v9"}}, ""},
		{"JOSE elsewhere", pkg{path: "~/keyauth", links: []string{"github.com/go-jose/go-jose/v4"}}, "~/keyauth links github.com/go-jose/go-jose/v4"},
		{"JOSE at home", pkg{path: "~/oauth/authserver", imports: []string{"~/oauth", "github.com/go-jose/go-jose/v4/json"}}, ""},
		{"the suite in a service", pkg{path: "~/keyauth", imports: []string{"~/storage/storagetest"}}, "~/keyauth imports ~/storage/storagetest, which only tests may"},
		{"the suite in an example", pkg{path: "~/examples/keys", imports: []string{"~/storage/storagetest"}}, "~/examples/keys imports ~/storage/storagetest"},
		{"a harness in a service", pkg{path: "~/oauth", imports: []string{"~/internal/pgtest"}}, "~/oauth imports ~/internal/pgtest"},
		{"testing in a service", pkg{path: "~/oauth", imports: []string{"testing/fstest"}}, "~/oauth imports testing/fstest"},
		{"mocks in a service", pkg{path: "~/oauth", links: []string{"github.com/golang/mock/gomock"}}, "~/oauth links github.com/golang/mock/gomock"},
		{"mocks in tests", pkg{path: "~/oauth", tests: []string{"github.com/golang/mock/gomock", "~/internal/storagemock"}}, ""},
		{"an example's look inside", pkg{path: "~/examples/mcp", imports: []string{"~/internal/standing"}}, "~/examples/mcp imports ~/internal/standing"},
		{"also in its tests", pkg{path: "~/examples/mcp", tests: []string{"~/internal/pgtest"}}, "~/examples/mcp tests import ~/internal/pgtest"},
		{"an example's own inside", pkg{path: "~/examples/mcp", imports: []string{"~/examples/internal/demo", "~/storage/postgres"}, links: []string{"github.com/jackc/pgx/v5"}}, ""},
		{"an example in the library", pkg{path: "~/keyauth", tests: []string{"~/examples/mcp"}}, "~/keyauth tests import ~/examples/mcp"},
		{"no package of ours", pkg{path: "example.com/x"}, "example.com/x is in no room"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := check([]pkg{c.p})
			switch {
			case c.want == "" && len(got) > 0:
				t.Errorf("reported a package that breaks no rule: %q", got)
			case c.want != "" && !slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, c.want) }):
				t.Errorf("got %q, want %q among them", got, c.want)
			}
		})
	}
}

// A listing is what `go list -json` says of a package.
type listing struct {
	Dir, ImportPath, Name              string
	GoFiles, CgoFiles, IgnoredGoFiles  []string
	Imports, TestImports, XTestImports []string
	Deps                               []string
}

// listed asks the go command for every package of every module of the tree.
func listed(t *testing.T) []listing {
	t.Helper()
	var all []listing
	for _, dir := range modules(t) {
		cmd := exec.Command("go", "list", "-json=Dir,ImportPath,Name,GoFiles,CgoFiles,IgnoredGoFiles,Imports,TestImports,XTestImports,Deps", "./...")
		var out, complaints bytes.Buffer
		cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &complaints
		if err := cmd.Run(); err != nil {
			t.Fatalf("go list in %s: %v\n%s", dir, err, complaints.Bytes())
		}
		for d := json.NewDecoder(&out); ; {
			var l listing
			if err := d.Decode(&l); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			all = append(all, l)
		}
	}
	return all
}

// modules are the directories with a go.mod. Walking the tree also lets the test
// cache see what go list reads: a changed file runs these tests again.
func modules(t *testing.T) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(top, func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && slices.Contains([]string{".git", "bin", "node_modules", "testdata"}, d.Name()):
			return filepath.SkipDir
		case d.Name() == "go.mod":
			found = append(found, filepath.Dir(p))
		case filepath.Ext(p) == ".go":
			_, err = os.ReadFile(p)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// pkg writes a listing as the rules do. Imports of files that are left out here,
// those for other systems, count as well.
func (l listing) pkg(t *testing.T) pkg {
	t.Helper()
	p := pkg{path: short(l.ImportPath), imports: l.Imports, tests: slices.Concat(l.TestImports, l.XTestImports), links: l.Deps}
	for _, name := range l.IgnoredGoFiles {
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(l.Dir, name), nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range f.Imports {
			to, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasSuffix(name, "_test.go") {
				p.tests = append(p.tests, to)
			} else {
				p.imports = append(p.imports, to)
			}
		}
	}
	for _, paths := range [][]string{p.imports, p.tests, p.links} {
		for i, to := range paths {
			paths[i] = short(to)
		}
	}
	return p
}

func short(p string) string {
	if rest, ok := strings.CutPrefix(p, module); ok && (rest == "" || rest[0] == '/') {
		return "~" + rest
	}
	return p
}
