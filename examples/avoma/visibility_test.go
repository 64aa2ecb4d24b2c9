package main

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate/examples/internal/demo"
	"github.com/strikeplate/strikeplate/examples/internal/demotest"
	"github.com/strikeplate/strikeplate/examples/internal/meetings"
)

// reach says which meetings a key reaches, in plain Go: what Avoma's page says,
// and nothing of this library's policies or SQL.
var reach = map[string]func(m meetings.Meeting) bool{
	"user_limited":   func(m meetings.Meeting) bool { return acme(m) && concernsBo(m) && !m.Private },
	"user_full":      func(m meetings.Meeting) bool { return acme(m) && (concernsBo(m) || !m.Private) },
	"org_limited":    func(m meetings.Meeting) bool { return acme(m) && !m.Private },
	"org_full":       acme,
	"legacy":         acme,
	"other_org_full": func(m meetings.Meeting) bool { return live(m, "org_fjord") },
}

func live(m meetings.Meeting, organisation string) bool {
	return m.Environment == "live" && m.Organisation == organisation
}

func acme(m meetings.Meeting) bool { return live(m, "org_acme") }

func concernsBo(m meetings.Meeting) bool {
	return m.Owner != nil && *m.Owner == "usr_bo" || slices.Contains(m.Participants, "usr_bo")
}

// expected are the ids that a list shows, newest first.
func expected(data meetings.Data, want ...func(meetings.Meeting) bool) []string {
	var found []meetings.Meeting
	for _, m := range data.Meetings {
		if !slices.ContainsFunc(want, func(f func(meetings.Meeting) bool) bool { return !f(m) }) {
			found = append(found, m)
		}
	}
	slices.SortFunc(found, func(a, b meetings.Meeting) int {
		if c := b.Starts.Compare(a.Starts); c != 0 {
			return c
		}
		return strings.Compare(b.ID, a.ID)
	})
	ids := []string{}
	for _, m := range found {
		ids = append(ids, m.ID)
	}
	return ids
}

type listed struct {
	Data []meetings.Meeting
	Next *string
}

// list follows the cursors of a list to its end.
func (s *server) list(t *testing.T, key, query string) (ids []string, total string) {
	t.Helper()
	ids = []string{}
	for next := ""; ; {
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		if next != "" {
			values.Set("cursor", next)
		}
		r := s.Get(t, key, "/v1/meetings?"+values.Encode())
		if r.StatusCode != http.StatusOK {
			t.Fatalf("%s: meetings?%s: %d %s", key, values.Encode(), r.StatusCode, r.Body)
		}
		page := demotest.Decode[listed](t, r)
		for _, m := range page.Data {
			ids = append(ids, m.ID)
		}
		if now := r.Header.Get("X-Total-Count"); total != "" && now != total {
			t.Errorf("%s: one page counts %s, another %s", key, total, now)
		}
		total = r.Header.Get("X-Total-Count")
		if page.Next == nil {
			return ids, total
		}
		next = *page.Next
	}
}

// The data have every kind of meeting, or the tests below would hold for nothing.
func TestDataHaveEveryKind(t *testing.T) {
	data := meetings.Generate()
	kinds := map[string]func(m meetings.Meeting) bool{
		"owned, private": func(m meetings.Meeting) bool { return m.Private && m.Owner != nil && *m.Owner == "usr_bo" },
		"attended, private": func(m meetings.Meeting) bool {
			return m.Private && (m.Owner == nil || *m.Owner != "usr_bo") && concernsBo(m)
		},
		"owned, not attended": func(m meetings.Meeting) bool {
			return m.Owner != nil && *m.Owner == "usr_bo" && !slices.Contains(m.Participants, "usr_bo")
		},
		"others', private":      func(m meetings.Meeting) bool { return m.Private && !concernsBo(m) },
		"others', not private":  func(m meetings.Meeting) bool { return !m.Private && !concernsBo(m) },
		"nobody's":              func(m meetings.Meeting) bool { return m.Owner == nil },
		"a deactivated owner's": func(m meetings.Meeting) bool { return m.Owner != nil && *m.Owner == "usr_dee" },
	}
	for name, kind := range kinds {
		if n := len(expected(data, acme, kind)); n < 3 {
			t.Errorf("%s: %d meetings", name, n)
		}
	}
	if n := len(expected(data, func(m meetings.Meeting) bool { return m.Environment == "test" && m.Organisation == "org_acme" })); n < 20 {
		t.Errorf("%d sandbox meetings", n)
	}
}

// For each key: the list by cursors, the list by pages, the count, each single
// meeting and each of its parts show what the plain computation says.
func TestEverythingAgreesOnWhoSeesWhat(t *testing.T) {
	demotest.Databases(t, func(t *testing.T, db string) {
		data := meetings.Generate()
		file := filepath.Join(t.TempDir(), "credentials.json")
		for key, sees := range reach {
			t.Run(key, func(t *testing.T) {
				// An instance for each: together they are more than 6,000 requests a minute.
				agrees(t, start(t, demo.Options{DB: db, Credentials: file}), data, key, sees)
			})
		}
	})
}

func agrees(t *testing.T, s *server, data meetings.Data, key string, sees func(meetings.Meeting) bool) {
	t.Helper()
	want := expected(data, sees)
	got, total := s.list(t, key, "")
	if !slices.Equal(got, want) {
		t.Errorf("002-29…65: the list has %d meetings, want %d", len(got), len(want))
	}
	if total != fmt.Sprint(len(want)) {
		t.Errorf("the count is %s, want %d", total, len(want))
	}
	paged := []string{}
	for page := 1; page <= len(want)/pageSize+1; page++ {
		for _, m := range demotest.Decode[listed](t, s.Get(t, key, fmt.Sprintf("/v1/meetings?page=%d", page))).Data {
			paged = append(paged, m.ID)
		}
	}
	if !slices.Equal(paged, want) {
		t.Errorf("by page numbers the list has %d meetings, want %d", len(paged), len(want))
	}
	recorded := make(map[string]bool)
	for _, r := range data.Recordings {
		recorded[r.Meeting] = true
	}
	for _, m := range data.Meetings {
		seen := sees(m)
		for path, there := range map[string]bool{"": true, "/transcription": true, "/notes": true, "/recording": recorded[m.ID]} {
			r := s.Get(t, key, "/v1/meetings/"+m.ID+path)
			if !seen || !there {
				refusal(t, m.ID+path, r, http.StatusNotFound, "meeting_not_found")
			} else if r.StatusCode != http.StatusOK {
				t.Errorf("%s%s is hidden: %d", m.ID, path, r.StatusCode)
			}
		}
	}
}

// What a key can't see is not there: the same body as for a meeting that never was.
func TestHiddenMeetingsLookLikeNone(t *testing.T) {
	s := start(t, demo.Options{})
	data := meetings.Generate()
	hidden := expected(data, func(m meetings.Meeting) bool { return acme(m) && m.Private })[0]
	abroad := expected(data, func(m meetings.Meeting) bool { return live(m, "org_fjord") })[0]
	sandbox := expected(data, func(m meetings.Meeting) bool { return m.Environment == "test" && m.Organisation == "org_acme" })[0]
	for _, path := range []string{"", "/transcription", "/notes", "/recording"} {
		never := s.Get(t, "org_limited", "/v1/meetings/mtg_never"+path)
		refusal(t, "never"+path, never, http.StatusNotFound, "meeting_not_found")
		for _, id := range []string{hidden, abroad, sandbox, "%00", strings.Repeat("x", 3000), "'%20OR%201=1"} {
			r := s.Get(t, "org_limited", "/v1/meetings/"+id+path)
			if r.StatusCode != never.StatusCode || string(r.Body) != string(never.Body) {
				t.Errorf("%.40s%s: %d %s, want %s", id, path, r.StatusCode, r.Body, never.Body)
			}
			for _, field := range []string{"X-Total-Count", "Etag", "Last-Modified", "Content-Disposition"} {
				if r.Header.Get(field) != "" {
					t.Errorf("%s%s: %s tells %q", id, path, field, r.Header.Get(field))
				}
			}
		}
	}
}

// Searches and windows of time are within what the key sees, and their counts too.
func TestSearchesStayWithinWhatTheKeySees(t *testing.T) {
	demotest.Databases(t, func(t *testing.T, db string) {
		s := start(t, demo.Options{DB: db})
		data := meetings.Generate()
		march := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
		june := time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC)
		within := func(m meetings.Meeting) bool { return !m.Starts.Before(march) && m.Starts.Before(june) }
		titled := func(text string) func(meetings.Meeting) bool {
			return func(m meetings.Meeting) bool { return strings.Contains(strings.ToLower(m.Title), text) }
		}
		for key, sees := range reach {
			for query, want := range map[string][]string{
				"q=salary":                            expected(data, sees, titled("salary")), // private titles alone have it
				"q=NORTHWIND":                         expected(data, sees, titled("northwind")),
				"q=a":                                 expected(data, sees, titled("a")),
				"q=%25":                               {},
				"q=_":                                 {},
				"q=%5C":                               {},
				"q=" + url.QueryEscape("' OR '1'='1"): {},
				"from=2026-03-01&to=2026-06-15T12:00:00Z":                           expected(data, sees, within),
				"from=2026-03-01T02:00:00%2B02:00&to=2026-06-15T12:00:00Z&q=review": expected(data, sees, within, titled("review")),
				"from=2030-01-01": {},
			} {
				got, total := s.list(t, key, query)
				if !slices.Equal(got, want) || total != fmt.Sprint(len(want)) {
					t.Errorf("%s: %s: %d meetings and a count of %s, want %d", key, query, len(got), total, len(want))
				}
			}
		}
	})
}

// A cursor is a place and nothing else: taken from another key's list, or made up,
// it continues with what this key sees.
func TestCursorsOpenNothing(t *testing.T) {
	s := start(t, demo.Options{})
	data := meetings.Generate()
	byID := make(map[string]meetings.Meeting)
	for _, m := range data.Meetings {
		byID[m.ID] = m
	}
	hidden := expected(data, func(m meetings.Meeting) bool { return acme(m) && m.Private })[3]
	place := base64.RawURLEncoding.EncodeToString([]byte(byID[hidden].Starts.Format(time.RFC3339) + " " + hidden))
	other := *demotest.Decode[listed](t, s.Get(t, "org_full", "/v1/meetings")).Next
	mine := expected(data, reach["org_limited"])
	for _, cursor := range []string{place, other} {
		b, err := base64.RawURLEncoding.DecodeString(cursor)
		if err != nil {
			t.Fatal(err)
		}
		at, id, _ := strings.Cut(string(b), " ")
		var want []string
		for _, candidate := range mine {
			m := byID[candidate]
			if starts := m.Starts.Format(time.RFC3339); starts < at || starts == at && m.ID < id {
				want = append(want, m.ID)
			}
		}
		got, _ := s.list(t, "org_limited", "cursor="+cursor)
		if !slices.Equal(got[:min(len(got), len(want))], want) || len(got) != len(want) {
			t.Errorf("from %s: %d meetings, want %d", b, len(got), len(want))
		}
	}
	for _, bad := range []string{"cursor=x", "cursor=" + base64.RawURLEncoding.EncodeToString([]byte("yesterday mtg")), "cursor=%00", "page=0", "page=-1", "page=1e3", "page=99999999",
		"page=2&cursor=" + place, "from=yesterday", "to=2026-13-01", "q=%00", "q=%ff", "q=" + strings.Repeat("a", 201)} {
		refusal(t, bad, s.Get(t, "org_limited", "/v1/meetings?"+bad), http.StatusBadRequest, "invalid_request")
	}
}
