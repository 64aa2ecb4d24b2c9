package meetings

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/strikeplate/strikeplate/policies"
)

// ErrSegment means that a transcript has no such segment, or no such speaker.
var ErrSegment = errors.New("meetings: no such segment or speaker")

// TranscriptChange says what is to be different in a transcript.
type TranscriptChange struct {
	// Segments are changed by their position.
	Segments []SegmentChange
	// Labels give speakers other names, throughout the transcript, before Segments
	// are changed.
	Labels map[string]string
}

// SegmentChange says what is to be different in a segment; nil: what was.
type SegmentChange struct {
	Position      int
	Speaker, Text *string
}

// ChangeTranscript changes all that is asked for, or nothing. Failures:
// ErrNotFound, ErrSegment.
func (s *Store) ChangeTranscript(ctx context.Context, visible policies.Filter, meeting string, c TranscriptChange, tell []Delivery) error {
	return s.within(ctx, visible, meeting, tell, func(w *change) {
		w.labels(meeting, c.Labels)
		for _, segment := range c.Segments {
			var to set
			assign(&to, "speaker", segment.Speaker)
			assign(&to, "said", segment.Text)
			for i, column := range to.columns {
				if n := w.do("UPDATE demo_segments SET "+column+" WHERE meeting_id = ? AND position = ?", to.args[i], meeting, segment.Position); n == 0 && w.err == nil {
					w.err = ErrSegment
				}
			}
		}
	})
}

// labels renames speakers, all at the same time: two can swap their names.
func (w *change) labels(meeting string, names map[string]string) {
	if w.err != nil || len(names) == 0 {
		return
	}
	text, args := "UPDATE demo_segments SET speaker = CASE speaker", []any{}
	places := ""
	for from, to := range names {
		text += " WHEN ? THEN ?"
		args = append(args, from, to)
		places += ", ?"
	}
	args = append(args, meeting)
	for from := range names {
		var n int
		w.err = errors.Join(w.err, w.tx.QueryRowContext(w.ctx, w.store.Bind("SELECT COUNT(*) FROM demo_segments WHERE meeting_id = ? AND speaker = ?"), meeting, from).Scan(&n))
		if n == 0 && w.err == nil {
			w.err = ErrSegment
		}
		args = append(args, from)
	}
	w.do(text+" ELSE speaker END WHERE meeting_id = ? AND speaker IN ("+places[2:]+")", args...)
}

// Regenerate makes a meeting's summary again. Failures: ErrNotFound, also where
// there is no summary.
func (s *Store) Regenerate(ctx context.Context, visible policies.Filter, meeting string, now time.Time, tell []Delivery) error {
	return s.within(ctx, visible, meeting, tell, func(w *change) {
		var said string
		err := w.tx.QueryRowContext(ctx, s.Bind("SELECT said FROM demo_segments WHERE meeting_id = ? ORDER BY LENGTH(said) DESC, position LIMIT 1"), meeting).Scan(&said)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			said = "nothing was recorded." // an honest summary of no transcript
		case err != nil:
			w.err = err
		}
		w.one("UPDATE demo_summaries SET version = version + 1, body = ?, generated_at = ? WHERE meeting_id = ?", "In short: "+said, stamp(now), meeting)
	})
}

// AddNote adds a note. Failures: ErrNotFound, ErrFull.
func (s *Store) AddNote(ctx context.Context, visible policies.Filter, n Note, tell []Delivery) error {
	return s.within(ctx, visible, n.Meeting, tell, func(w *change) {
		w.room(maxNotes, "demo_notes WHERE meeting_id = ?", n.Meeting)
		w.do("INSERT INTO demo_notes (id, meeting_id, kind, author_id, body, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
			n.ID, n.Meeting, n.Kind, n.Author, n.Text, stamp(n.Created), stamp(n.Updated))
	})
}

// NoteChange says what is to be different; nil: what was.
type NoteChange struct{ Kind, Text *string }

// ChangeNote changes a note of a meeting. Failures: ErrNotFound.
func (s *Store) ChangeNote(ctx context.Context, visible policies.Filter, n Note, c NoteChange, now time.Time, tell []Delivery) error {
	return s.within(ctx, visible, n.Meeting, tell, func(w *change) {
		to := set{columns: []string{"updated_at = ?"}, args: []any{stamp(now)}}
		assign(&to, "kind", c.Kind)
		assign(&to, "body", c.Text)
		w.update("demo_notes", to, n.ID)
	})
}

// AddActionItem adds an action item. Failures: ErrNotFound, ErrFull.
func (s *Store) AddActionItem(ctx context.Context, visible policies.Filter, a ActionItem, tell []Delivery) error {
	return s.within(ctx, visible, a.Meeting, tell, func(w *change) {
		w.room(maxItems, "demo_action_items WHERE meeting_id = ?", a.Meeting)
		w.do("INSERT INTO demo_action_items (id, meeting_id, title, assignee_id, status, due_date, completed_at) VALUES (?, ?, ?, ?, 'open', ?, NULL)",
			a.ID, a.Meeting, a.Title, a.Assignee, a.Due)
	})
}

// ActionItemChange says what is to be different; nil: what was.
type ActionItemChange struct {
	Title, Status *string
	Assignee, Due Optional[string]
}

// ChangeActionItem changes an action item of a meeting. Completing one notes when:
// now, or when it was completed before. Failures: ErrNotFound.
func (s *Store) ChangeActionItem(ctx context.Context, visible policies.Filter, a ActionItem, c ActionItemChange, now time.Time, tell []Delivery) error {
	return s.within(ctx, visible, a.Meeting, tell, func(w *change) {
		var to set
		assign(&to, "title", c.Title)
		if c.Assignee.Given {
			to.to("assignee_id", c.Assignee.Value)
		}
		if c.Due.Given {
			to.to("due_date", c.Due.Value)
		}
		if c.Status != nil {
			to.to("status", *c.Status)
			if *c.Status == "completed" {
				to.columns, to.args = append(to.columns, "completed_at = COALESCE(completed_at, ?)"), append(to.args, stamp(now))
			} else {
				to.to("completed_at", nil)
			}
		}
		w.update("demo_action_items", to, a.ID)
	})
}
