package storagetest_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/memory"
	"github.com/strikeplate/strikeplate/storage/storagetest"
)

// feedTwin is a memory store with a feed of its own, sound at its zero value
// but for a faster heartbeat. Each field breaks it in one way.
type feedTwin struct {
	changed      when
	oneOnly      bool          // tells one watcher
	firstKeyOnly bool          // tells of one record of a mutation
	ahead        time.Duration // added to asOf
	stands       bool          // asOf stays where it began
	beats        int           // of Fresh, then none; 0: no end
	silentStart  bool          // no Lost at the beginning
	impatient    bool          // asOf ignores deliveries under way
	lingers      bool          // calls sinks after Watch returned
	swallows     bool          // Watch returns nil
	endsAll      bool          // the end of one watch is the end of all
	locked       bool          // readers wait while sinks are told
}

// when a feedTwin calls Changed.
type when int

const (
	beforeReturn when = iota // as it should
	never
	beforeCommit
	beforeFresh
	afterFresh
)

type fedStore struct {
	*memory.Store
	feedTwin
	lock sync.RWMutex // for locked

	mu      sync.Mutex
	sinks   []*fedSink
	writing map[*time.Time]bool
}

type fedSink struct {
	storage.Sink
	calls   sync.WaitGroup
	pending []storage.Key // guarded by fedStore.mu
	ended   chan struct{}
}

func feeding(f feedTwin) func() storagetest.Store {
	return func() storagetest.Store {
		return &fedStore{Store: memory.New(), feedTwin: f, writing: make(map[*time.Time]bool)}
	}
}

func (s *fedStore) Watch(ctx context.Context, sink storage.Sink) error {
	x := &fedSink{Sink: sink, ended: make(chan struct{})}
	s.mu.Lock()
	s.sinks = append(s.sinks, x)
	s.mu.Unlock()
	if !s.silentStart {
		sink.Lost(errors.New("the watch begins here"))
	}
	began := time.Now()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for n := 1; ctx.Err() == nil; n++ {
		if s.beats == 0 || n <= s.beats {
			s.beat(x, began)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		case <-x.ended: // endsAll
			<-ctx.Done()
		}
	}
	if s.lingers {
		return ctx.Err()
	}
	s.leave(x)
	if s.swallows {
		return nil
	}
	return ctx.Err()
}

func (s *fedStore) beat(x *fedSink, began time.Time) {
	asOf := s.settled().Add(s.ahead)
	if s.stands {
		asOf = began
	}
	s.mu.Lock()
	pending := x.pending
	x.pending = nil
	s.mu.Unlock()
	if s.changed == afterFresh {
		x.Fresh(asOf)
	}
	for _, k := range pending {
		x.tell(k)
	}
	if s.changed != afterFresh {
		x.Fresh(asOf)
	}
}

func (s *fedStore) leave(x *fedSink) {
	s.mu.Lock()
	s.sinks = slices.DeleteFunc(s.sinks, func(o *fedSink) bool { return o == x })
	if s.endsAll {
		for _, o := range s.sinks {
			close(o.ended)
		}
		s.sinks = nil
	}
	s.mu.Unlock()
	x.calls.Wait()
}

func (s *fedStore) settled() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	settled := time.Now()
	for began := range s.writing {
		if began.Before(settled) && !s.impatient {
			settled = *began
		}
	}
	return settled
}

func (x *fedSink) tell(k storage.Key) {
	x.Changed(storage.KeyChanged, k.Organisation, k.ID, k.Version+1)
}

func (s *fedStore) Commit(ctx context.Context, m storage.Mutation) error {
	began := time.Now()
	s.mu.Lock()
	s.writing[&began] = true
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.writing, &began)
		s.mu.Unlock()
	}()
	if s.changed == beforeCommit {
		s.tellAll(m)
	}
	if err := s.Store.Commit(ctx, m); err != nil {
		return err
	}
	if s.locked {
		s.lock.Lock()
		defer s.lock.Unlock()
	}
	switch s.changed {
	case beforeReturn:
		s.tellAll(m)
	case beforeFresh, afterFresh:
		s.mu.Lock()
		for _, x := range s.sinks {
			x.pending = append(x.pending, m.Put...)
		}
		s.mu.Unlock()
	}
	return nil
}

func (s *fedStore) tellAll(m storage.Mutation) {
	s.mu.Lock()
	sinks := slices.Clone(s.sinks)
	if s.oneOnly && len(sinks) > 1 {
		sinks = sinks[:1]
	}
	for _, x := range sinks {
		x.calls.Add(1)
	}
	s.mu.Unlock()
	for _, x := range sinks {
		for i, k := range m.Put {
			if i == 0 || !s.firstKeyOnly {
				x.tell(k)
			}
		}
		x.calls.Done()
	}
}

func (s *fedStore) KeyByLookup(ctx context.Context, lookup string) (storage.Key, error) {
	if s.locked {
		s.lock.RLock()
		defer s.lock.RUnlock()
	}
	return s.Store.KeyByLookup(ctx, lookup)
}
