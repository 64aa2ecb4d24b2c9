package manage

import (
	"context"
	"errors"
	"net/http"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/storage"
)

// AllKeys asks [Service.List] for every key, the revoked ones too.
const AllKeys storage.Status = "all"

// Filter selects a page of keys.
type Filter struct {
	// Status is [storage.Active], [storage.Expired], [storage.Revoked],
	// [storage.Unrevoked] or [AllKeys]; empty: every key that is not revoked.
	Status storage.Status
	// Cursor is empty for the first page, else the previous page's Next.
	Cursor string
	// Limit is the page's size; 0 means 50, and 1,000 is the most.
	Limit int
}

// Page is a page of keys, newest first.
type Page struct {
	Keys []Key `json:"keys"`
	// Next continues the list; empty at its end.
	Next string `json:"next,omitempty"`
	// Slots are the whole organisation's.
	Slots Slots `json:"slots"`
	// Missing names what could not be asked and is left out: "owners" or
	// "last_used". The list itself must be there when something is wrong.
	Missing []string `json:"missing,omitempty"`
}

// List returns a page of the organisation's keys. Keys that a replaced rule
// keeps from the actor are left out, so that a page may be shorter than its
// limit. What it refuses with: 403 forbidden, 400 invalid_request.
func (s *Service) List(ctx context.Context, a storage.Actor, f Filter) (Page, error) {
	if err := s.authorize(ctx, a, ActionList, storage.Key{Organisation: a.Organisation}); err != nil {
		return Page{}, err
	}
	now := s.now()
	q := storage.Query{Organisation: a.Organisation, Now: now, Cursor: f.Cursor, Limit: f.Limit}
	switch f.Status {
	case "", storage.Unrevoked:
		q.Status = storage.Unrevoked
	case AllKeys:
		q.Status = storage.AnyStatus
	case storage.Active, storage.Expired, storage.Revoked:
		q.Status = f.Status
	default:
		return Page{}, invalid("status", "%.100q is none; use active, expired, revoked, unrevoked or all", f.Status)
	}
	keys, next, err := s.c.Keys.ListKeys(ctx, q)
	if errors.Is(err, storage.ErrNotFound) {
		return Page{}, invalid("cursor", "it is not one of this list; begin again without")
	}
	if err != nil {
		return Page{}, told(err, "listing keys")
	}
	page := Page{Next: next, Keys: make([]Key, 0, len(keys))}
	for _, k := range keys {
		switch err := s.judge(ctx, a, ActionView, k); {
		case err == nil:
			page.Keys = append(page.Keys, s.view(k, now))
		case !isForbidden(err):
			return Page{}, err
		}
	}
	page.Missing = s.complete(ctx, a.Organisation, page.Keys)
	page.Slots, err = s.slots(ctx, a.Organisation, now)
	return page, err
}

func isForbidden(err error) bool {
	var e *strikeplate.Error
	return errors.As(err, &e) && e.Status == http.StatusForbidden
}

// complete adds what others know of the keys, and returns what could not be
// asked.
func (s *Service) complete(ctx context.Context, organisation string, keys []Key) (missing []string) {
	if !s.completeOwners(ctx, organisation, keys) {
		missing = append(missing, "owners")
	}
	if s.c.LastUsed == nil || len(keys) == 0 {
		return missing
	}
	ids := make([]string, len(keys))
	for i, k := range keys {
		ids[i] = k.ID
	}
	used, err := s.c.LastUsed(ctx, ids)
	if err != nil {
		return append(missing, "last_used")
	}
	for i, k := range keys {
		keys[i].LastUsed = used[k.ID]
	}
	return missing
}

// completeOwners asks for each owner once, and for none after a failure.
func (s *Service) completeOwners(ctx context.Context, organisation string, keys []Key) bool {
	active := make(map[string]bool)
	for i, k := range keys {
		if _, asked := active[k.Owner]; !asked {
			ok, err := s.member(ctx, organisation, k.Owner)
			if err != nil {
				return false
			}
			active[k.Owner] = ok
		}
		keys[i].OwnerInactive = !active[k.Owner]
	}
	return true
}
