package operate

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth/manage"
	"github.com/strikeplate/strikeplate/storage"
)

// record is what audit entries and findings tell of a key: the same that package
// manage does, so that the log reads alike whoever wrote it.
func record(k storage.Key, now time.Time) manage.Key {
	return manage.Key{
		ID: k.ID, Lineage: k.Lineage, Organisation: k.Organisation, Name: k.Name, Last4: k.Last4,
		Format: k.Format, Environment: k.Environment, Access: k.Access, Scopes: append([]string{}, k.Scopes...),
		Owner: k.Owner, Creator: k.Creator, Allow: k.Allow, Metadata: k.Metadata, Status: k.Status(now),
		Created: k.Created, Expires: k.Expires, Revoked: k.Revoked, RevokedBecause: k.RevokedBecause,
		Version: k.Version, SecretVersion: k.SecretVersion,
	}
}

// entry is the audit entry of a key's change; before is nil for a new key. The
// stored version is one above what is put.
func (s *Service) entry(action string, before *storage.Key, after storage.Key, now time.Time) (storage.Entry, error) {
	e := storage.Entry{Organisation: after.Organisation, Actor: s.actor(after.Organisation), Action: action, Target: after.ID, At: now}
	var err error
	if before != nil {
		if e.Before, err = json.Marshal(record(*before, now)); err != nil {
			return e, fmt.Errorf("operate: audit: %w", err)
		}
	}
	after.Version++
	if e.After, err = json.Marshal(record(after, now)); err != nil {
		return e, fmt.Errorf("operate: audit: %w", err)
	}
	return e, nil
}

// levels are those that a key can have.
func isLevel(a strikeplate.Access) bool {
	return a.ForUser() || a == strikeplate.OrganisationLimited || a == strikeplate.OrganisationFull || a == strikeplate.Legacy
}
