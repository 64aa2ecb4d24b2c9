package usage_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate/keyauth/usage"
	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/memory"
)

// TestSeriesHasNoGaps: each bucket is there, whatever happened in it.
func TestSeriesHasNoGaps(t *testing.T) {
	clock := newClock()
	config := slow(memory.New())
	config.Now = clock.now
	counter := counting(t, config)
	for _, pause := range []time.Duration{0, 3 * time.Hour} {
		clock.advance(pause)
		counter.Count(request(principal("acme", "k1"), noon))
	}
	flush(t, counter)
	s, err := counter.Series(t.Context(), storage.UsageQuery{Organisation: "acme", From: noon.Add(-90 * time.Minute), To: noon.Add(4 * time.Hour), Step: storage.PerHour})
	if err != nil {
		t.Fatal(err)
	}
	var got []int64
	for i, p := range s.Points {
		got = append(got, p.Requests())
		if start := noon.Add(time.Duration(i-2) * time.Hour); !p.Start.Equal(start) {
			t.Errorf("point %d begins at %v, want %v", i, p.Start, start)
		}
	}
	want(t, "points", []int64{0, 0, 1, 0, 0, 1}, got)
	want(t, "the sum", int64(2), s.Total.Requests())
}

func TestRanges(t *testing.T) {
	counter := counting(t, slow(memory.New()))
	for name, q := range map[string]storage.UsageQuery{
		"no organisation": {From: noon, To: noon.Add(time.Hour)},
		"no range":        {Organisation: "acme"},
		"backwards":       {Organisation: "acme", From: noon, To: noon.Add(-time.Hour)},
		"too fine":        {Organisation: "acme", From: noon, To: noon.Add(3 * day), Step: storage.PerMinute},
		"too long":        {Organisation: "acme", From: noon, To: noon.Add(3000 * day), Step: storage.PerDay},
		"unknown step":    {Organisation: "acme", From: noon, To: noon.Add(time.Hour), Step: 9},
		"odd text":        {Organisation: "acme\x00", From: noon, To: noon.Add(time.Hour)},
		"long text":       {Organisation: "acme", Credential: strings.Repeat("x", 999), From: noon, To: noon.Add(time.Hour)},
	} {
		for what, ask := range map[string]func() error{
			"Series":    func() error { _, err := counter.Series(t.Context(), q); return err },
			"Endpoints": func() error { _, err := counter.Endpoints(t.Context(), q); return err },
			"Refusals":  func() error { _, err := counter.Refusals(t.Context(), q); return err },
		} {
			if err := ask(); !errors.Is(err, usage.ErrRange) {
				t.Errorf("%s with %s: %v", what, name, err)
			}
		}
	}
	for name, err := range map[string]error{
		"addresses of nobody":          second(counter.Addresses(t.Context(), "", "l", "k")),
		"addresses of an organisation": second(counter.Addresses(t.Context(), "acme", "", "")),
		"credentials of nobody":        second(counter.Credentials(t.Context(), "", []string{"k"})),
		"lineages of nobody":           second(counter.Lineages(t.Context(), "", []string{"k"})),
		"unrecognised without a range": second(counter.Unrecognised(t.Context(), noon, noon.Add(-day))),
	} {
		if !errors.Is(err, usage.ErrRange) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for d, step := range map[time.Duration]storage.UsageStep{time.Hour: storage.PerMinute, 6 * time.Hour: storage.PerMinute, day: storage.PerHour, 30 * day: storage.PerDay} {
		if got := usage.StepFor(d); got != step {
			t.Errorf("StepFor(%v) = %v, want %v", d, got, step)
		}
	}
	// A store that fails is not the asker's mistake.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := counter.Series(ctx, lately("acme", "")); err == nil || errors.Is(err, usage.ErrRange) {
		t.Errorf("Series of a store that fails: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }

// TestManyIDs: more than the store answers at once.
func TestManyIDs(t *testing.T) {
	counter := counting(t, slow(memory.New()))
	ids := make([]string, 2500)
	for i := range ids {
		ids[i] = strings.Repeat("i", i%50) + "-" + time.Duration(i).String()
		counter.Count(request(principal("acme", ids[i]), time.Now()))
	}
	flush(t, counter)
	used, err := counter.LastUsed(t.Context(), ids)
	if err != nil || len(used) != len(ids) {
		t.Errorf("%d of %d were last used, %v", len(used), len(ids), err)
	}
	if found, err := counter.Credentials(t.Context(), "acme", ids); err != nil || len(found) != len(ids) {
		t.Errorf("%d of %d are known, %v", len(found), len(ids), err)
	}
}

func TestConfig(t *testing.T) {
	store := memory.New()
	for name, c := range map[string]usage.Config{
		"no store":          {},
		"too often":         {Store: store, Every: time.Millisecond},
		"too seldom":        {Store: store, Every: time.Hour},
		"negative keys":     {Store: store, Keys: -1},
		"negative rows":     {Store: store, Rows: -1},
		"negative patience": {Store: store, Patience: -1},
		"short minutes":     {Store: store, Keep: usage.Retention{Minutes: time.Minute}},
		"negative days":     {Store: store, Keep: usage.Retention{Days: -1}},
		"negative watch":    {Store: store, Watch: usage.Watch{Quiet: -1}},
	} {
		if _, err := usage.New(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestRetention: of two instances one removes what is older than it should get.
func TestRetention(t *testing.T) {
	clock := newClock()
	store := &pruned{Store: memory.New()}
	config := slow(store)
	config.Now = clock.now
	config.Every = 100 * time.Millisecond
	counter := counting(t, config)
	counting(t, config)
	await(t, "the first one to prune", func() bool { return store.cuts.Load() > 0 })
	counter.Count(request(principal("acme", "k1"), noon))
	flush(t, counter)
	clock.advance(100 * day)
	minutes := storage.UsageQuery{Organisation: "acme", From: noon.Add(-time.Hour), To: noon.Add(time.Hour)}
	hours, days := minutes, minutes
	minutes.Step, hours.Step, days.Step = storage.PerMinute, storage.PerHour, storage.PerDay
	days.From = noon.Add(-day)
	await(t, "minutes and hours to go", func() bool {
		return classes(t, counter, minutes)[2]+classes(t, counter, hours)[2] == 0
	})
	want(t, "days", [6]int64{2: 1}, classes(t, counter, days))
	if n := store.most.Load(); n > 1 {
		t.Errorf("%d pruned in the same hour", n)
	}
}

// await polls for what a background goroutine does soon.
func await(t testing.TB, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for tick := time.NewTicker(5 * time.Millisecond); !done(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
