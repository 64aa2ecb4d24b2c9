package manage

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/storage"
)

// A script that is refused again and again must fill neither the log nor the
// memory: one entry per actor, action and minute, for so many at a time.
const (
	denialInterval = time.Minute
	denialsKept    = 4096
	denialPatience = 3 * time.Second
)

// denials remembers which refusals were logged lately. The zero value is ready.
type denials struct {
	mu      sync.Mutex
	recent  map[denial]*repeated
	dropped int // not logged, because too many actors are being refused
}

type denial struct{ organisation, user, action string }

type repeated struct {
	since      time.Time
	suppressed int
}

// denialNote is what an entry says of a refusal, besides who and when.
type denialNote struct {
	Action string `json:"action"`
	Code   string `json:"code"`
	// Suppressed are this actor's like refusals since the last entry, Dropped
	// those of all actors that no entry counts.
	Suppressed int `json:"suppressed,omitempty"`
	Dropped    int `json:"dropped,omitempty"`
}

// denied records a refusal and returns it. That the log can't be written changes
// nothing about the refusal.
func (s *Service) denied(ctx context.Context, a storage.Actor, action, target string, refusal *strikeplate.Error) error {
	if a.Organisation == "" || a.User == "" {
		return refusal // nobody that a log could name
	}
	now := s.now()
	note := denialNote{Action: action, Code: refusal.Code}
	if !s.denials.admit(denial{a.Organisation, a.User, action}, now, &note) {
		return refusal
	}
	after, err := json.Marshal(note)
	if err == nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), denialPatience)
		defer cancel()
		err = s.c.Keys.Commit(ctx, storage.Mutation{Now: now, Audit: []storage.Entry{{
			Organisation: a.Organisation, Actor: a, Action: ActionDenied, Target: target, At: now, After: after,
		}}})
	}
	if err != nil {
		told := *refusal // refusals may be shared
		told.Err = errors.Join(refusal.Err, err)
		return &told
	}
	return refusal
}

// admit reports whether a refusal is to be logged, and adds to note what was
// not logged before.
func (d *denials) admit(who denial, now time.Time, note *denialNote) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.recent == nil {
		d.recent = make(map[denial]*repeated)
	}
	r := d.recent[who]
	if r != nil && now.Sub(r.since).Abs() < denialInterval {
		r.suppressed++
		return false
	}
	if r == nil && len(d.recent) >= denialsKept && !d.purge(now) {
		d.dropped++
		return false
	}
	if r != nil {
		note.Suppressed = r.suppressed
	}
	note.Dropped, d.dropped = d.dropped, 0
	d.recent[who] = &repeated{since: now}
	return true
}

// purge forgets what is older than the interval, and reports whether there is
// room again.
func (d *denials) purge(now time.Time) bool {
	for who, r := range d.recent {
		if now.Sub(r.since).Abs() >= denialInterval {
			d.dropped += r.suppressed
			delete(d.recent, who)
		}
	}
	return len(d.recent) < denialsKept
}
