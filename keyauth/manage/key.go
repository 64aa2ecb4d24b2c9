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
	Expires        time.Time               `json:"expires,omitzero"`
	Revoked        time.Time               `json:"revoked,omitzero"`
	RevokedBecause string                  `json:"revoked_because,omitempty"`
	Version        int64                   `json:"version"`
}

// show leaves out the hash, the sealed secret and the look-up id.
func show(k storage.Key, now time.Time) Key {
	return Key{
		ID: k.ID, Lineage: k.Lineage, Organisation: k.Organisation, Name: k.Name, Last4: k.Last4,
		Format: k.Format, Environment: k.Environment, Access: k.Access, Scopes: k.Scopes,
		Owner: k.Owner, Creator: k.Creator, Allow: k.Allow, Metadata: k.Metadata, Status: k.Status(now),
		Created: k.Created, Expires: k.Expires, Revoked: k.Revoked, RevokedBecause: k.RevokedBecause,
		Version: k.Version,
	}
}
