package main

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/strikeplate/strikeplate/examples/internal/demo"
	"github.com/strikeplate/strikeplate/examples/internal/demotest"
	"github.com/strikeplate/strikeplate/examples/internal/meetings"
)

func TestBadBodiesAreNamed(t *testing.T) {
	s := start(t, demo.Options{})
	id := first(func(meeting) bool { return true }).ID
	item := demotest.List[meetings.ActionItem](t, s, "team", "/v1/action-items")[0].ID
	for _, c := range []struct {
		method, path, body string
		fields             []string
	}{
		{"POST", "/v1/meetings", `{}`, []string{"starts_at", "title"}},
		{"POST", "/v1/meetings", `{"title": "x", "starts_at": "tomorrow"}`, []string{"starts_at"}},
		{"POST", "/v1/meetings", `{"title": 5, "starts_at": "2026-11-03T09:00:00Z", "private": "yes", "duration_minutes": 0.5}`, []string{"duration_minutes", "private", "title"}},
		{"POST", "/v1/meetings", `{"title": "x", "starts_at": "2026-11-03T09:00:00Z", "Title": "y", "id": "mtg_mine", "organisation_id": "org_fjord", "environment": "test"}`, []string{"Title", "environment", "id", "organisation_id"}},
		{"POST", "/v1/meetings", `{"title": "x", "title": "y", "starts_at": "2026-11-03T09:00:00Z"}`, []string{"title"}},
		{"POST", "/v1/meetings", `{"title": "x\u0000", "starts_at": "2026-11-03T09:00:00Z", "participants": ["usr_kit"], "owner_id": "usr_kit"}`, []string{"owner_id", "participants[0]", "title"}},
		{"PATCH", "/v1/meetings/" + id, `{"title": null, "duration_minutes": 99999, "participants": null}`, []string{"duration_minutes", "participants", "title"}},
		{"PATCH", "/v1/meetings/" + id, `{"title": "` + strings.Repeat("x", 201) + `"}`, []string{"title"}},
		{"PATCH", "/v1/meetings/" + id + "/transcript", `{"segments": [{"position": -1, "said": "x"}], "speaker_labels": {"A": 5}}`, []string{"segments[0].position", "segments[0].said", "speaker_labels.A"}},
		{"PATCH", "/v1/meetings/" + id + "/transcript", `{"segments": {"position": 1}}`, []string{"segments"}},
		{"PATCH", "/v1/action-items/" + item, `{"status": "done", "assignee": "usr_kit", "due_date": "2026-02-30", "completed_at": "2020-01-01T00:00:00Z"}`, []string{"assignee", "completed_at", "due_date", "status"}},
		{"POST", "/v1/webhooks", `{"url": "https://example.com/", "events": ["meeting.exploded"], "secret": "mine"}`, []string{"events[0]", "secret"}},
		{"POST", "/v1/webhooks", `{"url": "https://example.com/", "events": []}`, []string{"events"}},
		{"POST", "/v1/channels", `{"name": "a\nb", "members": "usr_bo"}`, []string{"members", "name"}},
		{"POST", "/v1/speakers", `{"name": "  "}`, []string{"name"}},
	} {
		r := s.Ask(t, "team", c.method, c.path, c.body)
		demotest.Want(t, c.body, r, http.StatusBadRequest, "invalid_request")
		if got := demotest.Fields(t, r); !slices.Equal(got, c.fields) {
			t.Errorf("%s: fields %q, want %q", c.body, got, c.fields)
		}
	}
	if got := demotest.Decode[meeting](t, s.Get(t, "team", "/v1/meetings/"+id)); got.Title != first(func(meeting) bool { return true }).Title {
		t.Errorf("a refused change was made: %+v", got)
	}
}

func TestBadRequestsAreRefused(t *testing.T) {
	s := start(t, demo.Options{})
	send := func(body string, headers ...string) demotest.Response {
		return s.Ask(t, "team", http.MethodPost, "/v1/meetings", body, headers...)
	}
	for _, body := range []string{"{", "[]", "null", `"x"`, "5", `{"title": }`, `{"a": 1} {"b": 2}`, `{1: 2}`, "{\"title\": \"\xff\"}", strings.Repeat(`{"a":`, 20_000)} {
		r := send(body)
		if r.StatusCode != http.StatusBadRequest && len(body) < 64<<10 {
			t.Errorf("%.20s: %d %s", body, r.StatusCode, r.Body)
		}
	}
	demotest.Want(t, "too long", send(`{"title": "`+strings.Repeat("x", 65<<10)+`"}`), http.StatusRequestEntityTooLarge, "body_too_large")
	for _, kind := range []string{"text/plain", "application/x-www-form-urlencoded", "application/json-patch+json", ";", "multipart/form-data; boundary=x"} {
		demotest.Want(t, kind, send(planning, "Content-Type", kind), http.StatusUnsupportedMediaType, "unsupported_media_type")
	}
	demotest.Want(t, "a charset", send(planning, "Content-Type", "application/json; charset=utf-8"), http.StatusCreated, "")

	cursor := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	for _, list := range []string{"/v1/meetings", "/v1/transcripts", "/v1/summaries", "/v1/action-items", "/v1/channels", "/v1/speakers", "/v1/webhooks"} {
		for _, query := range []string{"limit=0", "limit=101", "limit=-1", "limit=1e3", "cursor=x", "cursor=%00", "cursor=" + cursor("a\x00 b"), "cursor=" + strings.Repeat("QQ", 5000)} {
			r := s.Get(t, "team", list+"?"+query)
			if demotest.Want(t, list+" "+query, r, http.StatusBadRequest, "invalid_request"); strings.Contains(strings.ToLower(string(r.Body)), "sql") {
				t.Errorf("%s", r.Body)
			}
		}
		// A place made by hand is a place like any other.
		for _, place := range []string{"2026-06-01T00:00:00Z mtg_' OR 1=1 --", "9999-12-31T23:59:59Z zzz"} {
			if r := s.Get(t, "team", list+"?cursor="+cursor(place)); r.StatusCode != 200 && r.StatusCode != 400 {
				t.Errorf("%s %s: %d %s", list, place, r.StatusCode, r.Body)
			}
		}
	}
	for _, q := range []string{"%", "_", `\`, "' OR '1'='1", "'; DROP TABLE demo_meetings; --", "%00", "\"", "$1", "?"} {
		r := s.Get(t, "team", "/v1/meetings?q="+url.QueryEscape(q))
		if r.StatusCode != 200 || len(demotest.Decode[meetings.Page[meeting]](t, r).Data) != 0 {
			t.Errorf("q=%s: %d %.100s", q, r.StatusCode, r.Body)
		}
	}
	for _, query := range []string{"q=%00", "q=%ff", "q=" + strings.Repeat("a", 201), "from=yesterday", "to=2026-13-01"} {
		demotest.Want(t, query, s.Get(t, "team", "/v1/meetings?"+query), http.StatusBadRequest, "invalid_request")
	}
	for _, id := range []string{"%00", "%ff", strings.Repeat("x", 3000), "'%20OR%201=1"} {
		for _, path := range []string{"/v1/meetings/%s", "/v1/meetings/%s/recording", "/v1/meetings/%s/notes", "/v1/channels/%s/meetings"} {
			demotest.Want(t, path+id, s.Get(t, "team", fmt.Sprintf(path, id)), http.StatusNotFound, "not_found")
		}
		demotest.Want(t, id, s.Ask(t, "team", http.MethodDelete, "/v1/webhooks/"+id, ""), http.StatusNotFound, "not_found")
		demotest.Want(t, id, s.Ask(t, "team", http.MethodPatch, "/v1/notes/"+id, `{"text": "x"}`), http.StatusNotFound, "not_found")
	}
}
