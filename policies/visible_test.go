package policies_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/policies"
)

const masking = `package policies.meetings

mask["outline"] := ["title", "participants"] if {
	input.principal.access == "org-limited"
	input.resource.private == true
}

mask["owner"] := ["owner", "title"] if {
	input.principal.access == "org-limited"
	input.resource.private == true
	input.resource.owner == "ada"
}

# A mask that would hold for everything, walls or not.
mask["all"] := ["title"] if true

deny["secret"] := "it is about project Bluebird" if input.resource.title == "Bluebird"
`

func TestVisible(t *testing.T) {
	e := user(t, masking)
	limited := key(func(p *strikeplate.Principal) { p.Access = strikeplate.OrganisationLimited })
	rows := []policies.Row{
		meeting(nil),
		meeting(private),
		meeting(func(r policies.Row) { r["private"], r["owner"] = true, "bob" }),
		meeting(func(r policies.Row) { r["organisation"] = "other" }),
		meeting(func(r policies.Row) { r["environment"] = "test" }),
		meeting(func(r policies.Row) { r["title"] = "Bluebird" }),
		meeting(func(r policies.Row) { r["organisation"] = nil }),
	}
	got, err := e.Visible(context.Background(), limited, "meetings", rows...)
	if err != nil {
		t.Fatal(err)
	}
	type brief struct {
		Allowed      bool
		Rule, Reason string
		Hidden       []string
	}
	want := []brief{
		{true, "meetings.org-limited", "the meeting is not private", nil},
		{false, "meetings.private", "the meeting is private, and the credential's level excludes private ones", []string{"owner", "participants", "title"}},
		{false, "meetings.private", "the meeting is private, and the credential's level excludes private ones", []string{"participants", "title"}},
		{false, "resource.tenant", "it does not belong to the credential's organisation", nil},
		{false, "resource.environment", "it does not belong to the credential's environment", nil},
		{false, "policies.meetings.secret", "a policy of this service denies it", []string{"title"}},
		{false, "resource.tenant", "it does not belong to the credential's organisation", nil},
	}
	brieflyOf := func(ds []policies.Decision) (all []brief) {
		for _, d := range ds {
			all = append(all, brief{d.Allowed, d.Rule, d.Reason, d.Hidden})
		}
		return all
	}
	if diff := cmp.Diff(want, brieflyOf(got)); diff != "" {
		t.Error(diff)
	}
	byRego, err := policies.ByRego(context.Background(), e, limited, "meetings", rows...)
	if diff := cmp.Diff(want, brieflyOf(byRego)); err != nil || diff != "" {
		t.Error("by Rego:", err, diff)
	}
	for i, row := range rows { // and one by one
		one, err := e.Visible(context.Background(), limited, "meetings", row)
		if diff := cmp.Diff(want[i:i+1], brieflyOf(one)); err != nil || diff != "" {
			t.Error("alone:", err, diff)
		}
	}
	if ds, err := e.Visible(context.Background(), limited, "meetings"); err != nil || len(ds) != 0 {
		t.Errorf("no rows: %v, %v", ds, err)
	}
}

func TestVisibleFails(t *testing.T) {
	e := engine(t, policies.Config{})
	missing := meeting(func(r policies.Row) { delete(r, "private") })
	for name, c := range map[string]struct {
		p        *strikeplate.Principal
		resource string
		row      policies.Row
		want     string
	}{
		"nobody":              {nil, "meetings", meeting(nil), "no principal"},
		"an unknown resource": {key(nil), "houses", meeting(nil), `no such resource is registered: "houses"`},
		"an entry":            {key(nil), "scopes", meeting(nil), `no such resource is registered: "scopes"`},
		"a missing column":    {key(nil), "meetings", missing, "private"},
		"a wrong type":        {key(nil), "meetings", meeting(func(r policies.Row) { r["private"] = "no" }), "private"},
	} {
		ds, err := e.Visible(context.Background(), c.p, c.resource, meeting(nil), c.row)
		if err == nil || ds != nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, %v", name, ds, err)
		}
	}
	if _, err := e.Visible(context.Background(), key(nil), "meetings", missing); !errors.Is(err, policies.ErrUndecided) {
		t.Errorf("got %v", err)
	}
}

// What inherits is seen as its parent is, and its own rules can deny more. Masks
// of the parent hide the parent's columns, so they list nothing of the heir.
func TestInheritance(t *testing.T) {
	e := engine(t, policies.Config{Source: policies.Source{FS: files(
		"meetings.rego", masking,
		"transcripts.rego", "package policies.transcripts\ndeny[\"plan\"] := \"transcripts come with the plan pro\" if input.principal.plan != \"pro\"\n",
	)}})
	ctx := context.Background()
	limited := key(func(p *strikeplate.Principal) { p.Access = strikeplate.OrganisationLimited })
	ds, err := e.Visible(ctx, limited, "transcripts", meeting(nil), meeting(private), meeting(func(r policies.Row) { r["organisation"] = "other" }), meeting(func(r policies.Row) { r["title"] = "Bluebird" }))
	var rules []string
	for _, d := range ds {
		if d.Hidden != nil {
			t.Errorf("masked: %+v", d)
		}
		rules = append(rules, d.Rule)
	}
	if want := []string{"meetings.org-limited", "meetings.private", "resource.tenant", "policies.meetings.secret"}; err != nil || !slices.Equal(rules, want) {
		t.Errorf("%v, %v", rules, err)
	}
	poor := key(func(p *strikeplate.Principal) { p.Plan = "free" })
	ds, err = e.Visible(ctx, poor, "transcripts", meeting(nil))
	if err != nil || ds[0].Allowed || ds[0].Rule != "policies.transcripts.plan" {
		t.Errorf("%+v, %v", ds, err)
	}
	if ds, err = e.Visible(ctx, poor, "meetings", meeting(nil)); err != nil || !ds[0].Allowed {
		t.Errorf("the parent: %+v, %v", ds, err)
	}
}

// A team's own resource needs rules of its own: without any, nothing is seen.
func TestOwnResource(t *testing.T) {
	deals := policies.Resource{Name: "deals", Columns: map[string]policies.Column{
		"organisation": {}, "environment": {Constant: "live"}, "stage": {}, "amount": {Type: policies.Integer},
	}}
	row := policies.Row{"organisation": "acme", "stage": "open", "amount": 100}
	e := engine(t, policies.Config{Resources: []policies.Resource{deals}})
	ds, err := e.Visible(context.Background(), key(nil), "deals", row)
	if err != nil || ds[0].Allowed || ds[0].Rule != "deals.default" {
		t.Errorf("without rules: %+v, %v", ds, err)
	}
	e = engine(t, policies.Config{Resources: []policies.Resource{deals}, Source: policies.Source{FS: files(
		"deals.rego", "package policies.deals\nallow[\"small\"] := \"it is small\" if input.resource.amount < 1000\ndeny[\"closed\"] := \"it is closed\" if input.resource.stage == \"closed\"",
	)}})
	big := policies.Row{"organisation": "acme", "stage": "open", "amount": 1000}
	shut := policies.Row{"organisation": "acme", "stage": "closed", "amount": 1}
	foreign := policies.Row{"organisation": "other", "stage": "open", "amount": 1}
	ds, err = e.Visible(context.Background(), key(nil), "deals", row, big, shut, foreign)
	if err != nil || !ds[0].Allowed || ds[1].Allowed || ds[2].Rule != "policies.deals.closed" || ds[3].Rule != "resource.tenant" {
		t.Errorf("%+v, %v", ds, err)
	}
}
