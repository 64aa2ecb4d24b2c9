// Package catalogs holds the scopes of the two products of the examples that have
// any, with what each allows. Both write "meetings:read" and mean different
// things by it, which is why a catalog belongs to a product.
//
// Neither product offers wildcards, so neither catalog declares one.
package catalogs

import "github.com/strikeplate/strikeplate/scope"

// Mavio is the catalog of the keys mvo_live_ and mvo_test_: nine scopes, their
// resources written with underscores.
func Mavio() *scope.Catalog {
	return must(
		scope.Entry{Scope: "meetings:read", Description: "List and retrieve meetings"},
		scope.Entry{Scope: "meetings:write", Description: "Delete meetings"},
		scope.Entry{Scope: "transcripts:read", Description: "Retrieve transcripts and search in them"},
		scope.Entry{Scope: "summaries:read", Description: "Retrieve summaries"},
		scope.Entry{Scope: "summaries:write", Description: "Have summaries generated again"},
		scope.Entry{Scope: "action_items:read", Description: "List action items"},
		scope.Entry{Scope: "action_items:write", Description: "Change an action item's status, assignee or due date"},
		scope.Entry{Scope: "webhooks:read", Description: "List webhook subscriptions"},
		scope.Entry{Scope: "webhooks:write", Description: "Create, change and delete webhook subscriptions"},
	)
}

// MavioDeveloper is the catalog of the keys mavio_sk_: fifteen scopes, their
// resources written with hyphens.
func MavioDeveloper() *scope.Catalog {
	return must(
		scope.Entry{Scope: "meetings:read", Description: "List and retrieve meetings, transcripts and summaries"},
		scope.Entry{Scope: "meetings:write", Description: "Create, change and delete meetings"},
		scope.Entry{Scope: "recordings:read", Description: "Download recordings as audio files"},
		scope.Entry{Scope: "transcripts:read", Description: "Retrieve what transcripts say"},
		scope.Entry{Scope: "transcripts:write", Description: "Edit what transcripts say and who they say spoke"},
		scope.Entry{Scope: "notes:read", Description: "Read notes and minutes of meetings"},
		scope.Entry{Scope: "notes:write", Description: "Create and edit notes and minutes"},
		scope.Entry{Scope: "action-items:read", Description: "List action items"},
		scope.Entry{Scope: "action-items:write", Description: "Create, change and complete action items"},
		scope.Entry{Scope: "channels:read", Description: "List channels and the meetings in them"},
		scope.Entry{Scope: "channels:write", Description: "Create channels, add meetings to them, manage their members"},
		scope.Entry{Scope: "speakers:read", Description: "List speaker profiles"},
		scope.Entry{Scope: "speakers:write", Description: "Create and manage speaker profiles"},
		scope.Entry{Scope: "team:read", Description: "Read who is in the team, and the team's settings"},
		scope.Entry{Scope: "webhooks:manage", Description: "Create and manage webhook endpoints"},
	)
}

// must is for lists that stand in the source: a mistake in one shows at the first
// start.
func must(entries ...scope.Entry) *scope.Catalog {
	c, err := scope.NewCatalog(entries...)
	if err != nil {
		panic(err)
	}
	return c
}
