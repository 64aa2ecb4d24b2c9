package operate

import (
	"cmp"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/keyauth/manage"
	"github.com/strikeplate/strikeplate/scope"
	"github.com/strikeplate/strikeplate/storage"
)

// Row is one key of another system.
type Row struct {
	// Organisation that the key belongs to; required.
	Organisation string
	// ExternalID is the key's id in the other system, kept as the metadata entry
	// "external_id"; empty: none.
	ExternalID string
	// Name, as for a created key: at most 100 characters; empty: "Imported key".
	Name string
	// Prefix names the format that has the key's foreign shape, and Environment
	// must be the shape's; empty: live.
	Prefix      string
	Environment strikeplate.Environment
	// Lookup is the public part of the key that the shape finds it by. It may be
	// empty where the shape makes it from the SHA-256 of the whole key.
	Lookup string
	Hash   keyauth.ForeignHash
	// Last4 are the last characters of the key, at most 4; empty: not known.
	Last4 string
	// Access is required. Import alone may set legacy.
	Access strikeplate.Access
	// Scopes; with a catalog, its own, in whose order they are kept. A wildcard that
	// it declares is kept as the scopes that it stands for now.
	Scopes []string
	// Owner is the user of a user-level key; one whom the directory doesn't know
	// counts as deactivated.
	Owner, Creator string
	// Created: when the other system issued it; zero: now.
	Created time.Time
	// Expires; zero: never. A moment in the past is kept: the key answers that it
	// has expired.
	Expires time.Time
	// Allow are the networks that the key may be used from; empty: any.
	Allow []netip.Prefix
	// Metadata: at most 50 entries and 4 KiB.
	Metadata map[string]string
}

// The bounds of what a key carries are those of package manage.
const (
	maxName          = 100 // characters
	maxText          = 500 // bytes, of ids
	maxLookup        = 512 // bytes, as keys
	maxScopes        = 200
	maxMetadata      = 50
	maxMetadataBytes = 4 << 10
	externalID       = "external_id"
	defaultName      = "Imported key"
)

// key judges a row and makes the record of it. Its errors never tell the hash.
func (s *Service) key(migration string, r Row, now time.Time) (storage.Key, error) {
	k := storage.Key{
		Organisation: r.Organisation, Name: cmp.Or(strings.TrimSpace(r.Name), defaultName), Last4: r.Last4,
		Format: cmp.Or(r.Prefix, "pair"), Environment: cmp.Or(r.Environment, strikeplate.Live), Access: r.Access,
		Owner: r.Owner, Creator: r.Creator, Metadata: maps.Clone(r.Metadata), SecretVersion: 1,
		Created: r.Created.UTC().Truncate(time.Microsecond), Expires: r.Expires.UTC().Truncate(time.Microsecond),
	}
	if k.Created.IsZero() {
		k.Created = now
	}
	var err, wrong error
	k.Scopes, wrong = s.settleScopes(r)
	if err := errors.Join(checkTexts(k), checkTimes(k, now), checkAccess(k), wrong); err != nil {
		return storage.Key{}, err
	}
	if k.Metadata, err = settleMetadata(k.Metadata, r.ExternalID); err != nil {
		return storage.Key{}, err
	}
	if k.Allow, err = settleAllow(r.Allow); err != nil {
		return storage.Key{}, err
	}
	if len(r.Lookup) > maxLookup || !storage.ValidText(r.Lookup) {
		return storage.Key{}, errors.New("lookup: too long, or not text")
	}
	if k.Lookup, err = s.c.Scheme.ForeignLookup(r.Prefix, k.Environment, r.Lookup, r.Hash, now); err != nil {
		return storage.Key{}, fmt.Errorf("lookup: no foreign shape of format %.64q, environment %.64q, accepted today, yields it", r.Prefix, k.Environment)
	}
	if k.Hash, err = s.c.Scheme.StoredHash(r.Hash); err != nil {
		return storage.Key{}, err
	}
	// Of the look-up id alone: under whatever migration or organisation it is
	// presented again, a key whose secret was replaced here doesn't come back.
	k.ID = importedID + name(k.Lookup)
	k.Lineage = "imp_" + name(migration, k.Organisation, k.Lookup)
	return k, nil
}

// importedID begins the ids of imported keys; others have no "_" further on.
const importedID = "key_imp_"

// isImported: the record's Created is the other system's.
func isImported(k storage.Key) bool { return strings.HasPrefix(k.ID, importedID) }

// name derives an id from texts: the same texts, the same id.
func name(texts ...string) string {
	h := sha256.New()
	for _, t := range texts {
		_, _ = fmt.Fprintf(h, "%d:%s", len(t), t)
	}
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(h.Sum(nil)[:16])
}

func checkTexts(k storage.Key) error {
	switch {
	case k.Organisation == "" || len(k.Organisation) > maxText || !storage.ValidText(k.Organisation):
		return errors.New("organisation: missing, too long, or not text")
	case utf8.RuneCountInString(k.Name) > maxName || !storage.ValidText(k.Name) || strings.ContainsFunc(k.Name, unicode.IsControl):
		return fmt.Errorf("name: at most %d printable characters are allowed", maxName)
	case len(k.Last4) > 4 || strings.ContainsFunc(k.Last4, func(c rune) bool { return c <= ' ' || c > '~' }):
		return errors.New("last4: more than 4 characters, or not visible ASCII")
	case len(k.Owner) > maxText || len(k.Creator) > maxText || !storage.ValidText(k.Owner) || !storage.ValidText(k.Creator):
		return errors.New("owner, creator: too long, or not text")
	}
	return nil
}

func checkTimes(k storage.Key, now time.Time) error {
	switch {
	case k.Created.After(now):
		return errors.New("created: in the future")
	case k.Created.Year() < 1970 || k.Expires.Year() > 9999: // what backends can hold, and what can be meant
		return errors.New("created, expires: not within 1970 and 9999")
	case !k.Expires.IsZero() && !k.Expires.After(k.Created):
		return errors.New("expires: not after it was created")
	}
	return nil
}

func checkAccess(k storage.Key) error {
	switch {
	case !isLevel(k.Access):
		return fmt.Errorf("access: %.64q is no level", k.Access)
	case k.Access.ForUser() && k.Owner == "":
		return errors.New("owner: a key of this level needs one")
	case !k.Access.ForUser() && k.Owner != "":
		return errors.New("owner: a key of this level has none")
	}
	return nil
}

// settleScopes returns what a row's scopes stand for in the catalog today.
func (s *Service) settleScopes(r Row) ([]string, error) {
	if len(r.Scopes) > maxScopes {
		return nil, fmt.Errorf("scopes: at most %d are allowed", maxScopes)
	}
	for i, text := range r.Scopes {
		if _, listed := s.c.Catalog.Describe(text); !listed && scope.Check(text) != nil {
			return nil, fmt.Errorf("scopes: %.100q is none", text)
		}
		if slices.Contains(r.Scopes[:i], text) {
			return nil, fmt.Errorf("scopes: %q is listed twice", text)
		}
	}
	if s.c.Catalog == nil {
		return slices.Clone(r.Scopes), nil
	}
	if len(r.Scopes) == 0 && r.Access != strikeplate.Legacy {
		return nil, errors.New("scopes: none, so the key could do nothing")
	}
	scopes, err := s.c.Catalog.Resolve(r.Scopes)
	switch {
	case err != nil:
		return nil, fmt.Errorf("scopes: %w", err)
	case len(scopes) > maxScopes:
		return nil, fmt.Errorf("scopes: the wildcards stand for more than %d", maxScopes)
	}
	return scopes, nil
}

func settleMetadata(metadata map[string]string, external string) (map[string]string, error) {
	if external != "" {
		if had, ok := metadata[externalID]; ok && had != external {
			return nil, fmt.Errorf("metadata: %s is the row's ExternalID", externalID)
		}
		if metadata == nil {
			metadata = make(map[string]string, 1)
		}
		metadata[externalID] = external
	}
	size := 0
	for name, value := range metadata {
		size += len(name) + len(value)
		if name == "" || !storage.ValidText(name) || !storage.ValidText(value) {
			return nil, errors.New("metadata: an entry has no name, or is not text")
		}
	}
	if len(metadata) > maxMetadata || size > maxMetadataBytes {
		return nil, fmt.Errorf("metadata: at most %d entries and %d bytes are allowed", maxMetadata, maxMetadataBytes)
	}
	return metadata, nil
}

// settleAllow has package manage judge the networks: one that was masked or
// mapped otherwise would never match an address.
func settleAllow(list []netip.Prefix) ([]netip.Prefix, error) {
	texts := make([]string, len(list))
	for i, p := range list {
		if !p.IsValid() {
			return nil, errors.New("allow: an entry is not a network")
		}
		texts[i] = p.String()
	}
	settled, err := manage.ParseAllow(texts)
	var e *strikeplate.Error
	if errors.As(err, &e) {
		return nil, errors.New(e.Message)
	}
	return settled, err
}
