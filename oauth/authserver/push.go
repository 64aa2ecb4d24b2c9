package authserver

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

// pushedPrefix begins the request URIs that this server gives (RFC 9126 2.2).
const pushedPrefix = "urn:ietf:params:oauth:request_uri:"

// pushedLife is how long an app may take to send the person after its request.
const pushedLife = time.Minute

// secrets are parameters that authenticate a client, and no part of its request.
var secrets = []string{"client_secret", "client_assertion", "client_assertion_type"}

// push answers POST /oauth/par (RFC 9126): it checks a request as if it had come by
// a browser, and keeps it under a name that nobody can guess.
func (s *Server) push(w http.ResponseWriter, r *http.Request) error {
	p, err := readBody(w, r)
	if err != nil {
		return err
	}
	c, err := readCredentials(r, p)
	if err != nil {
		return err
	}
	a, err := s.pusher(w, r, p, c.id)
	if err != nil {
		return err
	}
	if p.get("request_uri") != "" {
		return bad(CodeRequest, "request_uri can't be pushed.")
	}
	form := url.Values{}
	for name, values := range p {
		if !slices.Contains(secrets, name) {
			form[name] = values
		}
	}
	form.Set("client_id", a.app.ClientID)
	if a.binding, err = s.bind(r); err != nil {
		return err
	}
	if jkt := a.binding.thumbprint; jkt != "" { // RFC 9449 10.1
		if announced := form.Get("dpop_jkt"); announced != "" && announced != jkt {
			return bad(CodeProof, "The proof is not by the key that dpop_jkt announces.")
		}
		form.Set("dpop_jkt", jkt)
	}
	kept := form.Encode()
	if len(kept) > maxQuery {
		return bad(CodeRequest, "The request is too long.")
	}
	if _, err := s.understand(r.Context(), ticket{Form: kept}); err != nil {
		return err
	}
	name := random()
	if err := s.c.Store.Push(r.Context(), storage.Pushed{
		Hash: digest(name), ClientID: a.app.ClientID, Form: kept, Expires: a.now.Add(pushedLife),
	}); err != nil {
		return unsure("keeping a request", err)
	}
	return writeJSON(w, http.StatusCreated, map[string]any{
		"request_uri": pushedPrefix + name, "expires_in": int64(pushedLife / time.Second),
	})
}

// pusher authenticates who pushes, and bounds how often: a public app's name is no
// secret, and what is pushed is kept.
func (s *Server) pusher(w http.ResponseWriter, r *http.Request, p params, id string) (*ask, error) {
	if wait := s.pushes.charge(id, clientAddress(r)); wait > 0 {
		return nil, slowDown(wait, "Too many requests were pushed.")
	}
	if s.docs == nil || !isDocumentID(id) {
		return s.caller(w, r, p)
	}
	app, err := s.asked(r.Context(), id) // it may be new
	if err != nil {
		return nil, err
	}
	if err := s.share(w, r, app); err != nil {
		return nil, err
	}
	return &ask{app: app, p: p, actor: appActor(app, r), now: s.now()}, nil
}

// takePushed returns a pushed request, which counts once.
func (s *Server) takePushed(ctx context.Context, name, clientID string) (ticket, error) {
	gone := bad(CodePushed, "This link was used already, or is too old. Go back to the app and start again.")
	if !isDigest(name) || clientID == "" {
		return ticket{}, gone
	}
	kept, err := s.c.Store.TakePushed(ctx, digest(name), s.now())
	switch {
	case errors.Is(err, storage.ErrNotFound), errors.Is(err, storage.ErrExpired):
		return ticket{}, gone
	case err != nil:
		return ticket{}, unsure("looking for a request", err)
	case kept.ClientID != clientID:
		return ticket{}, bad(CodePushed, "The link names another app than the one that made it. Don't follow it.")
	}
	return ticket{Form: kept.Form, Pushed: true}, nil
}
