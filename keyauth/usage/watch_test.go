package usage_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth/usage"
	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/memory"
)

// pruned counts who prunes, and how often in one hour of the cuts' clock.
type pruned struct {
	*memory.Store
	cuts, most atomic.Int64
	mu         sync.Mutex
	hours      map[time.Time]int64
}

func (p *pruned) PruneUsage(ctx context.Context, cut storage.UsageCutoffs, limit int) (int, error) {
	n, err := p.Store.PruneUsage(ctx, cut, limit)
	if n == 0 { // the last call of a round
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.hours == nil {
			p.hours = make(map[time.Time]int64)
		}
		p.hours[cut.Now]++
		p.most.Store(max(p.most.Load(), p.hours[cut.Now]))
		p.cuts.Add(1)
	}
	return n, err
}

// alarms collects events.
type alarms struct {
	mu    sync.Mutex
	all   []usage.Event
	fail  int // so many deliveries
	panic bool
}

func (a *alarms) alarm(_ context.Context, e usage.Event) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.fail > 0 {
		a.fail--
		if a.panic {
			panic("the pager is down")
		}
		return errors.New("the pager is down")
	}
	a.all = append(a.all, e)
	return nil
}

func (a *alarms) take() []usage.Event {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := a.all
	a.all = nil
	return all
}

// days runs a bubble in which two instances count a key's work: n requests an
// hour to its usual route, for some days.
func watched(t *testing.T, w usage.Watch, run func(a *alarms, work func(hours, n int, pattern string), counter *usage.Counter)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		a := &alarms{}
		w.Alarm = a.alarm
		c := usage.Config{Store: store, Every: time.Minute, Watch: w}
		first, second := counting(t, c), counting(t, c)
		k := principal("acme", "k1")
		work := func(hours, n int, pattern string) {
			for range hours {
				for i := range n {
					o := request(k, time.Now())
					o.Pattern = pattern
					[]*usage.Counter{first, second}[i%2].Count(o)
				}
				time.Sleep(time.Hour) // of the bubble's clock
				synctest.Wait()
			}
		}
		time.Sleep(30 * time.Second) // of the bubble's clock: hours begin before batches do
		run(a, work, first)
		shut(t, first)
		shut(t, second)
	})
}

func TestUnusualVolume(t *testing.T) {
	watched(t, usage.Watch{Requests: 100}, func(a *alarms, work func(int, int, string), counter *usage.Counter) {
		work(3, 500, "GET /")
		if got := a.take(); len(got) > 0 {
			t.Fatalf("a key that is new raised %+v", got)
		}
		work(30, 40, "GET /")
		work(1, 1500, "GET /") // no more than three times its busiest hour
		if got := a.take(); len(got) > 0 {
			t.Fatalf("usual work raised %+v", got)
		}
		work(1, 4600, "GET /")
		got := a.take()
		if len(got) != 1 {
			t.Fatalf("three times as much as ever raised %+v", got)
		}
		e := got[0]
		at, since := e.At, e.Since
		e.At, e.Since = time.Time{}, time.Time{}
		want(t, "the event", usage.Event{Kind: usage.KindVolume, Organisation: "acme", Lineage: "line-k1", Credential: "k1",
			Environment: strikeplate.Live, Requests: 4600, Usual: 1500}, e)
		if !since.Equal(storage.PerHour.Start(at)) {
			t.Errorf("it is about %v, at %v", since, at)
		}
		work(1, 20_000, "GET /")
		if got := a.take(); len(got) > 0 {
			t.Errorf("a second time in a day: %+v", got)
		}
		work(24, 10, "GET /")
		work(1, 61_000, "GET /")
		if got := a.take(); len(got) != 1 {
			t.Errorf("on another day: %+v", got)
		}
	})
}

func TestUnusualEndpoints(t *testing.T) {
	watched(t, usage.Watch{Requests: 1 << 40}, func(a *alarms, work func(int, int, string), counter *usage.Counter) {
		work(40, 20, "GET /v1/meetings")
		work(5, 100, "GET /v1/meetings")
		work(1, 5, "DELETE /v1/meetings/{id}") // too few
		work(1, 50, storage.UsageUnmatched)
		if got := a.take(); len(got) > 0 {
			t.Fatalf("usual work raised %+v", got)
		}
		work(1, 10, "DELETE /v1/meetings/{id}")
		got := a.take()
		if len(got) != 1 || got[0].Kind != usage.KindEndpoint || len(got[0].Patterns) != 1 || got[0].Patterns[0] != "DELETE /v1/meetings/{id}" || got[0].Requests < 10 {
			t.Fatalf("a new route raised %+v", got)
		}
		work(30, 10, "DELETE /v1/meetings/{id}")
		if got := a.take(); len(got) > 0 {
			t.Errorf("a route that is not new any more raised %+v", got)
		}
	})
}

// TestAlarmFails: it is tried again, and once it is delivered that is it.
func TestAlarmFails(t *testing.T) {
	for _, panics := range []bool{false, true} {
		watched(t, usage.Watch{Requests: 100}, func(a *alarms, work func(int, int, string), counter *usage.Counter) {
			work(30, 10, "GET /")
			a.mu.Lock()
			a.fail, a.panic = 1, panics
			a.mu.Unlock()
			work(1, 500, "GET /")
			if got := a.take(); len(got) > 0 {
				t.Fatalf("delivered: %+v", got)
			}
			work(1, 2000, "GET /")
			if got := a.take(); len(got) != 1 {
				t.Errorf("after a failure: %+v", got)
			}
			work(1, 9000, "GET /")
			if got := a.take(); len(got) > 0 {
				t.Errorf("after it was delivered: %+v", got)
			}
		})
	}
}
