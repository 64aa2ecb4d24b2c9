package meetings

import "github.com/strikeplate/strikeplate/policies"

// Resources is what policies may decide about, and how their rules find it in
// the tables. What belongs to a meeting is seen by whoever sees the meeting:
// policies can only take some of it away again.
func Resources() []policies.Resource {
	all := []policies.Resource{{
		Name:  "meetings",
		Table: "demo_meetings",
		Columns: map[string]policies.Column{
			"organisation": {SQL: "organisation_id", NotNull: true},
			"environment":  {NotNull: true},
			"owner":        {SQL: "owner_id"},
			"private":      {Type: policies.Bool, NotNull: true},
		},
		Relations: map[string]policies.Relation{"participants": {
			From: "demo_participants AS p", On: "p.meeting_id = {table}.id", Value: "p.user_id",
		}},
	}}
	for _, part := range []string{"transcripts", "recordings", "notes", "summaries", "action_items"} {
		all = append(all, policies.Resource{Name: part, Inherits: "meetings"})
	}
	return all
}
