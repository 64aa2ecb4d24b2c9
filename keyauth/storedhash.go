package keyauth

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/alexedwards/argon2id"
	"golang.org/x/crypto/bcrypt"
)

// storedHash is the content of a key's hash column. It has one of these forms,
// each with exactly one spelling; base64 is RFC 4648 4 without padding:
//
//	$argon2id$v=19$m=…,t=…,p=…$SALT$HASH   argon2id of the secret
//	$sha256$DIGEST                         SHA-256 of the secret
//	$sha256$salt=before$SALT$DIGEST        of salt and secret
//	$sha256$salt=after$SALT$DIGEST         of secret and salt
//	$hmac-sha256$key=NAME$DIGEST           HMAC-SHA256 under SchemeConfig.ImportKeys[NAME]
//	$2b$10$…                               bcrypt, also 2a and 2y
//	$wrapped$sha256$argon2id$…             argon2id of the digest, which is itself not kept;
//	                                       likewise with a salt, or with an HMAC key
//
// All but the first come from other systems, and are replaced by the first when
// their key is next used. What is stored is never a credential: in each form the
// presented text is hashed before it is compared.
type storedHash struct {
	weak   *weakDigest      // nil: argon2id or bcrypt straight of the secret
	digest []byte           // what weak must come to; nil: argon tells
	argon  string           // PHC text
	params *argon2id.Params // argon's
	bcrypt string
}

// weakDigest is a fast way from a secret to 32 bytes.
type weakDigest struct {
	head      string // its text, without the digest
	salt      []byte
	saltAfter bool
	key       []byte // HMAC's; nil: plain SHA-256
}

const (
	maxStored   = 512 // bytes of text
	bcryptText  = 60  // exactly
	bcryptInput = 72  // bytes; bcrypt does not look at more
	minCost     = 4
	maxCost     = 14 // a second or so
	wrapped     = "$wrapped"
	argonHead   = "$argon2id$"
)

// readHash checks a stored hash's form and bounds before any work is done with
// it. It fails with errHash.
func (s *Scheme) readHash(text string) (storedHash, error) {
	switch {
	case len(text) > maxStored:
		return storedHash{}, fmt.Errorf("%w: too long", errHash)
	case strings.HasPrefix(text, argonHead):
		params, err := decodeHash(text)
		return storedHash{argon: text, params: params}, err
	case strings.HasPrefix(text, "$2"):
		return storedHash{bcrypt: text}, checkBcrypt(text)
	case strings.HasPrefix(text, wrapped+"$"):
		head, argon, found := strings.Cut(text[len(wrapped):], argonHead)
		if !found {
			return storedHash{}, fmt.Errorf("%w: nothing is wrapped around the digest", errHash)
		}
		weak, err := s.readWeak(head)
		if err != nil {
			return storedHash{}, err
		}
		params, err := decodeHash(argonHead + argon)
		return storedHash{weak: weak, argon: argonHead + argon, params: params}, err
	}
	end := max(strings.LastIndexByte(text, '$'), 0)
	weak, err := s.readWeak(text[:end])
	if err != nil {
		return storedHash{}, err
	}
	digest, ok := decodeExactly(text[end+1:])
	if !ok || len(digest) != sha256.Size {
		return storedHash{}, fmt.Errorf("%w: not a digest of 32 bytes", errHash)
	}
	return storedHash{weak: weak, digest: digest}, nil
}

// readWeak reads what comes before a digest.
func (s *Scheme) readWeak(head string) (*weakDigest, error) {
	if head == "$sha256" {
		return &weakDigest{head: head}, nil
	}
	if name, ok := strings.CutPrefix(head, "$hmac-sha256$key="); ok {
		key, known := s.importKeys[name]
		if !known {
			return nil, fmt.Errorf("%w: it needs an import key that the scheme doesn't have", errHash)
		}
		return &weakDigest{head: head, key: key}, nil
	}
	for _, place := range []string{"before", "after"} {
		if text, ok := strings.CutPrefix(head, "$sha256$salt="+place+"$"); ok {
			salt, ok := decodeExactly(text)
			if !ok || len(salt) == 0 || len(salt) > maxBytes {
				return nil, fmt.Errorf("%w: the salt is unreadable or not within 1 and %d bytes", errHash, maxBytes)
			}
			return &weakDigest{head: head, salt: salt, saltAfter: place == "after"}, nil
		}
	}
	return nil, fmt.Errorf("%w: of no known form", errHash)
}

// matches hashes a presented secret and compares, in constant time. It costs as
// much as the form asks for: only who holds the slot calls it.
func (h *storedHash) matches(secret string) (bool, error) {
	switch {
	case h.bcrypt != "":
		return matchBcrypt(h.bcrypt, secret)
	case h.weak == nil:
		match, _, err := argon2id.CheckHash(secret, h.argon)
		return match, err
	}
	sum := h.weak.of(secret)
	if h.digest != nil {
		return subtle.ConstantTimeCompare(sum[:], h.digest) == 1, nil
	}
	match, _, err := argon2id.CheckHash(toWrap(sum[:]), h.argon)
	return match, err
}

func (w *weakDigest) of(secret string) [sha256.Size]byte {
	if w.key != nil {
		mac := hmac.New(sha256.New, w.key)
		mac.Write([]byte(secret))
		return [sha256.Size]byte(mac.Sum(nil))
	}
	if w.saltAfter {
		return sha256.Sum256(append([]byte(secret), w.salt...))
	}
	return sha256.Sum256(append(w.salt[:len(w.salt):len(w.salt)], secret...))
}

// toWrap is what argon2id hashes in place of a secret. Keys never contain a NUL
// byte, so no text that can be presented is equal to it, even if a record's
// hash lost its "$wrapped".
func toWrap(digest []byte) string { return "wrapped digest\x00" + string(digest) }

// bcryptBase64 is bcrypt's own alphabet.
var bcryptBase64 = base64.NewEncoding("./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789").WithPadding(base64.NoPadding)

// The parts of a bcrypt text: "$2b$10$", 22 characters of salt, 31 of hash.
const (
	bcryptHead = 7
	bcryptSalt = 22
)

func checkBcrypt(text string) error {
	if len(text) != bcryptText || canonicalBcrypt(text) != text {
		return fmt.Errorf("%w: not bcrypt in canonical form", errHash)
	}
	if minor := text[2]; minor != 'a' && minor != 'b' && minor != 'y' {
		return fmt.Errorf("%w: not a variant of bcrypt that is known to be sound", errHash)
	}
	tens, ones := text[4]-'0', text[5]-'0'
	if tens > 9 || ones > 9 || tens*10+ones < minCost || tens*10+ones > maxCost {
		return fmt.Errorf("%w: bcrypt's cost must be within %d and %d", errHash, minCost, maxCost)
	}
	return nil
}

// canonicalBcrypt clears the bits that some implementations left undefined at
// the end of salt and hash. It returns "" for what is no bcrypt text.
func canonicalBcrypt(text string) string {
	if len(text) != bcryptText || text[3] != '$' || text[6] != '$' || strings.ContainsAny(text, "\r\n") {
		return ""
	}
	salt, err := bcryptBase64.DecodeString(text[bcryptHead : bcryptHead+bcryptSalt])
	if err != nil {
		return ""
	}
	hash, err := bcryptBase64.DecodeString(text[bcryptHead+bcryptSalt:])
	if err != nil {
		return ""
	}
	return text[:bcryptHead] + bcryptBase64.EncodeToString(salt) + bcryptBase64.EncodeToString(hash)
}

// matchBcrypt refuses secrets of which bcrypt would see the beginning only: two
// of them could be told apart by nobody.
func matchBcrypt(text, secret string) (bool, error) {
	if len(secret) > bcryptInput {
		return false, nil
	}
	err := bcrypt.CompareHashAndPassword([]byte(text), []byte(secret))
	if errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
		return false, nil
	}
	return err == nil, err
}

// decodeExactly decodes a text that is the only encoding of what it says; the
// library's decoder overlooks line breaks.
func decodeExactly(text string) ([]byte, bool) {
	b, err := base64.RawStdEncoding.DecodeString(text)
	return b, err == nil && base64.RawStdEncoding.EncodeToString(b) == text
}
