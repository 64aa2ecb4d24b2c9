package meetings_test

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/examples/internal/meetings"
	"github.com/strikeplate/strikeplate/policies"
)

func TestDataAreTheSameAtEachStart(t *testing.T) {
	first, err := json.Marshal(meetings.Generate())
	if err != nil {
		t.Fatal(err)
	}
	second, err := json.Marshal(meetings.Generate())
	if err != nil {
		t.Fatal(err)
	}
	if string(first) != string(second) {
		t.Error("two calls make different data")
	}
	d := meetings.Generate()
	if len(d.Meetings) != 300 || len(meetings.Users) != 12 || len(d.Transcripts) != 300 || len(d.Summaries) != 300 {
		t.Errorf("%d meetings, %d users, %d transcripts, %d summaries", len(d.Meetings), len(meetings.Users), len(d.Transcripts), len(d.Summaries))
	}
	if m := d.Meetings[0]; m.ID != "mtg_"+strings.ToLower(m.ID[4:]) || len(m.ID) != 16 {
		t.Errorf("an id is %q", m.ID)
	}
	for what, n := range map[string]int{"recordings": len(d.Recordings), "notes": len(d.Notes), "action items": len(d.ActionItems),
		"channels": len(d.Channels), "speakers": len(d.Speakers), "webhooks": len(d.Webhooks)} {
		if n < 10 {
			t.Errorf("%d %s", n, what)
		}
	}
}

func TestPeopleAndOrganisationsFit(t *testing.T) {
	for _, u := range meetings.Users {
		if !slices.ContainsFunc(meetings.Organisations, func(o meetings.Organisation) bool { return o.ID == u.Organisation }) {
			t.Errorf("%s is in no organisation", u.ID)
		}
	}
	for _, m := range meetings.Generate().Meetings {
		for _, p := range append([]string{"usr_bo"}, m.Participants...) {
			if p != "usr_bo" && !slices.ContainsFunc(meetings.MembersOf(m.Organisation), func(u meetings.User) bool { return u.ID == p }) {
				t.Errorf("%s: %s takes part and is in another organisation", m.ID, p)
			}
		}
	}
}

func open(t *testing.T, db string) *meetings.Store {
	t.Helper()
	s, err := meetings.Open(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if err := s.Refill(t.Context(), meetings.Generate()); err != nil {
		t.Fatal(err)
	}
	return s
}

func filters(t *testing.T) *policies.Engine {
	t.Helper()
	e, err := policies.New(policies.Config{Resources: meetings.Resources()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close(context.Background()) })
	return e
}

var levels = []strikeplate.Access{strikeplate.UserLimited, strikeplate.UserFull, strikeplate.OrganisationLimited, strikeplate.OrganisationFull, strikeplate.Legacy}

func principal(level strikeplate.Access) *strikeplate.Principal {
	p := &strikeplate.Principal{Kind: strikeplate.KindKey, Environment: strikeplate.Live, Access: level, Organisation: "org_acme", Settings: map[string]any{"private_via_api": true}}
	if level.ForUser() {
		p.Subject = "usr_bo"
	}
	return p
}

// What a caller sees of one meeting's parts is what it sees of the meeting, with
// the filter of each part's own resource.
func TestPartsFollowTheirMeeting(t *testing.T) {
	s, e, d := open(t, ""), filters(t), meetings.Generate()
	for _, level := range levels {
		asks := map[string]func(f policies.Filter, id string) error{
			"meetings":    func(f policies.Filter, id string) error { _, err := s.Meeting(t.Context(), f, id); return err },
			"transcripts": func(f policies.Filter, id string) error { _, err := s.Transcript(t.Context(), f, id); return err },
			"notes":       func(f policies.Filter, id string) error { _, err := s.Notes(t.Context(), f, id, ""); return err },
			"summaries":   func(f policies.Filter, id string) error { _, err := s.Summary(t.Context(), f, id); return err },
			"action_items": func(f policies.Filter, id string) error {
				_, err := s.ActionItems(t.Context(), f, meetings.ItemSearch{Meeting: id})
				return err
			},
		}
		seen := make(map[string][]string)
		for resource, ask := range asks {
			f, err := e.Filter(t.Context(), principal(level), resource, s.As())
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range d.Meetings {
				err := ask(f, m.ID)
				if err == nil {
					seen[resource] = append(seen[resource], m.ID)
				} else if err != meetings.ErrNotFound { //nolint:errorlint // bare, so that nothing else is told
					t.Errorf("%s of %s: %v", resource, m.ID, err)
				}
			}
		}
		for resource, ids := range seen {
			if !slices.Equal(ids, seen["meetings"]) || len(ids) == 0 {
				t.Errorf("%s: %d of %d meetings' %s", level, len(ids), len(seen["meetings"]), resource)
			}
		}
		f, err := e.Filter(t.Context(), principal(level), "action_items", s.As())
		if err != nil {
			t.Fatal(err)
		}
		var items []meetings.ActionItem
		for q := (meetings.ItemSearch{}); ; {
			page, err := s.ActionItems(t.Context(), f, q)
			if err != nil {
				t.Fatal(err)
			}
			items = append(items, page.Data...)
			if page.Next == nil {
				break
			}
			q.Cursor = *page.Next
		}
		want := 0
		for _, a := range d.ActionItems {
			if slices.Contains(seen["meetings"], a.Meeting) {
				want++
			}
		}
		if len(items) != want {
			t.Errorf("%s: %d action items, want %d", level, len(items), want)
		}
	}
}

// A filter that nobody made selects nothing.
func TestNoFilterIsAnError(t *testing.T) {
	s, d := open(t, ""), meetings.Generate()
	if _, err := s.Meetings(t.Context(), policies.Filter{}, meetings.Search{}); err == nil {
		t.Error("the list is open")
	}
	if _, err := s.Meeting(t.Context(), policies.Filter{}, d.Meetings[0].ID); err == nil {
		t.Error("a meeting is open")
	}
	if _, err := s.Transcript(t.Context(), policies.Filter{}, d.Meetings[0].ID); err == nil {
		t.Error("a transcript is open")
	}
}

// Lists go through the index: no scan of all organisations' meetings, no sorting.
func TestListsUseTheIndex(t *testing.T) {
	s, e := open(t, filepath.Join(t.TempDir(), "m.db")), filters(t)
	for _, level := range levels {
		f, err := e.Filter(t.Context(), principal(level), "meetings", s.As())
		if err != nil {
			t.Fatal(err)
		}
		plan := planOf(t, s, "SELECT m.id FROM demo_meetings AS m WHERE "+f.Where+" ORDER BY m.starts_at DESC, m.id DESC LIMIT 50", f.Args)
		t.Logf("%s: %s\n%s", level, f.Where, plan)
		if !strings.Contains(plan, "demo_meetings_listed (organisation_id=? AND environment=?)") || strings.Contains(plan, "TEMP B-TREE") {
			t.Errorf("%s: %s\n%s", level, f.Where, plan)
		}
	}
}

// planOf is how SQLite would answer a query.
func planOf(t *testing.T, s *meetings.Store, query string, args []any) string {
	t.Helper()
	rows, err := s.DB.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var plan strings.Builder
	for rows.Next() {
		var a, b, c any
		var detail string
		if err := rows.Scan(&a, &b, &c, &detail); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&plan, detail)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return plan.String()
}

// Pages of any size put together are the list, also where a page ends between
// meetings that begin at the same time.
func TestPagesOfAnySize(t *testing.T) {
	s, e := open(t, ""), filters(t)
	f, err := e.Filter(t.Context(), principal(strikeplate.OrganisationFull), "meetings", s.As())
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	same := 0
	for _, limit := range []int{100, 1, 7} {
		var got []string
		var before meetings.Meeting
		q := meetings.Search{Limit: limit}
		for {
			page, err := s.Meetings(t.Context(), f, q)
			if err != nil {
				t.Fatal(err)
			}
			if page.Total != 160 || len(page.Data) > limit {
				t.Errorf("a page of %d with a count of %d", len(page.Data), page.Total)
			}
			for _, m := range page.Data {
				if m.Starts.Equal(before.Starts) {
					same++
				}
				got, before = append(got, m.ID), m
			}
			if page.Next == nil {
				break
			}
			q.Cursor = *page.Next
		}
		if want == nil {
			want = got
		}
		if !slices.Equal(got, want) || len(got) != 160 {
			t.Errorf("pages of %d: %d meetings", limit, len(got))
		}
	}
	if same == 0 {
		t.Error("no two meetings begin at the same time, so nothing is shown")
	}
}
