package meetings

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/strikeplate/strikeplate/policies"
	"github.com/strikeplate/strikeplate/storage"
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

// Transcripts lists the transcripts of all meetings that the caller sees, newest
// meeting first. Failures: ErrSearch.
func (s *Store) Transcripts(ctx context.Context, visible policies.Filter, at Place) (Page[Transcript], error) {
	type row struct{ meeting, starts string }
	meetings, err := page(ctx, s, "m.id, m.starts_at FROM demo_meetings AS m", s.where(visible), newestFirst, at,
		func(scan func(...any) error) (r row, err error) {
			err = scan(&r.meeting, &r.starts)
			return r, err
		},
		func(r row) []string { return []string{r.starts, r.meeting} })
	if err != nil {
		return Page[Transcript]{}, err
	}
	found := Page[Transcript]{Data: make([]Transcript, len(meetings.Data)), Next: meetings.Next}
	ids, index := make([]any, len(found.Data)), make(map[string]int)
	for i, r := range meetings.Data {
		found.Data[i] = Transcript{Meeting: r.meeting, Segments: []Segment{}}
		ids[i], index[r.meeting] = r.meeting, i
	}
	if len(ids) == 0 {
		return found, nil
	}
	// Meetings that were just seen; what is read here may be younger than that.
	c := s.where(visible)
	c.and("m.id IN (?"+strings.Repeat(", ?", len(ids)-1)+")", ids...)
	_, err = all(ctx, s, "SELECT m.id, t.position, t.speaker, t.starts_ms, t.said FROM demo_meetings AS m JOIN demo_segments AS t ON t.meeting_id = m.id WHERE "+
		c.String()+" ORDER BY t.position", c.args,
		func(scan func(...any) error) (t Segment, err error) {
			var meeting string
			err = scan(&meeting, &t.Position, &t.Speaker, &t.Milliseconds, &t.Text)
			if i, ok := index[meeting]; ok {
				found.Data[i].Segments = append(found.Data[i].Segments, t)
			}
			return t, err
		})
	return found, err
}

// Passage is where a search met a text.
type Passage struct {
	Meeting string    `json:"meeting_id"`
	Title   string    `json:"title"`
	Starts  time.Time `json:"starts_at"`
	Segment
}

// SearchTranscripts finds a text, whatever its case, in what was said in the
// meetings that the caller sees. Failures: ErrSearch, also for no text.
func (s *Store) SearchTranscripts(ctx context.Context, visible policies.Filter, text string, at Place) (Page[Passage], error) {
	c := s.where(visible)
	if err := c.contains("t.said", text); err != nil || text == "" {
		return Page[Passage]{}, cmp.Or(err, ErrSearch)
	}
	by := order{columns: []string{"m.starts_at", "m.id", "t.position"}, time: true, number: true, descending: true}
	return page(ctx, s, "m.id, m.title, m.starts_at, t.position, t.speaker, t.starts_ms, t.said FROM demo_meetings AS m JOIN demo_segments AS t ON t.meeting_id = m.id", c, by, at,
		func(scan func(...any) error) (p Passage, err error) {
			err = scan(&p.Meeting, &p.Title, when{&p.Starts}, &p.Position, &p.Speaker, &p.Milliseconds, &p.Text)
			return p, err
		},
		func(p Passage) []string { return []string{stamp(p.Starts), p.Meeting, strconv.Itoa(p.Position)} })
}

const noteColumns = "n.id, n.meeting_id, n.kind, n.author_id, n.body, n.created_at, n.updated_at FROM demo_meetings AS m JOIN demo_notes AS n ON n.meeting_id = m.id"

func scanNote(scan func(...any) error) (n Note, err error) {
	err = scan(&n.ID, &n.Meeting, &n.Kind, &n.Author, &n.Text, when{&n.Created}, when{&n.Updated})
	return n, err
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
	return all(ctx, s, "SELECT "+noteColumns+" WHERE "+c.String()+" ORDER BY n.created_at, n.id", c.args, scanNote)
}

// Note returns one note. Failures: ErrNotFound.
func (s *Store) Note(ctx context.Context, visible policies.Filter, id string) (Note, error) {
	return one(ctx, s, noteColumns, s.where(visible), "n.id", id, scanNote)
}

const summaryColumns = "y.meeting_id, y.body, y.version, y.generated_at, m.starts_at FROM demo_meetings AS m JOIN demo_summaries AS y ON y.meeting_id = m.id"

type dated struct {
	Summary
	starts string
}

func scanSummary(scan func(...any) error) (y dated, err error) {
	err = scan(&y.Meeting, &y.Text, &y.Version, when{&y.Generated}, &y.starts)
	return y, err
}

// Summary returns a meeting's summary. Failures: ErrNotFound.
func (s *Store) Summary(ctx context.Context, visible policies.Filter, meeting string) (Summary, error) {
	found, err := one(ctx, s, summaryColumns, s.where(visible), "m.id", meeting, scanSummary)
	return found.Summary, err
}

// Summaries lists the summaries of all meetings that the caller sees, newest
// meeting first. Failures: ErrSearch.
func (s *Store) Summaries(ctx context.Context, visible policies.Filter, at Place) (Page[Summary], error) {
	found, err := page(ctx, s, summaryColumns, s.where(visible), newestFirst, at, scanSummary,
		func(y dated) []string { return []string{y.starts, y.Meeting} })
	summaries := Page[Summary]{Data: make([]Summary, len(found.Data)), Next: found.Next}
	for i, y := range found.Data {
		summaries.Data[i] = y.Summary
	}
	return summaries, err
}

// Recording returns a meeting's recording. Failures: ErrNotFound, also for a
// meeting that nobody recorded.
func (s *Store) Recording(ctx context.Context, visible policies.Filter, meeting string) (Recording, error) {
	return one(ctx, s, "r.meeting_id, r.hertz, r.milliseconds FROM demo_meetings AS m JOIN demo_recordings AS r ON r.meeting_id = m.id", s.where(visible), "m.id", meeting,
		func(scan func(...any) error) (r Recording, err error) {
			err = scan(&r.Meeting, &r.Hertz, &r.Milliseconds)
			return r, err
		})
}

const itemColumns = "a.id, a.meeting_id, a.title, a.assignee_id, a.status, a.due_date, a.completed_at, m.starts_at FROM demo_meetings AS m JOIN demo_action_items AS a ON a.meeting_id = m.id"

type datedItem struct {
	ActionItem
	starts string
}

func scanItem(scan func(...any) error) (a datedItem, err error) {
	var completed *string
	if err := scan(&a.ID, &a.Meeting, &a.Title, &a.Assignee, &a.Status, &a.Due, &completed, &a.starts); err != nil || completed == nil {
		return a, err
	}
	at, err := time.Parse(time.RFC3339, *completed)
	a.Completed = &at
	return a, err
}

// ItemSearch says which action items to list; empty: any.
type ItemSearch struct {
	Meeting, Status, Assignee string
	Place
}

// ActionItems lists what is to be done, newest meeting first. Failures: ErrSearch;
// ErrNotFound for a meeting that the caller doesn't see.
func (s *Store) ActionItems(ctx context.Context, visible policies.Filter, q ItemSearch) (Page[ActionItem], error) {
	none := Page[ActionItem]{}
	c := s.where(visible)
	if q.Meeting != "" {
		if err := s.see(ctx, visible, q.Meeting); err != nil {
			return none, err
		}
		c.and("m.id = ?", q.Meeting)
	}
	if q.Status != "" {
		c.and("a.status = ?", q.Status)
	}
	if q.Assignee != "" {
		if !storage.ValidText(q.Assignee) {
			return none, fmt.Errorf("%w: assignee is no id", ErrSearch)
		}
		c.and("a.assignee_id = ?", q.Assignee)
	}
	by := order{columns: []string{"m.starts_at", "a.id"}, time: true, descending: true}
	found, err := page(ctx, s, itemColumns, c, by, q.Place, scanItem, func(a datedItem) []string { return []string{a.starts, a.ID} })
	items := Page[ActionItem]{Data: make([]ActionItem, len(found.Data)), Next: found.Next}
	for i, a := range found.Data {
		items.Data[i] = a.ActionItem
	}
	return items, err
}

// ActionItem returns one action item. Failures: ErrNotFound.
func (s *Store) ActionItem(ctx context.Context, visible policies.Filter, id string) (ActionItem, error) {
	found, err := one(ctx, s, itemColumns, s.where(visible), "a.id", id, scanItem)
	return found.ActionItem, err
}

// one is the row whose column is an id. Failures: ErrNotFound.
func one[T any](ctx context.Context, s *Store, from string, c *conditions, column, id string, scan func(scan func(...any) error) (T, error)) (T, error) {
	if !storage.ValidText(id) { // PostgreSQL has no text with a NUL byte, so no id either
		var none T
		return none, ErrNotFound
	}
	c.and(column+" = ?", id)
	return single(all(ctx, s, "SELECT "+from+" WHERE "+c.String(), c.args, scan))
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
