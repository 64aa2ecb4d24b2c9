package authserver

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/storage"
)

const maxClientID = 500

// credentials are how a client says who it is.
type credentials struct {
	id, secret string
	basic      bool // in the Authorization field
	none       bool // no secret was presented
}

// readCredentials finds them in the Authorization field or the form (RFC 6749
// 2.3.1). A client uses one way in a request.
func readCredentials(r *http.Request, p params) (credentials, error) {
	if p.get("client_assertion") != "" || p.get("client_assertion_type") != "" {
		return credentials{}, unauthenticated(false, "Clients authenticate with a secret here, not with an assertion.")
	}
	id, secret := p.get("client_id"), p.get("client_secret")
	fields := r.Header["Authorization"]
	if len(fields) == 0 {
		if id == "" {
			return credentials{}, unauthenticated(false, "Say which client it is: client_id is missing.")
		}
		return credentials{id: id, secret: secret, none: secret == ""}, nil
	}
	c, ok := parseBasic(fields)
	switch {
	case !ok:
		return credentials{}, unauthenticated(true, "The Authorization field can't be read: send HTTP Basic with both parts form-encoded (RFC 6749 2.3.1).")
	case secret != "":
		return credentials{}, bad(CodeRequest, "The client authenticates in two ways at once.")
	case id != "" && id != c.id:
		return credentials{}, bad(CodeRequest, "The form's client_id is not the client that authenticates.")
	}
	return c, nil
}

// parseBasic reads the one Authorization field. Both parts are form-encoded before
// they are joined.
func parseBasic(fields []string) (c credentials, ok bool) {
	if len(fields) != 1 || len(fields[0]) > 4096 {
		return c, false
	}
	scheme, encoded, _ := strings.Cut(fields[0], " ")
	if !strings.EqualFold(scheme, "Basic") {
		return c, false
	}
	decoded, err := base64.StdEncoding.Strict().DecodeString(strings.TrimLeft(encoded, " "))
	if err != nil || strings.ContainsAny(encoded, "\r\n") {
		return c, false
	}
	left, right, ok := strings.Cut(string(decoded), ":")
	if !ok {
		return c, false
	}
	id, err := url.QueryUnescape(left)
	secret, bad := url.QueryUnescape(right)
	if err != nil || bad != nil || id == "" || !storage.ValidText(id+secret) {
		return c, false
	}
	return credentials{id: id, secret: secret, basic: true, none: secret == ""}, true
}

// unauthenticated is the answer to a client that isn't who it says (RFC 6749 5.2).
func unauthenticated(basic bool, format string, args ...any) *strikeplate.Error {
	e := refuse(http.StatusUnauthorized, CodeClient, format, args...)
	if e.Challenge = []string{`Basic realm="oauth", charset="UTF-8"`}; !basic {
		e.Challenge = []string{`Basic realm="oauth"`}
	}
	return e
}

// client finds out which client called, and that it is.
func (s *Server) client(r *http.Request, p params) (storage.App, error) {
	c, err := readCredentials(r, p)
	if err != nil {
		return storage.App{}, err
	}
	address := clientAddress(r)
	if wait := s.failures.over(c.id, address); wait > 0 {
		return storage.App{}, slowDown(wait, "Too many wrong secrets for this client came from your address.")
	}
	app, err := s.known(r.Context(), c.id)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		s.failures.charge(c.id, address)
		return storage.App{}, wrongClient(c)
	case err != nil:
		return storage.App{}, err
	case app.Public:
		if !c.none || c.basic {
			return storage.App{}, unauthenticated(c.basic, "The client is public: it has no secret, and says its client_id in the form.")
		}
	case !provesSecret(app, c.secret, s.now()):
		s.failures.charge(c.id, address)
		return storage.App{}, wrongClient(c)
	}
	if !app.Revoked.IsZero() {
		return storage.App{}, unauthenticated(c.basic, "The client is revoked.")
	}
	return app, nil
}

func wrongClient(c credentials) *strikeplate.Error {
	if c.none {
		return unauthenticated(c.basic, "The client is unknown, or has to authenticate with its secret.")
	}
	return unauthenticated(c.basic, "The client is unknown, or the secret is wrong.")
}

// known finds an app by what it presents. A client id that nobody can have is not
// looked for.
func (s *Server) known(ctx context.Context, id string) (storage.App, error) {
	if id == "" || len(id) > maxClientID || !isASCII(id) {
		return storage.App{}, storage.ErrNotFound
	}
	app, err := s.c.Store.App(ctx, id)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return storage.App{}, unsure("looking for the client", err)
	}
	return app, err
}

// provesSecret compares with each of the app's secrets, whichever is right.
func provesSecret(app storage.App, secret string, now time.Time) bool {
	presented, right := digest(secret), 0
	for _, known := range app.Secrets {
		equal := subtle.ConstantTimeCompare(presented[:], known.Hash[:])
		if known.Expires.IsZero() || now.Before(known.Expires) {
			right |= equal
		}
	}
	return right == 1 && secret != ""
}

// clientAddress is the caller's, as the request's Edge knows it.
func clientAddress(r *http.Request) netip.Addr {
	if x := strikeplate.ExchangeFrom(r.Context()); x != nil {
		return x.Client()
	}
	return netip.Addr{}
}

func slowDown(wait time.Duration, format string, args ...any) *strikeplate.Error {
	e := refuse(http.StatusTooManyRequests, CodeSlow, format, args...)
	e.RetryAfter = wait
	return e
}
