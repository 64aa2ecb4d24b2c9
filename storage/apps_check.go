package storage

import (
	"errors"
	"fmt"
	"slices"
)

// The bounds of what apps and grants hold. Strangers write much of it, so no
// record may be large.
const (
	// MaxAppURLs is how many redirect URIs, origins or resources a record holds.
	MaxAppURLs = 32
	// MaxGrantScopes is how many scopes an app, a grant or a token holds.
	MaxGrantScopes = 256

	maxID     = 255  // bytes of ids, names and scopes
	maxClient = 1024 // of a client ID, which may be a URL
	maxURL    = 2048
	maxReason = 1024
	maxSecret = 2 // secrets of one app
)

// Check refuses a mutation that no store may apply: one of an organisation's app
// without an audit entry (ErrNoAudit), or with a record that is out of bounds, has
// no ClientID or Created, or text that is not [ValidText]. Backends call it first,
// so that they agree.
func (m AppMutation) Check() error {
	if len(m.Audit) == 0 && m.Put.Organisation != "" {
		return ErrNoAudit
	}
	if err := m.Put.check(); err != nil {
		return err
	}
	return checkEntries(m.Audit)
}

// Check refuses a block that no store may keep: one without an audit entry
// (ErrNoAudit), an Organisation, a ClientID or an At, or with text that is too long
// or not [ValidText].
func (b Block) Check(audit []Entry) error {
	if err := b.CheckLifted(audit); err != nil {
		return err
	}
	if b.At.IsZero() {
		return errors.New("storage: block: at no time")
	}
	if err := checkLengths("block", maxID, b.By); err != nil {
		return err
	}
	return checkLengths("block", maxReason, b.Because)
}

// CheckLifted refuses what [Apps.UnblockApp] can't lift, by b's Organisation and
// ClientID.
func (b Block) CheckLifted(audit []Entry) error {
	if len(audit) == 0 {
		return ErrNoAudit
	}
	if err := checkClient("block", b.ClientID); err != nil {
		return err
	}
	if err := checkIDs("block", b.Organisation); err != nil {
		return err
	}
	return checkEntries(audit)
}

// Status returns the app's state: [Active] or [Revoked].
func (a App) Status() Status {
	if a.Revoked.IsZero() {
		return Active
	}
	return Revoked
}

// Replaces reports whether a may replace stored, the record with the same
// ClientID: nil, or the first failure in the order that [Apps.CommitApp] promises.
func (a App) Replaces(stored App) error {
	switch {
	case a.Version == 0:
		return ErrConflict
	case a.Organisation != stored.Organisation:
		return ErrNotFound
	case !stored.Revoked.IsZero():
		return ErrRevoked
	case a.Version != stored.Version:
		return ErrConflict
	case a.Creator != stored.Creator || a.Source != stored.Source || a.Public != stored.Public ||
		a.Created.UnixMicro() != stored.Created.UnixMicro():
		return ErrPermanent
	}
	return nil
}

func (a App) check() error {
	if err := checkClient("app", a.ClientID); err != nil {
		return err
	}
	if err := checkLengths("app", maxID, a.Organisation, a.Name, a.Creator); err != nil {
		return err
	}
	if err := checkLengths("app", maxReason, a.RevokedBecause); err != nil {
		return err
	}
	if err := checkScopes("app", a.Scopes); err != nil {
		return err
	}
	for _, urls := range [][]string{a.RedirectURIs, a.Origins, {a.Homepage}} {
		if err := checkURLs("app", urls); err != nil {
			return err
		}
	}
	switch {
	case !slices.Contains([]AppSource{AppRegistered, AppDynamic, AppDocument}, a.Source):
		return fmt.Errorf("storage: app: unknown source %q", a.Source)
	case a.Version < 0:
		return errors.New("storage: app: negative version")
	case a.Created.IsZero():
		return errors.New("storage: app: created at no time")
	case a.Public && len(a.Secrets) > 0:
		return errors.New("storage: app: a public app has no secret")
	}
	return a.checkSecrets()
}

func (a App) checkSecrets() error {
	if len(a.Secrets) > maxSecret {
		return fmt.Errorf("storage: app: at most %d secrets", maxSecret)
	}
	for _, s := range a.Secrets {
		if s.Hash == ([32]byte{}) {
			return errors.New("storage: app: a secret without a hash")
		}
		if err := checkLengths("app", maxID, s.Last4); err != nil {
			return err
		}
	}
	return nil
}

func checkClient(record, id string) error {
	if id == "" {
		return fmt.Errorf("storage: %s: no client ID", record)
	}
	return checkLengths(record, maxClient, id)
}

func checkIDs(record string, ids ...string) error {
	if slices.Contains(ids, "") {
		return fmt.Errorf("storage: %s: an id is empty", record)
	}
	return checkLengths(record, maxID, ids...)
}

func checkURLs(record string, urls []string) error {
	if len(urls) > MaxAppURLs {
		return fmt.Errorf("storage: %s: at most %d URLs of a kind", record, MaxAppURLs)
	}
	return checkLengths(record, maxURL, urls...)
}

func checkScopes(record string, scopes []string) error {
	if len(scopes) > MaxGrantScopes {
		return fmt.Errorf("storage: %s: at most %d scopes", record, MaxGrantScopes)
	}
	return checkLengths(record, maxID, scopes...)
}

func checkLengths(record string, most int, texts ...string) error {
	for _, s := range texts {
		if len(s) > most {
			return fmt.Errorf("storage: %s: text of %d bytes where %d are the most", record, len(s), most)
		}
	}
	return checkTexts(texts)
}

func checkEntries(audit []Entry) error {
	for _, e := range audit {
		if err := e.check(); err != nil {
			return err
		}
	}
	return nil
}
