package meetings

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/strikeplate/strikeplate/policies"
)

// Search says which meetings to list, newest first.
type Search struct {
	// From is the first moment, To the first one that is too late; zero: no bound.
	From, To time.Time
	// Text occurs in the title, whatever its case; empty: any title.
	Text string
	// Channel that the meetings are in; empty: any or none.
	Channel string
	// Cursor, Skip and Limit are as in [Place].
	Cursor string
	Skip   int
	Limit  int
}

// Meetings lists the meetings that the caller sees. Failures: ErrSearch.
func (s *Store) Meetings(ctx context.Context, visible policies.Filter, q Search) (Page[Meeting], error) {
	none := Page[Meeting]{}
	c, err := s.wanted(visible, q)
	if err != nil {
		return none, err
	}
	// The total counts what the caller sees: it is under the same conditions.
	var total int
	if err := s.DB.QueryRowContext(ctx, "SELECT COUNT(*) FROM demo_meetings AS m WHERE "+c.String(), c.args...).Scan(&total); err != nil {
		return none, err
	}
	found, err := page(ctx, s, meetingColumns+" FROM demo_meetings AS m", c, newestFirst, Place{Cursor: q.Cursor, Skip: q.Skip, Limit: q.Limit}, scanMeeting,
		func(m Meeting) []string { return []string{stamp(m.Starts), m.ID} })
	if err != nil {
		return none, err
	}
	found.Total = total
	return found, s.fillParticipants(ctx, found.Data)
}

// wanted are the conditions of a search, but for its place in the list.
func (s *Store) wanted(visible policies.Filter, q Search) (*conditions, error) {
	c := s.where(visible)
	if !q.From.IsZero() {
		c.and("m.starts_at >= ?", stamp(q.From))
	}
	if !q.To.IsZero() {
		c.and("m.starts_at < ?", stamp(q.To))
	}
	if q.Channel != "" {
		c.and("EXISTS (SELECT 1 FROM demo_channel_meetings AS cm WHERE cm.meeting_id = m.id AND cm.channel_id = ?)", q.Channel)
	}
	err := c.contains("m.title", q.Text)
	return c, err
}

// Meeting returns one meeting. Failures: ErrNotFound.
func (s *Store) Meeting(ctx context.Context, visible policies.Filter, id string) (Meeting, error) {
	m, err := one(ctx, s, meetingColumns+" FROM demo_meetings AS m", s.where(visible), "m.id", id, scanMeeting)
	if err != nil {
		return Meeting{}, err
	}
	found := []Meeting{m}
	err = s.fillParticipants(ctx, found)
	return found[0], err
}

const meetingColumns = "m.id, m.organisation_id, m.environment, m.owner_id, m.private, m.title, m.starts_at, m.minutes"

func scanMeeting(scan func(...any) error) (m Meeting, err error) {
	var starts string
	if err := scan(&m.ID, &m.Organisation, &m.Environment, &m.Owner, &m.Private, &m.Title, &starts, &m.Minutes); err != nil {
		return m, err
	}
	m.Starts, err = time.Parse(time.RFC3339, starts)
	return m, err
}

// fillParticipants adds to meetings that the caller sees who takes part in them.
func (s *Store) fillParticipants(ctx context.Context, page []Meeting) error {
	if len(page) == 0 {
		return nil
	}
	ids := make([]any, len(page))
	for i := range page {
		ids[i] = page[i].ID
		page[i].Participants = []string{}
	}
	type person struct{ meeting, user string }
	people, err := all(ctx, s, s.Bind("SELECT meeting_id, user_id FROM demo_participants WHERE meeting_id IN (?"+strings.Repeat(", ?", len(ids)-1)+")"), ids,
		func(scan func(...any) error) (p person, err error) {
			err = scan(&p.meeting, &p.user)
			return p, err
		})
	if err != nil {
		return err
	}
	of := make(map[string][]string)
	for _, p := range people {
		of[p.meeting] = append(of[p.meeting], p.user)
	}
	for i := range page {
		page[i].Participants = append(page[i].Participants, of[page[i].ID]...)
		slices.Sort(page[i].Participants)
	}
	return nil
}
