// Package memory keeps Strikeplate's records in this process, for demos, tests
// and trying things out:
//
//	store := memory.New()
//	defer store.Close(context.Background())
//	keys, err := keyauth.New(keyauth.Config{Keys: store, Directory: store, Feed: store, …})
//
// Nothing outlives the process and no second process sees it: use package
// sqlite for one machine and package postgres for several.
//
// # Bounds
//
// Each organisation's audit log keeps its newest 10,000 entries. Older ones are
// dropped, and a reader finds out: Positions of an organisation count up from 1,
// so one that doesn't follow its predecessor tells how many are gone. They leave
// whether or not a consumer ([storage.Operator]) has acknowledged them. Usage is
// bounded as package storage says. Keys, accounts, users, apps and grants are
// bounded by whoever creates them, and what ended by whoever calls PruneGrants.
//
// # Security notes
//
// Records go in and come out as copies, so a caller that alters one alters
// nothing stored.
package memory

import (
	"context"
	"errors"
	"sync"

	"github.com/strikeplate/strikeplate/internal/watchers"
	"github.com/strikeplate/strikeplate/storage"
)

// Store implements [storage.Keys], [storage.Audit], [storage.EditableDirectory],
// [storage.Feed], [storage.Operator], [storage.Usage], [storage.Replays],
// [storage.Apps] and [storage.Grants]. It is safe for concurrent use. Make one with
// [New].
type Store struct {
	mu sync.RWMutex
	// Stored keys are never written, only replaced: readers may hold them.
	keys          map[string]*storage.Key // by ID
	lookups       map[string]*storage.Key // by Lookup
	organisations map[string]*organisation
	accounts      map[string]account
	users         map[string]storage.User
	consumers     map[string]*consumer
	usage         usage
	replays       map[string]*replays // by organisation
	apps          apps
	grants        grants
	closed        bool

	writes   writes
	watchers watchers.Hub
}

// organisation holds what is listed per organisation.
type organisation struct {
	keys []*storage.Key // oldest first, see older
	log  []storage.Entry
	last int64 // the newest entry's Position, whether or not it is kept
}

// New returns an empty store.
func New() *Store {
	return &Store{
		keys:          make(map[string]*storage.Key),
		lookups:       make(map[string]*storage.Key),
		organisations: make(map[string]*organisation),
		accounts:      make(map[string]account),
		users:         make(map[string]storage.User),
		consumers:     make(map[string]*consumer),
		replays:       make(map[string]*replays),
		apps:          apps{byID: make(map[string]storage.App), blocks: make(map[member]storage.Block)},
		grants:        newGrants(),
	}
}

var errClosed = errors.New("memory: store is closed")

// Close refuses all further calls, ends every watch, and waits for those until
// ctx ends; other calls under way finish.
func (s *Store) Close(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	return s.watchers.Close(ctx)
}

// Ready returns nil until the store is closed.
func (s *Store) Ready(ctx context.Context) error {
	unlock, err := s.reading(ctx)
	if err != nil {
		return err
	}
	unlock()
	return nil
}

// reading takes the lock for reading, unless the call is pointless.
func (s *Store) reading(ctx context.Context) (unlock func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.RLock()
	if s.closed {
		s.mu.RUnlock()
		return nil, errClosed
	}
	return s.mu.RUnlock, nil
}

// writing takes the lock for writing, unless the call is pointless.
func (s *Store) writing(ctx context.Context) (unlock func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil, errClosed
	}
	return s.mu.Unlock, nil
}

// in returns the organisation, made on first use. The caller holds the lock
// for writing.
func (s *Store) in(name string) *organisation {
	o := s.organisations[name]
	if o == nil {
		o = &organisation{}
		s.organisations[name] = o
	}
	return o
}
