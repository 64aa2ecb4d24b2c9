package policies_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/policies"
	"github.com/strikeplate/strikeplate/policies/predicate"
)

func TestResourcesAreChecked(t *testing.T) {
	with := func(change func(*policies.Resource)) []policies.Resource {
		r := resources()[:1]
		change(&r[0])
		return r
	}
	column := func(name string, c policies.Column) []policies.Resource {
		return with(func(r *policies.Resource) { r.Columns[name] = c })
	}
	relation := func(c policies.Relation) []policies.Resource {
		return with(func(r *policies.Resource) { r.Relations["people"] = c })
	}
	for want, r := range map[string][]policies.Resource{
		`the name "Meetings"`:                  with(func(r *policies.Resource) { r.Name = "Meetings" }),
		`the name ""`:                          with(func(r *policies.Resource) { r.Name = "" }),
		"is no name of a table":                with(func(r *policies.Resource) { r.Table = "meetings m" }),
		`"organisation" is missing`:            with(func(r *policies.Resource) { delete(r.Columns, "organisation") }),
		`"environment" is missing`:             column("environment", policies.Column{Type: policies.Bool}),
		"can't have Columns or Relations":      with(func(r *policies.Resource) { r.Inherits = "calls" }),
		"both a column and a relation":         column("participants", policies.Column{}),
		`column "a-b": the name`:               column("a-b", policies.Column{}),
		"Type is 9":                            column("a", policies.Column{Type: 9}),
		`Constant is "x", which is no bool`:    column("a", policies.Column{Type: policies.Bool, Constant: "x"}),
		"Constant is 7, which is no integer":   column("a", policies.Column{Type: policies.Integer, Constant: 7}),
		`Constant is "a\x00"`:                  column("a", policies.Column{Constant: "a\x00"}),
		"both SQL and a Constant":              column("a", policies.Column{SQL: "b", Constant: "x"}),
		"Nondeterministic is about text":       column("a", policies.Column{Type: policies.Bool, Nondeterministic: true}),
		`SQL has "--"`:                         column("a", policies.Column{SQL: "a -- b"}),
		`SQL has "?"`:                          column("a", policies.Column{SQL: "lower(?)"}),
		`SQL has "$1"`:                         column("a", policies.Column{SQL: "lower($1)"}),
		`SQL has ";"`:                          column("a", policies.Column{SQL: "a; b"}),
		"SQL has parentheses that don't match": column("a", policies.Column{SQL: "a) OR (b"}),
		"From and Value are needed":            relation(policies.Relation{From: "p", On: "p.m = {table}.id"}),
		"each row would have the same members": relation(policies.Relation{From: "p", On: "p.m = 1", Value: "p.u"}),
		"Value can't be a column of {table}":   relation(policies.Relation{From: "p", On: "p.m = {table}.id", Value: "{table}.owner"}),
		`On has "/*"`:                          relation(policies.Relation{From: "p", On: "p.m = {table}.id /* */", Value: "p.u"}),
	} {
		if _, err := tryEngine(t, policies.Config{Resources: r}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// Live and test data may be in tables of their own, columns may be expressions,
// and members may be in an array.
func TestColumnsAndRelationsInSQL(t *testing.T) {
	r := resources()[:1]
	r[0].Columns["environment"] = policies.Column{Constant: "live"}
	r[0].Columns["owner"] = policies.Column{SQL: "{table}.owner_id::text"}
	r[0].Columns["organisation"] = policies.Column{SQL: `"Organisation"`, NotNull: true}
	r[0].Relations["participants"] = policies.Relation{From: "unnest({table}.people) AS person(id)", Value: "person.id"}
	e := engine(t, policies.Config{Resources: r})
	p := key(func(p *strikeplate.Principal) { p.Access, p.Subject = strikeplate.UserLimited, "ada" })
	f := filter(t, e, p, policies.As{Dialect: policies.PostgreSQL, Alias: "app.meetings"})
	want := `(app.meetings."Organisation" = $1::text AND app.meetings.private = FALSE AND ((app.meetings.owner_id::text) = $2::text OR EXISTS (SELECT 1 FROM unnest(app.meetings.people) AS person(id) WHERE person.id = $2::text)))`
	if diff := cmp.Diff(want, f.Where); diff != "" {
		t.Error(diff)
	}
	p = key(func(p *strikeplate.Principal) { p.Environment = strikeplate.Test })
	if f := filter(t, e, p, inPostgres); f.Where != "(1=0)" {
		t.Errorf("a test key in the table of live data: %s", f.Where)
	}
	row := meeting(nil)
	for v, fits := range map[any]bool{"live": true, "test": false, nil: false} {
		row["environment"] = v
		if _, err := e.Visible(t.Context(), p, "meetings", row); (err == nil) != fits {
			t.Errorf("environment %v in a table of live data: %v", v, err)
		}
	}
	delete(row, "environment")
	if seen, err := e.Visible(t.Context(), key(nil), "meetings", row); err != nil || !seen[0].Allowed {
		t.Errorf("a row without the constant column: %v, %v", seen, err)
	}
}

// Without a name for the table, columns stand bare, and a relation can't be asked.
func TestFilterWithoutATable(t *testing.T) {
	r := resources()[:1]
	r[0].Table = ""
	e := engine(t, policies.Config{Resources: r})
	if f := filter(t, e, key(func(p *strikeplate.Principal) { p.Access = strikeplate.Legacy }), inSQLite); f.Where != "(environment = ? COLLATE BINARY AND organisation = ? COLLATE BINARY)" {
		t.Error(f.Where)
	}
	p := key(func(p *strikeplate.Principal) { p.Access, p.Subject = strikeplate.UserFull, "ada" })
	if _, err := e.Filter(t.Context(), p, "meetings", inSQLite); err == nil || !strings.Contains(err.Error(), "needs As.Alias or Resource.Table") {
		t.Errorf("a relation without a table: %v", err)
	}
}

func TestRowsAreChecked(t *testing.T) {
	e := engine(t, policies.Config{Resources: pageResources()})
	for want, change := range map[string]func(policies.Row){
		"column owner is missing":          func(r policies.Row) { delete(r, "owner") },
		"column private is bool not null":  func(r policies.Row) { r["private"] = nil },
		"column owner is text":             func(r policies.Row) { r["owner"] = []byte("ada") },
		"relation participants is <nil>":   func(r policies.Row) { delete(r, "participants") },
		"relation participants is []inter": func(r policies.Row) { r["participants"] = []any{"ada"} },
	} {
		_, err := e.Visible(t.Context(), key(nil), "meetings", meeting(nil), meeting(change))
		if !errors.Is(err, predicate.ErrRow) || !errors.Is(err, policies.ErrUndecided) || !strings.Contains(err.Error(), "row 1") || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q of row 1", err, want)
		}
	}
}

// TestTranslationRefuses: what can't become SQL is told when policies load, with
// file, line and expression.
func TestTranslationRefuses(t *testing.T) {
	const head = "package policies.meetings\n"
	for rules, want := range map[string]string{
		`allow["x"] := "y" if lower(input.resource.owner) == "ada"`:                                                               "user.rego:2: lower(input.resource.owner): lower of a row",
		`allow["x"] := "y" if count(input.resource.participants) > 3`:                                                             "user.rego:2: count(input.resource.participants) > 3: count of a row",
		`allow["x"] := "y" if input.resource.participants`:                                                                        "a list counts as true even when it is empty",
		`allow["x"] := "y" if not input.resource.participants`:                                                                    "a list counts as true even when it is empty",
		`allow["x"] := "y" if input.resource.participants == ["ada"]`:                                                             "can't be compared as a whole",
		`allow["x"] := "y" if { some p in input.resource.participants; p != "ada" }`:                                              "by == or in only",
		`allow["x"] := "y" if { some p in input.resource.participants; p in {"ada", "bob"}; p in input.principal.settings.team }`: "one thing can be asked of a member",
		`allow["x"] := "y" if { some i; input.resource.participants[i] == "ada"; i > 0 }`:                                         "nothing of its position",
		`allow["x"] := "y" if input.resource.participants[0] == "ada"`:                                                            "have no order",
		`allow["x"] := "y" if every p in input.resource.participants { p in {"ada"} }`:                                            "every over the row's own lists",
		`allow["x"] := "y" if input.resource.owner in {p | some p in input.resource.participants; p != "ada"}`:                    "a comprehension over a row",
		`allow["x"] := "y" if startswith(input.resource.owner, input.principal.organisation)`:                                     "startswith of a row",
		`allow["x"] := "y" if { s := sprintf("%v", [input.resource.owner]); s == "ada" }`:                                         "of a row can't become SQL",
		`deny["x"] := "y" if kind == "other"` + "\n" + `kind := "own" if input.resource.owner == "ada" else := "other"`:           "helper with else",
		`deny["x"] := "y" if not own` + "\n" + `default own := false` + "\n" + `own if input.resource.owner == "ada"`:             "a helper with a default",
		`deny["x"] := "y" if own with input.resource.owner as "ada"` + "\n" + `own if input.resource.owner == "ada"`:              "with can't become SQL",
		`mask["x"] := ["title"] if upper(input.resource.title) == "A"`:                                                            "upper of a row",
		`allow["x"] := "y" if input.resource[input.principal.plan] == true`:                                                       "must be named by a literal string",
		`allow["x"] := "y" if { some p in input.resource.participants; some q in input.resource.participants; p == q }`:           "",
		`allow["x"] := "y" if object.get(input.resource, "owner", "") == "ada"`:                                                   "object.get of a row",
		`allow["x"] := "y" if { not startswith(input.resource.title, "x"); input.principal.access == "legacy" }`:                  "user.rego:2: not startswith(input.resource.title, \"x\"): startswith of a row",
		"# a comment\n\n" + `allow["x"] := "y" if input.resource.owner == trim(input.resource.title, " ")`:                        "user.rego:4: input.resource.owner == trim(input.resource.title, \" \"): trim of a row",
	} {
		_, err := tryEngine(t, policies.Config{Source: policies.Source{FS: files("user.rego", head+rules)}})
		if !errors.Is(err, policies.ErrSource) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "user.rego:") {
			t.Errorf("%s\ngot %v\nwant %q", rules, err, want)
		}
	}
}

// Every mistake is told at once.
func TestTranslationTellsAll(t *testing.T) {
	_, err := tryEngine(t, policies.Config{Source: policies.Source{FS: files("user.rego", `package policies.meetings
allow["x"] := "y" if lower(input.resource.owner) == "ada"
deny["x2"] := "y" if upper(input.resource.owner) == "ADA"`)}})
	for _, want := range []string{"user.rego:2: lower", "user.rego:3: upper"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
