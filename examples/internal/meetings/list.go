package meetings

import (
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/strikeplate/strikeplate/policies"
	"github.com/strikeplate/strikeplate/storage"
)

// Search says which meetings to list, newest first.
type Search struct {
	// From is the first moment, To the first one that is too late; zero: no bound.
	From, To time.Time
	// Text occurs in the title, whatever its case; empty: any title.
	Text string
	// Channel that the meetings are in; empty: any or none.
	Channel string
	// Cursor is a page's Next; empty: from the beginning. Instead of it, Skip is how
	// many rows come before, for those who count pages.
	Cursor string
	Skip   int
	// Limit is the page's size; 0 means 50, and 100 is the most.
	Limit int
}

const (
	defaultLimit = 50
	maxLimit     = 100
	maxText      = 200
)

// Meetings lists the meetings that the caller sees. Failures: ErrSearch.
func (s *Store) Meetings(ctx context.Context, visible policies.Filter, q Search) (Page[Meeting], error) {
	none := Page[Meeting]{}
	c, err := s.wanted(visible, q)
	if err != nil {
		return none, err
	}
	page := Page[Meeting]{}
	// The total counts what the caller sees: it is under the same conditions.
	if err := s.DB.QueryRowContext(ctx, "SELECT COUNT(*) FROM demo_meetings AS m WHERE "+c.String(), c.args...).Scan(&page.Total); err != nil {
		return none, err
	}
	if err := c.after(q.Cursor); err != nil {
		return none, err
	}
	limit := min(cmp.Or(max(q.Limit, 0), defaultLimit), maxLimit)
	text := fmt.Sprintf("SELECT %s FROM demo_meetings AS m WHERE %s ORDER BY m.starts_at DESC, m.id DESC LIMIT %d OFFSET %d",
		meetingColumns, c, limit+1, max(q.Skip, 0))
	if page.Data, err = all(ctx, s, text, c.args, scanMeeting); err != nil {
		return none, err
	}
	if len(page.Data) > limit {
		page.Data = page.Data[:limit]
		next := cursor(page.Data[limit-1])
		page.Next = &next
	}
	return page, s.fillParticipants(ctx, page.Data)
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
	if q.Text != "" {
		if !storage.ValidText(q.Text) || utf8.RuneCountInString(q.Text) > maxText {
			return nil, fmt.Errorf("%w: q is no text of at most %d characters", ErrSearch, maxText)
		}
		c.and(`LOWER(m.title) LIKE LOWER(?) ESCAPE '\'`, "%"+literally.Replace(q.Text)+"%")
	}
	return c, nil
}

// literally makes a text one that LIKE finds as it stands.
var literally = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

// A cursor is the place of the last row that was shown, so it tells nothing that
// the page didn't. Made up by hand it is a place like any other: what follows is
// under the caller's filter still.
func cursor(m Meeting) string {
	return base64.RawURLEncoding.EncodeToString([]byte(stamp(m.Starts) + " " + m.ID))
}

func (c *conditions) after(text string) error {
	if text == "" {
		return nil
	}
	b, err := base64.RawURLEncoding.DecodeString(text)
	at, id, ok := strings.Cut(string(b), " ")
	if err != nil || !ok || !storage.ValidText(id) || len(id) > 64 {
		return fmt.Errorf("%w: the cursor is not one of a list's", ErrSearch)
	}
	if _, err := time.Parse(time.RFC3339, at); err != nil {
		return fmt.Errorf("%w: the cursor is not one of a list's", ErrSearch)
	}
	c.and("(m.starts_at, m.id) < (?, ?)", at, id)
	return nil
}

// Meeting returns one meeting. Failures: ErrNotFound.
func (s *Store) Meeting(ctx context.Context, visible policies.Filter, id string) (Meeting, error) {
	if !storage.ValidText(id) {
		return Meeting{}, ErrNotFound
	}
	c := s.where(visible)
	c.and("m.id = ?", id)
	m, err := single(all(ctx, s, "SELECT "+meetingColumns+" FROM demo_meetings AS m WHERE "+c.String(), c.args, scanMeeting))
	if err != nil {
		return Meeting{}, err
	}
	one := []Meeting{m}
	err = s.fillParticipants(ctx, one)
	return one[0], err
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
