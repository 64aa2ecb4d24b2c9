package meetings

import "time"

// Meeting is a meeting as the products' APIs show it.
type Meeting struct {
	ID           string `json:"id"`
	Organisation string `json:"organisation_id"`
	Environment  string `json:"environment"` // live or test
	// Owner is nil where nobody owns the meeting any more.
	Owner   *string   `json:"owner_id"`
	Private bool      `json:"private"`
	Title   string    `json:"title"`
	Starts  time.Time `json:"starts_at"`
	Minutes int       `json:"duration_minutes"`
	// Participants are ids of users of the organisation, in ascending order.
	Participants []string `json:"participants"`
}

// Transcript is what was said.
type Transcript struct {
	Meeting  string    `json:"meeting_id"`
	Segments []Segment `json:"segments"`
}

// Segment is what one speaker said without a break.
type Segment struct {
	Position     int    `json:"position"` // from 0
	Speaker      string `json:"speaker"`
	Milliseconds int    `json:"starts_ms"`
	Text         string `json:"text"`
}

// Note is a note or the minutes of a meeting.
type Note struct {
	ID      string    `json:"id"`
	Meeting string    `json:"meeting_id"`
	Kind    string    `json:"kind"` // note or minutes
	Author  string    `json:"author_id"`
	Text    string    `json:"text"`
	Created time.Time `json:"created_at"`
	Updated time.Time `json:"updated_at"`
}

// Summary is a meeting in two sentences. Version rises when it is made again.
type Summary struct {
	Meeting   string    `json:"meeting_id"`
	Text      string    `json:"text"`
	Version   int       `json:"version"`
	Generated time.Time `json:"generated_at"`
}

// ActionItem is something to be done.
type ActionItem struct {
	ID        string     `json:"id"`
	Meeting   string     `json:"meeting_id"`
	Title     string     `json:"title"`
	Assignee  *string    `json:"assignee"` // a user's id
	Status    string     `json:"status"`   // open or completed
	Due       *string    `json:"due_date"`
	Completed *time.Time `json:"completed_at"`
}

// Recording is a meeting's sound. Only its pitch and length are stored: see
// [Recording.WAV].
type Recording struct {
	Meeting      string
	Hertz        int
	Milliseconds int
}

// Channel is a folder of meetings with members of its own.
type Channel struct {
	ID           string   `json:"id"`
	Organisation string   `json:"organisation_id"`
	Environment  string   `json:"environment"`
	Name         string   `json:"name"`
	Members      []string `json:"members"`
	Meetings     []string `json:"-"` // shown through a filter only
}

// Speaker is the profile of a voice.
type Speaker struct {
	ID           string  `json:"id"`
	Organisation string  `json:"organisation_id"`
	Environment  string  `json:"environment"`
	Name         string  `json:"name"`
	User         *string `json:"user_id"` // nil: somebody from outside
}

// Webhook is where events are sent. Its signing secret is shown once, when it is
// made, so none of the ones that are there at the start is active.
type Webhook struct {
	ID           string `json:"id"`
	Organisation string `json:"organisation_id"`
	Environment  string `json:"environment"`
	// User is whose webhook it is, where an app made it for a user; nil: the
	// organisation's. It hears of meetings that the user, or a key of the whole
	// organisation, sees.
	User    *string   `json:"user_id"`
	URL     string    `json:"url"`
	Events  []string  `json:"events"`
	Active  bool      `json:"active"`
	Created time.Time `json:"created_at"`
	// Dropped is how many events were not sent since too many were waiting.
	Dropped int `json:"dropped"`
	// Deliveries are the most recent ones.
	Deliveries []Delivery `json:"deliveries"`

	// Sealed is the signing secret, encrypted, and Grant the OAuth grant by which
	// an app made it.
	Sealed []byte `json:"-"`
	Grant  string `json:"-"`
}

// Delivery is an event on its way to a webhook.
type Delivery struct {
	ID       string    `json:"id"`
	Event    string    `json:"event"`
	State    string    `json:"state"` // pending, delivered or failed
	Attempts int       `json:"attempts"`
	Status   int       `json:"status"`  // of the last answer; 0: there was none
	Problem  string    `json:"problem"` // of the last attempt; empty: none
	Created  time.Time `json:"created_at"`

	Webhook string `json:"-"`
	Body    []byte `json:"-"`
}

// Page is a part of a list.
type Page[T any] struct {
	Data []T `json:"data"`
	// Next continues the list; nil at its end.
	Next *string `json:"next"`
	// Total is how many rows the caller may see and asked for, on all pages.
	Total int `json:"-"`
}
