package keyauth

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/alexedwards/argon2id"

	"github.com/strikeplate/strikeplate"
)

// HashKind says how another system hashed the secrets of its keys.
type HashKind string

// The kinds that can be verified.
const (
	SHA256     HashKind = "sha256"
	HMACSHA256 HashKind = "hmac-sha256"
	Bcrypt     HashKind = "bcrypt"
	Argon2id   HashKind = "argon2id"
)

// ForeignHash is a secret's hash as another system kept it. Printing it shows
// its kind only.
type ForeignHash struct {
	Kind HashKind
	// Text is a digest of 32 bytes in hexadecimal or base64, or the whole text of
	// a bcrypt or argon2id hash, such as "$2b$10$…" or "$argon2id$v=19$…".
	Text string
	// Salt, for SHA256: hashed in front of the secret, or behind it if SaltAfter.
	// At most 64 bytes; empty: none.
	Salt      []byte
	SaltAfter bool
	// ImportKey, for HMACSHA256: the name of its key in SchemeConfig.ImportKeys.
	ImportKey string
}

// String implements [fmt.Stringer] without the hash.
func (h ForeignHash) String() string { return string(h.Kind) + " [redacted]" }

// GoString implements [fmt.GoStringer] without the hash.
func (h ForeignHash) GoString() string { return "keyauth.ForeignHash{" + h.String() + "}" }

// ErrForeignHash is wrapped by the refusals of [Scheme.StoredHash], which say
// what is wrong and never the hash.
var ErrForeignHash = errors.New("keyauth: not a hash that can be imported")

// maxImportCost bounds argon2id hashes of other systems, in KiB times passes: a
// second or so. Bcrypt's bound, cost 14, comes to the same.
const maxImportCost = 1 << 20

// StoredHash returns what a key's record holds for a hash of another system: one
// text for one hash, however it was written. The key works as it is, and has its
// secret hashed anew by argon2id when it is first used. Failures:
// [ErrForeignHash].
func (s *Scheme) StoredHash(h ForeignHash) (string, error) {
	text, err := h.stored()
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrForeignHash, err)
	}
	read, err := s.readHash(text)
	switch {
	case err != nil:
		reason := strings.ReplaceAll(err.Error(), "\n", ": ")
		return "", fmt.Errorf("%w: %s", ErrForeignHash, strings.TrimPrefix(reason, errHash.Error()+": "))
	case read.params != nil && uint64(read.params.Memory)*uint64(read.params.Iterations) > maxImportCost:
		return "", fmt.Errorf("%w: it takes too long to verify", ErrForeignHash)
	}
	return text, nil
}

// stored brings h into the form of the hash column, which readHash then judges.
func (h ForeignHash) stored() (string, error) {
	switch {
	case h.Kind != SHA256 && (len(h.Salt) > 0 || h.SaltAfter):
		return "", fmt.Errorf("only %s takes a Salt", SHA256)
	case h.SaltAfter && len(h.Salt) == 0:
		return "", errors.New("SaltAfter without a Salt")
	case h.Kind != HMACSHA256 && h.ImportKey != "":
		return "", fmt.Errorf("only %s takes an ImportKey", HMACSHA256)
	}
	switch h.Kind {
	case Argon2id:
		if !strings.HasPrefix(h.Text, argonHead) {
			return "", errors.New("not the text of an argon2id hash")
		}
		return h.Text, nil
	case Bcrypt:
		text := canonicalBcrypt(h.Text)
		if !strings.HasPrefix(text, "$2") {
			return "", errors.New("not the text of a bcrypt hash")
		}
		return text, nil
	case SHA256, HMACSHA256:
		digest, err := decodeDigest(h.Text)
		if err != nil {
			return "", err
		}
		return h.head() + "$" + base64.RawStdEncoding.EncodeToString(digest), nil
	default:
		return "", errors.New("its kind is unknown")
	}
}

// head is the tag of a weak digest.
func (h ForeignHash) head() string {
	switch {
	case h.Kind == HMACSHA256:
		return "$hmac-sha256$key=" + h.ImportKey
	case len(h.Salt) == 0:
		return "$sha256"
	case h.SaltAfter:
		return "$sha256$salt=after$" + base64.RawStdEncoding.EncodeToString(h.Salt)
	default:
		return "$sha256$salt=before$" + base64.RawStdEncoding.EncodeToString(h.Salt)
	}
}

// decodeDigest reads 32 bytes in hexadecimal or in any base64. The lengths tell
// which: 64, 44 with padding, 43 without.
func decodeDigest(text string) ([]byte, error) {
	var digest []byte
	err := errors.New("neither hexadecimal nor base64 of 32 bytes")
	if strings.ContainsAny(text, "\r\n") {
		return nil, err
	}
	if len(text) == hex.EncodedLen(sha256.Size) {
		if digest, decoding := hex.DecodeString(text); decoding == nil {
			return digest, nil
		}
		return nil, err
	}
	encoding := base64.RawStdEncoding
	if strings.ContainsAny(text, "-_") {
		encoding = base64.RawURLEncoding
	}
	if len(text) == base64.StdEncoding.EncodedLen(sha256.Size) {
		encoding = encoding.WithPadding('=')
	}
	digest, decoding := encoding.Strict().DecodeString(text)
	if decoding != nil || len(digest) != sha256.Size {
		return nil, err
	}
	return digest, nil
}

// ErrStrong is returned by [Scheme.Wrap] for a hash that needs no wrapping.
var ErrStrong = errors.New("keyauth: the hash is no weak digest")

// IsWeak reports whether a stored hash is a fast digest, which [Scheme.Wrap]
// makes slow to search.
func (s *Scheme) IsWeak(stored string) bool {
	h, err := s.readHash(stored)
	return err == nil && h.digest != nil
}

// Wrap returns argon2id of a stored digest, in place of the digest itself: who
// steals it then searches as slowly as for keys that were minted here. It needs
// no secret. It waits behind all others for the hash slot, until ctx ends.
// Failures: [ErrStrong], ctx's error.
func (s *Scheme) Wrap(ctx context.Context, stored string) (string, error) {
	h, err := s.readHash(stored)
	switch {
	case err != nil:
		return "", fmt.Errorf("keyauth: wrapping: %w", err)
	case h.digest == nil:
		return "", ErrStrong
	}
	for {
		hash, err := s.hash(ctx, toWrap(h.digest), background)
		if !errors.Is(err, errBusy) {
			return wrapped + h.weak.head + hash, err
		}
		select { // sent away for somebody better: nobody waits for us
		case <-time.After(time.Second):
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

// ErrNoShape is returned by [Scheme.ForeignLookup].
var ErrNoShape = errors.New("keyauth: no foreign shape yields such a look-up id")

// ForeignLookup returns the look-up id under which a key of another system is
// stored, and checks that a [Foreign] shape of the format with that prefix, in
// that environment, accepted at that moment, could yield it: else the key would
// never be found. An empty lookup is made from h where a shape says
// DigestOfSHA256 and h is an unsalted SHA256. Failures: [ErrNoShape].
func (s *Scheme) ForeignLookup(prefix string, env strikeplate.Environment, lookup string, h ForeignHash, now time.Time) (string, error) {
	for i := range s.shapes {
		sh := &s.shapes[i]
		if sh.foreign == nil || sh.format != (Format{Prefix: prefix}).name() || sh.environment != env || !now.Before(sh.foreign.Until) {
			continue
		}
		if lookup != "" {
			if sh.yields(lookup) {
				return lookup, nil
			}
			continue
		}
		if !sh.foreign.DigestOfSHA256 || h.Kind != SHA256 || len(h.Salt) > 0 {
			continue
		}
		if digest, err := decodeDigest(h.Text); err == nil {
			return sh.foreign.digestOf(digest), nil
		}
	}
	return "", ErrNoShape
}

// yields reports whether a text of the shape can have that look-up id.
func (s *shape) yields(lookup string) bool {
	f := s.foreign
	fixed := len(f.Prefix) + len(lookup)
	switch {
	case !isVisibleASCII([]byte(lookup)):
		return false
	case f.Separator != "":
		return !strings.Contains(lookup, f.Separator) && fixed+len(f.Separator) < f.MaxLength
	case f.IDLength > 0:
		return len(lookup) == f.IDLength
	default:
		_, err := hex.DecodeString(lookup)
		return err == nil && len(lookup) == hex.EncodedLen(sha256.Size) && lookup == strings.ToLower(lookup)
	}
}

// digestOf makes a look-up id where the key contains none.
func (f *Foreign) digestOf(text []byte) string {
	mac := hmac.New(sha256.New, f.DigestKey)
	mac.Write(text)
	return hex.EncodeToString(mac.Sum(nil))
}

var importKeyName = regexp.MustCompile(`^[a-z0-9_-]{1,32}$`)

func (s *Scheme) addImportKeys(keys map[string][]byte) error {
	s.importKeys = make(map[string][]byte, len(keys))
	for name, key := range keys {
		switch {
		case !importKeyName.MatchString(name):
			return fmt.Errorf("import key %q: its name must have 1 to 32 of a-z, 0-9, _ and -", name)
		case len(key) == 0:
			return fmt.Errorf("import key %q is empty", name)
		}
		s.importKeys[name] = append([]byte(nil), key...)
	}
	return nil
}

// outdated reports whether a hash is of another system's kind, or was made with
// less than today's parameters.
func (s *Scheme) outdated(h storedHash) bool {
	return h.weak != nil || h.bcrypt != "" || s.below(h.params)
}

func (s *Scheme) below(p *argon2id.Params) bool {
	return p.Memory < s.params.Memory || p.Iterations < s.params.Iterations
}
