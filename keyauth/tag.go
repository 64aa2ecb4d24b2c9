package keyauth

import (
	"bytes"
	"crypto/subtle"
	"encoding/binary"
	"hash/crc32"

	"golang.org/x/crypto/blake2b"
)

// tagger makes and checks the checksum that ends a minted key.
//
// It is BLAKE2b-256 over key || text, cut to 35.7 bits. BLAKE2 takes no length
// extension, so the prefix key makes a MAC, at the price of one block where
// keyed mode takes two and HMAC-SHA-256 four.
type tagger struct {
	name byte // the character by which keys name this tag key
	key  [32]byte
}

func newTagger(secret []byte) tagger {
	const context = "strikeplate tag key 1\x00"
	derived := blake2b.Sum512(append([]byte(context), secret...))
	t := tagger{name: alphabet[derived[32]%62]}
	copy(t.key[:], derived[:32])
	return t
}

// tag returns the checksum of everything that comes before it.
func (t *tagger) tag(text []byte) [tagLength]byte {
	var buffer [32 + maxLength]byte
	n := copy(buffer[:], t.key[:])
	n += copy(buffer[n:], text)
	sum := blake2b.Sum256(buffer[:n])
	var out [tagLength]byte
	appendBase62(out[:0], binary.LittleEndian.Uint64(sum[:8]), tagLength)
	return out
}

// crcTag is the unkeyed checksum: it finds typing errors and stops nobody. It
// works on a copy, since crc32 would move every text to the heap.
func crcTag(text []byte) [tagLength]byte {
	var out [tagLength]byte
	appendBase62(out[:0], uint64(crc32.ChecksumIEEE(bytes.Clone(text))), tagLength)
	return out
}

// tagged is how many characters follow the secret.
func (s *Scheme) tagged() int {
	if s.unkeyed {
		return tagLength
	}
	return 1 + tagLength // the first names the tag key
}

// seal appends the checksum to a new key's text.
func (s *Scheme) seal(text []byte) []byte {
	if s.unkeyed {
		tag := crcTag(text)
		return append(text, tag[:]...)
	}
	text = append(text, s.taggers[0].name)
	tag := s.taggers[0].tag(text)
	return append(text, tag[:]...)
}

// sealed reports whether text ends in a checksum made under one of the tag
// keys. Two tag keys may share a name; then both are tried.
func (s *Scheme) sealed(text []byte) bool {
	end := len(text) - tagLength
	if end < 1 {
		return false
	}
	if s.unkeyed {
		tag := crcTag(text[:end])
		return subtle.ConstantTimeCompare(tag[:], text[end:]) == 1
	}
	for i := range s.taggers {
		if t := &s.taggers[i]; t.name == text[end-1] {
			tag := t.tag(text[:end])
			if subtle.ConstantTimeCompare(tag[:], text[end:]) == 1 {
				return true
			}
		}
	}
	return false
}
