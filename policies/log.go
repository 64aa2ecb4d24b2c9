package policies

import (
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// Log says which decisions are recorded, and where. Recording happens aside: a
// decision never waits for it.
type Log struct {
	// Sink takes the records. Nil: nothing is recorded.
	Sink Sink
	// Sample is the share of the allowing decisions that is recorded, from 0 to 1;
	// 0 means 1, all of them, and a negative number none.
	Sample float64
	// SampleDenials applies Sample to denials too. False: each denial is recorded,
	// and each decision that could not be made.
	SampleDenials bool
	// Buffer is how many records wait for the Sink; 0 means 4096. What doesn't fit
	// is dropped, and counted in [Stats].LogDropped.
	Buffer int
	// Inputs records the principal's scopes and settings too. False: records name
	// the credential, its organisation and what was decided, and nothing else.
	Inputs bool
}

// Record is one decision, or the decisions of one list of rows.
type Record struct {
	Time time.Time `json:"time"`
	// Entry is scopes, manage, or a resource's name.
	Entry string `json:"entry"`
	// What is the route, or the action of management.
	What    string `json:"what,omitempty"`
	Request string `json:"request,omitempty"` // the request's id
	Allowed bool   `json:"allowed"`
	// Rule and Reason are the rule's own, also where the caller isn't told. They are
	// empty for lists of more than one row.
	Rule     string `json:"rule,omitempty"`
	Reason   string `json:"reason,omitempty"`
	Revision string `json:"revision"`
	// Credential and Organisation are the principal's. For management they are the
	// key's id and the actor's organisation, and Actor is who asked.
	Credential   string `json:"credential,omitempty"`
	Organisation string `json:"organisation,omitempty"`
	Actor        string `json:"actor,omitempty"`
	// Rows were decided on, and Visible of them may be seen, some with hidden
	// columns.
	Rows    int `json:"rows,omitempty"`
	Visible int `json:"visible,omitempty"`
	// Remembered: the decision was made before.
	Remembered bool          `json:"remembered,omitempty"`
	Elapsed    time.Duration `json:"elapsed_ns"`
	// Err says why nothing could be decided, which denied.
	Err string `json:"error,omitempty"`
	// Scopes and Settings are recorded with Log.Inputs only.
	Scopes   []string       `json:"scopes,omitempty"`
	Settings map[string]any `json:"settings,omitempty"`
}

// Sink takes records out of the process. Write is called by one goroutine at a
// time; what it can't write is lost, and counted in [Stats].LogFailed.
type Sink interface {
	Write(records []Record) error
}

const defaultLogBuffer = 4096

func (l *Log) complete() error {
	if l.Buffer == 0 {
		l.Buffer = defaultLogBuffer
	}
	switch {
	case l.Buffer < 0:
		return errors.New("policies: Log.Buffer is negative")
	case l.Sample > 1:
		return errors.New("policies: Log.Sample is a share, at most 1")
	case l.Sample == 0:
		l.Sample = 1
	}
	return nil
}

// wants reports whether a decision is recorded.
func (l *Log) wants(allowed bool) bool {
	if !allowed && !l.SampleDenials {
		return true
	}
	return l.Sample >= 1 || l.Sample > 0 && rand.Float64() < l.Sample
}

// recorder hands records to a sink, from a goroutine of its own.
type recorder struct {
	sink                      Sink
	queue                     chan Record
	recorded, dropped, failed atomic.Uint64
}

func newRecorder(l *Log) *recorder {
	if l.Sink == nil {
		return nil
	}
	return &recorder{sink: l.Sink, queue: make(chan Record, l.Buffer)}
}

// add never waits.
func (r *recorder) add(record Record) {
	select {
	case r.queue <- record:
	default:
		r.dropped.Add(1)
	}
}

// batchSize bounds how many records a sink is handed at once.
const batchSize = 256

// run writes until the end is told, and then what is left.
func (r *recorder) run(end <-chan struct{}) {
	batch := make([]Record, 0, batchSize)
	for {
		select {
		case first := <-r.queue:
			r.write(r.more(append(batch[:0], first)))
		case <-end:
			for {
				rest := r.more(batch[:0])
				if len(rest) == 0 {
					return
				}
				r.write(rest)
			}
		}
	}
}

// more fills a batch with what waits already.
func (r *recorder) more(batch []Record) []Record {
	for len(batch) < cap(batch) {
		select {
		case next := <-r.queue:
			batch = append(batch, next)
		default:
			return batch
		}
	}
	return batch
}

func (r *recorder) write(batch []Record) {
	if err := r.sink.Write(batch); err != nil {
		r.failed.Add(uint64(len(batch)))
		return
	}
	r.recorded.Add(uint64(len(batch)))
}
