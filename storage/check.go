package storage

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// ValidText reports whether every backend can hold s: UTF-8 without NUL bytes,
// which PostgreSQL cannot store. Writes with other text are refused; no record
// is ever found by it.
func ValidText(s string) bool {
	return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0
}

// Check refuses a mutation that no store may apply, whatever it holds: one
// without an audit entry (ErrNoAudit), with a key twice, with an empty ID,
// Lookup or Organisation, or with text that is not [ValidText]. Backends call
// it first, so that they agree.
func (m Mutation) Check() error {
	if len(m.Audit) == 0 {
		return ErrNoAudit
	}
	ids := make(map[string]bool, len(m.Put))
	for _, k := range m.Put {
		if ids[k.ID] {
			return fmt.Errorf("storage: key %q appears twice in one mutation", k.ID)
		}
		ids[k.ID] = true
		if err := k.check(); err != nil {
			return err
		}
	}
	for _, e := range m.Audit {
		if err := e.check(); err != nil {
			return err
		}
	}
	if m.Limit != nil && !ValidText(m.Limit.Organisation) {
		return errText
	}
	return nil
}

// Replaces reports whether k may replace stored, the record with the same ID:
// nil, or the first failure in the order that [Keys.Commit] promises. A k with
// Version 0 is a creation, whose ID is then taken.
func (k Key) Replaces(stored Key) error {
	switch {
	case k.Version == 0:
		return ErrConflict
	case k.Organisation != stored.Organisation:
		return ErrNotFound
	case !stored.Revoked.IsZero():
		return ErrRevoked
	case k.Version != stored.Version:
		return ErrConflict
	case !k.samePermanent(stored):
		return ErrPermanent
	}
	return nil
}

// samePermanent compares at the precision that every backend keeps.
func (k Key) samePermanent(o Key) bool {
	return k.Lineage == o.Lineage && k.Format == o.Format && k.Environment == o.Environment &&
		k.Access == o.Access && k.Owner == o.Owner && k.Creator == o.Creator &&
		slices.Equal(k.Scopes, o.Scopes) &&
		k.Created.IsZero() == o.Created.IsZero() && k.Created.UnixMicro() == o.Created.UnixMicro()
}

var errText = errors.New("storage: text is not UTF-8 or holds a NUL byte")

func (k Key) check() error {
	if k.ID == "" || k.Lookup == "" || k.Organisation == "" {
		return errors.New("storage: a key needs an ID, a Lookup and an Organisation")
	}
	texts := []string{k.ID, k.Lookup, k.Lineage, k.Organisation, k.Name, k.Last4, k.Format,
		string(k.Environment), string(k.Access), k.Owner, k.Creator, k.Hash, k.RevokedBecause}
	texts = append(texts, k.Scopes...)
	for name, value := range k.Metadata {
		texts = append(texts, name, value)
	}
	return checkTexts(texts)
}

func (e Entry) check() error {
	if e.Organisation == "" {
		return errors.New("storage: an audit entry needs an Organisation")
	}
	return checkTexts(append([]string{e.Organisation, e.Actor.User, e.Actor.Organisation, e.Actor.Role,
		e.Action, e.Target, string(e.Before), string(e.After)}, e.Actor.Scopes...))
}

func checkTexts(texts []string) error {
	for _, s := range texts {
		if !ValidText(s) {
			return errText
		}
	}
	return nil
}
