package processtest

import (
	"sync"
	"testing"
)

// Shared is a server that all tests of one binary use. The zero value with a
// Start is ready, and safe for concurrent use.
type Shared[S interface{ Stop() }] struct {
	// Name is the harness, for messages.
	Name string
	// Start starts the server, when the first test wants it.
	Start func() (S, error)

	mu      sync.Mutex
	started bool
	server  S
	err     error
	users   int
}

// Get returns the server, and a number that no other call of this binary gets.
// It gives tb up where there is no server.
func (s *Shared[S]) Get(tb testing.TB) (S, int) {
	tb.Helper()
	s.mu.Lock()
	if !s.started {
		s.server, s.err = s.Start()
		s.started = true
	}
	s.users++
	server, err, n := s.server, s.err, s.users
	s.mu.Unlock()
	if err != nil {
		GiveUp(tb, s.Name, err)
	}
	return server, n
}

// Main runs the tests and stops the server after them. It returns the exit code.
func (s *Shared[S]) Main(m *testing.M) int {
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.started && s.err == nil {
			s.server.Stop()
		}
	}()
	return m.Run()
}
