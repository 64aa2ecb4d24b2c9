package keyauth

import (
	"context"
	"errors"
	"fmt"

	"github.com/alexedwards/argon2id"
)

// Hashing are the parameters of argon2id (RFC 9106) for new hashes. Stored
// hashes with lower ones are replaced when their key is next used.
type Hashing struct {
	// MemoryKiB and Passes; zero: 12288 and 3, the cheapest that OWASP lists.
	// Less than OWASP's minimum is refused unless InsecureCheap.
	MemoryKiB, Passes uint32
	// Threads; zero: 1. More don't help: one slot serves one hash at a time.
	Threads uint8
	// Waiting bounds the queue of verifications; zero: 64.
	Waiting int
	// InsecureCheap allows parameters below OWASP's minimum, for tests.
	InsecureCheap bool
}

// The bounds of a stored hash, which is input like any other: outside of them
// argon2 panics, or takes as long and as much memory as the hash asks for.
const (
	maxMemoryKiB = 256 << 10
	maxPasses    = 16
	maxThreads   = 16
	minSalt      = 8
	minKey       = 16
	maxBytes     = 64
)

// owaspMinimum is the least product of memory and passes in OWASP's list of
// equivalent settings (7168 KiB, 5 passes).
const owaspMinimum = 7168 * 5

func (h Hashing) settle() (argon2id.Params, int, error) {
	if h.MemoryKiB == 0 && h.Passes == 0 {
		h.MemoryKiB, h.Passes = 12288, 3
	}
	if h.Threads == 0 {
		h.Threads = 1
	}
	if h.Waiting == 0 {
		h.Waiting = 64
	}
	switch {
	case h.MemoryKiB < 8*uint32(h.Threads) || h.MemoryKiB > maxMemoryKiB:
		return argon2id.Params{}, 0, fmt.Errorf("MemoryKiB must be within 8 for each thread and %d", maxMemoryKiB)
	case h.Passes < 1 || h.Passes > maxPasses:
		return argon2id.Params{}, 0, fmt.Errorf("Passes must be within 1 and %d", maxPasses)
	case h.Threads > maxThreads:
		return argon2id.Params{}, 0, fmt.Errorf("Threads must be at most %d", maxThreads)
	case h.Waiting < 0:
		return argon2id.Params{}, 0, errors.New("Waiting must not be negative")
	case h.MemoryKiB*h.Passes < owaspMinimum && !h.InsecureCheap:
		return argon2id.Params{}, 0, fmt.Errorf("%d KiB and %d passes are below OWASP's minimum; set InsecureCheap in tests", h.MemoryKiB, h.Passes)
	}
	return argon2id.Params{Memory: h.MemoryKiB, Iterations: h.Passes, Parallelism: h.Threads,
		SaltLength: 16, KeyLength: 32}, h.Waiting, nil
}

// errHash is a stored hash that can't be checked: the check could not be made,
// which says nothing against the credential.
var errHash = errors.New("stored hash is unusable")

// decodeHash checks a stored hash's form and bounds before any work is done
// with it. The library accepts trailing garbage, so the form is also compared
// with how the library itself would have written it.
func decodeHash(phc string) (*argon2id.Params, error) {
	p, salt, key, err := argon2id.DecodeHash(phc)
	if err != nil {
		return nil, errors.Join(errHash, err)
	}
	canonical := fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=%d$", p.Memory, p.Iterations, p.Parallelism)
	switch {
	case len(phc) < len(canonical) || phc[:len(canonical)] != canonical:
		return nil, fmt.Errorf("%w: not in canonical form", errHash)
	case p.Iterations < 1 || p.Iterations > maxPasses,
		p.Parallelism < 1 || p.Parallelism > maxThreads,
		p.Memory < 8*uint32(p.Parallelism) || p.Memory > maxMemoryKiB,
		len(salt) < minSalt || len(salt) > maxBytes,
		len(key) < minKey || len(key) > maxBytes:
		return nil, fmt.Errorf("%w: parameters out of bounds", errHash)
	}
	return p, nil
}

// hash makes a new hash when its class's turn comes.
func (s *Scheme) hash(ctx context.Context, secret string, c class) (string, error) {
	if err := s.slot.acquire(ctx, c); err != nil {
		return "", err
	}
	defer s.slot.release()
	s.slot.hashes.Add(1)
	h, err := argon2id.CreateHash(secret, &s.params)
	if err != nil {
		return "", fmt.Errorf("keyauth: hashing: %w", err)
	}
	return h, nil
}
