package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/strikeplate/strikeplate/storage"
)

// Issuer is an authorization server whose JWT access tokens are accepted.
type Issuer struct {
	// URL is the issuer identifier, compared byte for byte with the claim iss and
	// with the metadata. Required.
	URL string
	// Trust says for whom it may speak.
	Trust Trust
	// Keys is a JWK Set (RFC 7517 5) of its signing keys. Nil: they are fetched,
	// from KeysURL or, where that is empty too, from where the issuer's metadata
	// says (RFC 8414, OpenID Connect Discovery).
	Keys    []byte
	KeysURL string
	// Algorithms are those that it may sign with; empty: RS256, ES256 and EdDSA,
	// which is also called Ed25519. Symmetric ones and none are refused, PS256 and
	// the rest must be named.
	Algorithms []string
	// InsecureAnyType accepts JWTs that don't say that they are access tokens (RFC
	// 9068 2.1), as servers from before do. Then ID tokens and others that are
	// signed with the same key and have the audience pass for one.
	InsecureAnyType bool
	// InsecureHTTP allows http on the loopback interface.
	InsecureHTTP bool
	// Revoked is asked about each token that isn't remembered, and again after
	// [JWT.Invalidate]. Nil: tokens count until they expire.
	Revoked func(ctx context.Context, c Claims) (bool, error)
	// Grants is the store of the own authorization server, if it is this issuer:
	// its JWTs end with their grant, as its opaque tokens do, and act for whom the
	// grant says. Of Trust only Machines counts then.
	Grants storage.Grants
}

var defaultAlgorithms = []string{"RS256", "ES256", "EdDSA"}

// issuer is an Issuer in service.
type issuer struct {
	Issuer
	algorithms algorithms
	keys       *keySource
	grants     *grants // nil: it is another's
}

// newIssuer checks the configuration.
func newIssuer(c Issuer, r *Resource, f Fetch) (*issuer, error) {
	if _, err := parseURL(c.URL, c.InsecureHTTP); err != nil {
		return nil, fmt.Errorf("URL: %w", err)
	}
	if strings.Contains(c.URL, "|") { // it would make "iss|sub" ambiguous
		return nil, errors.New("URL must not contain '|'")
	}
	if c.Grants != nil && len(c.Trust.Organisations) == 0 {
		c.Trust.InsecureAnyOrganisation = true // the grant says which, and the store is our own
	}
	if err := c.Trust.settle(); err != nil {
		return nil, fmt.Errorf("Trust: %w", err)
	}
	i := &issuer{Issuer: c}
	if c.Grants != nil {
		i.grants = newGrants(r, c.Grants, c.Trust.Machines)
	}
	names := c.Algorithms
	if len(names) == 0 {
		names = defaultAlgorithms
	}
	var err error
	if i.algorithms, err = newAlgorithms(names); err != nil {
		return nil, err
	}
	i.keys = newKeySource(r, c.URL, f)
	switch {
	case c.Keys != nil && c.KeysURL != "":
		return nil, errors.New("Keys and KeysURL exclude each other")
	case c.Keys != nil:
		set, err := parseKeySet(c.Keys, nil)
		if err != nil {
			return nil, fmt.Errorf("Keys: %w", err)
		}
		i.keys.fix(set)
	case c.KeysURL != "":
		if _, err := parseURL(c.KeysURL, c.InsecureHTTP); err != nil {
			return nil, fmt.Errorf("KeysURL: %w", err)
		}
		i.keys.locate = func(context.Context) (string, error) { return c.KeysURL, nil }
	default:
		i.keys.locate = func(ctx context.Context) (string, error) {
			m, err := f.discover(ctx, c.URL, c.InsecureHTTP)
			return m.KeysURL, err
		}
	}
	return i, nil
}

// serverMetadata is what is needed of RFC 8414 2.
type serverMetadata struct {
	Issuer        string `json:"issuer"`
	KeysURL       string `json:"jwks_uri"`
	Introspection string `json:"introspection_endpoint"`
}

// metadataURLs are where an issuer's metadata may be, in the order in which MCP
// and RFC 8414 5 have them tried.
func metadataURLs(u *url.URL) []string {
	all := []string{insertWellKnown(u, "oauth-authorization-server"), insertWellKnown(u, "openid-configuration"),
		u.Scheme + "://" + u.Host + strings.TrimSuffix(u.EscapedPath(), "/") + "/.well-known/openid-configuration"}
	return slices.Compact(all)
}
