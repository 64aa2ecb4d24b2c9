package manage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

// exportPage is how many entries an export reads at a time.
const exportPage = 1000

// Entry is one line of the audit log: who did what to which key, from where.
type Entry struct {
	Position int64     `json:"position"`
	At       time.Time `json:"at"`
	Actor    Actor     `json:"actor"`
	Action   string    `json:"action"`
	// Target is a key's id; empty where the action was about no one key.
	Target string `json:"target,omitempty"`
	// Before and After are the [Key], nil where there was none. After a denial,
	// After says what was denied.
	Before json.RawMessage `json:"before,omitempty"`
	After  json.RawMessage `json:"after,omitempty"`
}

// Actor is who did it.
type Actor struct {
	User         string   `json:"user,omitempty"`
	Organisation string   `json:"organisation,omitempty"`
	Role         string   `json:"role,omitempty"`
	Scopes       []string `json:"scopes,omitempty"`
	// Client is the address, if it is known and was not erased.
	Client netip.Addr `json:"client,omitzero"`
}

// Log is a page of the audit log.
type Log struct {
	Entries []Entry `json:"entries"`
	// Next continues the log. Oldest first it is never empty, so that it leads to
	// what comes later too; newest first it is empty at the log's beginning.
	Next string `json:"next"`
}

// Audit returns a page of the organisation's audit log, oldest first: cursor is empty for the
// first, limit 0 means 50, and 1,000 is the most. What it refuses with: 403
// forbidden, 400 invalid_request.
func (s *Service) Audit(ctx context.Context, a storage.Actor, cursor string, limit int) (Log, error) {
	if err := s.authorize(ctx, a, ActionAudit, storage.Key{Organisation: a.Organisation}); err != nil {
		return Log{}, err
	}
	return s.log(ctx, storage.Query{Organisation: a.Organisation, Cursor: cursor, Limit: limit})
}

// NewestAudit is [Service.Audit] the other way round: what happened last comes
// first, and the cursor leads to what is older.
func (s *Service) NewestAudit(ctx context.Context, a storage.Actor, cursor string, limit int) (Log, error) {
	if err := s.authorize(ctx, a, ActionAudit, storage.Key{Organisation: a.Organisation}); err != nil {
		return Log{}, err
	}
	return s.log(ctx, storage.Query{Organisation: a.Organisation, Cursor: cursor, Limit: limit, Newest: true})
}

// ExportAudit writes the audit log from cursor on, or from its beginning, as
// JSON lines: one [Entry] each. It returns the cursor to continue from, also
// when it fails: what was written before it need not be written again. It
// refuses as Audit does.
func (s *Service) ExportAudit(ctx context.Context, a storage.Actor, w io.Writer, cursor string) (next string, err error) {
	if err := s.authorize(ctx, a, ActionAudit, storage.Key{Organisation: a.Organisation}); err != nil {
		return cursor, err
	}
	lines := json.NewEncoder(w)
	lines.SetEscapeHTML(false)
	for {
		page, err := s.log(ctx, storage.Query{Organisation: a.Organisation, Cursor: cursor, Limit: exportPage})
		if err != nil || len(page.Entries) == 0 {
			return cursor, err
		}
		for _, e := range page.Entries {
			if err := lines.Encode(e); err != nil {
				return cursor, fmt.Errorf("manage: exporting the audit log: %w", err)
			}
		}
		cursor = page.Next
		if len(page.Entries) < exportPage { // the end, as of now: a busy log must not keep an export from ending
			return cursor, nil
		}
	}
}

func (s *Service) log(ctx context.Context, q storage.Query) (Log, error) {
	entries, next, err := s.c.Audit.Entries(ctx, q)
	if errors.Is(err, storage.ErrNotFound) {
		return Log{}, invalid("cursor", "it is not one of this log, or what it points to is no longer kept; begin again without")
	}
	if err != nil {
		return Log{}, told(err, "reading the audit log")
	}
	page := Log{Entries: make([]Entry, len(entries)), Next: next}
	for i, e := range entries {
		page.Entries[i] = Entry{
			Position: e.Position, At: e.At, Action: e.Action, Target: e.Target, Before: e.Before, After: e.After,
			Actor: Actor{User: e.Actor.User, Organisation: e.Actor.Organisation, Role: e.Actor.Role,
				Scopes: e.Actor.Scopes, Client: e.Actor.Client},
		}
	}
	return page, nil
}
