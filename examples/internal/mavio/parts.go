package mavio

import (
	"context"
	"net/http"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/examples/internal/meetings"
	"github.com/strikeplate/strikeplate/examples/internal/rest"
	"github.com/strikeplate/strikeplate/policies"
)

// GetTranscript answers with what was said in a meeting.
func (a *API) GetTranscript(w http.ResponseWriter, r *http.Request) {
	single(a, w, r, "transcripts", a.Meetings.Transcript)
}

// ListTranscripts answers with the transcripts of all meetings that the caller sees.
func (a *API) ListTranscripts(w http.ResponseWriter, r *http.Request) {
	list(a, w, r, "transcripts", a.Meetings.Transcripts)
}

// SearchTranscripts answers with the passages in which q occurs.
func (a *API) SearchTranscripts(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query().Get("q")
	if q == "" {
		rest.Answer(w, r, 0, nil, rest.Invalid("q is what to search for.", rest.Problem{Field: "q", Message: "It is required."}))
		return
	}
	list(a, w, r, "transcripts", func(ctx context.Context, visible policies.Filter, at meetings.Place) (meetings.Page[meetings.Passage], error) {
		return a.Meetings.SearchTranscripts(ctx, visible, q, at)
	})
}

// ChangeTranscript changes what was said, and who said it.
func (a *API) ChangeTranscript(w http.ResponseWriter, r *http.Request) {
	o, err := rest.Read(w, r)
	var m meetings.Meeting
	if err == nil {
		m, err = a.meeting(r, r.PathValue("id"))
	}
	var c meetings.TranscriptChange
	if err == nil {
		c = meetings.TranscriptChange{Labels: o.Map("speaker_labels", 50, 100)}
		for _, one := range o.Objects("segments", 200) {
			one.Need("position")
			segment := meetings.SegmentChange{Speaker: one.Text("speaker", 100), Text: one.Prose("text", 5000)}
			if at := one.Int("position", 0, 1_000_000); at != nil {
				segment.Position = *at
			}
			one.Done()
			c.Segments = append(c.Segments, segment)
		}
		err = o.Err()
	}
	if err == nil {
		err = a.changed(r, "transcripts", "transcript.updated", m, nil, func(ctx context.Context, visible policies.Filter, tell []meetings.Delivery) error {
			return a.Meetings.ChangeTranscript(ctx, visible, m.ID, c, tell)
		})
	}
	if err != nil {
		rest.Answer(w, r, 0, nil, err)
		return
	}
	a.GetTranscript(w, r)
}

// GetSummary answers with a meeting's summary.
func (a *API) GetSummary(w http.ResponseWriter, r *http.Request) {
	single(a, w, r, "summaries", a.Meetings.Summary)
}

// ListSummaries answers with the summaries of all meetings that the caller sees.
func (a *API) ListSummaries(w http.ResponseWriter, r *http.Request) {
	list(a, w, r, "summaries", a.Meetings.Summaries)
}

// Regenerate makes a summary again, and answers with it.
func (a *API) Regenerate(w http.ResponseWriter, r *http.Request) {
	m, err := a.meeting(r, r.PathValue("id"))
	if err == nil {
		err = a.changed(r, "summaries", "summary.regenerated", m, nil, func(ctx context.Context, visible policies.Filter, tell []meetings.Delivery) error {
			return a.Meetings.Regenerate(ctx, visible, m.ID, a.Now(), tell)
		})
	}
	if err != nil {
		rest.Answer(w, r, 0, nil, err)
		return
	}
	a.GetSummary(w, r)
}

var kinds = []string{"note", "minutes"}

// ListNotes answers with a meeting's notes and minutes, or those of one kind. A
// meeting has few: they are one page.
func (a *API) ListNotes(w http.ResponseWriter, r *http.Request) {
	kind, err := rest.OneOf(r.URL.Query(), "kind", kinds...)
	var found meetings.Page[meetings.Note]
	if err == nil {
		found.Data, err = seen(a, r, "notes", func(ctx context.Context, visible policies.Filter) ([]meetings.Note, error) {
			return a.Meetings.Notes(ctx, visible, r.PathValue("id"), kind)
		})
	}
	rest.Answer(w, r, http.StatusOK, found, err)
}

// CreateNote adds a note or minutes to a meeting; the kind is in the body or, as in
// the list, in the query.
func (a *API) CreateNote(w http.ResponseWriter, r *http.Request) {
	asked, err := rest.OneOf(r.URL.Query(), "kind", kinds...)
	o, bad := rest.Read(w, r)
	if err == nil {
		err = bad
	}
	var m meetings.Meeting
	if err == nil {
		m, err = a.meeting(r, r.PathValue("id"))
	}
	n := meetings.Note{ID: meetings.NewID("note_"), Meeting: m.ID, Kind: "note", Author: author(r), Created: a.Now().UTC().Truncate(time.Second)}
	n.Updated = n.Created
	if err == nil {
		o.Need("text")
		if asked != "" {
			n.Kind = asked
		}
		if kind := o.OneOf("kind", kinds...); kind != nil {
			if asked != "" && *kind != asked {
				o.Bad("kind", "The query says %s.", asked)
			}
			n.Kind = *kind
		}
		if text := o.Prose("text", 20_000); text != nil {
			n.Text = *text
		}
		err = o.Err()
	}
	if err == nil {
		err = a.changed(r, "notes", "note.created", m, map[string]string{"note_id": n.ID}, func(ctx context.Context, visible policies.Filter, tell []meetings.Delivery) error {
			return a.Meetings.AddNote(ctx, visible, n, tell)
		})
	}
	created(w, r, "", n, err)
}

// author is who writes: the user that a credential acts as, or the credential.
func author(r *http.Request) string {
	principal, _ := strikeplate.FromContext(r.Context())
	if principal.Subject != "" {
		return principal.Subject
	}
	return principal.Credential
}

// ChangeNote changes what is given, and answers with the note.
func (a *API) ChangeNote(w http.ResponseWriter, r *http.Request) {
	o, err := rest.Read(w, r)
	get := func(ctx context.Context, visible policies.Filter) (meetings.Note, error) {
		return a.Meetings.Note(ctx, visible, r.PathValue("id"))
	}
	var n meetings.Note
	var m meetings.Meeting
	if err == nil {
		n, err = seen(a, r, "notes", get)
	}
	if err == nil {
		m, err = a.meeting(r, n.Meeting)
	}
	var c meetings.NoteChange
	if err == nil {
		c = meetings.NoteChange{Kind: o.OneOf("kind", kinds...), Text: o.Prose("text", 20_000)}
		err = o.Err()
	}
	if err == nil {
		err = a.changed(r, "notes", "note.updated", m, map[string]string{"note_id": n.ID}, func(ctx context.Context, visible policies.Filter, tell []meetings.Delivery) error {
			return a.Meetings.ChangeNote(ctx, visible, n, c, a.Now(), tell)
		})
	}
	if err == nil {
		n, err = seen(a, r, "notes", get)
	}
	rest.Answer(w, r, http.StatusOK, n, err)
}
