package memory

import (
	"context"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

var _ storage.Replays = (*Store)(nil)

// replays are an organisation's.
type replays struct {
	all   map[string]storage.Replay // by the name of the request
	first time.Time                 // none expires before
}

// clear removes what has expired.
func (of *replays) clear(now time.Time) {
	if of.first.After(now) {
		return
	}
	of.first = time.Time{}
	for name, r := range of.all {
		switch {
		case !r.Expires.After(now):
			delete(of.all, name)
		case of.first.IsZero() || r.Expires.Before(of.first):
			of.first = r.Expires
		}
	}
}

func (of *replays) put(r storage.Replay) {
	if len(of.all) == 0 || r.Expires.Before(of.first) {
		of.first = r.Expires
	}
	of.all[r.Request] = r
}

// BeginReplay implements [storage.Replays].
func (s *Store) BeginReplay(ctx context.Context, r storage.Replay) (storage.Replay, bool, error) {
	if err := r.Check(); err != nil {
		return storage.Replay{}, false, err
	}
	unlock, err := s.writing(ctx)
	if err != nil {
		return storage.Replay{}, false, err
	}
	defer unlock()
	of := s.replays[r.Organisation]
	if of == nil {
		of = &replays{all: make(map[string]storage.Replay)}
	}
	if known, ok := of.all[r.Request]; ok && known.Expires.After(r.Begun) {
		return known, false, nil
	}
	of.clear(r.Begun)
	if len(of.all) >= storage.MaxReplays {
		return storage.Replay{}, false, storage.ErrReplays
	}
	r.Begun, r.Expires = r.Begun.UTC().Truncate(time.Microsecond), r.Expires.UTC().Truncate(time.Microsecond)
	of.put(r)
	s.replays[r.Organisation] = of
	return r, true, nil
}

// SettleReplay implements [storage.Replays].
func (s *Store) SettleReplay(ctx context.Context, organisation, request, target string) error {
	unlock, err := s.writing(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	of := s.replays[organisation]
	if of == nil {
		return storage.ErrNotFound
	}
	r, ok := of.all[request]
	if !ok || r.Target != "" || !storage.ValidText(target) {
		return storage.ErrNotFound
	}
	if target == "" {
		delete(of.all, request)
		return nil
	}
	r.Target = target
	of.all[request] = r
	return nil
}

// PruneReplays implements [storage.Replays]. It looks at every one.
func (s *Store) PruneReplays(ctx context.Context, now time.Time, limit int) (int, error) {
	unlock, err := s.writing(ctx)
	if err != nil {
		return 0, err
	}
	defer unlock()
	removed := 0
	for organisation, of := range s.replays {
		for name, r := range of.all {
			if removed == storage.BatchSize(limit) {
				return removed, nil
			}
			if !r.Expires.After(now) {
				delete(of.all, name)
				removed++
			}
		}
		if len(of.all) == 0 {
			delete(s.replays, organisation)
		}
	}
	return removed, nil
}
