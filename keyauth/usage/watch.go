package usage

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/storage"
)

// Watch raises an alarm when a key does what it never did. Keys are compared
// with their own history, lineages as a whole.
type Watch struct {
	// Alarm delivers an event, from one goroutine; nil: nothing is watched. An
	// error, a panic too, means that it was not delivered: it is tried again a
	// minute later, as long as the cause goes on. It gets 30 s.
	Alarm func(ctx context.Context, e Event) error
	// Factor is how many times the busiest hour of the last 7 days an hour must
	// be; zero: 3.
	Factor float64
	// Requests is the least in an hour that is worth an alarm; zero: 1,000.
	Requests int64
	// Endpoint is the least number of requests in a day, to routes that the key
	// did not use in the 30 days before, that are worth an alarm; zero: 10.
	Endpoint int64
	// Learn is how long a key must have been in use; zero: 24 h.
	Learn time.Duration
	// Quiet is the time between two alarms of a kind about a lineage, on all
	// instances together; zero: 24 h.
	Quiet time.Duration
}

// The kinds of an [Event].
const (
	KindVolume   = "usage.volume"   // far more requests in an hour than in any before
	KindEndpoint = "usage.endpoint" // routes that the key had not used
)

// Event tells of something unusual.
type Event struct {
	Kind         string                  `json:"kind"`
	Organisation string                  `json:"organisation"`
	Lineage      string                  `json:"lineage"`
	Credential   string                  `json:"credential"` // the most recent one of the lineage
	Environment  strikeplate.Environment `json:"environment"`
	At           time.Time               `json:"at"`
	// Since is the beginning of the hour or day that it is about.
	Since time.Time `json:"since"`
	// Requests so far; Usual is the most that there were in an hour before.
	Requests int64 `json:"requests"`
	Usual    int64 `json:"usual,omitempty"`
	// Patterns are the routes that are new, at most 10.
	Patterns []string `json:"patterns,omitempty"`
}

const (
	watchEvery    = 5 * time.Minute // of one lineage
	watchedAtOnce = 50              // lineages after one batch
	watchedAtMost = 10_000          // lineages that are remembered
	alarmPatience = 30 * time.Second
	alarmRetry    = time.Minute
	patternsTold  = 10
	volumeHistory = 7 * day
	routesHistory = 30 * day
)

func (w *Watch) settle() error {
	if w.Factor < 0 || w.Requests < 0 || w.Endpoint < 0 || w.Learn < 0 || w.Quiet < 0 {
		return errors.New("the fields of Watch must not be negative")
	}
	w.Factor, w.Requests, w.Endpoint = cmp.Or(w.Factor, 3), cmp.Or(w.Requests, 1000), cmp.Or(w.Endpoint, 10)
	w.Learn, w.Quiet = cmp.Or(w.Learn, day), cmp.Or(w.Quiet, day)
	return nil
}

// watching is what is to be looked at: lineages that were busy since they were
// looked at last. The flusher's lock guards it.
type watching struct {
	next map[storage.UsageKey]time.Time // lineage to when it may be looked at
	busy map[storage.UsageKey]int64
}

// note remembers which lineages were busy.
func (w *watching) note(b storage.UsageBatch) {
	for _, r := range b.Rows {
		if r.Organisation == "" || r.Credential == storage.UsageOther {
			continue
		}
		if w.busy == nil || len(w.busy) >= watchedAtMost {
			w.busy = make(map[storage.UsageKey]int64)
		}
		w.busy[storage.UsageKey{Organisation: r.Organisation, Lineage: r.Lineage}] += r.Requests()
	}
}

// due takes the busiest lineages that were not looked at lately.
func (w *watching) due(now time.Time) []storage.UsageKey {
	var due []storage.UsageKey
	for k := range w.busy {
		if !now.Before(w.next[k]) {
			due = append(due, k)
		}
	}
	slices.SortFunc(due, func(a, b storage.UsageKey) int {
		return cmp.Or(cmp.Compare(w.busy[b], w.busy[a]), cmp.Compare(a.Organisation, b.Organisation), cmp.Compare(a.Lineage, b.Lineage))
	})
	due = due[:min(len(due), watchedAtOnce)]
	if len(w.next) >= watchedAtMost {
		clear(w.next)
	}
	for _, k := range due {
		w.next[k] = now.Add(watchEvery)
		delete(w.busy, k)
	}
	return due
}

// watch looks at what was busy.
func (u *Counter) watch(ctx context.Context) {
	now := u.now()
	u.flushing.Lock()
	due := u.watching.due(now)
	u.flushing.Unlock()
	if u.c.Watch.Alarm == nil {
		return
	}
	for _, k := range due {
		if err := u.look(ctx, k, now); err != nil {
			if ctx.Err() == nil {
				u.logger.WarnContext(ctx, "usage: a key's use can't be compared with its past", "lineage", k.Lineage, "error", err)
			}
			return
		}
	}
}

// Unusual tells what a lineage does that it never did, as [Watch] says, whether
// alarms are raised or not: the busiest of the last 24 hours, and today's routes.
func (u *Counter) Unusual(ctx context.Context, organisation, lineage string) ([]Event, error) {
	return u.compare(ctx, storage.UsageKey{Organisation: organisation, Lineage: lineage}, u.now(), day-time.Hour)
}

// look compares one lineage with its past, and raises alarms.
func (u *Counter) look(ctx context.Context, k storage.UsageKey, now time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, u.c.Patience+alarmPatience)
	defer cancel()
	events, err := u.compare(ctx, k, now, 0)
	if err != nil {
		return err
	}
	for _, e := range events {
		u.raise(ctx, e)
	}
	return nil
}

// compare returns an event of each kind that there is reason for. Of hours it looks
// at the one that goes on, and at those that began within recent before it.
func (u *Counter) compare(ctx context.Context, k storage.UsageKey, now time.Time, recent time.Duration) ([]Event, error) {
	known, err := u.c.Store.UsageOfLineages(ctx, k.Organisation, []string{k.Lineage})
	if err != nil {
		return nil, err
	}
	seen, ok := known[k.Lineage]
	if !ok || now.Sub(seen.First) < u.c.Watch.Learn {
		return nil, nil
	}
	e := Event{Organisation: k.Organisation, Lineage: k.Lineage, Credential: seen.Credential, Environment: seen.Environment, At: now}
	volume, err := u.volume(ctx, e, recent)
	if err != nil {
		return nil, err
	}
	routes, err := u.routes(ctx, e)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc([]Event{volume, routes}, func(e Event) bool { return e.Kind == "" }), nil
}

// volume returns an event with a Kind if this hour, or one that began within recent
// before it, is unusual.
func (u *Counter) volume(ctx context.Context, e Event, recent time.Duration) (Event, error) {
	hour := storage.PerHour.Start(e.At)
	points, err := u.c.Store.UsageSeries(ctx, storage.UsageQuery{Organisation: e.Organisation, Lineage: e.Lineage,
		From: hour.Add(-volumeHistory - recent), To: hour.Add(time.Hour), Step: storage.PerHour})
	if err != nil {
		return e, err
	}
	e.Since = hour
	for _, p := range points {
		switch {
		case p.Start.Before(hour.Add(-recent)):
			e.Usual = max(e.Usual, p.Requests())
		case p.Requests() >= e.Requests:
			e.Since, e.Requests = p.Start, p.Requests()
		}
	}
	if e.Requests >= u.c.Watch.Requests && float64(e.Requests) > u.c.Watch.Factor*float64(e.Usual) {
		e.Kind = KindVolume
	}
	return e, nil
}

// routes returns an event with a Kind if today's routes are unusual.
func (u *Counter) routes(ctx context.Context, e Event) (Event, error) {
	today := storage.PerDay.Start(e.At)
	q := storage.UsageQuery{Organisation: e.Organisation, Lineage: e.Lineage, From: today.Add(-routesHistory), To: today, Step: storage.PerDay}
	before, err := u.c.Store.UsageEndpoints(ctx, q)
	if err != nil || len(before) == 0 {
		return e, err
	}
	q.From, q.To = today, today.Add(day)
	now, err := u.c.Store.UsageEndpoints(ctx, q)
	if err != nil {
		return e, err
	}
	known := map[string]bool{storage.UsageOther: true, storage.UsageUnmatched: true}
	for _, one := range before {
		known[one.Pattern] = true
	}
	e.Since = today
	for _, one := range now {
		if known[one.Pattern] {
			continue
		}
		e.Requests += one.Requests()
		if len(e.Patterns) < patternsTold {
			e.Patterns = append(e.Patterns, one.Pattern)
		}
	}
	if e.Requests >= u.c.Watch.Endpoint {
		e.Kind = KindEndpoint
	}
	return e, nil
}

// raise delivers an event, unless this or another instance did lately.
func (u *Counter) raise(ctx context.Context, e Event) {
	sum := sha256.Sum256([]byte(e.Lineage)) // a task's name is short
	claim := storage.UsageClaim{Organisation: e.Organisation, Task: e.Kind + "/" + hex.EncodeToString(sum[:16]),
		Holder: newInstance(), Now: e.At, Until: e.At.Add(u.c.Watch.Quiet)}
	ours, err := u.claim(ctx, claim)
	if err == nil && !ours {
		return
	}
	if err == nil {
		if err = u.alarm(ctx, e); err != nil {
			claim.Until = e.At.Add(alarmRetry)
			_, _ = u.claim(ctx, claim)
			u.lookAgain(e)
		}
	}
	u.stats.alarmed(err != nil)
	if err != nil {
		u.logger.ErrorContext(ctx, "usage: an alarm can't be delivered", "kind", e.Kind, "lineage", e.Lineage, "error", err)
	}
}

// lookAgain makes the lineage due again soon.
func (u *Counter) lookAgain(e Event) {
	u.flushing.Lock()
	defer u.flushing.Unlock()
	u.watching.next[storage.UsageKey{Organisation: e.Organisation, Lineage: e.Lineage}] = e.At.Add(alarmRetry)
}

// alarm calls the embedder, whose panic must not end the counting.
func (u *Counter) alarm(ctx context.Context, e Event) (err error) {
	ctx, cancel := context.WithTimeout(ctx, alarmPatience)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the alarm panicked: %v", p)
		}
	}()
	return u.c.Watch.Alarm(ctx, e)
}
