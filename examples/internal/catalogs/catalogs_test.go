package catalogs_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/strikeplate/strikeplate/examples/internal/catalogs"
	"github.com/strikeplate/strikeplate/scope"
)

// sentence is what a product's page says of one scope.
type sentence struct {
	id, scope string
	words     []string // of which the description must have each
}

var mavio = []sentence{
	{"000-15", "meetings:read", []string{"List", "retrieve", "meetings"}},
	{"000-16", "meetings:write", []string{"Delete", "meetings"}},
	{"000-17", "transcripts:read", []string{"Retrieve", "search", "transcripts"}},
	{"000-18", "summaries:read", []string{"Retrieve", "summaries"}},
	{"000-19", "summaries:write", []string{"again", "summaries"}},
	{"000-20", "action_items:read", []string{"List", "action items"}},
	{"000-21", "action_items:write", []string{"action item", "status", "assignee", "due date"}},
	{"000-22", "webhooks:read", []string{"List", "webhook subscriptions"}},
	{"000-23", "webhooks:write", []string{"Create", "delete", "webhook subscriptions"}},
}

var mavioDeveloper = []sentence{
	{"001-35", "meetings:read", []string{"List", "retrieve", "meetings", "transcripts", "summaries"}},
	{"001-36", "meetings:write", []string{"Create", "delete", "meetings"}},
	{"001-37", "recordings:read", []string{"Download", "recordings", "audio"}},
	{"001-38", "transcripts:read", []string{"Retrieve", "transcripts"}},
	{"001-39", "transcripts:write", []string{"Edit", "transcripts", "spoke"}},
	{"001-40", "notes:read", []string{"Read", "notes", "minutes"}},
	{"001-41", "notes:write", []string{"Create", "edit", "notes", "minutes"}},
	{"001-42", "action-items:read", []string{"List", "action items"}},
	{"001-43", "action-items:write", []string{"Create", "complete", "action items"}},
	{"001-44", "channels:read", []string{"List", "channels", "meetings"}},
	{"001-45", "channels:write", []string{"Create", "channels", "meetings", "members"}},
	{"001-46", "speakers:read", []string{"List", "speaker profiles"}},
	{"001-47", "speakers:write", []string{"Create", "manage", "speaker profiles"}},
	{"001-48", "team:read", []string{"Read", "team", "settings"}},
	{"001-49", "webhooks:manage", []string{"Create", "manage", "webhook endpoints"}},
}

// TestComplete: each page's scopes are there, all of them and no others, in the
// page's order, and described by what the page says of each.
func TestComplete(t *testing.T) {
	for name, c := range map[string]struct {
		catalog   *scope.Catalog
		sentences []sentence
		number    int
	}{
		"mavio":           {catalogs.Mavio(), mavio, 9},
		"mavio developer": {catalogs.MavioDeveloper(), mavioDeveloper, 15},
	} {
		t.Run(name, func(t *testing.T) {
			var want []string
			for _, s := range c.sentences {
				want = append(want, s.scope)
			}
			if got := c.catalog.Scopes(); !slices.Equal(got, want) || len(got) != c.number {
				t.Errorf("%d scopes, want %d:\n%q\n%q", len(got), c.number, got, want)
			}
			if len(c.catalog.Entries()) != c.number {
				t.Error("there are wildcards, which the pages don't offer")
			}
			for _, s := range c.sentences {
				t.Run(s.id, func(t *testing.T) {
					e, _ := c.catalog.Describe(s.scope)
					for _, word := range s.words {
						if !strings.Contains(strings.ToLower(e.Description), strings.ToLower(word)) {
							t.Errorf("%s: %q says nothing of %q", s.scope, e.Description, word)
						}
					}
				})
			}
		})
	}
}

// Underscores and hyphens are not the same: a scope of one product is unknown to
// the other, however similar it looks.
func TestCatalogsAreApart(t *testing.T) {
	if got := catalogs.Mavio().Unknown([]string{"action_items:read", "action-items:read"}); !slices.Equal(got, []string{"action-items:read"}) {
		t.Errorf("mavio doesn't know %q", got)
	}
	if got := catalogs.MavioDeveloper().Unknown([]string{"action_items:read", "action-items:read"}); !slices.Equal(got, []string{"action_items:read"}) {
		t.Errorf("mavio developer doesn't know %q", got)
	}
}
