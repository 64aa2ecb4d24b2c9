package meetings

import (
	"context"
	"database/sql"
	"strings"
	"time"
)

// Refill puts the demo data in place of what is there, all at once.
func (s *Store) Refill(ctx context.Context, d Data) error {
	tx, err := s.DB.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	f := filler{ctx: ctx, store: s, tx: tx}
	for _, table := range []string{"demo_channels", "demo_meetings", "demo_speakers", "demo_webhooks"} { // the others' rows belong to theirs
		f.do("DELETE FROM " + table)
	}
	f.meetings(d.Meetings)
	f.within(d)
	f.around(d)
	if f.err != nil {
		return f.err
	}
	return tx.Commit()
}

// filler keeps the first error.
type filler struct {
	ctx   context.Context //nolint:containedctx // lives as long as Refill
	store *Store
	tx    *sql.Tx
	err   error
}

func (f *filler) do(text string, args ...any) {
	if f.err == nil {
		_, f.err = f.tx.ExecContext(f.ctx, f.store.Bind(text), args...)
	}
}

// table writes many rows with few statements: each is a round trip.
func (f *filler) table(into string, rows [][]any) {
	const most = 400
	for len(rows) > 0 {
		n := min(len(rows), most)
		row := "(?" + strings.Repeat(", ?", len(rows[0])-1) + ")"
		args := make([]any, 0, n*len(rows[0]))
		for _, r := range rows[:n] {
			args = append(args, r...)
		}
		f.do("INSERT INTO "+into+" VALUES "+row+strings.Repeat(", "+row, n-1), args...)
		rows = rows[n:]
	}
}

func (f *filler) meetings(all []Meeting) {
	var rows, people [][]any
	for _, m := range all {
		rows = append(rows, []any{m.ID, m.Organisation, m.Environment, m.Owner, m.Private, m.Title, stamp(m.Starts), m.Minutes})
		for _, u := range m.Participants {
			people = append(people, []any{m.ID, u})
		}
	}
	f.table("demo_meetings (id, organisation_id, environment, owner_id, private, title, starts_at, minutes)", rows)
	f.table("demo_participants (meeting_id, user_id)", people)
}

func (f *filler) within(d Data) {
	var segments, recordings, notes, summaries, items [][]any
	for _, t := range d.Transcripts {
		for _, s := range t.Segments {
			segments = append(segments, []any{t.Meeting, s.Position, s.Speaker, s.Milliseconds, s.Text})
		}
	}
	for _, r := range d.Recordings {
		recordings = append(recordings, []any{r.Meeting, r.Hertz, r.Milliseconds})
	}
	for _, n := range d.Notes {
		notes = append(notes, []any{n.ID, n.Meeting, n.Kind, n.Author, n.Text, stamp(n.Created), stamp(n.Updated)})
	}
	for _, s := range d.Summaries {
		summaries = append(summaries, []any{s.Meeting, s.Text, s.Version, stamp(s.Generated)})
	}
	for _, a := range d.ActionItems {
		var completed *string
		if a.Completed != nil {
			at := stamp(*a.Completed)
			completed = &at
		}
		items = append(items, []any{a.ID, a.Meeting, a.Title, a.Assignee, a.Status, a.Due, completed})
	}
	f.table("demo_segments (meeting_id, position, speaker, starts_ms, said)", segments)
	f.table("demo_recordings (meeting_id, hertz, milliseconds)", recordings)
	f.table("demo_notes (id, meeting_id, kind, author_id, body, created_at, updated_at)", notes)
	f.table("demo_summaries (meeting_id, body, version, generated_at)", summaries)
	f.table("demo_action_items (id, meeting_id, title, assignee_id, status, due_date, completed_at)", items)
}

func (f *filler) around(d Data) {
	var channels, members, contents, speakers, webhooks [][]any
	for _, c := range d.Channels {
		channels = append(channels, []any{c.ID, c.Organisation, c.Environment, c.Name})
		for _, u := range c.Members {
			members = append(members, []any{c.ID, u})
		}
		for _, m := range c.Meetings {
			contents = append(contents, []any{c.ID, m})
		}
	}
	for _, s := range d.Speakers {
		speakers = append(speakers, []any{s.ID, s.Organisation, s.Environment, s.Name, s.User})
	}
	for _, w := range d.Webhooks {
		webhooks = append(webhooks, webhookRow(w))
	}
	f.table("demo_channels (id, organisation_id, environment, name)", channels)
	f.table("demo_channel_members (channel_id, user_id)", members)
	f.table("demo_channel_meetings (channel_id, meeting_id)", contents)
	f.table("demo_speakers (id, organisation_id, environment, name, user_id)", speakers)
	f.table("demo_webhooks ("+webhookColumns+")", webhooks)
}

// stamp writes times so that they sort as text.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
