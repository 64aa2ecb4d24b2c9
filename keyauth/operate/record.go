package operate

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth/manage"
	"github.com/strikeplate/strikeplate/storage"
)

// entry is the audit entry of a key's change; before is nil for a new key. The
// stored version is one above what is put.
func (s *Service) entry(action string, before *storage.Key, after storage.Key, now time.Time) (storage.Entry, error) {
	e := storage.Entry{Organisation: after.Organisation, Actor: s.actor(after.Organisation), Action: action, Target: after.ID, At: now}
	var err error
	if before != nil {
		if e.Before, err = json.Marshal(manage.KeyOf(*before, now)); err != nil {
			return e, fmt.Errorf("operate: audit: %w", err)
		}
	}
	after.Version++
	if e.After, err = json.Marshal(manage.KeyOf(after, now)); err != nil {
		return e, fmt.Errorf("operate: audit: %w", err)
	}
	return e, nil
}

// levels are those that a key can have.
func isLevel(a strikeplate.Access) bool {
	return a.ForUser() || a == strikeplate.OrganisationLimited || a == strikeplate.OrganisationFull || a == strikeplate.Legacy
}
