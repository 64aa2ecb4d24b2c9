package authserver

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

// The grant types that the token endpoint knows.
const (
	grantCode    = "authorization_code"
	grantRefresh = "refresh_token"
	grantClient  = "client_credentials"
)

// ask is a token request of a client that is known to be the one that it says.
type ask struct {
	app     storage.App
	p       params
	binding binding
	actor   storage.Actor // the app, for the log
	now     time.Time
}

// issued is the answer to a token request (RFC 6749 5.1).
type issued struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in"`
	RefreshToken string `json:"refresh_token,omitempty"`
	Scope        string `json:"scope"`
}

// token answers POST /oauth/token.
func (s *Server) token(w http.ResponseWriter, r *http.Request) error {
	p, err := readBody(w, r)
	if err != nil {
		return err
	}
	a, err := s.caller(w, r, p)
	if err != nil {
		return err
	}
	if a.binding, err = s.bind(r); err != nil {
		return err
	}
	var answer *issued
	switch kind := p.get("grant_type"); kind {
	case grantCode:
		answer, err = s.exchange(r.Context(), a)
	case grantRefresh:
		answer, err = s.renew(r.Context(), a)
	case grantClient:
		answer, err = s.forItself(r.Context(), a)
	case "":
		err = bad(CodeRequest, "grant_type is missing.")
	default:
		err = bad(CodeGrantType, "The grant_type may be %s, %s and %s.", grantCode, grantRefresh, grantClient)
	}
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, answer)
}

// caller authenticates the client of a request, and opens the answer to the pages
// of a public one.
func (s *Server) caller(w http.ResponseWriter, r *http.Request, p params) (*ask, error) {
	app, err := s.client(r, p)
	if err != nil {
		return nil, err
	}
	if err := s.share(w, r, app); err != nil {
		return nil, err
	}
	return &ask{app: app, p: p, actor: appActor(app, r), now: s.now()}, nil
}

// appActor is an app in the log: what it did, nobody signed in did.
func appActor(app storage.App, r *http.Request) storage.Actor {
	return storage.Actor{User: app.ClientID, Organisation: app.Organisation, Role: "app", Client: clientAddress(r)}
}

// exchange gives tokens for a code (RFC 6749 4.1.3). First the code must be the
// client's; from then on every mistake burns it, so that nobody can try again.
func (s *Server) exchange(ctx context.Context, a *ask) (*issued, error) {
	text := a.p.get("code")
	if text == "" {
		return nil, bad(CodeRequest, "code is missing.")
	}
	if !s.isOurs(text, codeText) {
		return nil, granted(storage.ErrNotFound, "code")
	}
	hash := digest(text)
	code, grant, err := s.c.Store.Code(ctx, hash)
	if err != nil {
		return nil, granted(err, "code")
	}
	if grant.ClientID != a.app.ClientID {
		return nil, bad(CodeGrant, "The code was given to another client.")
	}
	if err := s.checkExchange(code, a); err != nil {
		return nil, s.burn(ctx, a, hash, grant, err)
	}
	resources, err := s.resources(a.p["resource"], own(grant.Resources, s.c.Audiences.Service))
	if err != nil {
		return nil, s.burn(ctx, a, hash, grant, err)
	}
	scopes, err := s.effective(ctx, a.app, grant, grant.Scopes)
	if refusalOf(err) != nil {
		return nil, s.burn(ctx, a, hash, grant, err)
	}
	if err != nil {
		return nil, err // nothing is known to be wrong with the code
	}
	accessToken, refreshToken := s.mint(accessText), s.mint(refreshText)
	access := s.access(accessToken, grant, scopes, resources, a.binding, a.now)
	refresh := s.refresh(refreshToken, grant, grant.Scopes, grant.Resources, a.lasting(), a.now)
	ctx, cancel := toTheEnd(ctx)
	defer cancel()
	if err := s.c.Store.UseCode(ctx, hash, a.now, []storage.Token{access, refresh}); err != nil {
		s.notice(err, "code", a, grant)
		if errors.Is(err, storage.ErrExpired) {
			err = errors.Join(err, s.revokeGrant(ctx, a.actor, grant, "its code was not exchanged in time"))
		}
		return nil, granted(err, "code")
	}
	return s.issue(accessToken, access, refreshToken, grant, a.now)
}

// own is a grant's resources, where nil is the service's own.
func own(resources []string, service string) []string {
	if resources == nil {
		return []string{service}
	}
	return resources
}

// toTheEnd is for what a client must not stop by hanging up: noticing that its code
// or token was used before ends the grant, whether a thief waits for that or not.
func toTheEnd(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), settlePatience)
}

// checkExchange compares what the client says with what the code was made for.
func (s *Server) checkExchange(code storage.Code, a *ask) error {
	uri, verifier := a.p.get("redirect_uri"), a.p.get("code_verifier")
	switch {
	case uri == "" && (code.RedirectGiven || code.Challenge == ""):
		return bad(CodeRequest, "redirect_uri is missing: it must be the one of the authorization request.")
	case uri != "" && uri != code.RedirectURI:
		return bad(CodeGrant, "The redirect_uri is not the one of the authorization request.")
	case code.Challenge == "" && verifier != "":
		return bad(CodeGrant, "There is a code_verifier, but the authorization request had no code_challenge.")
	case code.Challenge != "" && verifier == "":
		return bad(CodeGrant, "code_verifier is missing.")
	case code.Challenge != "" && (!isVerifier(verifier) || !answers(verifier, code.Challenge)):
		return bad(CodeGrant, "The code_verifier doesn't fit the code_challenge.")
	case code.Thumbprint != "" && code.Thumbprint != a.binding.thumbprint:
		return bad(CodeProof, "The proof is not by the key that the authorization request announced.")
	}
	return nil
}

// isVerifier says that text has the form of RFC 7636 4.1.
func isVerifier(text string) bool {
	if len(text) < 43 || len(text) > 128 {
		return false
	}
	for _, c := range []byte(text) {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && (c < '0' || c > '9') && !strings.ContainsRune("-._~", rune(c)) {
			return false
		}
	}
	return true
}

// burn uses a code up without giving anything for it, and returns why. What it was
// for is over then.
func (s *Server) burn(ctx context.Context, a *ask, hash [32]byte, g storage.Grant, why error) error {
	ctx, cancel := toTheEnd(ctx)
	defer cancel()
	err := s.c.Store.UseCode(ctx, hash, a.now, nil)
	s.notice(err, "code", a, g)
	switch {
	case err == nil, errors.Is(err, storage.ErrExpired):
		err = s.revokeGrant(ctx, a.actor, g, "its code was presented with a mistake")
	case errors.Is(err, storage.ErrReused), errors.Is(err, storage.ErrRevoked), errors.Is(err, storage.ErrBlocked), errors.Is(err, storage.ErrNotFound):
		err = nil
	default:
		err = unsure("burning a code", err)
	}
	if err != nil {
		return err
	}
	return why
}

// lasting is what a refresh token is bound to. A confidential client's is bound to
// its secret already (RFC 9449 5, RFC 8705 7.1).
func (a *ask) lasting() binding {
	if a.app.Public {
		return a.binding
	}
	return binding{}
}

// renew gives new tokens for a refresh token (RFC 6749 6), which takes its place.
func (s *Server) renew(ctx context.Context, a *ask) (*issued, error) {
	text := a.p.get("refresh_token")
	if text == "" {
		return nil, bad(CodeRequest, "refresh_token is missing.")
	}
	if !s.isOurs(text, refreshText) {
		return nil, granted(storage.ErrNotFound, "refresh token")
	}
	old, err := s.c.Store.Presented(ctx, digest(text))
	if err != nil {
		return nil, granted(err, "refresh token")
	}
	switch {
	case old.Token.Kind != storage.RefreshToken:
		return nil, granted(storage.ErrNotFound, "refresh token")
	case old.Grant.ClientID != a.app.ClientID:
		return nil, bad(CodeGrant, "The refresh token was given to another client.")
	case !a.now.Before(old.Grant.Expires):
		return nil, granted(storage.ErrExpired, "refresh token")
	case old.Token.Thumbprint != "" && old.Token.Thumbprint != a.binding.thumbprint:
		return nil, bad(CodeProof, "The refresh token is bound to another key.")
	case old.Token.Certificate != "" && old.Token.Certificate != a.binding.certificate:
		return nil, bad(CodeGrant, "The refresh token is bound to another certificate.")
	}
	scopes, resources, err := s.narrowed(ctx, a, old)
	if err != nil {
		return nil, err
	}
	accessToken, refreshToken := s.successors(text, old.Token)
	access := s.access(accessToken, old.Grant, scopes, resources, a.binding, a.now)
	refresh := s.refresh(refreshToken, old.Grant, old.Token.Scopes, old.Token.Resources, a.lasting(), a.now)
	if old.Token.Certificate != "" || old.Token.Thumbprint != "" {
		refresh.Thumbprint, refresh.Certificate = old.Token.Thumbprint, old.Token.Certificate
	}
	ctx, cancel := toTheEnd(ctx)
	defer cancel()
	given, _, err := s.c.Store.Rotate(ctx, storage.Rotation{
		Old: digest(text), Now: a.now, Grace: s.c.Tokens.Grace, Access: access, Refresh: refresh,
	})
	if err != nil {
		s.notice(err, "refresh token", a, old.Grant)
		return nil, granted(err, "refresh token")
	}
	return s.issue(accessToken, given, refreshToken, old.Grant, a.now)
}

// narrowed is what the next access token is for: what the refresh token is, or less.
func (s *Server) narrowed(ctx context.Context, a *ask, old storage.Presented) (scopes, resources []string, err error) {
	scopes = old.Token.Scopes
	if text := a.p.get("scope"); text != "" {
		if scopes, err = s.c.Catalog.Parse(text); err != nil || len(missing(scopes, old.Token.Scopes)) > 0 {
			return nil, nil, bad(CodeScope, "The scope must be what was granted, or less.")
		}
	}
	if resources, err = s.resources(a.p["resource"], own(old.Token.Resources, s.c.Audiences.Service)); err != nil {
		return nil, nil, err
	}
	scopes, err = s.effective(ctx, a.app, old.Grant, scopes)
	return scopes, resources, err
}

// effective narrows scopes to what the app and the user have at the moment.
func (s *Server) effective(ctx context.Context, app storage.App, g storage.Grant, scopes []string) ([]string, error) {
	scopes = common(common(scopes, app.Scopes), s.c.Catalog.Scopes())
	if g.Subject != "" {
		user, err := s.person(ctx, g.Organisation, g.Subject)
		switch {
		case errors.Is(err, errInactive):
			return nil, bad(CodeGrant, "The user is deactivated.")
		case err != nil:
			return nil, err
		case user.Scopes != nil:
			scopes = common(scopes, user.Scopes)
		}
	}
	if len(scopes) == 0 {
		return nil, bad(CodeGrant, "Nothing that the user granted is left: the scopes are no longer the app's or the user's.")
	}
	return scopes, nil
}

// forItself gives a confidential app a token for its own organisation (RFC 6749
// 4.4), if it was registered for that.
func (s *Server) forItself(ctx context.Context, a *ask) (*issued, error) {
	if a.app.Public || !a.app.ClientCredentials || a.app.Organisation == "" {
		return nil, bad(CodeUnauthorized, "The app isn't registered to act for its own organisation.")
	}
	scopes, err := s.scopes(a.app, a.p.get("scope"))
	if err != nil {
		return nil, err
	}
	resources, err := s.resources(a.p["resource"], nil)
	if err != nil {
		return nil, err
	}
	if wait := s.own.charge(a.app.ClientID, a.actor.Client); wait > 0 {
		return nil, slowDown(wait, "A token lives for an hour: use it, instead of getting so many.")
	}
	grant := storage.Grant{
		ID: newGrantID(), ClientID: a.app.ClientID, Organisation: a.app.Organisation, Scopes: scopes, Resources: resources,
		Created: a.now, Expires: a.now.Add(s.c.Tokens.Access),
	}
	text := s.mint(accessText)
	access := s.access(text, grant, scopes, resources, a.binding, a.now)
	err = s.c.Store.BeginGrant(ctx, storage.NewGrant{
		Now: a.now, Grant: grant, Tokens: []storage.Token{access},
		Audit: []storage.Entry{grantEntry(a.actor, ActionBegin, nil, &grant, a.now)},
	})
	if err != nil {
		return nil, granted(err, "app")
	}
	return s.issue(text, access, "", grant, a.now)
}

// issue makes the answer.
func (s *Server) issue(text string, access storage.Token, refresh string, g storage.Grant, now time.Time) (*issued, error) {
	signed, err := s.signed(text, access, g, now)
	if err != nil {
		return nil, err
	}
	kind := "Bearer"
	if access.Thumbprint != "" {
		kind = "DPoP"
	}
	return &issued{
		AccessToken: signed, TokenType: kind, ExpiresIn: int64(access.Expires.Sub(now) / time.Second),
		RefreshToken: refresh, Scope: strings.Join(access.Scopes, " "),
	}, nil
}

// notice logs that a code or token was used twice: somebody may have stolen it.
func (s *Server) notice(err error, what string, a *ask, g storage.Grant) {
	if errors.Is(err, storage.ErrReused) {
		s.c.Logger.Warn("an OAuth "+what+" was used twice, so its grant is revoked",
			"client_id", a.app.ClientID, "grant", g.ID, "organisation", g.Organisation, "client", a.actor.Client)
	}
}

func writeJSON(w http.ResponseWriter, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return unsure("writing an answer", err)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
	w.WriteHeader(status)
	w.Write(body)
	return nil
}

// share lets a public app's pages read the answer, which run at its registered
// origins; others get no token. Programs that aren't browsers send no Origin.
func (s *Server) share(w http.ResponseWriter, r *http.Request, app storage.App) error {
	origin := r.Header.Get("Origin")
	w.Header().Add("Vary", "Origin")
	switch {
	case origin == "" || origin == s.origin || !app.Public:
		return nil
	case !slices.Contains(app.Origins, origin):
		return bad(CodeUnauthorized, "The app has no pages at this Origin.")
	}
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Expose-Headers", "DPoP-Nonce, Retry-After, WWW-Authenticate")
	return nil
}

// preflight answers for the browsers of all apps, since it doesn't tell which one
// asks: the request that follows is refused to origins that aren't the app's, and
// no cookie counts for it.
func preflight(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Add("Vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers")
	origin := r.Header.Get("Origin")
	if checkOrigin(origin) == nil && r.Header.Get("Access-Control-Request-Method") == http.MethodPost {
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Allow-Methods", http.MethodPost)
		h.Set("Access-Control-Allow-Headers", "Content-Type, DPoP")
		h.Set("Access-Control-Max-Age", "600")
	}
	w.WriteHeader(http.StatusNoContent)
}
