package strikeplate

import (
	"crypto/rand"
	"encoding/binary"
	"sync"
)

// newRequestID returns an id of at least 128 random bits, as rand.Text does.
//
// Every request has one, and asking the system for a few random bytes takes longer
// than anything else that is done for it here, so they are asked for in batches: no
// byte of a batch is used twice, and a batch is one goroutine's while it is used. An
// id is no secret, which is why those of later requests may lie in memory.
func newRequestID() string {
	b := batches.Get().(*batch) //nolint:forcetypeassert // the pool holds nothing else
	if b.used == len(b.random) {
		_, _ = rand.Read(b.random[:]) // which never fails
		b.used = 0
	}
	some := b.random[b.used : b.used+requestIDBytes]
	high, low := binary.NativeEndian.Uint64(some), binary.NativeEndian.Uint64(some[8:])
	b.used += requestIDBytes
	batches.Put(b)
	var id [2 * half]byte
	for i := range half {
		id[i], id[half+i] = base32Alphabet[high%32], base32Alphabet[low%32]
		high, low = high/32, low/32
	}
	return string(id[:])
}

const (
	requestIDBytes = 16
	half           = 13 // letters that tell 64 bits, of 5 each but the last
	base32Alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
)

type batch struct {
	random [64 * requestIDBytes]byte
	used   int
}

var batches = sync.Pool{New: func() any {
	b := new(batch)
	b.used = len(b.random)
	return b
}}
