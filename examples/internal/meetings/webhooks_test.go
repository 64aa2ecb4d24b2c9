package meetings_test

import (
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate/examples/internal/meetings"
)

// outbox is a store with one active webhook, and a meeting to tell of.
func outbox(t *testing.T) (*meetings.Store, meetings.Webhook, func(n int)) {
	t.Helper()
	s := open(t, filepath.Join(t.TempDir(), "m.db"))
	hook := meetings.Webhook{ID: "whk_1", Organisation: "org_acme", Environment: "live", URL: "https://example.com/", Events: []string{"note.created"}, Active: true, Created: time.Now()}
	if err := s.AddWebhook(t.Context(), hook); err != nil {
		t.Fatal(err)
	}
	told := 0
	return s, hook, func(n int) {
		var tell []meetings.Delivery
		for range n {
			told++
			tell = append(tell, meetings.Delivery{ID: fmt.Sprintf("dlv_%05d", told), Webhook: hook.ID, Event: "note.created", Body: []byte("{}"), Created: time.UnixMilli(int64(1000 + told))})
		}
		m := meetings.Meeting{ID: meetings.NewID("mtg_"), Organisation: "org_acme", Environment: "live", Title: "x", Starts: time.Now(), Minutes: 1}
		if err := s.AddMeeting(t.Context(), m, tell); err != nil {
			t.Fatal(err)
		}
	}
}

// Of many instances that see a delivery at the same time, one takes it.
func TestOneInstanceTakesADelivery(t *testing.T) {
	s, _, tell := outbox(t)
	now := time.Now()
	for round := range 20 {
		tell(1)
		due, err := s.Due(t.Context(), now, 10)
		if err != nil || len(due) != 1 {
			t.Fatalf("round %d: %d due, %v", round, len(due), err)
		}
		var taken atomic.Int32
		var all sync.WaitGroup
		barrier := make(chan struct{})
		for range 16 {
			all.Go(func() {
				<-barrier
				if ok, err := s.Take(t.Context(), due[0], now.Add(time.Minute)); err != nil {
					t.Error(err)
				} else if ok {
					taken.Add(1)
				}
			})
		}
		close(barrier)
		all.Wait()
		if taken.Load() != 1 {
			t.Errorf("round %d: taken %d times", round, taken.Load())
		}
		d := due[0].Delivery
		d.Webhook, d.State, d.Status = due[0].Webhook.ID, "delivered", 204
		if err := s.Settle(t.Context(), d, now); err != nil {
			t.Fatal(err)
		}
	}
}

// What waits is bounded, and says what it dropped; what is done is, too.
func TestTheOutboxIsBounded(t *testing.T) {
	s, hook, tell := outbox(t)
	tell(510)
	count := func(state string) (n int) {
		if err := s.DB.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM demo_deliveries WHERE state = ?", state).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	listening, err := s.Listeners(t.Context(), "org_acme", "live", "note.created")
	if err != nil || len(listening) != 1 || listening[0].Dropped != 10 || count("pending") != 500 {
		t.Errorf("%d waiting, %+v, %v", count("pending"), listening, err)
	}
	now := time.Now()
	for range 60 {
		due, err := s.Due(t.Context(), now, 10)
		if err != nil || len(due) != 1 { // the oldest of each webhook
			t.Fatalf("%d due, %v", len(due), err)
		}
		d := due[0].Delivery
		d.Webhook, d.State = hook.ID, "failed"
		if err := s.Settle(t.Context(), d, now); err != nil {
			t.Fatal(err)
		}
	}
	if count("failed") != 50 || count("pending") != 440 {
		t.Errorf("%d finished, %d waiting", count("failed"), count("pending"))
	}
}
