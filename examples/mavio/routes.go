package main

import (
	"net/http"
	"net/url"

	"github.com/strikeplate/strikeplate/examples/internal/mavio"
	"github.com/strikeplate/strikeplate/scope"
)

// declare registers the API's routes, each with the scope that Mavio's page lists
// for it.
func declare(routes *scope.Routes, a *mavio.API) {
	one := func(needed string) scope.Requirement { return scope.Requirement{AllOf: []string{needed}} }

	routes.HandleFunc("GET /v1/meetings", one("meetings:read"), a.ListMeetings)
	routes.HandleFunc("GET /v1/meetings/{id}", one("meetings:read"), a.GetMeeting)
	routes.HandleFunc("DELETE /v1/meetings/{id}", one("meetings:write"), a.DeleteMeeting)
	routes.HandleFunc("GET /v1/meetings/{id}/transcript", one("transcripts:read"), a.GetTranscript)
	routes.HandleFunc("GET /v1/transcripts/search", one("transcripts:read"), a.SearchTranscripts)
	routes.HandleFunc("GET /v1/meetings/{id}/summary", one("summaries:read"), a.GetSummary)
	routes.HandleFunc("POST /v1/meetings/{id}/summary/regenerate", one("summaries:write"), a.Regenerate)
	routes.HandleFunc("GET /v1/action_items", one("action_items:read"), a.ListActionItems)
	routes.HandleFunc("PATCH /v1/action_items/{id}", one("action_items:write"), a.ChangeActionItem("status", "assignee", "due_date"))
	routes.HandleFunc("GET /v1/webhooks", one("webhooks:read"), a.ListWebhooks)
	routes.HandleFunc("POST /v1/webhooks", one("webhooks:write"), a.CreateWebhook)
	routes.HandleFunc("PATCH /v1/webhooks/{id}", one("webhooks:write"), a.ChangeWebhook)
	routes.HandleFunc("DELETE /v1/webhooks/{id}", one("webhooks:write"), a.DeleteWebhook)
	routes.HandleFunc("GET /v1/whoami", scope.Requirement{Authenticated: true}, a.Whoami)
}

// settings are where people manage keys and apps: Mavio's page says /settings/api
// and /settings/oauth-apps. The other products' path leads there, too.
func settings(routes *scope.Routes, page http.Handler) {
	routes.Public("/settings/api", page)
	routes.Public("/settings/api/", page)
	moved := func(to func(r *http.Request) string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			target := to(r)
			if r.URL.RawQuery != "" {
				target += "?" + r.URL.RawQuery
			}
			http.Redirect(w, r, target, http.StatusPermanentRedirect) //nolint:gosec // the target begins with a path of this host; keeps method and body
		})
	}
	routes.Public("/settings/developer", moved(func(*http.Request) string { return "/settings/api" }))
	routes.Public("/settings/developer/{rest...}", moved(func(r *http.Request) string {
		return (&url.URL{Path: "/settings/api/" + r.PathValue("rest")}).EscapedPath()
	}))
	routes.Public("GET /settings/oauth-apps", moved(func(*http.Request) string { return "/settings/api/apps" }))
}
