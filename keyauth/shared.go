package keyauth

import (
	"context"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/blake2b"

	"github.com/strikeplate/strikeplate/storage"
)

// Shared lets the instances of a fleet share what they proved, so that restarting
// all of them doesn't hash every key's secret again: see [Cache].Shared.
//
// An entry says that one text was proven to be the secret of one key at one version
// of it, for a while, and nothing about the key's state. The record is read from
// the store all the same, before an entry is looked for.
//
// # Security notes
//
// Entries are named by a keyed digest of the credential and carry a keyed MAC over
// that digest, the key's id, its secret's version and its hash. Whoever reads the
// store learns no credential; whoever writes to it can't make one pass, nor move an
// entry to another key, nor bring a regenerated key's entry back. Whoever has Secret
// as well can do all of that: keep it where the tag keys are. Secrets of foreign
// shapes may be short enough to guess, so they are never shared.
type Shared struct {
	// Store is required; storage/redis has one.
	Store ProofStore
	// Secret is at least 32 random bytes from your secrets manager, the same on
	// every instance. With another one every key is hashed once more.
	Secret []byte
}

// ProofStore keeps values by name for a while; it may lose any of them at any time.
// It is safe for concurrent use. Calls that take long are given up, and after some
// failures in a row none are made for a moment.
type ProofStore interface {
	// Get returns the value, or nil without an error where there is none.
	Get(ctx context.Context, name []byte) ([]byte, error)
	// Put keeps a value for at most ttl.
	Put(ctx context.Context, name, value []byte, ttl time.Duration) error
}

const (
	sharedSecret = 32 // bytes at least

	// What one look at the shared store may add to a request that would hash, and
	// what storing may take behind its back.
	sharedPatience = 100 * time.Millisecond
	sharedPutTime  = time.Second
	// After so many failures in a row the store is left alone for a while.
	sharedFailures = 3
	sharedPause    = time.Second
	// How far the clocks of two instances may be apart.
	sharedSkew = 5 * time.Second

	sharedVersion = 1 // of an entry's layout: version, end (Unix seconds), MAC
	sharedEntry   = 1 + 8 + blake2b.Size256
)

// sharing is the other instances' proofs, as one Authenticator sees them. Nil:
// there are none.
type sharing struct {
	store         ProofStore
	names, values [blake2b.Size256]byte // keys derived from the secret
	life          time.Duration
	breaker       breaker

	hits, misses, rejected, failed atomic.Uint64
}

func newSharing(c *Shared, life time.Duration) (*sharing, error) {
	switch {
	case c == nil:
		return nil, nil
	case c.Store == nil:
		return nil, errors.New("Cache.Shared.Store is required")
	case len(c.Secret) < sharedSecret:
		return nil, fmt.Errorf("Cache.Shared.Secret has %d bytes, and needs %d", len(c.Secret), sharedSecret)
	}
	secret := blake2b.Sum256(c.Secret)
	s := &sharing{store: c.Store, life: life}
	derive := func(key *[blake2b.Size256]byte, purpose string) {
		h := keyedHash(secret[:])
		h.Write([]byte(purpose))
		h.Sum(key[:0])
	}
	derive(&s.names, "strikeplate shared proof: name")
	derive(&s.values, "strikeplate shared proof: value")
	return s, nil
}

func keyedHash(key []byte) hash.Hash {
	h, err := blake2b.New256(key)
	if err != nil {
		panic(err) // only for keys above 64 bytes
	}
	return h
}

// name is the credential's digest: what claims of it consist of, each after its
// length.
func (s *sharing) name(c *claim) []byte {
	h := keyedHash(s.names[:])
	writeParts(h, string(c.shape.environment), c.shape.format, c.lookup, c.secret)
	return h.Sum(nil)
}

// mac binds an entry to its name, its end, and the very record that was proven.
func (s *sharing) mac(name []byte, end uint64, key *storage.Key) []byte {
	h := keyedHash(s.values[:])
	var numbers [16]byte
	binary.BigEndian.PutUint64(numbers[:], end)
	binary.BigEndian.PutUint64(numbers[8:], uint64(key.SecretVersion))
	h.Write(numbers[:])
	writeParts(h, string(name), key.Organisation, key.ID, key.Lookup, key.Hash)
	return h.Sum(nil)
}

func writeParts(h hash.Hash, parts ...string) {
	var length [8]byte
	for _, part := range parts {
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		h.Write(length[:])
		h.Write([]byte(part))
	}
}

// shares reports whether a claim's proof may be shared: its secret was minted here,
// with bits enough that nobody guesses it.
func (s *sharing) shares(c *claim) bool { return s != nil && c.shape.foreign == nil }

// find reports whether another instance proved the claim against the very record,
// and for how long that counts. Whatever goes wrong, it is not found.
func (s *sharing) find(ctx context.Context, c *claim, key *storage.Key) (left time.Duration, ok bool) {
	if !s.shares(c) || !s.breaker.allows() {
		return 0, false
	}
	ctx, cancel := context.WithTimeout(ctx, sharedPatience)
	defer cancel()
	name := s.name(c)
	entry, err := s.store.Get(ctx, name)
	s.breaker.note(err)
	switch {
	case err != nil:
		s.failed.Add(1)
		return 0, false
	case entry == nil:
		s.misses.Add(1)
		return 0, false
	}
	if left, ok = s.check(entry, name, key, time.Now()); !ok {
		s.rejected.Add(1)
		return 0, false
	}
	s.hits.Add(1)
	return left, true
}

// check judges an entry that anybody may have written. It is judged by the real
// clock, which instances have in common.
func (s *sharing) check(entry, name []byte, key *storage.Key, now time.Time) (left time.Duration, ok bool) {
	if len(entry) != sharedEntry || entry[0] != sharedVersion {
		return 0, false
	}
	end := binary.BigEndian.Uint64(entry[1:9])
	if subtle.ConstantTimeCompare(entry[9:], s.mac(name, end, key)) != 1 {
		return 0, false
	}
	// The end is ours, since the MAC is. It is still no later than ours would be:
	// whoever shortens Cache.Proofs means it.
	left = time.Unix(int64(end), 0).Sub(now) // as it was written below
	return min(left, s.life), left > 0 && left <= s.life+sharedSkew
}

// tell stores a proof for the others. It is called behind the request's back.
func (s *sharing) tell(ctx context.Context, c *claim, key *storage.Key) {
	if !s.breaker.allows() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, sharedPutTime)
	defer cancel()
	name := s.name(c)
	end := uint64(time.Now().Add(s.life).Unix())
	entry := binary.BigEndian.AppendUint64([]byte{sharedVersion}, end)
	err := s.store.Put(ctx, name, append(entry, s.mac(name, end, key)...), s.life)
	if err != nil { // a success proves nothing of Get, for which requests wait
		s.breaker.note(err)
		s.failed.Add(1)
	}
}

// breaker leaves a store alone that failed several times in a row.
type breaker struct {
	failures atomic.Int64
	until    atomic.Int64 // Unix nanoseconds
}

// allows reports whether to try. When the pause is over, one caller does first.
func (b *breaker) allows() bool {
	if b.failures.Load() < sharedFailures {
		return true
	}
	until, now := b.until.Load(), time.Now().UnixNano()
	return now >= until && b.until.CompareAndSwap(until, now+int64(sharedPause))
}

func (b *breaker) note(err error) {
	if err == nil {
		b.failures.Store(0)
		return
	}
	b.until.Store(time.Now().Add(sharedPause).UnixNano())
	b.failures.Add(1)
}
