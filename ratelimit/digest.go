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
// them all. Engines in memory draw a secret for the process, those that share a
// server are given one. Digest allocates nothing for keys up to 128 bytes.
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
