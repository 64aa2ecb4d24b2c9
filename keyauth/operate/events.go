package operate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

// Event is one audit entry on its way to the embedder.
type Event struct {
	Organisation string `json:"organisation"`
	// Position orders the events of an organisation, and names one within it.
	Position int64 `json:"position"`
	// Action is what happened, such as "key.create"; package manage and this one
	// name them.
	Action string `json:"action"`
	// Key is the id of the key that it happened to; empty where it was none.
	Key   string        `json:"key,omitempty"`
	Actor storage.Actor `json:"actor"`
	At    time.Time     `json:"at"`
	// Before and After are the key, as package manage shows it; nil: there was none.
	Before json.RawMessage `json:"before,omitempty"`
	After  json.RawMessage `json:"after,omitempty"`
}

// EventsConfig wires [Events].
type EventsConfig struct {
	// Operator and Handle are required.
	Operator storage.Operator
	// Feed tells that there may be something to deliver; nil: Poll must do.
	Feed storage.Feed
	// Consumer names what was delivered so far; required. Each consumer gets every
	// event, and there are at most 16.
	Consumer string
	// Handle delivers one event. An error, a panic too, means that it was not
	// delivered: the organisation's events wait and it is tried again. It gets
	// each at least once, of an organisation one after the other in order, of
	// several at the same time. Repetitions have the same Organisation and Position.
	Handle func(ctx context.Context, e Event) error
	// GiveUp decides, after a failure, whether to count the event as delivered;
	// attempts begins with 1, and again after a restart. Nil: never, it is tried
	// until it succeeds.
	GiveUp func(e Event, attempts int, err error) bool
	// Timeout bounds one call of Handle by its context; zero: 30 s.
	Timeout time.Duration
	// Poll is the time between two looks at the log without the feed's prompting;
	// zero: 10 s. Entries that changed no key, such as denials, come by it.
	Poll time.Duration
	// Retry is the wait after an organisation's first failure; it doubles with
	// each further one, up to 5 minutes. Zero: 1 s.
	Retry time.Duration
	// Parallel is the number of organisations that are delivered to at a time;
	// zero: 4. A Handle that never returns takes one of them for good.
	Parallel int
	// Logger receives failures; nil: [slog.Default].
	Logger *slog.Logger
}

const (
	longestRetry = 5 * time.Minute
	mostPages    = 8 // of the log, read at one prompting
	ackPatience  = 3 * time.Second
)

// Events delivers audit entries: created, rotated, revoked, leaked, expiring and
// so on. It reads what is committed already, so it neither delays nor fails a
// mutation, and nothing is lost by a crash: what was not acknowledged is
// delivered again, by any instance. Where several instances run at the same time
// an event may be delivered by each of them.
type Events struct{ c EventsConfig }

// NewEvents checks c.
func NewEvents(c EventsConfig) (*Events, error) {
	switch {
	case c.Operator == nil || c.Handle == nil:
		return nil, errors.New("operate: events: Operator and Handle are required")
	case c.Consumer == "" || !storage.ValidText(c.Consumer):
		return nil, errors.New("operate: events: a Consumer is required, in text that can be stored")
	case c.Timeout < 0 || c.Poll < 0 || c.Retry < 0 || c.Parallel < 0:
		return nil, errors.New("operate: events: Timeout, Poll, Retry and Parallel must not be negative")
	}
	for _, d := range []struct {
		value *time.Duration
		zero  time.Duration
	}{{&c.Timeout, 30 * time.Second}, {&c.Poll, 10 * time.Second}, {&c.Retry, time.Second}} {
		if *d.value == 0 {
			*d.value = d.zero
		}
	}
	if c.Parallel == 0 {
		c.Parallel = 4
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return &Events{c}, nil
}

// Run delivers until ctx ends, and returns ctx's error. Failures of the store
// are logged, and it tries again. Before it returns it waits for calls of Handle
// under way, whose context has ended too, and acknowledges those that succeeded.
func (e *Events) Run(ctx context.Context) error {
	r := &running{Events: e, wake: make(chan struct{}, 1), done: make(chan served), state: make(map[string]*line)}
	watching, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.watch(watching)
	}()
	defer func() {
		stop()
		<-ended
	}()
	return r.loop(ctx)
}

func event(e storage.Entry) Event {
	return Event{Organisation: e.Organisation, Position: e.Position, Action: e.Action, Key: e.Target, Actor: e.Actor,
		At: e.At, Before: e.Before, After: e.After}
}

// handle delivers one event, and turns a panic into a failure: one bad event
// must not end the others' delivery.
func (e *Events) handle(ctx context.Context, ev Event) (err error) {
	ctx, cancel := context.WithTimeout(ctx, e.c.Timeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the handler panicked: %v", p)
		}
	}()
	return e.c.Handle(ctx, ev)
}
