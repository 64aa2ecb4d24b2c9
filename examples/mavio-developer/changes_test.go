package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate/examples/internal/demo"
	"github.com/strikeplate/strikeplate/examples/internal/demotest"
	"github.com/strikeplate/strikeplate/examples/internal/hooks"
	"github.com/strikeplate/strikeplate/examples/internal/meetings"
)

// do asks with the Team plan's key and wants a status.
func do[T any](t *testing.T, s *demotest.Server, what, method, path, body string, status int) T {
	t.Helper()
	r := s.Ask(t, "team", method, path, body)
	if r.StatusCode != status {
		t.Fatalf("%s: %s %s %s: %d %s", what, method, path, body, r.StatusCode, r.Body)
	}
	if status == http.StatusNoContent {
		var none T
		return none
	}
	return demotest.Decode[T](t, r)
}

type meeting = meetings.Meeting

const planning = `{"title": "Planning", "starts_at": "2026-11-03T09:00:00+01:00", "participants": ["usr_cy", "usr_bo", "usr_bo"], "owner_id": "usr_bo", "private": true}`

func Test001_36_MeetingsAreCreatedUpdatedAndDeleted(t *testing.T) {
	demotest.Databases(t, func(t *testing.T, db string) {
		s := start(t, demo.Options{DB: db})
		m := do[meeting](t, s, "001-36", "POST", "/v1/meetings", planning, 201)
		if m.Title != "Planning" || m.Environment != "live" || m.Organisation != "org_acme" || !slices.Equal(m.Participants, []string{"usr_bo", "usr_cy"}) || m.Starts.Format(time.RFC3339) != "2026-11-03T08:00:00Z" {
			t.Errorf("created %+v", m)
		}
		same := do[meeting](t, s, "001-35", "GET", "/v1/meetings/"+m.ID, "", 200)
		if fmt.Sprint(same.Title, same.Participants, *same.Owner, same.Starts, same.Private) != fmt.Sprint(m.Title, m.Participants, *m.Owner, m.Starts, m.Private) {
			t.Errorf("stored %+v", same)
		}
		changed := do[meeting](t, s, "001-36", "PATCH", "/v1/meetings/"+m.ID, `{"title": "Plans", "owner_id": null, "duration_minutes": 45}`, 200)
		if changed.Title != "Plans" || changed.Owner != nil || changed.Minutes != 45 || !changed.Private {
			t.Errorf("changed %+v", changed)
		}
		if again := do[meeting](t, s, "", "GET", "/v1/meetings/"+m.ID, "", 200); again.Title != "Plans" || again.Owner != nil {
			t.Errorf("stored %+v", again)
		}
		do[any](t, s, "001-36", "DELETE", "/v1/meetings/"+m.ID, "", 204)
		for _, path := range []string{"", "/transcript", "/summary", "/notes", "/recording"} {
			demotest.Want(t, "removed"+path, s.Get(t, "team", "/v1/meetings/"+m.ID+path), 404, "not_found")
		}
		demotest.Want(t, "removed twice", s.Ask(t, "team", "DELETE", "/v1/meetings/"+m.ID, ""), 404, "not_found")
	})
}

// first is a meeting of Acme's that has what is asked for.
func first(want func(m meeting) bool) meeting {
	for _, m := range meetings.Generate().Meetings {
		if m.Organisation == "org_acme" && m.Environment == "live" && want(m) {
			return m
		}
	}
	panic("none")
}

func Test001_39_TranscriptsAreEdited(t *testing.T) {
	demotest.Databases(t, func(t *testing.T, db string) {
		s := start(t, demo.Options{DB: db})
		m := first(func(m meeting) bool { return true })
		path := "/v1/meetings/" + m.ID + "/transcript"
		before := do[meetings.Transcript](t, s, "001-38", "GET", path, "", 200)
		speaker := before.Segments[0].Speaker
		after := do[meetings.Transcript](t, s, "001-39", "PATCH", path, `{"speaker_labels": {"`+speaker+`": "Someone else"}, "segments": [{"position": 1, "text": "Said\notherwise", "speaker": "Nobody"}]}`, 200)
		for i, segment := range after.Segments {
			want := before.Segments[i]
			if want.Speaker == speaker {
				want.Speaker = "Someone else"
			}
			if i == 1 {
				want.Speaker, want.Text = "Nobody", "Said\notherwise"
			}
			if segment != want {
				t.Errorf("segment %d is %+v, want %+v", i, segment, want)
			}
		}
		// All or nothing.
		demotest.Want(t, "no such segment", s.Ask(t, "team", "PATCH", path, `{"segments": [{"position": 0, "text": "x"}, {"position": 999, "text": "x"}]}`), 400, "invalid_request")
		demotest.Want(t, "no such speaker", s.Ask(t, "team", "PATCH", path, `{"speaker_labels": {"Ghost": "x"}}`), 400, "invalid_request")
		if now := do[meetings.Transcript](t, s, "", "GET", path, "", 200); !slices.Equal(now.Segments, after.Segments) {
			t.Error("half of a change was made")
		}
		if r := s.Get(t, "scope_meetings_read", path); r.StatusCode != 200 {
			t.Errorf("001-35 transcripts by meetings:read: %d", r.StatusCode)
		}
	})
}

func Test001_37_RecordingsAreSound(t *testing.T) {
	s := start(t, demo.Options{})
	id := meetings.Generate().Recordings[0].Meeting
	path := "/v1/meetings/" + id + "/recording"
	r := s.Get(t, "scope_recordings_read", path)
	if r.StatusCode != 200 || r.Header.Get("Content-Type") != "audio/wav" || !strings.HasPrefix(r.Header.Get("Content-Disposition"), "attachment") ||
		r.Header.Get("Cache-Control") != "no-store" || string(r.Body[:4]) != "RIFF" || len(r.Body) < 6000 {
		t.Errorf("%d %v, %d bytes", r.StatusCode, r.Header, len(r.Body))
	}
	if part := s.Get(t, "team", path, "Range", "bytes=8-11"); part.StatusCode != 206 || string(part.Body) != "WAVE" {
		t.Errorf("a part: %d %q", part.StatusCode, part.Body)
	}
	if part := s.Get(t, "team", path, "Range", "bytes=9999999-"); part.StatusCode != 416 {
		t.Errorf("no such part: %d", part.StatusCode)
	}
	demotest.Want(t, "without a key", s.Get(t, "", path), 401, "missing_api_key")
}

func Test001_40_NotesAndMinutes(t *testing.T) {
	demotest.Databases(t, func(t *testing.T, db string) {
		s := start(t, demo.Options{DB: db})
		path := "/v1/meetings/" + first(func(meeting) bool { return true }).ID + "/notes"
		minutes := do[meetings.Note](t, s, "001-41", "POST", path+"?kind=minutes", `{"text": "Agreed"}`, 201)
		note := do[meetings.Note](t, s, "001-41", "POST", path, `{"text": "Remember"}`, 201)
		if minutes.Kind != "minutes" || note.Kind != "note" || note.Author != s.Keys["team"].ID {
			t.Errorf("%+v, %+v", minutes, note)
		}
		for kind, want := range map[string]string{"minutes": minutes.ID, "note": note.ID} {
			list := do[meetings.Page[meetings.Note]](t, s, "001-40", "GET", path+"?kind="+kind, "", 200)
			if slices.ContainsFunc(list.Data, func(n meetings.Note) bool { return n.Kind != kind }) || !slices.ContainsFunc(list.Data, func(n meetings.Note) bool { return n.ID == want }) {
				t.Errorf("001-40 ?kind=%s: %+v", kind, list.Data)
			}
		}
		edited := do[meetings.Note](t, s, "001-41", "PATCH", "/v1/notes/"+note.ID, `{"kind": "minutes", "text": "Two\nlines"}`, 200)
		if edited.Kind != "minutes" || edited.Text != "Two\nlines" {
			t.Errorf("%+v", edited)
		}
		for path, body := range map[string]string{path + "?kind=memo": `{"text": "x"}`, path + "?kind=note": `{"text": "x", "kind": "minutes"}`} {
			demotest.Want(t, path, s.Ask(t, "team", "POST", path, body), 400, "invalid_request")
		}
	})
}

func Test001_43_ActionItemsAreCompleted(t *testing.T) {
	demotest.Databases(t, func(t *testing.T, db string) {
		s := start(t, demo.Options{DB: db})
		id := first(func(meeting) bool { return true }).ID
		a := do[meetings.ActionItem](t, s, "001-43", "POST", "/v1/action-items", `{"meeting_id": "`+id+`", "title": "Call", "assignee": "usr_cy", "due_date": "2026-12-01"}`, 201)
		path := "/v1/action-items/" + a.ID
		done := do[meetings.ActionItem](t, s, "001-43", "PATCH", path, `{"status": "completed"}`, 200)
		if done.Status != "completed" || done.Completed == nil || time.Since(*done.Completed).Abs() > time.Minute || *done.Assignee != "usr_cy" {
			t.Errorf("001-43: %+v", done)
		}
		s.Control(t, "/demo/clock", `{"advance": "1h"}`)
		if again := do[meetings.ActionItem](t, s, "001-43", "PATCH", path, `{"status": "completed", "title": "Called"}`, 200); !again.Completed.Equal(*done.Completed) || again.Title != "Called" {
			t.Errorf("001-43 twice: %+v", again)
		}
		if open := do[meetings.ActionItem](t, s, "001-43", "PATCH", path, `{"status": "open", "assignee": null, "due_date": null}`, 200); open.Completed != nil || open.Assignee != nil || open.Due != nil {
			t.Errorf("001-43 reopened: %+v", open)
		}
		found := demotest.List[meetings.ActionItem](t, s, "team", "/v1/action-items?status=open&meeting_id="+id)
		if !slices.ContainsFunc(found, func(i meetings.ActionItem) bool { return i.ID == a.ID }) || slices.ContainsFunc(found, func(i meetings.ActionItem) bool { return i.Status != "open" || i.Meeting != id }) {
			t.Errorf("001-42: %+v", found)
		}
	})
}

func Test001_45_ChannelsGrantNothing(t *testing.T) {
	demotest.Databases(t, func(t *testing.T, db string) {
		s := start(t, demo.Options{DB: db})
		c := do[meetings.Channel](t, s, "001-45", "POST", "/v1/channels", `{"name": "Böard", "members": ["usr_bo", "usr_ada"]}`, 201)
		private, shared := first(func(m meeting) bool { return m.Private }).ID, first(func(m meeting) bool { return !m.Private }).ID
		path := "/v1/channels/" + c.ID
		body := `{"meeting_ids": ["` + private + `", "` + shared + `"]}`
		do[meetings.Channel](t, s, "001-45", "POST", path+"/meetings", body, 200)
		do[meetings.Channel](t, s, "001-45 again", "POST", path+"/meetings", body, 200)
		if got := demotest.List[meeting](t, s, "team", path+"/meetings"); len(got) != 2 {
			t.Errorf("001-44: %d meetings", len(got))
		}
		demotest.Want(t, "all or none", s.Ask(t, "team", "POST", path+"/meetings", `{"meeting_ids": ["`+first(func(m meeting) bool { return m.ID != shared && m.ID != private }).ID+`", "mtg_none"]}`), 404, "not_found")
		s.Control(t, "/demo/organisations/org_acme", `{"private_via_api": false}`)
		if got := demotest.List[meeting](t, s, "team", path+"/meetings"); len(got) != 1 || got[0].ID != shared {
			t.Errorf("001-44: a channel opens %d meetings", len(got))
		}
		members := do[meetings.Channel](t, s, "001-45", "PUT", path+"/members", `{"members": ["usr_cy"]}`, 200)
		if !slices.Equal(members.Members, []string{"usr_cy"}) {
			t.Errorf("001-45: %v", members.Members)
		}
		demotest.Want(t, "001-45 another organisation's user", s.Ask(t, "team", "PUT", path+"/members", `{"members": ["usr_hal"]}`), 400, "invalid_request")
		for _, key := range []string{"pro", "enterprise"} {
			demotest.Want(t, "another organisation's channel", s.Get(t, key, path+"/meetings"), 404, "not_found")
			demotest.Want(t, "another organisation's channel", s.Ask(t, key, "PUT", path+"/members", `{"members": []}`), 404, "not_found")
		}
	})
}

func Test001_47_SpeakersAndTeam(t *testing.T) {
	demotest.Databases(t, func(t *testing.T, db string) {
		s := start(t, demo.Options{DB: db})
		k := do[meetings.Speaker](t, s, "001-47", "POST", "/v1/speakers", `{"name": "Zoë", "user_id": "usr_cy"}`, 201)
		changed := do[meetings.Speaker](t, s, "001-47", "PATCH", "/v1/speakers/"+k.ID, `{"name": "Zoe", "user_id": null}`, 200)
		if changed.Name != "Zoe" || changed.User != nil {
			t.Errorf("001-47: %+v", changed)
		}
		if got := demotest.List[meetings.Speaker](t, s, "team", "/v1/speakers?limit=2"); len(got) != 10 || !slices.ContainsFunc(got, func(x meetings.Speaker) bool { return x.ID == k.ID }) {
			t.Errorf("001-46: %+v", got)
		}
		demotest.Want(t, "another organisation", s.Ask(t, "enterprise", "DELETE", "/v1/speakers/"+k.ID, ""), 404, "not_found")
		do[any](t, s, "001-47", "DELETE", "/v1/speakers/"+k.ID, "", 204)
		demotest.Want(t, "gone", s.Ask(t, "team", "PATCH", "/v1/speakers/"+k.ID, `{"name": "x"}`), 404, "not_found")
		team := do[struct {
			Members  []struct{ ID, Role string }
			Settings struct{ Plan string }
		}](t, s, "001-48", "GET", "/v1/team", "", 200)
		if len(team.Members) != 5 || team.Settings.Plan != "team" {
			t.Errorf("001-48: %+v", team)
		}
	})
}

type hook struct {
	meetings.Webhook
	Secret string
}

// 001-49: a webhook is delivered for real, signed, again after a failure, once
// however many instances there are, and tells of nothing that its owner can't see.
func Test001_49_WebhooksAreDelivered(t *testing.T) {
	demotest.Databases(t, func(t *testing.T, db string) {
		s := start(t, demo.Options{DB: db})
		others := []*demotest.Server{start(t, demo.Options{DB: db}), start(t, demo.Options{DB: db})}
		receiver := demotest.NewReceiver(t, 500)
		w := do[hook](t, s, "001-49", "POST", "/v1/webhooks", `{"url": "`+receiver.URL+`", "events": ["note.created", "meeting.deleted"]}`, 201)
		m := first(func(m meeting) bool { return !m.Private })
		private := first(func(m meeting) bool { return m.Private })
		for _, s := range append(others, s) {
			s.Control(t, "/demo/organisations/org_acme", `{"private_via_api": false}`)
		}
		note := do[meetings.Note](t, s, "", "POST", "/v1/meetings/"+m.ID+"/notes", `{"text": "x"}`, 201)
		got := receiver.Wait(t, 2) // the first answer was 500
		for _, d := range got {
			if err := hooks.Verify(w.Secret, d.Header.Get(hooks.SignatureHeader), d.Body, time.Now()); err != nil {
				t.Errorf("%v: %s", err, d.Body)
			}
		}
		if string(got[0].Body) != string(got[1].Body) || !strings.Contains(string(got[0].Body), note.ID) || got[0].Header.Get("Mavio-Event") != "note.created" {
			t.Errorf("%s, %s", got[0].Body, got[1].Body)
		}
		demotest.Want(t, "a hidden meeting", s.Ask(t, "team", "DELETE", "/v1/meetings/"+private.ID, ""), 404, "not_found")
		do[any](t, s, "", "DELETE", "/v1/meetings/"+m.ID, "", 204)
		if got = receiver.Wait(t, 3); !strings.Contains(string(got[2].Body), m.ID) || got[2].Header.Get("Mavio-Event") != "meeting.deleted" {
			t.Errorf("%s", got[2].Body)
		}
		settled(t, s, w.ID, map[string]int{"delivered": 2})
		do[any](t, s, "001-49", "DELETE", "/v1/webhooks/"+w.ID, "", 204)
		if n := len(receiver.Got()); n != 3 {
			t.Errorf("%d deliveries, want 3", n)
		}
	})
}

// settled waits until a webhook's list of deliveries is what it should be.
func settled(t *testing.T, s *demotest.Server, id string, want map[string]int) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		states := map[string]int{}
		for _, w := range demotest.List[meetings.Webhook](t, s, "team", "/v1/webhooks") {
			for _, d := range w.Deliveries {
				if w.ID == id {
					states[d.State]++
				}
			}
		}
		if fmt.Sprint(states) == fmt.Sprint(want) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("deliveries %v, want %v", states, want)
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-t.Context().Done():
		}
	}
}

func TestThreat17_WebhooksDontReachInside(t *testing.T) {
	s := start(t, demo.Options{})
	for _, url := range []string{
		"http://example.com/", "ftp://example.com/", "https://10.0.0.1/", "https://192.168.1.1:8443/x", "https://169.254.169.254/latest/meta-data/", "https://[fd00::1]/", "https://[fe80::1%25eth0]/",
		"https://[::ffff:10.0.0.1]/", "https://[64:ff9b::a00:1]/", "https://[2002:a00:1::]/", "https://100.64.0.1/", "https://0.0.0.0/", "https://[::]/", "https://255.255.255.255/",
		"https://user:pass@example.com/", "https://example.com/#x", "https://", "//example.com/", "javascript:alert(1)", "https://exa mple.com/", "https://example.com/" + strings.Repeat("x", 1000),
	} {
		r := s.Ask(t, "team", "POST", "/v1/webhooks", fmt.Sprintf(`{"url": %q, "events": ["note.created"]}`, url))
		demotest.Want(t, url, r, 400, "invalid_request")
		if fields := demotest.Fields(t, r); !slices.Equal(fields, []string{"url"}) {
			t.Errorf("%s: %v", url, fields)
		}
	}
	// A redirect is a failure, and nobody follows it.
	receiver := demotest.NewReceiver(t, 302)
	w := do[hook](t, s, "", "POST", "/v1/webhooks", `{"url": "`+receiver.URL+`", "events": ["note.created"]}`, 201)
	do[meetings.Note](t, s, "", "POST", "/v1/meetings/"+first(func(meeting) bool { return true }).ID+"/notes", `{"text": "x"}`, 201)
	receiver.Wait(t, 2)
	settled(t, s, w.ID, map[string]int{"delivered": 1})
	for _, d := range receiver.Got() {
		if d.Header.Get("Referer") != "" || d.Header.Get("Authorization") != "" {
			t.Errorf("%v", d.Header)
		}
	}
}
