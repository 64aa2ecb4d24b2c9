package storage

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// MaxReplays is how many requests are remembered of an organisation at a time.
const MaxReplays = 1000

// maxReplayText is the longest text of a replay, in bytes.
const maxReplayText = 255

// ErrReplays says that the organisation has MaxReplays requests remembered.
var ErrReplays = errors.New("storage: too many requests to remember")

// Replay remembers a request that must have its effect once, however often it
// is sent. It holds digests and the id of what was made, never a secret.
type Replay struct {
	Organisation string
	// Request names the request: a digest of who sent it, to which route, under
	// which idempotency key.
	Request string
	// Body is a digest of what it asks for, by which another request under the same
	// idempotency key is told from a repetition.
	Body string
	// Target is the id of the record that it made; empty while that is open. It
	// stays empty if the process died meanwhile: nobody knows then whether the
	// record was made, and the request must not be carried out again.
	Target string
	// Begun is the caller's clock. From Expires on the request is forgotten.
	Begun, Expires time.Time
}

// Replays remembers requests. Every method is safe for concurrent use, also by
// several instances of a service.
//
// A request is begun before its record is made, and settled afterwards. That is
// two transactions, in an order in which a crash between them can lose the
// answer to a repetition, but can't make two records.
type Replays interface {
	// BeginReplay remembers r, whose Target is empty, and reports true; of many
	// that begin the same request at the same time, one gets true. If the request
	// is remembered already and not expired at r.Begun, it returns what is
	// remembered, and false.
	//
	// Beginning one also removes those of the organisation that have expired at
	// r.Begun, so that there are never more than MaxReplays of it.
	//
	// Failures: ErrReplays; what [Replay.Check] says. Nothing is remembered then.
	BeginReplay(ctx context.Context, r Replay) (known Replay, begun bool, err error)
	// SettleReplay tells what the request made. An empty target says that it made
	// nothing, surely: it is forgotten, and may be sent again. Failures:
	// ErrNotFound.
	SettleReplay(ctx context.Context, organisation, request, target string) error
	// PruneReplays removes up to limit requests of any organisation that are
	// expired at a moment, and returns how many; limit counts as [BatchSize] says.
	// It is upkeep, for organisations that begin no more.
	PruneReplays(ctx context.Context, now time.Time, limit int) (int, error)
}

// Check refuses a replay that no store may begin. Backends call it first, so
// that they agree.
func (r Replay) Check() error {
	for _, text := range []string{r.Organisation, r.Request, r.Body} {
		if text == "" || len(text) > maxReplayText || !ValidText(text) {
			return fmt.Errorf("storage: replay: organisation, request and body are 1 to %d bytes of text", maxReplayText)
		}
	}
	switch {
	case r.Target != "":
		return errors.New("storage: replay: begun with a target")
	case r.Begun.IsZero() || !r.Expires.After(r.Begun):
		return errors.New("storage: replay: it expires before it begins")
	}
	return nil
}
