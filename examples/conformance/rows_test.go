package conformance_test

import (
	_ "embed"
	"slices"
	"strings"
	"testing"
)

//go:embed rows.txt
var rowsText string

// row is a behaviour that a product's page states.
type row struct {
	id, says, reads string
	where           string // in which packages it is implemented
	people          string // why no case can show it
}

// rows are all, in the order of the pages.
func rows(t *testing.T) []row {
	t.Helper()
	var all []row
	for line := range strings.Lines(rowsText) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		parts := strings.Split(line, " | ")
		if len(parts) != 4 {
			t.Fatalf("rows.txt: %d fields in %q", len(parts), line)
		}
		r := row{id: parts[0], says: parts[1], reads: parts[2], where: parts[3]}
		if why, ok := strings.CutPrefix(r.where, "by people: "); ok {
			r.where, r.people = "", why
		}
		all = append(all, r)
	}
	return all
}

// Every row has a case, or a reason why only people can do it, and every case's
// ids are rows.
func TestEveryRowHasACase(t *testing.T) {
	covered := make(map[string][]string)
	for _, p := range products {
		for _, c := range p.cases {
			for _, id := range c.rows() {
				covered[id] = append(covered[id], p.name)
				if !strings.HasPrefix(id, p.page+"-") {
					t.Errorf("%s: a case is named %s, which is another product's row", p.name, id)
				}
			}
		}
	}
	var pages []string
	for _, p := range products {
		pages = append(pages, p.page)
	}
	known := make(map[string]bool)
	for _, r := range rows(t) {
		if known[r.id] {
			t.Errorf("%s is there twice", r.id)
		}
		known[r.id] = true
		if r.says == "" || r.where == "" && r.people == "" {
			t.Errorf("%s: a field is empty", r.id)
		}
		page, _, _ := strings.Cut(r.id, "-")
		switch cases := covered[r.id]; {
		case !slices.Contains(pages, page):
			t.Errorf("%s: page %s is no product's", r.id, page)
		case r.people == "" && len(cases) == 0:
			t.Errorf("%s has no case: %s", r.id, r.says)
		case r.people != "" && len(cases) > 0:
			t.Errorf("%s has a case, and a reason why it can have none", r.id)
		}
	}
	for id := range covered {
		if !known[id] {
			t.Errorf("a case shows %s, which is no row", id)
		}
	}
}
