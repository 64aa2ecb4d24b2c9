package ratelimit

import (
	"crypto/sha256"
	"encoding/binary"
)

// DigestSize is the length of a [Charge.Digest] in bytes.
const DigestSize = 16

// digestDomain keeps these digests apart from any other use of the same secret.
const digestDomain = "strikeplate ratelimit 1"

// Digest names the counter of a charge: the same for equal policies and keys,
// different for all others. It is SHA-256, cut to 128 bits, of
//
//	secret | Policy.Name | Limit | Burst | Period | Key
//
// where every text is preceded by its length, so that no two charges are written
// alike. Neither cost nor time counts.
//
// With a secret nobody can tell from a digest what is counted. Without one a
// digest of something guessable, such as an IPv4 address, is found by trying
// them all. It is for engines that keep counters outside of the process. Digest
// allocates nothing for keys up to 128 bytes.
func (c Charge) Digest(secret []byte) [DigestSize]byte {
	var room [384]byte
	b := append(room[:0], digestDomain...)
	b = appendText(b, secret)
	b = appendText(b, c.Policy.Name)
	b = binary.BigEndian.AppendUint64(b, uint64(c.Policy.Limit))
	b = binary.BigEndian.AppendUint64(b, uint64(c.Policy.Burst))
	b = binary.BigEndian.AppendUint64(b, uint64(c.Policy.Period))
	b = appendText(b, c.Key)
	sum := sha256.Sum256(b)
	return [DigestSize]byte(sum[:DigestSize])
}

func appendText[T string | []byte](b []byte, text T) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(len(text)))
	return append(b, text...)
}

// maxPlainKey is up to what length a key is kept in memory as it is.
const maxPlainKey = 64

// A counterName is a counter's name in memory: all fields of the policy and the
// key, written so that no two are alike. It stays in the process.
type counterName struct {
	room [1 + maxName + 3*binary.MaxVarintLen64 + 1 + maxPlainKey]byte
	n    int
}

func (n *counterName) set(c *Charge) {
	b := append(n.room[:0], byte(len(c.Policy.Name)))
	b = append(b, c.Policy.Name...)
	b = binary.AppendUvarint(b, uint64(c.Policy.Limit))
	b = binary.AppendUvarint(b, uint64(c.Policy.Burst))
	b = binary.AppendUvarint(b, uint64(c.Policy.Period))
	if len(c.Key) <= maxPlainKey {
		b = append(b, byte(len(c.Key)))
		b = append(b, c.Key...)
	} else {
		sum := sha256.Sum256([]byte(c.Key))
		b = append(b, maxPlainKey+1)
		b = append(b, sum[:]...)
	}
	n.n = len(b)
}

func (n *counterName) bytes() []byte { return n.room[:n.n] }
