package authserver

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/storage"
)

// visitor is the person in front of the browser.
type visitor struct {
	actor storage.Actor
	at    time.Time // when they last proved who they are
	user  storage.User
}

// authorize answers GET /oauth/authorize.
func (s *Server) authorize(w http.ResponseWriter, r *http.Request) error {
	if len(r.URL.RawQuery) > maxTicket {
		return bad(CodeRequest, "The link is too long.")
	}
	t, moved, err := s.requested(r)
	if err != nil {
		return err
	}
	if moved { // away from what counts once, so that the page can be loaded again
		where, err := s.resumption(t)
		if err != nil {
			return err
		}
		sendTo(w, where)
		return nil
	}
	q, err := s.understand(r.Context(), t)
	if err != nil {
		return s.answerError(w, q, err)
	}
	v, err := s.visitor(r)
	if errors.Is(err, ErrSignedOut) || err == nil && s.mustProve(q, v) {
		return s.sendToSignIn(w, r, q)
	}
	if err != nil {
		return err
	}
	return s.settleRequest(w, r, q, v)
}

// requested finds the request: in the URL, in what the app pushed, or in a ticket
// that this server made. Moved says that it belongs into a ticket.
func (s *Server) requested(r *http.Request) (t ticket, moved bool, err error) {
	p, err := parseParams(r.URL.RawQuery)
	if p == nil {
		return t, false, unreadable(err)
	}
	if text := p.get(toResume); text != "" {
		t, ok := s.open(text, toResume, "")
		if !ok {
			return t, false, bad(CodePushed, "This page has been open for too long. Go back to the app and start again.")
		}
		return t, false, nil
	}
	if name, ok := strings.CutPrefix(p.get("request_uri"), pushedPrefix); ok {
		t, err = s.takePushed(r.Context(), name, p.get("client_id"))
		return t, err == nil, err
	}
	if len(r.URL.RawQuery) > maxQuery {
		return t, false, bad(CodeRequest, "The link is too long.")
	}
	return ticket{Form: r.URL.RawQuery}, false, nil
}

// authorizeByPost turns a posted request (RFC 6749 3.1) into a GET: the cookie of
// a person's session doesn't come along with another site's form.
func (s *Server) authorizeByPost(w http.ResponseWriter, r *http.Request) error {
	if r.URL.RawQuery != "" {
		return bad(CodeRequest, "A posted request has its parameters in the form.")
	}
	text, err := readText(w, r, "application/x-www-form-urlencoded", maxQuery)
	if err != nil {
		return err
	}
	if p, err := parseParams(text); p == nil {
		return unreadable(err)
	}
	values, err := url.ParseQuery(text)
	if err != nil {
		return bad(CodeRequest, "The parameters can't be read.")
	}
	sendTo(w, s.path(pathAuthorize)+"?"+values.Encode())
	return nil
}

// resumption is where a request is gone on with.
func (s *Server) resumption(t ticket) (string, error) {
	sealed, err := s.seal(t, toResume, "")
	return s.path(pathAuthorize) + "?" + url.Values{toResume: {sealed}}.Encode(), err
}

// visitor asks the embedder who is there, and the directory what has become of them.
func (s *Server) visitor(r *http.Request) (v visitor, err error) {
	v.actor, v.at, err = s.c.SignIn.Who(r)
	switch {
	case err == nil && (v.actor.User == "" || v.actor.Organisation == "" || !storage.ValidText(v.actor.User+v.actor.Organisation+v.actor.Role)):
		return v, ErrSignedOut
	case err != nil && errors.Is(err, ErrSignedOut):
		return v, ErrSignedOut
	case err != nil:
		return v, err
	}
	if !v.actor.Client.IsValid() {
		v.actor.Client = clientAddress(r)
	}
	v.user, err = s.person(r.Context(), v.actor.Organisation, v.actor.User)
	if errors.Is(err, errInactive) {
		return v, refuse(http.StatusForbidden, strikeplate.CodeInactive, "Your account is deactivated, so you can't let apps in.")
	}
	return v, err
}

var errInactive = errors.New("authserver: not an active member")

// person asks the directory for an active member.
func (s *Server) person(ctx context.Context, organisation, id string) (storage.User, error) {
	if s.c.Directory == nil {
		return storage.User{ID: id, Organisation: organisation, Active: true}, nil
	}
	u, err := s.c.Directory.User(ctx, organisation, id)
	switch {
	case errors.Is(err, storage.ErrNotFound) || err == nil && !u.Active:
		return u, errInactive
	case err != nil:
		return u, unsure("asking for the user", err)
	}
	return u, nil
}

// mustProve says that a person is signed in for too long for this request. Who
// was sent to sign in for it, and did, is not sent there again.
func (s *Server) mustProve(q *request, v visitor) bool {
	if !q.after.IsZero() {
		return v.at.Before(q.after)
	}
	return q.asksFor(promptLogin) || q.maxAge >= 0 && s.now().Sub(v.at) > q.maxAge
}

// sendToSignIn has the person prove who they are, and come back.
func (s *Server) sendToSignIn(w http.ResponseWriter, r *http.Request, q *request) error {
	if q.asksFor(promptNone) {
		return s.answerError(w, q, bad(CodeLogin, "The user has to sign in first."))
	}
	if s.c.SignIn.Page == nil || r.Method != http.MethodGet {
		e := refuse(http.StatusUnauthorized, CodeSignedOut, "Sign in, then go back to the app and start again.")
		e.Challenge = []string{`Session realm="sign-in"`}
		return e
	}
	back := s.path(pathAuthorize) + "?" + q.form
	if again := q.asksFor(promptLogin) || q.maxAge >= 0; again || q.pushed {
		t := ticket{Form: q.form, Pushed: q.pushed}
		switch {
		case !q.after.IsZero():
			t.After = q.after.Unix()
		case again:
			t.After = s.now().Unix()
		}
		var err error
		if back, err = s.resumption(t); err != nil {
			return err
		}
	}
	sendTo(w, s.c.SignIn.Page(back))
	return nil
}

// settleRequest grants what was granted before, and asks otherwise.
func (s *Server) settleRequest(w http.ResponseWriter, r *http.Request, q *request, v visitor) error {
	if err := s.admits(r.Context(), q, v); err != nil {
		if q.asksFor(promptNone) {
			return s.answerError(w, q, bad(CodeDenied, "The user can't let the app in."))
		}
		return s.showRefusal(w, q, v, err)
	}
	remembered, err := s.remembered(r.Context(), q, v)
	switch {
	case err != nil:
		return err
	case remembered && !q.asksFor(promptAsk):
		return s.allow(w, r, q, v)
	case q.asksFor(promptNone):
		return s.answerError(w, q, bad(CodeConsent, "The user has to be asked."))
	}
	return s.ask(w, r, q, v)
}

// admits says why a person can't let the app in, whatever they want.
func (s *Server) admits(ctx context.Context, q *request, v visitor) error {
	blocks, err := s.c.Store.Blocks(ctx, v.actor.Organisation)
	if err != nil {
		return unsure("looking for blocks", err)
	}
	for _, b := range blocks {
		if b.ClientID == q.app.ClientID {
			return refuse(http.StatusForbidden, CodeBlocked, "An administrator of your organisation keeps this app out.")
		}
	}
	if len(grantable(q, v)) == 0 {
		return refuse(http.StatusForbidden, CodeDenied, "You have none of the rights that the app asks for.")
	}
	if s.c.Directory == nil {
		return nil
	}
	account, err := s.c.Directory.Account(ctx, v.actor.Organisation)
	switch {
	case errors.Is(err, storage.ErrNotFound) || err == nil && account.Lapsed:
		return refuse(http.StatusPaymentRequired, strikeplate.CodeLapsed, "Letting apps in needs an active subscription.")
	case err != nil:
		return unsure("asking for the account", err)
	}
	return nil
}

// grantable are the scopes that the person has to give: nobody lends more than
// they have.
func grantable(q *request, v visitor) []string {
	if v.user.Scopes == nil {
		return q.scopes
	}
	return common(q.scopes, v.user.Scopes)
}

// remembered says that the person agreed to all of it before. A public app is
// never known to be the one that they let in (RFC 9700 2.1.1, RFC 8252 8.6).
func (s *Server) remembered(ctx context.Context, q *request, v visitor) (bool, error) {
	if q.app.Public {
		return false, nil
	}
	c, err := s.c.Store.Consent(ctx, v.actor.Organisation, v.actor.User, q.app.ClientID)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return false, nil
	case err != nil:
		return false, unsure("looking for consent", err)
	}
	return len(missing(grantable(q, v), c.Scopes)) == 0, nil
}

// allow begins a grant, and sends the person back with its code.
func (s *Server) allow(w http.ResponseWriter, r *http.Request, q *request, v visitor) error {
	now := s.now()
	if err := s.keepDocument(r.Context(), q.app, now); err != nil {
		return err
	}
	code := s.mint(codeText)
	grant := storage.Grant{
		ID: newGrantID(), ClientID: q.app.ClientID, Organisation: v.actor.Organisation, Subject: v.actor.User,
		Scopes: grantable(q, v), Resources: q.resources, Authenticated: v.at, Thumbprint: q.thumbprint,
		Created: now, Expires: now.Add(s.c.Tokens.Grant),
	}
	n := storage.NewGrant{
		Now: now, Grant: grant,
		Code: &storage.Code{
			Hash: digest(code), Grant: grant.ID, RedirectURI: q.redirect, RedirectGiven: q.given,
			Challenge: q.challenge, Thumbprint: q.thumbprint, Expires: now.Add(s.c.Tokens.Code),
		},
		Audit: []storage.Entry{grantEntry(v.actor, ActionBegin, nil, &grant, now)},
	}
	if !q.app.Public {
		n.Consent = &storage.Consent{Organisation: grant.Organisation, Subject: grant.Subject, ClientID: grant.ClientID, Scopes: grant.Scopes, Given: now}
	}
	err := s.c.Store.BeginGrant(r.Context(), n)
	switch {
	case errors.Is(err, storage.ErrBlocked), errors.Is(err, storage.ErrRevoked), errors.Is(err, storage.ErrNotFound):
		return s.answerError(w, q, &strikeplate.Error{Status: http.StatusForbidden, Code: CodeDenied,
			Message: "The app is revoked, or kept out of the organisation.", Err: err})
	case err != nil:
		return unsure("beginning a grant", err)
	}
	s.answer(w, q, map[string]string{"code": code})
	return nil
}

// decide answers the consent page's form.
func (s *Server) decide(w http.ResponseWriter, r *http.Request) error {
	if r.URL.RawQuery != "" {
		return bad(CodeRequest, "The form can't be read. Go back to the app and start again.")
	}
	text, err := readText(w, r, "application/x-www-form-urlencoded", maxBody)
	if err != nil {
		return err
	}
	p, err := parseParams(text)
	if err != nil {
		return unreadable(err)
	}
	v, err := s.visitor(r)
	if errors.Is(err, ErrSignedOut) {
		e := refuse(http.StatusUnauthorized, CodeSignedOut, "You are signed out. Go back to the app and start again.")
		e.Challenge = []string{`Session realm="sign-in"`}
		return e
	}
	if err != nil {
		return err
	}
	t, ok := s.open(p.get("request"), toConsent, signIn(v.actor, v.at))
	if !ok {
		return refuse(http.StatusForbidden, CodeConsent, "The page was made for another sign-in, or has been open for too long. Go back to the app and start again.")
	}
	q, err := s.understand(r.Context(), t)
	if err != nil {
		return s.answerError(w, q, err)
	}
	if p.get("decision") != "allow" {
		return s.answerError(w, q, bad(CodeDenied, "The user denied the request."))
	}
	if err := s.admits(r.Context(), q, v); err != nil {
		return s.showRefusal(w, q, v, err)
	}
	if !slices.Equal(t.Shown, grantable(q, v)) {
		return s.ask(w, r, q, v) // what the page named is no longer what would be granted
	}
	return s.allow(w, r, q, v)
}

func grantEntry(a storage.Actor, action string, before, after *storage.Grant, now time.Time) storage.Entry {
	e := storage.Entry{Organisation: a.Organisation, Actor: a, Action: action, At: now}
	for _, side := range []struct {
		grant *storage.Grant
		into  *[]byte
	}{{before, &e.Before}, {after, &e.After}} {
		if side.grant == nil {
			continue
		}
		e.Target = side.grant.ID
		text, err := json.Marshal(viewGrant(*side.grant))
		if err == nil { // texts, lists and times always can be
			*side.into = text
		}
	}
	return e
}
