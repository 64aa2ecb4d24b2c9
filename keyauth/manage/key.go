package manage

import (
	"net/netip"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/storage"
)

// Key is what may be shown of a key: everything but what proves it.
type Key struct {
	ID             string                  `json:"id"`
	Lineage        string                  `json:"lineage"`
	Organisation   string                  `json:"organisation"`
	Name           string                  `json:"name"`
	Last4          string                  `json:"last4"`
	Format         string                  `json:"format"`
	Environment    strikeplate.Environment `json:"environment"`
	Access         strikeplate.Access      `json:"access,omitempty"`
	Scopes         []string                `json:"scopes"`
	Owner          string                  `json:"owner,omitempty"`
	Creator        string                  `json:"creator"`
	Allow          []netip.Prefix          `json:"allow,omitempty"`
	Metadata       map[string]string       `json:"metadata,omitempty"`
	Status         storage.Status          `json:"status"`
	Created        time.Time               `json:"created"`
	Regenerated    time.Time               `json:"regenerated,omitzero"`
	Expires        time.Time               `json:"expires,omitzero"`
	Revoked        time.Time               `json:"revoked,omitzero"`
	RevokedBecause string                  `json:"revoked_because,omitempty"`
	// Version is what Update compares. SecretVersion rises when the secret changes.
	Version       int64 `json:"version"`
	SecretVersion int64 `json:"secret_version"`

	// What follows is not the key's own. It is told by Get and List, and is no
	// part of audit entries.

	// Legacy: a key from before levels existed, to be viewed and revoked only.
	Legacy bool `json:"legacy,omitempty"`
	// OwnerInactive: the owner is deactivated, so the key answers 401 until the
	// owner is reactivated.
	OwnerInactive bool `json:"owner_inactive,omitempty"`
	// RotateRecommended: the key's secret is older than Terms.MaxAge.
	RotateRecommended bool `json:"rotate_recommended,omitempty"`
	// Revealable: the secret was kept and can be copied.
	Revealable bool `json:"revealable,omitempty"`
	// LastUsed is the last successful request; zero: none is known.
	LastUsed time.Time `json:"last_used,omitzero"`
}

// KeyOf returns what may be shown of a stored key, in listings and audit entries:
// the hash, the sealed secret and the look-up id are left out.
func KeyOf(k storage.Key, now time.Time) Key {
	return Key{
		ID: k.ID, Lineage: k.Lineage, Organisation: k.Organisation, Name: k.Name, Last4: k.Last4,
		Format: k.Format, Environment: k.Environment, Access: k.Access, Scopes: append([]string{}, k.Scopes...),
		Owner: k.Owner, Creator: k.Creator, Allow: k.Allow, Metadata: k.Metadata, Status: k.Status(now),
		Created: k.Created, Regenerated: k.Regenerated, Expires: k.Expires, Revoked: k.Revoked, RevokedBecause: k.RevokedBecause,
		Version: k.Version, SecretVersion: k.SecretVersion,
	}
}

// view adds what the record and the service's terms tell.
func (s *Service) view(k storage.Key, now time.Time) Key {
	v := KeyOf(k, now)
	v.Legacy = k.Access == strikeplate.Legacy
	v.RotateRecommended = s.c.Terms.overdue(k, now)
	v.Revealable = s.c.Reveal.Seal != nil && len(k.Sealed) > 0 && v.Status == storage.Active
	return v
}
