package meetings

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Data is everything that a new database is filled with.
type Data struct {
	Meetings    []Meeting
	Transcripts []Transcript
	Notes       []Note
	Summaries   []Summary
	ActionItems []ActionItem
	Recordings  []Recording
	Channels    []Channel
	Speakers    []Speaker
	Webhooks    []Webhook
}

// shares says how many of the 300 meetings are each organisation's.
var shares = []struct {
	organisation string
	meetings     int
}{{"main", 200}, {"enterprise", 30}, {"other", 30}, {"pro", 15}, {"free", 15}, {"lapsed", 10}}

// Generate makes the demo data, the same whenever it is called.
func Generate() Data {
	g := generator{Rand: rand.New(rand.NewPCG(2026, 300)), ids: make(map[string]bool)}
	for _, s := range shares {
		o := OrganisationNamed(s.organisation)
		first := len(g.data.Meetings)
		for i := range s.meetings {
			m := g.meeting(o, i)
			g.data.Meetings = append(g.data.Meetings, m)
			g.within(m)
		}
		g.around(o, g.data.Meetings[first:])
	}
	return g.data
}

type generator struct {
	*rand.Rand
	ids  map[string]bool
	data Data
}

// id makes ids that look like chance. Numbered ones would tell how many there are
// between two that a caller sees.
func (g *generator) id(prefix string) string {
	for {
		b := []byte(prefix)
		for range 12 {
			b = append(b, "abcdefghjkmnpqrstuvwxyz23456789"[g.IntN(31)])
		}
		if id := string(b); !g.ids[id] {
			g.ids[id] = true
			return id
		}
	}
}

func pick[T any](g *generator, from []T) T { return from[g.IntN(len(from))] }

func (g *generator) chance(percent int) bool { return g.IntN(100) < percent }

// meeting makes the nth meeting of an organisation: one in five in the sandbox,
// about one in four private, a few that nobody owns.
func (g *generator) meeting(o Organisation, n int) Meeting {
	members := MembersOf(o.ID)
	m := Meeting{ID: g.id("mtg_"), Organisation: o.ID, Environment: "live", Private: g.chance(25), Starts: g.hour(), Minutes: 15 * (1 + g.IntN(6))}
	if n%5 == 4 {
		m.Environment = "test"
	}
	if owner := pick(g, members).ID; !g.chance(4) {
		m.Owner = &owner
	}
	for _, u := range members { // the owner may stay away, too
		if g.chance(35) {
			m.Participants = append(m.Participants, u.ID)
		}
	}
	if len(m.Participants) == 0 {
		m.Participants = []string{pick(g, members).ID}
	}
	slices.Sort(m.Participants)
	m.Title = fmt.Sprintf("%s: %s", pick(g, occasions), pick(g, partners))
	if m.Private {
		m.Title = pick(g, delicate)
	}
	return m
}

// hour is a half hour of a working day. Some meetings begin at the same time,
// which pages have to cope with.
func (g *generator) hour() time.Time {
	day := time.Date(2026, 1, 5, 8, 0, 0, 0, time.UTC).AddDate(0, 0, g.IntN(320))
	for day.Weekday() == time.Saturday || day.Weekday() == time.Sunday {
		day = day.AddDate(0, 0, 1)
	}
	return day.Add(time.Duration(g.IntN(19)) * 30 * time.Minute)
}

// within makes what belongs to a meeting.
func (g *generator) within(m Meeting) {
	voices := []string{pick(g, guests)}
	for _, u := range Users {
		if slices.Contains(m.Participants, u.ID) {
			voices = append(voices, u.FullName)
		}
	}
	g.transcript(m, voices)
	if !g.chance(10) { // now and then nobody pressed record
		g.data.Recordings = append(g.data.Recordings, Recording{Meeting: m.ID, Hertz: 220 + 20*g.IntN(23), Milliseconds: 400 + 100*g.IntN(7)})
	}
	end := m.Starts.Add(time.Duration(m.Minutes) * time.Minute)
	for _, kind := range []string{"note", "minutes"}[:1+g.IntN(2)] {
		g.data.Notes = append(g.data.Notes, Note{ID: g.id("note_"), Meeting: m.ID, Kind: kind, Author: pick(g, m.Participants),
			Text: fmt.Sprintf("%s. We spoke about %s.", m.Title, pick(g, topics)), Created: end, Updated: end})
	}
	g.data.Summaries = append(g.data.Summaries, Summary{Meeting: m.ID, Version: 1, Generated: end,
		Text: fmt.Sprintf("%d people spoke about %s and %s. %s", len(voices), pick(g, topics), pick(g, topics), pick(g, remarks))})
	for range g.IntN(4) {
		g.data.ActionItems = append(g.data.ActionItems, g.actionItem(m, end))
	}
}

func (g *generator) transcript(m Meeting, voices []string) {
	t := Transcript{Meeting: m.ID}
	at := 0
	for i := range 6 + g.IntN(6) {
		t.Segments = append(t.Segments, Segment{Position: i, Speaker: pick(g, voices), Milliseconds: at, Text: pick(g, remarks)})
		at += 3000 + 1000*g.IntN(20)
	}
	// Something that occurs in this transcript alone, for searches.
	last := &t.Segments[len(t.Segments)-1]
	last.Text += fmt.Sprintf(" The reference is %s.", strings.ToUpper(m.ID[len(m.ID)-6:]))
	g.data.Transcripts = append(g.data.Transcripts, t)
}

func (g *generator) actionItem(m Meeting, end time.Time) ActionItem {
	item := ActionItem{ID: g.id("act_"), Meeting: m.ID, Title: pick(g, duties), Status: "open"}
	if assignee := pick(g, m.Participants); g.chance(80) {
		item.Assignee = &assignee
	}
	if due := end.AddDate(0, 0, 1+g.IntN(20)).Format(time.DateOnly); g.chance(70) {
		item.Due = &due
	}
	if done := end.Add(time.Duration(1+g.IntN(72)) * time.Hour); g.chance(40) {
		item.Status, item.Completed = "completed", &done
	}
	return item
}

// around makes what an organisation has besides meetings, in both environments.
func (g *generator) around(o Organisation, all []Meeting) {
	members := MembersOf(o.ID)
	for _, environment := range []string{"live", "test"} {
		for _, name := range []string{"Customers", "Leadership"} {
			c := Channel{ID: g.id("chn_"), Organisation: o.ID, Environment: environment, Name: name, Members: []string{members[0].ID}}
			for _, m := range all {
				if m.Environment == environment && g.chance(20) {
					c.Meetings = append(c.Meetings, m.ID)
				}
			}
			g.data.Channels = append(g.data.Channels, c)
		}
		for _, u := range members {
			g.data.Speakers = append(g.data.Speakers, Speaker{ID: g.id("spk_"), Organisation: o.ID, Environment: environment, Name: u.FullName, User: &u.ID})
		}
		for _, name := range guests {
			g.data.Speakers = append(g.data.Speakers, Speaker{ID: g.id("spk_"), Organisation: o.ID, Environment: environment, Name: name})
		}
		g.data.Webhooks = append(g.data.Webhooks, Webhook{ID: g.id("whk_"), Organisation: o.ID, Environment: environment,
			URL: "https://hooks.example.com/" + o.ID, Events: []string{"summary.regenerated"}, Created: time.Date(2026, 1, 5, 8, 0, 0, 0, time.UTC)})
	}
}
