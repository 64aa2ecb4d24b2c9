package mavio

import (
	"bytes"
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/examples/internal/meetings"
	"github.com/strikeplate/strikeplate/examples/internal/rest"
	"github.com/strikeplate/strikeplate/policies"
)

// ListMeetings answers with the meetings that the caller sees, newest first.
func (a *API) ListMeetings(w http.ResponseWriter, r *http.Request) {
	var found meetings.Page[meetings.Meeting]
	q, err := rest.Search(r.URL.Query())
	if err == nil {
		found, err = seen(a, r, "meetings", func(ctx context.Context, visible policies.Filter) (meetings.Page[meetings.Meeting], error) {
			return a.Meetings.Meetings(ctx, visible, q)
		})
	}
	rest.Answer(w, r, http.StatusOK, found, err)
}

// GetMeeting answers with one meeting.
func (a *API) GetMeeting(w http.ResponseWriter, r *http.Request) {
	single(a, w, r, "meetings", a.Meetings.Meeting)
}

// CreateMeeting makes a meeting in the credential's environment.
func (a *API) CreateMeeting(w http.ResponseWriter, r *http.Request) {
	o, err := rest.Read(w, r)
	var c meetings.MeetingChange
	if err == nil {
		o.Need("title", "starts_at")
		c, err = meetingOf(r, o)
	}
	if err != nil {
		rest.Answer(w, r, 0, nil, err)
		return
	}
	principal, _ := strikeplate.FromContext(r.Context())
	m := c.Of(meetings.Meeting{ID: meetings.NewID("mtg_"), Organisation: principal.Organisation, Environment: string(principal.Environment), Minutes: 30, Participants: []string{}})
	err = a.changed(r, "meetings", "meeting.created", m, nil, func(ctx context.Context, _ policies.Filter, tell []meetings.Delivery) error {
		return a.Meetings.AddMeeting(ctx, m, tell)
	})
	created(w, r, "/v1/meetings/"+m.ID, m, err)
}

// meetingOf reads the fields of a meeting that can be changed.
func meetingOf(r *http.Request, o *rest.Object) (meetings.MeetingChange, error) {
	c := meetings.MeetingChange{
		Title: o.Text("title", 200), Starts: o.Time("starts_at"), Minutes: o.Int("duration_minutes", 1, 24*60), Private: o.Bool("private"),
		Participants: o.Texts("participants", isMember, 100, member(r)),
	}
	c.Owner.Value, c.Owner.Given = o.OrNull("owner_id", isMember, member(r))
	if c.Participants != nil {
		slices.Sort(*c.Participants)
	}
	return c, o.Err()
}

// ChangeMeeting changes what is given, and answers with the meeting.
func (a *API) ChangeMeeting(w http.ResponseWriter, r *http.Request) {
	o, err := rest.Read(w, r)
	var c meetings.MeetingChange
	var m meetings.Meeting
	if err == nil {
		m, err = a.meeting(r, r.PathValue("id"))
	}
	if err == nil {
		c, err = meetingOf(r, o)
	}
	if err == nil {
		m = c.Of(m)
		err = a.changed(r, "meetings", "meeting.updated", m, nil, func(ctx context.Context, visible policies.Filter, tell []meetings.Delivery) error {
			return a.Meetings.ChangeMeeting(ctx, visible, m.ID, c, tell)
		})
	}
	rest.Answer(w, r, http.StatusOK, m, err)
}

// DeleteMeeting removes a meeting with all that belongs to it.
func (a *API) DeleteMeeting(w http.ResponseWriter, r *http.Request) {
	m, err := a.meeting(r, r.PathValue("id"))
	if err == nil {
		err = a.changed(r, "meetings", "meeting.deleted", m, nil, func(ctx context.Context, visible policies.Filter, tell []meetings.Delivery) error {
			return a.Meetings.RemoveMeeting(ctx, visible, m.ID, tell)
		})
	}
	rest.Answer(w, r, http.StatusNoContent, nil, err)
}

// GetRecording answers with the sound itself: no link that would work without the
// credential.
func (a *API) GetRecording(w http.ResponseWriter, r *http.Request) {
	found, err := seen(a, r, "recordings", func(ctx context.Context, visible policies.Filter) (meetings.Recording, error) {
		return a.Meetings.Recording(ctx, visible, r.PathValue("id"))
	})
	if err != nil {
		rest.Answer(w, r, 0, nil, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "audio/wav")
	h.Set("Content-Disposition", `attachment; filename="`+found.Meeting+`.wav"`)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(found.WAV())) // knows Range
}
