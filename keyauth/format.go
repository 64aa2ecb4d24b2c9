package keyauth

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/strikeplate/strikeplate"
)

// Format is the shape of a product's keys. Three are known: a prefix with
// environments (mvo_live_…, mvo_test_…), a prefix without (mavio_sk_…), and a
// pair (CLIENT_KEY:CLIENT_SECRET), which is accepted as Bearer and as Basic.
type Format struct {
	// Prefix begins every key of the format; with environments, each one's name
	// and "_" follow it. Letters, digits and "_". A pair may do without.
	// It also names the format in stored records.
	Prefix string
	// Environments are told apart by prefix; none: every key is live.
	Environments []strikeplate.Environment
	// Pair separates look-up id and secret by a colon.
	Pair bool
	// Foreign are shapes that other systems, or this product in former times,
	// issued and that go on working.
	Foreign []Foreign
}

// Foreign is a shape of keys that were not minted here. They carry no checksum
// that could be verified, so each unproven one costs a look-up: list them for
// as long as you must, and no longer.
//
// The look-up id is found in one of three ways: it ends at Separator, or it has
// IDLength characters, or, with neither, it is [DigestKey]'s HMAC-SHA256 of the
// whole key in hexadecimal.
type Foreign struct {
	// Prefix begins every key of the shape; it may be empty.
	Prefix string
	// MinLength and MaxLength bound the whole key, in bytes; both are required,
	// and 512 is the most.
	MinLength, MaxLength int
	// Separator ends the look-up id, which follows Prefix.
	Separator string
	// IDLength is the length of the look-up id, which follows Prefix.
	IDLength int
	// DigestKey makes the look-up id where the key contains none: at least 32
	// bytes, kept for as long as the keys live.
	DigestKey []byte
	// DigestOfSHA256 makes the look-up id of the key's SHA-256 instead of the key
	// itself, so that it can be told from what systems keep that keep nothing else.
	DigestOfSHA256 bool
	// HashOfWhole says that stored hashes are of the whole key, not of what
	// follows the look-up id. With DigestKey they always are.
	HashOfWhole bool
	// Environment that keys of this shape belong to; empty: live.
	Environment strikeplate.Environment
	// Until is the first moment at which the shape is no longer accepted; required.
	Until time.Time
}

// The lengths of a minted key's parts, in base62 characters.
const (
	idLength     = 11 // 65.5 bits
	secretLength = 27 // 160.8 bits
	tagLength    = 6  // 35.7 bits: of 57 billion guesses one passes
	maxLength    = 512
)

var prefixForm = regexp.MustCompile(`^[A-Za-z0-9_]*$`)

// shape is one accepted form of credential, minted or foreign.
type shape struct {
	prefix      []byte
	format      string
	environment strikeplate.Environment
	pair        bool
	foreign     *Foreign // nil: minted here
	separator   []byte   // foreign's
}

// credential is what a text says, before anything is proven. Its parts share
// the text's memory, so it has no other fields: escape analysis sees a struct as
// one, and a pointer beside them would move every text to the heap.
type credential struct{ lookup, secret []byte }

func (f Format) check() error {
	switch {
	case !prefixForm.MatchString(f.Prefix):
		return fmt.Errorf("prefix %q: only letters, digits and _ are allowed", f.Prefix)
	case f.Prefix == "" && !f.Pair:
		return fmt.Errorf("a format without a prefix must be a pair")
	case f.Prefix == "" && len(f.Environments) > 0:
		return fmt.Errorf("environments need a prefix to be told apart by")
	case len(f.Prefix) > 64:
		return fmt.Errorf("prefix %q: longer than 64 characters", f.Prefix)
	}
	for i, e := range f.Environments {
		if !prefixForm.MatchString(string(e)) || e == "" {
			return fmt.Errorf("environment %q: only letters, digits and _ are allowed", e)
		}
		if slices.Contains(f.Environments[:i], e) {
			return fmt.Errorf("environment %q is listed twice", e)
		}
	}
	for i := range f.Foreign {
		if err := f.Foreign[i].check(); err != nil {
			return fmt.Errorf("foreign shape %d: %w", i+1, err)
		}
	}
	return nil
}

func (f *Foreign) check() error {
	byDigest := f.Separator == "" && f.IDLength == 0
	switch {
	case f.MinLength < 16 || f.MaxLength < f.MinLength || f.MaxLength > maxLength:
		return fmt.Errorf("MinLength and MaxLength must be within 16 and %d", maxLength)
	case f.Until.IsZero():
		return fmt.Errorf("the date Until which it is accepted is required")
	case f.Separator != "" && f.IDLength != 0:
		return fmt.Errorf("Separator and IDLength exclude each other")
	case f.IDLength < 0 || f.IDLength+len(f.Prefix) >= f.MinLength:
		return fmt.Errorf("IDLength must leave room for a secret")
	case byDigest && len(f.DigestKey) < 32:
		return fmt.Errorf("DigestKey must have at least 32 bytes where the key contains no look-up id")
	case !byDigest && f.DigestKey != nil:
		return fmt.Errorf("DigestKey is for keys that contain no look-up id")
	case !byDigest && f.DigestOfSHA256:
		return fmt.Errorf("DigestOfSHA256 is for keys that contain no look-up id")
	}
	return nil
}

// name is how stored records call the format.
func (f Format) name() string {
	if f.Prefix == "" {
		return "pair"
	}
	return f.Prefix
}

// minted are the shapes that keys of the format have when they are made here,
// one for each environment.
func (f Format) minted() []shape {
	if len(f.Environments) == 0 {
		return []shape{{prefix: []byte(f.Prefix), format: f.name(), environment: strikeplate.Live, pair: f.Pair}}
	}
	var all []shape
	for _, e := range f.Environments {
		all = append(all, shape{prefix: []byte(f.Prefix + string(e) + "_"), format: f.name(), environment: e, pair: f.Pair})
	}
	return all
}

func (f Format) foreign() []shape {
	var all []shape
	for i := range f.Foreign {
		x := f.Foreign[i]
		if x.Environment == "" {
			x.Environment = strikeplate.Live
		}
		all = append(all, shape{prefix: []byte(x.Prefix), format: f.name(), environment: x.Environment,
			pair: x.Separator == ":", foreign: &x, separator: []byte(x.Separator)})
	}
	return all
}

// shows is what error messages name the shape by.
func (s *shape) shows() string { return string(s.prefix) }

// claims reports whether a text presents itself as this shape. It is a hint
// that costs next to nothing: parse decides.
func (s *shape) claims(text []byte) bool {
	if !bytes.HasPrefix(text, s.prefix) {
		return false
	}
	switch {
	case s.foreign != nil:
		return len(text) >= s.foreign.MinLength && len(text) <= s.foreign.MaxLength &&
			bytes.Contains(text, s.separator) && (len(s.prefix) > 0 || !looksLikeJWT(text))
	case len(s.prefix) == 0:
		return bytes.IndexByte(text, ':') >= 0
	default:
		return true
	}
}

// split parses a minted text, whose checksum the caller verifies.
func (s *shape) split(text []byte, tagged int) (credential, bool) {
	body := text[len(s.prefix):]
	gap := 0
	if s.pair {
		gap = 1
	}
	if len(body) != idLength+gap+secretLength+tagged || s.pair && body[idLength] != ':' {
		return credential{}, false
	}
	id, rest := body[:idLength], body[idLength+gap:]
	if !isBase62(id) || !isBase62(rest) {
		return credential{}, false
	}
	return credential{lookup: id, secret: rest[:secretLength]}, true
}

// splitForeign parses a text of a foreign shape.
func (s *shape) splitForeign(text []byte, now time.Time) (credential, bool) {
	f := s.foreign
	if !now.Before(f.Until) || !isVisibleASCII(text) {
		return credential{}, false
	}
	c := credential{secret: text}
	body := text[len(f.Prefix):]
	switch {
	case f.Separator != "":
		id, rest, found := bytes.Cut(body, s.separator)
		if !found || len(id) == 0 || len(rest) == 0 {
			return credential{}, false
		}
		c.lookup = id
		if !f.HashOfWhole {
			c.secret = rest
		}
	case f.IDLength > 0:
		c.lookup = body[:f.IDLength]
		if !f.HashOfWhole {
			c.secret = body[f.IDLength:]
		}
	default:
		whole := bytes.Clone(text) // so that no text escapes to the heap on other ways
		if f.DigestOfSHA256 {
			sum := sha256.Sum256(whole)
			whole = sum[:]
		}
		c.lookup = []byte(f.digestOf(whole))
	}
	return c, true
}

// looksLikeJWT keeps a foreign shape without a prefix from claiming the tokens
// that package oauth validates.
func looksLikeJWT(text []byte) bool {
	return bytes.HasPrefix(text, []byte("eyJ")) && bytes.Count(text, []byte(".")) == 2
}

func isVisibleASCII(text []byte) bool {
	for _, c := range text {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return true
}
