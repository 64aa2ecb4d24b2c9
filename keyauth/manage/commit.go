package manage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/strikeplate/strikeplate/storage"
)

// commit writes a key and its audit entry in one transaction. before is nil for
// a new key.
func (s *Service) commit(ctx context.Context, a storage.Actor, action string, before *storage.Key, after storage.Key, limit *storage.Limit) error {
	now := s.Now()
	entry := storage.Entry{Organisation: after.Organisation, Actor: a, Action: action, Target: after.ID, At: now}
	var err error
	if before != nil {
		if entry.Before, err = json.Marshal(show(*before, now)); err != nil {
			return fmt.Errorf("manage: audit: %w", err)
		}
	}
	logged := after
	logged.Version++ // as it will be
	if entry.After, err = json.Marshal(show(logged, now)); err != nil {
		return fmt.Errorf("manage: audit: %w", err)
	}
	err = s.Keys.Commit(ctx, storage.Mutation{Now: now, Put: []storage.Key{after}, Limit: limit, Audit: []storage.Entry{entry}})
	if errors.Is(err, storage.ErrLimit) {
		return refuse(http.StatusConflict, CodeLimit,
			"Your organisation already has %d active API keys. Revoke one that is no longer used; its slot is free at once.", limit.Max)
	}
	return told(err, action)
}
