package oauth

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/storage"
)

// OpaqueConfig wires an [Opaque].
type OpaqueConfig struct {
	// Resource and Grants are required.
	Resource *Resource
	Grants   storage.Grants
	// Prefix is the authorization server's, such as "mvo_", whose access tokens
	// begin with "mvo_at_". Required.
	Prefix string
	// Machines is the access level of tokens that apps got for their own
	// organisation, with no user: OrganisationLimited or OrganisationFull. Empty:
	// they are refused.
	Machines strikeplate.Access
}

// Opaque accepts the opaque tokens of the service's own authorization server,
// package authserver, by asking its store. A token ends at once when its grant is
// revoked, its app shut out or blocked, its user deactivated. Where its Prefix is
// also that of API keys, it stands before their authenticator in
// [strikeplate.Require]. It is safe for concurrent use.
type Opaque struct {
	core   *core
	grants *grants
	prefix string
}

// NewOpaque checks c.
func NewOpaque(c OpaqueConfig) (*Opaque, error) {
	switch {
	case c.Resource == nil:
		return nil, errNoResource
	case c.Grants == nil:
		return nil, errors.New("oauth: Grants are required")
	case c.Prefix == "" || !isToken68(c.Prefix):
		return nil, errors.New("oauth: a Prefix is required, of characters that tokens may have")
	}
	if err := checkMachines(c.Machines); err != nil {
		return nil, fmt.Errorf("oauth: %w", err)
	}
	o := &Opaque{prefix: c.Prefix + "at_", grants: newGrants(c.Resource, c.Grants, c.Machines)}
	var err error
	if o.core, err = newCore(c.Resource, o); err != nil {
		return nil, fmt.Errorf("oauth: %w", err)
	}
	o.grants.memory = o.core
	return o, nil
}

// Authenticate implements [strikeplate.Authenticator]. It refuses as
// [JWT.Authenticate] does.
func (o *Opaque) Authenticate(r *http.Request) (*strikeplate.Principal, error) {
	return o.core.authenticate(r)
}

// Verify checks a token that came otherwise than in an HTTP request: see
// [JWT.Verify].
func (o *Opaque) Verify(ctx context.Context, token string, peer *x509.Certificate) (*strikeplate.Principal, error) {
	return o.core.verify(ctx, token, peer)
}

// claims also takes texts with the prefix that are no well-formed token: nobody
// else knows them.
func (o *Opaque) claims(token string) bool { return strings.HasPrefix(token, o.prefix) }

const errShape = invalid("The access token is incomplete or has been changed.")

// examine refuses what can't be a token before the store is asked.
func (o *Opaque) examine(ctx context.Context, token string, d digest) (*entry, bool, error) {
	if !isThumbprint(token[len(o.prefix):]) { // 256 bits, base64url
		return nil, false, errShape
	}
	return o.grants.examine(ctx, sha256.Sum256([]byte(token)), d)
}

func (*Opaque) ready(context.Context) error { return nil }
