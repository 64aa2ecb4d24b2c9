package demotest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// Delivered is what a webhook's receiver got.
type Delivered struct {
	Header http.Header
	Body   []byte
}

// Receiver receives webhooks, on this machine.
type Receiver struct {
	URL string

	mu     sync.Mutex
	got    []Delivered
	status []int
	more   chan struct{}
}

// NewReceiver starts one that answers the first deliveries with the given statuses,
// and all others with 204.
func NewReceiver(t *testing.T, statuses ...int) *Receiver {
	t.Helper()
	r := &Receiver{status: statuses, more: make(chan struct{}, 10_000)}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	r.URL = server.URL + "/hook"
	return r
}

// ServeHTTP notes a delivery.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, _ := io.ReadAll(io.LimitReader(request.Body, 1<<20))
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, Delivered{request.Header, body})
	status := http.StatusNoContent
	if len(r.status) > 0 {
		status, r.status = r.status[0], r.status[1:]
	}
	if status >= 300 && status < 400 {
		w.Header().Set("Location", "/elsewhere")
	}
	w.WriteHeader(status)
	r.more <- struct{}{}
}

// Wait returns what was received once that are n deliveries.
func (r *Receiver) Wait(t *testing.T, n int) []Delivered {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		if got := r.Got(); len(got) >= n {
			return got
		}
		select {
		case <-r.more:
		case <-deadline:
			t.Fatalf("%d deliveries after 30 s, want %d", len(r.Got()), n)
		}
	}
}

// Got is what was received up to now.
func (r *Receiver) Got() []Delivered {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Delivered(nil), r.got...)
}
