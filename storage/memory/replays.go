package memory

import (
	"context"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

var _ storage.Replays = (*Store)(nil)

// replays are an organisation's, by the name of the request.
type replays map[string]storage.Replay

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
	if known, ok := of[r.Request]; ok && known.Expires.After(r.Begun) {
		return known, false, nil
	}
	for name, known := range of {
		if !known.Expires.After(r.Begun) {
			delete(of, name)
		}
	}
	if len(of) >= storage.MaxReplays {
		return storage.Replay{}, false, storage.ErrReplays
	}
	if of == nil {
		of = make(replays)
		s.replays[r.Organisation] = of
	}
	r.Begun, r.Expires = r.Begun.UTC().Truncate(time.Microsecond), r.Expires.UTC().Truncate(time.Microsecond)
	of[r.Request] = r
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
	r, ok := of[request]
	if !ok || r.Target != "" || !storage.ValidText(target) {
		return storage.ErrNotFound
	}
	if target == "" {
		delete(of, request)
		return nil
	}
	r.Target = target
	of[request] = r
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
		for name, r := range of {
			if removed == storage.BatchSize(limit) {
				return removed, nil
			}
			if !r.Expires.After(now) {
				delete(of, name)
				removed++
			}
		}
		if len(of) == 0 {
			delete(s.replays, organisation)
		}
	}
	return removed, nil
}
