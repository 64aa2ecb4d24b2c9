package main

import (
	"github.com/strikeplate/strikeplate/examples/internal/mavio"
	"github.com/strikeplate/strikeplate/scope"
)

// declare registers the API's routes. Each names the scopes of which one is
// needed, as Mavio's page lists what each scope is for.
func declare(routes *scope.Routes, a *mavio.API) {
	one := func(scopes ...string) scope.Requirement { return scope.Requirement{AnyOf: scopes} }

	routes.HandleFunc("GET /v1/meetings", one("meetings:read"), a.ListMeetings)
	routes.HandleFunc("GET /v1/meetings/{id}", one("meetings:read"), a.GetMeeting)
	routes.HandleFunc("POST /v1/meetings", one("meetings:write"), a.CreateMeeting)
	routes.HandleFunc("PATCH /v1/meetings/{id}", one("meetings:write"), a.ChangeMeeting)
	routes.HandleFunc("DELETE /v1/meetings/{id}", one("meetings:write"), a.DeleteMeeting)
	routes.HandleFunc("GET /v1/meetings/{id}/recording", one("recordings:read"), a.GetRecording)

	routes.HandleFunc("GET /v1/meetings/{id}/transcript", one("transcripts:read", "meetings:read"), a.GetTranscript)
	routes.HandleFunc("GET /v1/transcripts", one("transcripts:read", "meetings:read"), a.ListTranscripts)
	routes.HandleFunc("PATCH /v1/meetings/{id}/transcript", one("transcripts:write"), a.ChangeTranscript)
	routes.HandleFunc("GET /v1/meetings/{id}/summary", one("meetings:read"), a.GetSummary)
	routes.HandleFunc("GET /v1/summaries", one("meetings:read"), a.ListSummaries)

	routes.HandleFunc("GET /v1/meetings/{id}/notes", one("notes:read"), a.ListNotes)
	routes.HandleFunc("POST /v1/meetings/{id}/notes", one("notes:write"), a.CreateNote)
	routes.HandleFunc("PATCH /v1/notes/{id}", one("notes:write"), a.ChangeNote)
	routes.HandleFunc("GET /v1/action-items", one("action-items:read"), a.ListActionItems)
	routes.HandleFunc("POST /v1/action-items", one("action-items:write"), a.CreateActionItem)
	routes.HandleFunc("PATCH /v1/action-items/{id}", one("action-items:write"), a.ChangeActionItem("title", "status", "assignee", "due_date"))

	routes.HandleFunc("GET /v1/channels", one("channels:read"), a.ListChannels)
	routes.HandleFunc("GET /v1/channels/{id}/meetings", one("channels:read"), a.ListChannelMeetings)
	routes.HandleFunc("POST /v1/channels", one("channels:write"), a.CreateChannel)
	routes.HandleFunc("POST /v1/channels/{id}/meetings", one("channels:write"), a.AddToChannel)
	routes.HandleFunc("PUT /v1/channels/{id}/members", one("channels:write"), a.SetMembers)
	routes.HandleFunc("GET /v1/speakers", one("speakers:read"), a.ListSpeakers)
	routes.HandleFunc("POST /v1/speakers", one("speakers:write"), a.CreateSpeaker)
	routes.HandleFunc("PATCH /v1/speakers/{id}", one("speakers:write"), a.ChangeSpeaker)
	routes.HandleFunc("DELETE /v1/speakers/{id}", one("speakers:write"), a.DeleteSpeaker)

	routes.HandleFunc("GET /v1/team", one("team:read"), a.GetTeam)
	routes.HandleFunc("GET /v1/webhooks", one("webhooks:manage"), a.ListWebhooks)
	routes.HandleFunc("POST /v1/webhooks", one("webhooks:manage"), a.CreateWebhook)
	routes.HandleFunc("PATCH /v1/webhooks/{id}", one("webhooks:manage"), a.ChangeWebhook)
	routes.HandleFunc("DELETE /v1/webhooks/{id}", one("webhooks:manage"), a.DeleteWebhook)
	routes.HandleFunc("GET /v1/whoami", scope.Requirement{Authenticated: true}, a.Whoami)
}
