package hooks

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/strikeplate/strikeplate/examples/internal/meetings"
)

const (
	places = 8                // requests at once
	lease  = 30 * time.Second // how long an instance may take for one
)

// run looks for what is due, and sends it: at most one delivery to a webhook at a
// time, so that a slow receiver holds up nobody else.
func (s *Sender) run(ctx context.Context) {
	defer close(s.ended)
	var sending sync.WaitGroup
	defer sending.Wait()
	busy := make(map[string]bool) // webhooks
	done := make(chan string, places)
	tick := time.NewTicker(s.config.Every)
	defer tick.Stop()
	for {
		for _, d := range s.due(ctx, busy) {
			busy[d.Webhook.ID] = true
			sending.Go(func() {
				s.send(ctx, d)
				done <- d.Webhook.ID // there is room: no more than places are under way
			})
		}
		select {
		case <-ctx.Done():
			return
		case id := <-done:
			delete(busy, id)
		case <-s.wake:
		case <-tick.C:
		}
	}
}

// due takes as many deliveries as there are places for.
func (s *Sender) due(ctx context.Context, busy map[string]bool) []meetings.Waiting {
	if len(busy) >= places || ctx.Err() != nil {
		return nil
	}
	now := time.Now()
	found, err := s.config.Store.Due(ctx, now, 100)
	if err != nil {
		s.failed(ctx, "look for deliveries", err)
		return nil
	}
	var taken []meetings.Waiting
	mine := make(map[string]bool)
	for _, d := range found {
		if busy[d.Webhook.ID] || mine[d.Webhook.ID] || len(busy)+len(taken) >= places {
			continue
		}
		ok, err := s.config.Store.Take(ctx, d, now.Add(lease))
		if err != nil {
			s.failed(ctx, "take a delivery", err)
			return taken
		}
		if ok {
			d.Attempts++
			mine[d.Webhook.ID] = true
			taken = append(taken, d)
		}
	}
	return taken
}

// send makes one attempt and notes what became of it.
func (s *Sender) send(ctx context.Context, d meetings.Waiting) {
	result := d.Delivery
	result.Webhook = d.Webhook.ID
	result.Status, result.Problem = s.post(ctx, d)
	if ctx.Err() != nil {
		return // the lease ends, and another instance tries
	}
	next := time.Now()
	switch {
	case result.Problem == "":
		result.State = "delivered"
	case d.Attempts > len(s.config.Backoff):
		result.State = "failed"
	default:
		result.State = "pending"
		next = next.Add(s.config.Backoff[d.Attempts-1])
	}
	if err := s.config.Store.Settle(ctx, result, next); err != nil {
		s.failed(ctx, "note a delivery", err)
	}
}

// post returns the answer's status and what was wrong.
func (s *Sender) post(ctx context.Context, d meetings.Waiting) (status int, problem string) {
	// The rules may be stricter than when the webhook was made.
	if s.reaches.check(d.Webhook.URL) != "" {
		return 0, errAddress.Error()
	}
	secret, err := s.config.Seal.Decrypt(d.Webhook.Sealed, bound(d.Webhook))
	if err != nil {
		return 0, "the webhook has no secret: make another one"
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, d.Webhook.URL, bytes.NewReader(d.Body))
	if err != nil {
		return 0, told(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "Mavio-Webhooks/1")
	r.Header.Set("Mavio-Event", d.Event)
	r.Header.Set("Mavio-Delivery", d.ID)
	r.Header.Set(SignatureHeader, Sign(string(secret), time.Now(), d.Body))
	answer, err := s.client.Do(r)
	if err != nil {
		return 0, told(err)
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, 4<<10)) // the answer's end doesn't matter
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		return answer.StatusCode, fmt.Sprintf("the answer was %d", answer.StatusCode)
	}
	return answer.StatusCode, ""
}
