package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/examples/internal/meetings"
	"github.com/strikeplate/strikeplate/policies"
	"github.com/strikeplate/strikeplate/scope"
)

// api is the product: meetings and what belongs to them.
type api struct {
	meetings *meetings.Store
	policies *policies.Engine
}

// declare registers the API's routes. Avoma's keys have no scopes: a route
// requires an access level, and the policies say which meetings that reaches.
func declare(routes *scope.Routes, a *api) {
	anyLevel := scope.Requirement{Access: []strikeplate.Access{strikeplate.UserLimited, strikeplate.UserFull,
		strikeplate.OrganisationLimited, strikeplate.OrganisationFull, strikeplate.Legacy}}
	routes.HandleFunc("GET /v1/meetings", anyLevel, a.list)
	routes.HandleFunc("GET /v1/meetings/{id}", anyLevel, a.one)
	routes.HandleFunc("GET /v1/meetings/{id}/transcription", anyLevel, a.transcription)
	routes.HandleFunc("GET /v1/meetings/{id}/notes", anyLevel, a.notes)
	routes.HandleFunc("GET /v1/meetings/{id}/recording", anyLevel, a.recording)
	routes.HandleFunc("GET /v1/whoami", scope.Requirement{Authenticated: true}, a.whoami)
}

// visible is the condition for what the caller sees of a resource. Every query
// takes it: nothing is fetched first and hidden afterwards.
func (a *api) visible(r *http.Request, resource string) (policies.Filter, error) {
	principal, _ := strikeplate.FromContext(r.Context())
	return a.policies.Filter(r.Context(), principal, resource, a.meetings.As())
}

func (a *api) list(w http.ResponseWriter, r *http.Request) {
	search, err := searchOf(r.URL.Query())
	var visible policies.Filter
	if err == nil {
		visible, err = a.visible(r, "meetings")
	}
	var page meetings.Page[meetings.Meeting]
	if err == nil {
		page, err = a.meetings.Meetings(r.Context(), visible, search)
	}
	if err == nil {
		w.Header().Set("X-Total-Count", strconv.Itoa(page.Total))
	}
	answer(w, r, page, err)
}

func (a *api) one(w http.ResponseWriter, r *http.Request) {
	visible, err := a.visible(r, "meetings")
	var found meetings.Meeting
	if err == nil {
		found, err = a.meetings.Meeting(r.Context(), visible, r.PathValue("id"))
	}
	answer(w, r, found, err)
}

func (a *api) transcription(w http.ResponseWriter, r *http.Request) {
	visible, err := a.visible(r, "transcripts")
	var found meetings.Transcript
	if err == nil {
		found, err = a.meetings.Transcript(r.Context(), visible, r.PathValue("id"))
	}
	answer(w, r, found, err)
}

func (a *api) notes(w http.ResponseWriter, r *http.Request) {
	visible, err := a.visible(r, "notes")
	var found meetings.Page[meetings.Note] // a meeting has few: they are one page
	if err == nil {
		found.Data, err = a.meetings.Notes(r.Context(), visible, r.PathValue("id"), "")
	}
	answer(w, r, found, err)
}

// recording answers with the sound itself: no link that would work without the key.
func (a *api) recording(w http.ResponseWriter, r *http.Request) {
	visible, err := a.visible(r, "recordings")
	var found meetings.Recording
	if err == nil {
		found, err = a.meetings.Recording(r.Context(), visible, r.PathValue("id"))
	}
	if err != nil {
		answer(w, r, nil, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "audio/wav")
	h.Set("Content-Disposition", `attachment; filename="`+found.Meeting+`.wav"`)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(found.WAV())) // knows Range
}

func (a *api) whoami(w http.ResponseWriter, r *http.Request) {
	principal, _ := strikeplate.FromContext(r.Context())
	answer(w, r, principal, nil)
}

// answer writes what was found, or why nothing was.
func answer(w http.ResponseWriter, r *http.Request, found any, err error) {
	switch {
	case errors.Is(err, meetings.ErrNotFound):
		err = &strikeplate.Error{Status: http.StatusNotFound, Code: "meeting_not_found", Message: "There is no such meeting, or this key may not see it."}
	case errors.Is(err, meetings.ErrSearch):
		err = invalid("q or cursor is not one that a list can be asked for.")
	}
	if err != nil {
		strikeplate.Fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_ = json.NewEncoder(w).Encode(found)
}

func invalid(message string) error {
	return &strikeplate.Error{Status: http.StatusBadRequest, Code: "invalid_request", Message: message}
}

const pageSize, maxPage = 50, 10_000

// searchOf reads from, to, q, and page or cursor.
func searchOf(query url.Values) (meetings.Search, error) {
	s := meetings.Search{Text: query.Get("q"), Cursor: query.Get("cursor"), Limit: pageSize}
	var err error
	if s.From, err = moment(query.Get("from")); err != nil {
		return s, invalid("from is a day such as 2026-03-14, or a time such as 2026-03-14T09:00:00Z.")
	}
	if s.To, err = moment(query.Get("to")); err != nil {
		return s, invalid("to is a day such as 2026-03-14, or a time such as 2026-03-14T09:00:00Z.")
	}
	if text := query.Get("page"); text != "" {
		page, err := strconv.Atoi(text)
		if err != nil || page < 1 || page > maxPage || s.Cursor != "" {
			return s, invalid("page is a number from 1 on, and doesn't go with cursor.")
		}
		s.Skip = (page - 1) * pageSize
	}
	return s, nil
}

// moment reads a time, or a day for its beginning in UTC.
func moment(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if day, err := time.Parse(time.DateOnly, text); err == nil {
		return day, nil
	}
	return time.Parse(time.RFC3339, text)
}
