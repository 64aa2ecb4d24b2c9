package conformance_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the products' pages in docs anew")

// TestProductPages: docs/products says of each row where it is implemented and
// which case shows it. -update writes the pages.
func TestProductPages(t *testing.T) {
	for _, p := range products {
		name := filepath.Join("..", "..", "docs", "products", p.name+".md")
		want := productPage(t, p)
		if *update {
			if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(name, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		got, err := os.ReadFile(name)
		if err != nil || string(got) != want {
			t.Errorf("%s is not what rows.txt and the cases say (%v): go test ./conformance -run ProductPages -update", name, err)
		}
	}
}

var titles = map[string]string{"mavio": "Mavio", "mavio-developer": "Mavio for developers", "avoma": "Avoma", "mavera": "Mavera"}

func productPage(t *testing.T, p product) string {
	t.Helper()
	test := map[string]string{"mavio": "TestMavio", "mavio-developer": "TestMavioDeveloper", "avoma": "TestAvoma", "mavera": "TestMavera"}[p.name]
	var b strings.Builder
	fmt.Fprintf(&b, `# %s, sentence by sentence

What the product's page says, line by line, and how this repository does it. The server is [examples/%[2]s](../../examples/%[2]s); start it with

    go run -C examples ./%[2]s

The last column names the cases of [examples/conformance](../../examples/conformance), which are run over HTTP on SQLite and on PostgreSQL with Redis:

    go test -C examples ./conformance -run '%[3]s/sqlite/CASE'

This page is generated from the cases and from rows.txt: `+"`go test -C examples ./conformance -run ProductPages -update`"+` writes it.

| id | the page says | our reading | implemented in | case |
|---|---|---|---|---|
`, titles[p.name], p.name, test)
	for _, r := range rows(t) {
		if !strings.HasPrefix(r.id, p.page+"-") {
			continue
		}
		var cases []string
		for _, c := range p.cases {
			if slices.Contains(c.rows(), r.id) {
				cases = append(cases, "`"+c.ids+"`")
			}
		}
		shown := strings.Join(cases, ", ")
		if r.people != "" {
			shown = "by people: " + r.people
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", r.id, r.says, r.reads, packages(r.where), shown)
	}
	return b.String()
}

// packages makes links of a row's packages.
func packages(where string) string {
	var links []string
	for _, name := range strings.Split(where, ", ") {
		path, _, _ := strings.Cut(name, " ")
		if path == "" {
			continue
		}
		path = strings.TrimPrefix(path, "strikeplate") // the root
		links = append(links, fmt.Sprintf("[%s](../../%s)", name, path))
	}
	return strings.Join(links, ", ")
}
