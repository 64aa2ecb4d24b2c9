package main

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/strikeplate/strikeplate/examples/internal/demo"
	"github.com/strikeplate/strikeplate/examples/internal/demotest"
	"github.com/strikeplate/strikeplate/examples/internal/meetings"
)

// delta says which meetings Delta's keys see, in plain Go, and nothing of this
// library's policies or SQL.
func delta(m meetings.Meeting) bool {
	return m.Organisation == "org_delta" && m.Environment == "live"
}

func ids(data meetings.Data, want func(meetings.Meeting) bool) []string {
	var found []string
	for _, m := range data.Meetings {
		if want(m) {
			found = append(found, m.ID)
		}
	}
	slices.Sort(found)
	return found
}

// meetingIDs are the meetings that a list names, each once.
func meetingIDs(t *testing.T, s *demotest.Server, path string) []string {
	t.Helper()
	var found []string
	for _, row := range demotest.List[map[string]any](t, s, "enterprise", path) {
		id, ok := row["meeting_id"].(string)
		if !ok {
			id, _ = row["id"].(string)
		}
		found = append(found, id)
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// Lists, single meetings and all that belongs to them agree on who sees what; with
// the organisation's setting off, on fewer.
func TestEverythingAgreesOnWhoSeesWhat(t *testing.T) {
	demotest.Databases(t, func(t *testing.T, db string) {
		s := start(t, demo.Options{DB: db})
		data := meetings.Generate()
		agrees(t, s, data, delta)
		s.Control(t, "/demo/organisations/org_delta", `{"private_via_api": false}`)
		agrees(t, s, data, func(m meetings.Meeting) bool { return delta(m) && !m.Private })
	})
}

func agrees(t *testing.T, s *demotest.Server, data meetings.Data, sees func(meetings.Meeting) bool) {
	t.Helper()
	want := ids(data, sees)
	var items, recorded []string
	for _, a := range data.ActionItems {
		if slices.Contains(want, a.Meeting) && !slices.Contains(items, a.Meeting) {
			items = append(items, a.Meeting)
		}
	}
	slices.Sort(items)
	for _, r := range data.Recordings {
		recorded = append(recorded, r.Meeting)
	}
	for path, want := range map[string][]string{
		"/v1/meetings?limit=7": want, "/v1/transcripts?limit=5": want, "/v1/summaries?limit=9": want, "/v1/action-items?limit=3": items,
	} {
		if got := meetingIDs(t, s, path); !slices.Equal(got, want) {
			t.Errorf("%s: %d meetings, want %d", path, len(got), len(want))
		}
	}
	for _, m := range data.Meetings {
		if m.Organisation != "org_delta" && m.Organisation != "org_fjord" {
			continue // enough of others', and the quota is 5,000
		}
		for path, there := range map[string]bool{"": true, "/transcript": true, "/summary": true, "/notes": true, "/recording": slices.Contains(recorded, m.ID)} {
			r := s.Get(t, "enterprise", "/v1/meetings/"+m.ID+path)
			if !sees(m) || !there {
				demotest.Want(t, m.ID+path, r, http.StatusNotFound, "not_found")
			} else if r.StatusCode != http.StatusOK {
				t.Errorf("%s%s is hidden: %d", m.ID, path, r.StatusCode)
			}
		}
	}
	for _, c := range demotest.List[meetings.Channel](t, s, "enterprise", "/v1/channels") {
		got := meetingIDs(t, s, "/v1/channels/"+c.ID+"/meetings?limit=2")
		var want []string
		for _, all := range data.Channels {
			for _, id := range all.Meetings {
				if all.ID == c.ID && slices.Contains(ids(data, sees), id) {
					want = append(want, id)
				}
			}
		}
		slices.Sort(want)
		if !slices.Equal(got, want) || c.Organisation != "org_delta" || c.Environment != "live" {
			t.Errorf("001-44 %s: %d meetings, want %d", c.ID, len(got), len(want))
		}
	}
}

// What a key can't see can't be changed, removed, added to or told of, and looks
// like what never was.
func TestHiddenThingsLookLikeNone(t *testing.T) {
	s := start(t, demo.Options{})
	data := meetings.Generate()
	s.Control(t, "/demo/organisations/org_delta", `{"private_via_api": false}`)
	hidden := ids(data, func(m meetings.Meeting) bool { return delta(m) && m.Private })[0]
	abroad := ids(data, func(m meetings.Meeting) bool { return m.Organisation == "org_acme" && m.Environment == "live" })[0]
	sandbox := ids(data, func(m meetings.Meeting) bool { return m.Organisation == "org_delta" && m.Environment == "test" })[0]
	part := func(of string, id func(meeting string) string) []string {
		var found []string
		for _, m := range []string{hidden, abroad, sandbox} {
			if x := id(m); x != "" {
				found = append(found, x)
			}
		}
		if len(found) == 0 {
			t.Errorf("no %s", of)
		}
		return found
	}
	notes := part("notes", func(meeting string) string {
		for _, n := range data.Notes {
			if n.Meeting == meeting {
				return n.ID
			}
		}
		return ""
	})
	items := part("action items", func(meeting string) string {
		for _, a := range data.ActionItems {
			if a.Meeting == meeting {
				return a.ID
			}
		}
		return ""
	})
	channel := demotest.List[meetings.Channel](t, s, "enterprise", "/v1/channels")[0].ID
	for _, c := range []struct {
		method, path, body string
		ids                []string
	}{
		{"PATCH", "/v1/meetings/ID", `{"title": "Mine"}`, []string{hidden, abroad, sandbox}},
		{"DELETE", "/v1/meetings/ID", "", []string{hidden, abroad, sandbox}},
		{"PATCH", "/v1/meetings/ID/transcript", `{"segments": [{"position": 0, "text": "x"}]}`, []string{hidden, abroad, sandbox}},
		{"POST", "/v1/meetings/ID/notes", `{"text": "x"}`, []string{hidden, abroad, sandbox}},
		{"PATCH", "/v1/notes/ID", `{"text": "x"}`, notes},
		{"PATCH", "/v1/action-items/ID", `{"status": "completed"}`, items},
		{"POST", "/v1/action-items", `{"meeting_id": "ID", "title": "x"}`, []string{hidden, abroad, sandbox}},
		{"GET", "/v1/action-items?meeting_id=ID", "", []string{hidden, abroad, sandbox}},
		{"POST", "/v1/channels/" + channel + "/meetings", `{"meeting_ids": ["ID"]}`, []string{hidden, abroad, sandbox}},
	} {
		ask := func(id string) demotest.Response {
			return s.Ask(t, "enterprise", c.method, strings.ReplaceAll(c.path, "ID", id), strings.ReplaceAll(c.body, "ID", id))
		}
		never := ask("never")
		demotest.Want(t, c.method+c.path, never, http.StatusNotFound, "not_found")
		for _, id := range c.ids {
			r := ask(id)
			if demotest.Want(t, c.method+c.path+" "+id, r, http.StatusNotFound, "not_found"); len(r.Body) != len(never.Body) {
				t.Errorf("%s %s: %s, want %s", c.method, id, r.Body, never.Body)
			}
		}
	}
	// Searches count as lists.
	for _, m := range data.Meetings {
		if m.ID == hidden {
			for _, found := range demotest.List[meetings.Meeting](t, s, "enterprise", "/v1/meetings?q="+strings.ReplaceAll(m.Title, " ", "+")) {
				if found.ID == hidden {
					t.Error("a search finds what a list hides")
				}
			}
		}
	}
	s.Control(t, "/demo/organisations/org_delta", `{"private_via_api": true}`)
	if r := s.Get(t, "enterprise", "/v1/meetings/"+hidden); r.StatusCode != http.StatusOK || strings.Contains(string(r.Body), "Mine") {
		t.Errorf("the hidden meeting afterwards: %d %s", r.StatusCode, r.Body)
	}
}
