package oauth

import (
	"context"
	"crypto/sha256"
	"net/http"
	"sync"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/storage"
)

// Replays notes which DPoP proofs were used, so that each counts once (RFC 9449
// 11.1). A fleet shares one: [StoredReplays], or in Redis a SET with NX and an
// expiry. It is safe for concurrent use.
type Replays interface {
	// Use notes the proof with that id by the key with that thumbprint until a
	// moment, and reports whether this is the first time; of many at the same time
	// one is told so. An error means that it can't be told, and the proof is refused
	// for now; an [*strikeplate.Error] is the answer.
	Use(ctx context.Context, thumbprint, id string, until time.Time) (first bool, err error)
}

// StoredReplays notes proofs in the store of the own authorization server, which all
// instances share.
type StoredReplays struct {
	Grants storage.Grants // required
	// Now is the clock that the store is told; nil: time.Now.
	Now func() time.Time
}

// Use implements [Replays].
func (s StoredReplays) Use(ctx context.Context, thumbprint, id string, until time.Time) (bool, error) {
	now := time.Now
	if s.Now != nil {
		now = s.Now
	}
	return s.Grants.UseOnce(ctx, sha256.Sum256([]byte("dpop\x00"+thumbprint+"\x00"+id)), now(), until)
}

// maxReplays is how many proofs the memory holds: 4,000 a second with the default
// Window, in some 50 MB. A tenth of them may be one key's.
const maxReplays = 1_000_000

// replayMemory keeps proofs in two generations: one that fills, and the one before
// it. A generation is as long as a proof can count, so what falls out is over.
type replayMemory struct {
	life            time.Duration
	most, mostByKey int

	mu       sync.Mutex
	began    time.Time
	now, old generation
}

type generation struct {
	used  map[[16]byte]struct{}
	byKey map[string]int
}

func newGeneration() generation {
	return generation{make(map[[16]byte]struct{}), make(map[string]int)}
}

// newReplayMemory holds at most most proofs, and mostByKey by one key: so one
// client can't use up the memory of all.
func newReplayMemory(life time.Duration, most, mostByKey int) *replayMemory {
	return &replayMemory{life: life, most: most / 2, mostByKey: mostByKey / 2, began: time.Now(), now: newGeneration(), old: newGeneration()}
}

// Use implements [Replays]. What the memory can't hold is refused: forgetting
// another proof would let that one count again.
func (m *replayMemory) Use(_ context.Context, thumbprint, id string, _ time.Time) (bool, error) {
	sum := sha256.Sum256([]byte(thumbprint + "\x00" + id))
	name := [16]byte(sum[:])
	m.mu.Lock()
	defer m.mu.Unlock()
	m.turn(time.Now())
	if _, used := m.now.used[name]; used {
		return false, nil
	}
	if _, used := m.old.used[name]; used {
		return false, nil
	}
	switch {
	case m.now.byKey[thumbprint] >= m.mostByKey:
		return false, crowded(http.StatusTooManyRequests, strikeplate.CodeLimited, "Too many DPoP proofs by one key. Try again later.", m.life)
	case len(m.now.used) >= m.most:
		return false, crowded(http.StatusServiceUnavailable, strikeplate.CodeUnavailable, "Too many DPoP proofs at present. Try again later.", m.life)
	}
	m.now.used[name] = struct{}{}
	m.now.byKey[thumbprint]++
	return true, nil
}

func crowded(status int, code, message string, retry time.Duration) error {
	return &strikeplate.Error{Status: status, Code: code, Message: message, RetryAfter: retry}
}

// turn begins a new generation when the present one is a life old.
func (m *replayMemory) turn(now time.Time) {
	switch age := now.Sub(m.began); {
	case age < m.life:
		return
	case age < 2*m.life:
		m.old = m.now
	default:
		m.old = newGeneration()
	}
	m.now, m.began = newGeneration(), now
}
