package meetings

import (
	"context"
	"time"

	"github.com/strikeplate/strikeplate/policies"
)

// What belongs to a meeting is asked for with the filter of its own resource,
// which is never wider than the meeting's: see Resources.

// Transcript returns what was said in a meeting. Failures: ErrNotFound.
func (s *Store) Transcript(ctx context.Context, visible policies.Filter, meeting string) (Transcript, error) {
	if err := s.see(ctx, visible, meeting); err != nil {
		return Transcript{}, err
	}
	c := s.where(visible)
	c.and("m.id = ?", meeting)
	segments, err := all(ctx, s, "SELECT t.position, t.speaker, t.starts_ms, t.said FROM demo_meetings AS m JOIN demo_segments AS t ON t.meeting_id = m.id WHERE "+
		c.String()+" ORDER BY t.position", c.args,
		func(scan func(...any) error) (t Segment, err error) {
			err = scan(&t.Position, &t.Speaker, &t.Milliseconds, &t.Text)
			return t, err
		})
	return Transcript{Meeting: meeting, Segments: segments}, err
}

// Notes returns a meeting's notes and minutes, or those of one kind. Failures:
// ErrNotFound.
func (s *Store) Notes(ctx context.Context, visible policies.Filter, meeting, kind string) ([]Note, error) {
	if err := s.see(ctx, visible, meeting); err != nil {
		return nil, err
	}
	c := s.where(visible)
	c.and("m.id = ?", meeting)
	if kind != "" {
		c.and("n.kind = ?", kind)
	}
	return all(ctx, s, "SELECT n.id, n.meeting_id, n.kind, n.author_id, n.body, n.created_at, n.updated_at FROM demo_meetings AS m JOIN demo_notes AS n ON n.meeting_id = m.id WHERE "+
		c.String()+" ORDER BY n.created_at, n.id", c.args,
		func(scan func(...any) error) (n Note, err error) {
			err = scan(&n.ID, &n.Meeting, &n.Kind, &n.Author, &n.Text, when{&n.Created}, when{&n.Updated})
			return n, err
		})
}

// Summary returns a meeting's summary. Failures: ErrNotFound.
func (s *Store) Summary(ctx context.Context, visible policies.Filter, meeting string) (Summary, error) {
	if err := s.see(ctx, visible, meeting); err != nil {
		return Summary{}, err
	}
	c := s.where(visible)
	c.and("m.id = ?", meeting)
	return single(all(ctx, s, "SELECT y.meeting_id, y.body, y.version, y.generated_at FROM demo_meetings AS m JOIN demo_summaries AS y ON y.meeting_id = m.id WHERE "+c.String(), c.args,
		func(scan func(...any) error) (y Summary, err error) {
			err = scan(&y.Meeting, &y.Text, &y.Version, when{&y.Generated})
			return y, err
		}))
}

// Recording returns a meeting's recording. Failures: ErrNotFound, also for a
// meeting that nobody recorded.
func (s *Store) Recording(ctx context.Context, visible policies.Filter, meeting string) (Recording, error) {
	if err := s.see(ctx, visible, meeting); err != nil {
		return Recording{}, err
	}
	c := s.where(visible)
	c.and("m.id = ?", meeting)
	return single(all(ctx, s, "SELECT r.meeting_id, r.hertz, r.milliseconds FROM demo_meetings AS m JOIN demo_recordings AS r ON r.meeting_id = m.id WHERE "+c.String(), c.args,
		func(scan func(...any) error) (r Recording, err error) {
			err = scan(&r.Meeting, &r.Hertz, &r.Milliseconds)
			return r, err
		}))
}

// ActionItems returns what is to be done after one meeting or, if none is named,
// after all that the caller sees. Failures: ErrNotFound.
func (s *Store) ActionItems(ctx context.Context, visible policies.Filter, meeting string) ([]ActionItem, error) {
	c := s.where(visible)
	if meeting != "" {
		if err := s.see(ctx, visible, meeting); err != nil {
			return nil, err
		}
		c.and("m.id = ?", meeting)
	}
	return all(ctx, s, "SELECT a.id, a.meeting_id, a.title, a.assignee_id, a.status, a.due_date, a.completed_at FROM demo_meetings AS m JOIN demo_action_items AS a ON a.meeting_id = m.id WHERE "+
		c.String()+" ORDER BY a.meeting_id, a.id", c.args,
		func(scan func(...any) error) (a ActionItem, err error) {
			var completed *string
			if err := scan(&a.ID, &a.Meeting, &a.Title, &a.Assignee, &a.Status, &a.Due, &completed); err != nil || completed == nil {
				return a, err
			}
			at, err := time.Parse(time.RFC3339, *completed)
			a.Completed = &at
			return a, err
		})
}

// when reads a time that stamp wrote.
type when struct{ *time.Time }

// Scan implements sql.Scanner.
func (w when) Scan(from any) error {
	text, _ := from.(string)
	at, err := time.Parse(time.RFC3339, text)
	*w.Time = at
	return err
}
