package meetings

import (
	"embed"

	"github.com/strikeplate/strikeplate/policies"
)

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

//go:embed policies/*.rego
var rules embed.FS

// Around is what an organisation has besides meetings. The bundled policies know
// nothing of it: Rules does.
func Around() []policies.Resource {
	walls := map[string]policies.Column{
		"organisation": {SQL: "organisation_id", NotNull: true},
		"environment":  {NotNull: true},
	}
	return []policies.Resource{
		{Name: "speakers", Table: "demo_speakers", Columns: walls},
		{Name: "channels", Table: "demo_channels", Columns: walls, Relations: map[string]policies.Relation{"members": {
			From: "demo_channel_members AS cm", On: "cm.channel_id = {table}.id", Value: "cm.user_id",
		}}},
		{Name: "webhooks", Table: "demo_webhooks", Columns: map[string]policies.Column{
			"organisation": walls["organisation"],
			"environment":  walls["environment"],
			"owner":        {SQL: "owner_id"},
		}},
	}
}

// Rules are this package's own policies: who sees what is around the meetings.
func Rules() policies.Source { return policies.Source{FS: rules} }

// Row is the meeting as policies see it, for one that is in no table yet or any
// more.
func (m Meeting) Row() policies.Row {
	row := policies.Row{"organisation": m.Organisation, "environment": m.Environment, "owner": nil, "private": m.Private, "participants": m.Participants}
	if m.Owner != nil {
		row["owner"] = *m.Owner
	}
	return row
}
