package keyauth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/alexedwards/argon2id"
	"github.com/strikeplate/strikeplate"
)

// SchemeConfig says what a service's keys look like and how they are hashed.
type SchemeConfig struct {
	// Formats that the service issues and accepts; at least one.
	Formats []Format
	// Hashing are argon2id's parameters; zero: 12 MiB, 3 passes, 1 thread.
	Hashing Hashing
	// TagKeys make the checksum of minted keys: at least 32 random bytes each.
	// The first signs new keys, and every one listed verifies, so that a tag key
	// is rotated by putting a new one in front. Instances of a service share them.
	TagKeys [][]byte
	// InsecureUnkeyedChecksum replaces the tag keys by a CRC-32, which anybody
	// can compute: made-up keys then cost a look-up each, and a made-up secret
	// for a known look-up id costs a hash.
	InsecureUnkeyedChecksum bool
	// ImportKeys are the keys under which another system made its HMAC-SHA256
	// hashes, by names that the imported hashes refer to: a-z, 0-9, _ and -. They
	// are needed for as long as a key that was never used here since its import.
	ImportKeys map[string][]byte
}

// Scheme is shared by everything that handles a service's keys, so that they
// agree on the formats and share one hash slot. It is safe for concurrent use.
type Scheme struct {
	formats []Format
	shapes  []shape // longest prefix first; minted before foreign
	issues  []shape // those that can be minted
	taggers []tagger
	unkeyed bool
	pairs   bool // whether any accepted shape is a pair, and so may come as Basic
	params  argon2id.Params
	slot    *slot

	importKeys map[string][]byte
}

// NewScheme checks c. Formats whose prefixes shadow each other are refused,
// since a key could then belong to either.
func NewScheme(c SchemeConfig) (*Scheme, error) {
	s := &Scheme{unkeyed: c.InsecureUnkeyedChecksum}
	if err := s.addFormats(c.Formats); err != nil {
		return nil, fmt.Errorf("keyauth: %w", err)
	}
	if err := s.addTagKeys(c.TagKeys); err != nil {
		return nil, fmt.Errorf("keyauth: %w", err)
	}
	if err := s.addImportKeys(c.ImportKeys); err != nil {
		return nil, fmt.Errorf("keyauth: %w", err)
	}
	params, waiting, err := c.Hashing.settle()
	if err != nil {
		return nil, fmt.Errorf("keyauth: %w", err)
	}
	s.params, s.slot = params, newSlot(waiting)
	return s, nil
}

// Formats returns the formats that the service issues, in the order of its
// configuration, for pages that offer them. Foreign shapes are left out: they
// aren't issued, and hold keys. The result is the caller's own.
func (s *Scheme) Formats() []Format {
	formats := slices.Clone(s.formats)
	for i := range formats {
		formats[i].Environments = slices.Clone(formats[i].Environments)
	}
	return formats
}

func (s *Scheme) addFormats(formats []Format) error {
	if len(formats) == 0 {
		return errors.New("at least one format is required")
	}
	var foreign []shape
	for i, f := range formats {
		if err := f.check(); err != nil {
			return fmt.Errorf("format %d: %w", i+1, err)
		}
		s.formats = append(s.formats, Format{Prefix: f.Prefix, Environments: slices.Clone(f.Environments), Pair: f.Pair})
		s.issues = append(s.issues, f.minted()...)
		foreign = append(foreign, f.foreign()...)
	}
	for i, a := range s.issues {
		for _, b := range s.issues[i+1:] {
			if shadow(a, b) {
				return fmt.Errorf("formats %q and %q shadow each other: a key could be either", a.prefix, b.prefix)
			}
		}
	}
	longestFirst := func(a, b shape) int { return len(b.prefix) - len(a.prefix) }
	minted := slices.SortedStableFunc(slices.Values(s.issues), longestFirst)
	slices.SortStableFunc(foreign, longestFirst)
	s.shapes = slices.Concat(minted, foreign)
	s.pairs = slices.ContainsFunc(s.shapes, func(sh shape) bool { return sh.pair })
	return nil
}

// shadow reports whether one text could claim to be either shape. A pair
// without a prefix is told from prefixed keys by its colon, which they never
// contain.
func shadow(a, b shape) bool {
	if a.pair != b.pair && (len(a.prefix) == 0 || len(b.prefix) == 0) {
		return false
	}
	return bytes.HasPrefix(a.prefix, b.prefix) || bytes.HasPrefix(b.prefix, a.prefix)
}

func (s *Scheme) addTagKeys(keys [][]byte) error {
	switch {
	case s.unkeyed && len(keys) > 0:
		return errors.New("TagKeys and InsecureUnkeyedChecksum exclude each other")
	case !s.unkeyed && len(keys) == 0:
		return errors.New("TagKeys are required: 32 random bytes, the same on every instance")
	}
	for i, k := range keys {
		if len(k) < 32 {
			return fmt.Errorf("tag key %d has %d bytes; at least 32 are required", i+1, len(k))
		}
		s.taggers = append(s.taggers, newTagger(k))
	}
	return nil
}

// Parsed is what a text claims to be. Nothing of it is proven but, for a key of
// a minted shape, that it was made under one of the tag keys.
type Parsed struct {
	// Format and Environment as in the key's record.
	Format      string
	Environment strikeplate.Environment
	// Lookup finds the record; Secret is what its hash is of.
	Lookup string
	Secret strikeplate.Secret
	// Foreign: a shape that is not minted here.
	Foreign bool
}

// ErrMalformed is returned for a text that is no key of this service: of no
// known shape, mistyped, forged, or of a foreign shape after its end date.
var ErrMalformed = errors.New("keyauth: not a key of this service")

// Parse takes a key's text apart, without asking the store. The only failure is
// [ErrMalformed].
func (s *Scheme) Parse(text string, now time.Time) (Parsed, error) {
	sh, c := s.parse([]byte(text), now)
	if sh == nil {
		return Parsed{}, ErrMalformed
	}
	return Parsed{Format: sh.format, Environment: sh.environment, Lookup: string(c.lookup),
		Secret: strikeplate.NewSecret(string(c.secret)), Foreign: sh.foreign != nil}, nil
}

// parse tries each shape that text claims to be; an older, foreign shape may
// share its prefix with the minted one. The shape is nil if none fits.
func (s *Scheme) parse(text []byte, now time.Time) (*shape, credential) {
	if len(text) > maxLength {
		return nil, credential{}
	}
	for i := range s.shapes {
		sh := &s.shapes[i]
		if !sh.claims(text) {
			continue
		}
		if sh.foreign != nil {
			if c, ok := sh.splitForeign(text, now); ok {
				return sh, c
			}
			continue
		}
		if c, ok := sh.split(text, s.tagged()); ok && s.sealed(text) {
			return sh, c
		}
	}
	return nil, credential{}
}

// claimed reports whether text presents itself as a key of this service, well
// formed or not.
func (s *Scheme) claimed(text []byte) bool {
	for i := range s.shapes {
		if s.shapes[i].claims(text) {
			return true
		}
	}
	return false
}

// prefixes are what keys begin with, for messages.
func (s *Scheme) prefixes() []string {
	var all []string
	for _, sh := range s.issues {
		if p := sh.shows(); p != "" {
			all = append(all, p)
		}
	}
	return all
}

// Minted is a new key. Secret is the whole text to hand over, once; the rest
// goes into the key's record.
type Minted struct {
	Secret              strikeplate.Secret
	Format              string
	Environment         strikeplate.Environment
	Lookup, Last4, Hash string
}

// ErrNoFormat is returned by [Scheme.Mint] for a prefix or an environment that
// the scheme doesn't issue.
var ErrNoFormat = errors.New("keyauth: no such format")

// Mint makes a new key of the format with that prefix (empty for a pair
// without one) in an environment (empty: live). Hashing waits for the slot, in
// front of all verification, until ctx ends. Failures: [ErrNoFormat], ctx's error.
func (s *Scheme) Mint(ctx context.Context, prefix string, env strikeplate.Environment) (Minted, error) {
	if env == "" {
		env = strikeplate.Live
	}
	i := slices.IndexFunc(s.issues, func(sh shape) bool {
		return sh.format == Format{Prefix: prefix}.name() && sh.environment == env
	})
	if i < 0 {
		return Minted{}, fmt.Errorf("%w: prefix %q, environment %q", ErrNoFormat, prefix, env)
	}
	sh := &s.issues[i]
	id, secret := randomBase62(idLength), randomBase62(secretLength)
	var text strings.Builder
	text.Write(sh.prefix)
	text.WriteString(id)
	if sh.pair {
		text.WriteByte(':')
	}
	text.WriteString(secret)
	whole := string(s.seal([]byte(text.String())))

	hash, err := s.hash(ctx, secret, minting)
	if err != nil {
		return Minted{}, err
	}
	return Minted{
		Secret: strikeplate.NewSecret(whole), Format: sh.format, Environment: env,
		Lookup: id, Last4: whole[len(whole)-4:], Hash: hash,
	}, nil
}
