package authserver

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

// revoke answers POST /oauth/revoke (RFC 7009). A refresh token takes its whole
// grant with it; an access token goes alone.
func (s *Server) revoke(w http.ResponseWriter, r *http.Request) error {
	p, err := readBody(w, r)
	if err != nil {
		return err
	}
	a, err := s.caller(w, r, p)
	if err != nil {
		return err
	}
	text := p.get("token")
	if text == "" {
		return bad(CodeRequest, "token is missing.")
	}
	hash, ok := s.lookup(text)
	if !ok {
		return writeJSON(w, http.StatusOK, struct{}{})
	}
	found, err := s.c.Store.Presented(r.Context(), hash)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return writeJSON(w, http.StatusOK, struct{}{}) // what isn't there is revoked
	case err != nil:
		return unsure("looking for a token", err)
	case found.Grant.ClientID != a.app.ClientID:
		return bad(CodeUnauthorized, "The token was given to another client.")
	}
	if found.Token.Kind == storage.RefreshToken {
		a.actor.Organisation = found.Grant.Organisation
		err = s.revokeGrant(r.Context(), a.actor, found.Grant, "revoked by the app")
	} else if err = s.c.Store.DropToken(r.Context(), hash); err != nil {
		err = unsure("dropping a token", err)
	}
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, struct{}{})
}

// lookup returns the hash that a presented token is stored by. What can't be a
// token is not looked for.
func (s *Server) lookup(text string) (hash [32]byte, ok bool) {
	if s.isOurs(text, accessText) || s.isOurs(text, refreshText) { // opaque ones from before tokens were signed, too
		return digest(text), true
	}
	return s.signedHash(text)
}

// introspection is the answer to RFC 7662 2.2. Only Active is there if it is false.
type introspection struct {
	Active        bool          `json:"active"`
	Scope         string        `json:"scope,omitempty"`
	ClientID      string        `json:"client_id,omitempty"`
	TokenType     string        `json:"token_type,omitempty"`
	Expires       int64         `json:"exp,omitempty"`
	IssuedAt      int64         `json:"iat,omitempty"`
	Subject       string        `json:"sub,omitempty"`
	Audience      []string      `json:"aud,omitempty"`
	Issuer        string        `json:"iss,omitempty"`
	ID            string        `json:"jti,omitempty"`
	Organisation  string        `json:"org_id,omitempty"`
	Authenticated int64         `json:"auth_time,omitempty"` // RFC 9470 6.2
	Confirmation  *confirmation `json:"cnf,omitempty"`
}

// confirmation is what a token is bound to (RFC 9449 6, RFC 8705 3).
type confirmation struct {
	Thumbprint  string `json:"jkt,omitempty"`
	Certificate string `json:"x5t#S256,omitempty"`
}

// introspect answers POST /oauth/introspect (RFC 7662): to the app that a token was
// given to, and to resource servers that it is for. For everybody else it is not
// active, like one that doesn't exist.
func (s *Server) introspect(w http.ResponseWriter, r *http.Request) error {
	p, err := readBody(w, r)
	if err != nil {
		return err
	}
	clientID, serves, err := s.introspector(r, p)
	if err != nil {
		return err
	}
	text := p.get("token")
	if text == "" {
		return bad(CodeRequest, "token is missing.")
	}
	hash, ok := s.lookup(text)
	if !ok {
		return writeJSON(w, http.StatusOK, introspection{})
	}
	found, err := s.c.Store.Presented(r.Context(), hash)
	if errors.Is(err, storage.ErrNotFound) {
		return writeJSON(w, http.StatusOK, introspection{})
	}
	if err != nil {
		return unsure("looking for a token", err)
	}
	answer, err := s.introspected(r, found, clientID, serves)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, answer)
}

// introspector finds out who asks, and which resources it serves.
func (s *Server) introspector(r *http.Request, p params) (clientID string, serves []string, err error) {
	if s.c.Audiences.Introspector != nil {
		serves, err := s.c.Audiences.Introspector(r)
		if err != nil || len(serves) > 0 {
			return "", serves, err
		}
	}
	app, err := s.client(r, p)
	switch {
	case err != nil:
		return "", nil, err
	case app.Public:
		return "", nil, unauthenticated(false, "Only clients that authenticate may introspect.")
	}
	return app.ClientID, s.c.Audiences.Introspectors[app.ClientID], nil
}

// introspected is what the asker may know of a token.
func (s *Server) introspected(r *http.Request, found storage.Presented, clientID string, serves []string) (introspection, error) {
	t, g := found.Token, found.Grant
	audience := own(t.Resources, s.c.Audiences.Service)
	concerned := t.Kind == storage.AccessToken && slices.ContainsFunc(serves, func(served string) bool { return slices.Contains(audience, served) })
	given := clientID != "" && clientID == g.ClientID
	if !concerned && !given || !counts(found, s.now()) {
		return introspection{}, nil
	}
	scopes, err := s.effective(r.Context(), found.App, g, t.Scopes)
	if err != nil {
		if refusalOf(err) != nil { // nothing of it is left
			err = nil
		}
		return introspection{}, err
	}
	answer := introspection{
		Active: true, Scope: strings.Join(scopes, " "), ClientID: g.ClientID, Expires: earlier(t.Expires, g.Expires).Unix(),
		IssuedAt: t.Created.Unix(), Subject: subject(g), Audience: audience, Issuer: s.c.Issuer, Organisation: g.Organisation,
	}
	if t.Kind == storage.AccessToken {
		answer.TokenType, answer.ID = "Bearer", encode(t.Hash[:])
		if t.Thumbprint != "" {
			answer.TokenType = "DPoP"
		}
	}
	if !g.Authenticated.IsZero() {
		answer.Authenticated = g.Authenticated.Unix()
	}
	if t.Thumbprint != "" || t.Certificate != "" {
		answer.Confirmation = &confirmation{t.Thumbprint, t.Certificate}
	}
	return answer, nil
}

// counts says that a token is worth something at a moment.
func counts(p storage.Presented, now time.Time) bool {
	return now.Before(p.Token.Expires) && p.Token.Rotated.IsZero() && p.Grant.Usable(now, p.App, p.Blocked) == nil
}

// subject is whom a grant is about: the app itself, where there is no user (RFC
// 9068 2.2).
func subject(g storage.Grant) string {
	if g.Subject == "" {
		return g.ClientID
	}
	return g.Subject
}
