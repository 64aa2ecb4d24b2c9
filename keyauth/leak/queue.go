package leak

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"sync"
	"time"
)

const (
	maxPending = 10_000 // tokens waiting or under way
	// workers is how many tokens are under way at a time, so that look-ups and
	// commits overlap with the one hash that the slot allows.
	workers = 4
)

// queue holds the tokens that are to be judged. Requests only wait for it, so
// that what they don't wait for is finished all the same.
type queue struct {
	judge   func(context.Context, *item) bool // false: to be tried again, behind the others
	process [32]byte                          // names tokens in memory

	life context.Context
	end  context.CancelFunc
	busy sync.WaitGroup

	mu      sync.Mutex
	more    sync.Cond
	waiting []*item
	pending map[digest]*item // waiting and under way
	leaked  memory
	closed  bool
	counts  Stats
}

// newQueue starts the workers.
func newQueue(judge func(context.Context, *item) bool) *queue {
	q := &queue{judge: judge, pending: make(map[digest]*item), leaked: newMemory()}
	q.more.L = &q.mu
	_, _ = rand.Read(q.process[:]) // never fails: crypto/rand ends the program instead
	q.life, q.end = context.WithCancel(context.Background())
	for range workers {
		q.busy.Go(q.run)
	}
	return q
}

func (q *queue) digest(token string) digest {
	h := hmac.New(sha256.New, q.process[:])
	h.Write([]byte(token))
	return digest(h.Sum(nil))
}

// admit takes all claims or, with errCrowded or errClosed, none. It replaces
// those that are under way already, or were proven lately, by what is known of
// them. reported is the number of distinct tokens, for the counts.
func (q *queue) admit(reported int, claims []*item) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return busy(errClosed)
	}
	fresh := 0
	for i, it := range claims {
		if same := q.pending[it.digest]; same != nil {
			claims[i] = same
		} else if q.leaked.has(it.digest) {
			claims[i] = settled(truePositive)
		} else {
			fresh++
		}
	}
	if len(q.pending)+fresh > maxPending {
		q.counts.Refused++
		return busy(errCrowded)
	}
	q.counts.Reported += uint64(reported)
	q.counts.False += uint64(reported - len(claims))
	for _, it := range claims {
		if it.label == unknown && q.pending[it.digest] == nil {
			q.pending[it.digest] = it
			q.waiting = append(q.waiting, it)
			q.more.Signal()
		}
	}
	return nil
}

// run is one worker.
func (q *queue) run() {
	for {
		it := q.next()
		if it == nil {
			return
		}
		if !q.judge(q.life, it) {
			q.again(it)
		}
	}
}

// next returns nil when the queue is closed and nothing is left.
func (q *queue) next() *item {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.waiting) == 0 {
		if q.closed && len(q.pending) == 0 {
			return nil
		}
		q.more.Wait()
	}
	it := q.waiting[0]
	q.waiting[0] = nil
	q.waiting = q.waiting[1:]
	return it
}

// again puts an item behind the others.
func (q *queue) again(it *item) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = append(q.waiting, it)
	q.more.Signal()
}

// finish settles an item and tells those who wait for it.
func (q *queue) finish(it *item, found label, revoked bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch found {
	case truePositive:
		q.counts.Leaked++
		q.leaked.add(it.digest)
	case falsePositive:
		q.counts.False++
	default:
		q.counts.GivenUp++
	}
	if revoked {
		q.counts.Revoked++
	}
	delete(q.pending, it.digest)
	it.label = found
	close(it.done)
	if q.closed && len(q.pending) == 0 {
		q.more.Broadcast()
	}
}

// close lets the workers finish, and gives up what is left when ctx ends.
func (q *queue) close(ctx context.Context) error {
	q.mu.Lock()
	q.closed = true
	q.more.Broadcast()
	q.mu.Unlock()
	defer q.end()
	done := make(chan struct{})
	go func() {
		q.busy.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	q.end()
	<-done // quick: judging ends with its context
	return ctx.Err()
}

func (q *queue) stats() Stats {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.counts
	s.Pending = len(q.pending)
	return s
}

// The tokens that were proven to be keys lately: sent again, they cost nothing.
const (
	maxRemembered  = 10_000
	rememberedTime = 24 * time.Hour
)

// memory is a bounded set whose members age. The caller holds the queue's lock.
type memory struct {
	since map[digest]time.Time // by the monotonic clock
	order []digest             // oldest first
}

func newMemory() memory { return memory{since: make(map[digest]time.Time)} }

func (m *memory) has(d digest) bool {
	since, ok := m.since[d]
	return ok && time.Since(since) < rememberedTime
}

func (m *memory) add(d digest) {
	if _, ok := m.since[d]; ok {
		m.since[d] = time.Now() // it keeps its place, and may go early
		return
	}
	if len(m.order) == maxRemembered {
		delete(m.since, m.order[0])
		m.order = m.order[1:]
	}
	m.since[d] = time.Now()
	m.order = append(m.order, d)
}
