package meetings

import (
	"context"
	"time"

	"github.com/strikeplate/strikeplate/policies"
)

// What the demo keeps of each at most.
const (
	maxMeetings = 5000 // of an organisation, in one environment
	maxNotes    = 100  // of a meeting
	maxItems    = 100  // of a meeting
	maxChannels = 200
	maxSpeakers = 1000
	maxWebhooks = 20
)

// Optional is a value that a change may set, also to nothing.
type Optional[T any] struct {
	Given bool
	Value *T
}

// MeetingChange says what is to be different; nil: what was.
type MeetingChange struct {
	Title        *string
	Starts       *time.Time
	Minutes      *int
	Private      *bool
	Owner        Optional[string]
	Participants *[]string
}

// Of returns the meeting as it is after the change.
func (c MeetingChange) Of(m Meeting) Meeting {
	apply(&m.Title, c.Title)
	apply(&m.Starts, c.Starts)
	apply(&m.Minutes, c.Minutes)
	apply(&m.Private, c.Private)
	apply(&m.Participants, c.Participants)
	if c.Owner.Given {
		m.Owner = c.Owner.Value
	}
	return m
}

func apply[T any](to, value *T) {
	if value != nil {
		*to = *value
	}
}

// AddMeeting adds a meeting, whose environment is the caller's. Failures: ErrFull.
func (s *Store) AddMeeting(ctx context.Context, m Meeting, tell []Delivery) error {
	return s.change(ctx, tell, func(w *change) {
		w.room(maxMeetings, "demo_meetings WHERE organisation_id = ? AND environment = ?", m.Organisation, m.Environment)
		w.do("INSERT INTO demo_meetings (id, organisation_id, environment, owner_id, private, title, starts_at, minutes) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
			m.ID, m.Organisation, m.Environment, m.Owner, m.Private, m.Title, stamp(m.Starts), m.Minutes)
		w.participants(m.ID, m.Participants)
	})
}

func (w *change) participants(meeting string, users []string) {
	w.do("DELETE FROM demo_participants WHERE meeting_id = ?", meeting)
	for _, u := range users {
		w.do("INSERT INTO demo_participants (meeting_id, user_id) VALUES (?, ?) ON CONFLICT DO NOTHING", meeting, u)
	}
}

// ChangeMeeting changes a meeting that the caller sees. Failures: ErrNotFound.
func (s *Store) ChangeMeeting(ctx context.Context, visible policies.Filter, id string, c MeetingChange, tell []Delivery) error {
	return s.within(ctx, visible, id, tell, func(w *change) {
		var to set
		assign(&to, "title", c.Title)
		assign(&to, "minutes", c.Minutes)
		assign(&to, "private", c.Private)
		if c.Starts != nil {
			to.to("starts_at", stamp(*c.Starts))
		}
		if c.Owner.Given {
			to.to("owner_id", c.Owner.Value)
		}
		w.update("demo_meetings", to, id)
		if c.Participants != nil {
			w.participants(id, *c.Participants)
		}
	})
}

// RemoveMeeting removes a meeting that the caller sees, with all that belongs to
// it. Failures: ErrNotFound.
func (s *Store) RemoveMeeting(ctx context.Context, visible policies.Filter, id string, tell []Delivery) error {
	return s.within(ctx, visible, id, tell, func(w *change) {
		w.one("DELETE FROM demo_meetings WHERE id = ?", id)
	})
}
