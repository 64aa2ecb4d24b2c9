package policies_test

import (
	"context"
	"fmt"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/policies"
)

// The meetings that a credential sees, as a condition for the list's query.
func ExampleEngine_Filter() {
	engine, err := policies.New(policies.Config{Resources: []policies.Resource{{
		Name: "meetings",
		Columns: map[string]policies.Column{
			"organisation": {SQL: "organisation_id", NotNull: true},
			"environment":  {Constant: "live"}, // test data are in a table of their own
			"owner":        {SQL: "owner_id"},
			"private":      {Type: policies.Bool, NotNull: true},
		},
		Relations: map[string]policies.Relation{"participants": {
			From: "participants AS p", On: "p.meeting_id = {table}.id", Value: "p.user_id",
		}},
	}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	defer engine.Close(ctx)

	ada := &strikeplate.Principal{
		Kind: strikeplate.KindKey, Environment: strikeplate.Live, Access: strikeplate.UserLimited, Organisation: "acme", Subject: "ada",
	}
	f, err := engine.Filter(ctx, ada, "meetings", policies.As{Dialect: policies.PostgreSQL, Alias: "m", FirstArg: 2})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("SELECT m.id, m.title FROM meetings AS m WHERE m.start < $1 AND " + f.Where)
	fmt.Println(f.Args)
	// Output:
	// SELECT m.id, m.title FROM meetings AS m WHERE m.start < $1 AND (m.organisation_id = $2::text AND m.private = FALSE AND (m.owner_id = $3::text OR EXISTS (SELECT 1 FROM participants AS p WHERE p.meeting_id = m.id AND p.user_id = $3::text)))
	// [acme ada]
}
