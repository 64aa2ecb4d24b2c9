package authserver

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/scope"
	"github.com/strikeplate/strikeplate/storage"
)

// request is an authorization request that was understood.
type request struct {
	form     string // as it was sent
	app      storage.App
	redirect string // where the answer goes
	given    bool   // the request said so
	state    string

	scopes     []string
	resources  []string
	challenge  string
	thumbprint string
	prompt     []string
	maxAge     time.Duration // negative: any
	after      time.Time     // the person proved who they are since then
	pushed     bool
}

const (
	maxState     = 2 << 10
	maxResources = 8
	promptNone   = "none"
	promptLogin  = "login"
	promptAsk    = "consent"
)

// understand reads a request in the order that is safe: the client first, then
// where its answers may go, and only then what could be answered there. Until the
// returned request has a redirect, an error is for the person alone.
func (s *Server) understand(ctx context.Context, t ticket) (*request, error) {
	q := &request{form: t.Form, pushed: t.Pushed, maxAge: -1}
	if t.After > 0 {
		q.after = time.Unix(t.After, 0)
	}
	p, err := parseParams(t.Form)
	if p == nil {
		return q, unreadable(err)
	}
	if q.app, err = s.asked(ctx, p.get("client_id")); err != nil {
		return q, err
	}
	if err := q.readRedirect(p); err != nil {
		return q, err
	}
	_, twice := parseParams(t.Form)
	if len(p.get("state")) > maxState {
		return q, bad(CodeRequest, "The state is too long.")
	}
	q.state = p.get("state")
	if twice != nil {
		return q, unreadable(twice)
	}
	return q, s.readRest(q, p)
}

// asked finds the app that asks.
func (s *Server) asked(ctx context.Context, id string) (storage.App, error) {
	if id == "" {
		return storage.App{}, bad(CodeRequest, "The link doesn't say which app it is from: client_id is missing, or there more than once.")
	}
	app, err := s.resolve(ctx, id)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return app, bad(CodeClient, "No app has the client_id of this link.")
	case err != nil:
		return app, err
	case !app.Revoked.IsZero():
		return app, bad(CodeClient, "The app of this link is revoked.")
	}
	return app, nil
}

// resolve is known for the places where an app may be new: it may also be
// described by a document.
func (s *Server) resolve(ctx context.Context, id string) (storage.App, error) {
	app, err := s.known(ctx, id)
	if s.docs == nil || !isDocumentID(id) || err != nil && !errors.Is(err, storage.ErrNotFound) || !app.Revoked.IsZero() {
		return app, err
	}
	described, err := s.docs.app(ctx, id, s.c.Catalog)
	if err != nil {
		return storage.App{}, err
	}
	described.Version, described.Created = app.Version, app.Created
	return described, nil
}

// readRedirect settles where the answer goes.
func (q *request) readRedirect(p params) error {
	asked := p.get("redirect_uri")
	switch {
	case asked == "" && len(q.app.RedirectURIs) == 1:
		q.redirect = q.app.RedirectURIs[0]
	case asked == "":
		return bad(CodeRequest, "The link doesn't say where the app wants you back: redirect_uri is missing, or there more than once.")
	case slices.ContainsFunc(q.app.RedirectURIs, func(known string) bool { return matches(known, asked) }):
		q.redirect, q.given = asked, true
	default:
		return bad(CodeRequest, "The link wants to send you to an address that the app hasn't registered. Don't follow it; tell the people who make the app.")
	}
	return nil
}

// readRest reads what can be answered for by redirect.
func (s *Server) readRest(q *request, p params) error {
	switch {
	case p.get("request") != "":
		return bad(CodeRequestObject, "Request objects are not supported.")
	case p.get("request_uri") != "":
		return bad(CodeRequestURI, "Only request URIs that this server gave are supported.")
	case p.get("response_type") == "":
		return bad(CodeRequest, "response_type is missing.")
	case p.get("response_type") != "code":
		return bad(CodeResponseType, "The response_type must be code.")
	case p.get("response_mode") != "" && p.get("response_mode") != "query":
		return bad(CodeRequest, "The response_mode must be query.")
	}
	for _, read := range []func(*request, params) error{s.readChallenge, s.readScopes, s.readResources, readPrompt} {
		if err := read(q, p); err != nil {
			return err
		}
	}
	return nil
}

// readChallenge wants PKCE with S256 (RFC 7636), or an app that may do without and
// protects itself by state.
func (s *Server) readChallenge(q *request, p params) error {
	challenge, method := p.get("code_challenge"), p.get("code_challenge_method")
	switch {
	case challenge == "" && method == "" && q.app.InsecureNoPKCE && !q.app.Public:
		if q.state == "" {
			return bad(CodeRequest, "A request without PKCE needs state.")
		}
	case challenge == "":
		return bad(CodeRequest, "code_challenge is missing: PKCE is required (RFC 7636).")
	case method != "S256":
		return bad(CodeRequest, "The code_challenge_method must be S256.")
	case !isDigest(challenge):
		return bad(CodeRequest, "The code_challenge is no SHA-256 in base64url.")
	}
	if q.thumbprint = p.get("dpop_jkt"); q.thumbprint != "" && !isDigest(q.thumbprint) {
		return bad(CodeRequest, "dpop_jkt is no SHA-256 in base64url.")
	}
	q.challenge = challenge
	return nil
}

func (s *Server) readScopes(q *request, p params) (err error) {
	q.scopes, err = s.scopes(q.app, p.get("scope"))
	return err
}

// scopes reads a list of scopes that an app asks for.
func (s *Server) scopes(app storage.App, text string) ([]string, error) {
	if text == "" {
		return nil, bad(CodeScope, "scope is missing: name the scopes that the app needs.")
	}
	scopes, err := s.c.Catalog.Parse(text)
	var unknown *scope.UnknownError
	switch {
	case errors.As(err, &unknown):
		return nil, bad(CodeScope, "There are scopes that don't exist: %s.", strings.Join(first(unknown.Scopes), " "))
	case err != nil:
		return nil, bad(CodeScope, "scope must be a list of scopes, separated by one space each.")
	}
	if beyond := missing(scopes, app.Scopes); len(beyond) > 0 {
		return nil, bad(CodeScope, "The app isn't registered for: %s.", strings.Join(first(beyond), " "))
	}
	return scopes, nil
}

// first cuts a list that came from outside.
func first(texts []string) []string { return texts[:min(len(texts), 5)] }

// missing returns those of want that are not in have.
func missing(want, have []string) []string {
	return slices.DeleteFunc(slices.Clone(want), func(s string) bool { return slices.Contains(have, s) })
}

// common returns those of a that are in b too.
func common(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return !slices.Contains(b, s) })
}

func (s *Server) readResources(q *request, p params) (err error) {
	q.resources, err = s.resources(p["resource"], nil)
	return err
}

// resources reads what tokens are to be for: at most granted, where that isn't nil.
// Nil, also for the service itself, is the service's own.
func (s *Server) resources(asked, granted []string) ([]string, error) {
	if len(asked) == 0 {
		return granted, nil
	}
	if len(asked) > maxResources {
		return nil, bad(CodeTarget, "A token can be for %d resources at most.", maxResources)
	}
	own := s.c.Audiences.Service
	var wanted []string
	for _, resource := range asked {
		known := resource == own || slices.Contains(s.c.Audiences.More, resource)
		if !known || granted != nil && !slices.Contains(granted, resource) {
			return nil, bad(CodeTarget, "There are no tokens for a resource that is asked for, or the user granted none.")
		}
		if !slices.Contains(wanted, resource) {
			wanted = append(wanted, resource)
		}
	}
	if len(wanted) == 1 && wanted[0] == own {
		return nil, nil
	}
	return wanted, nil
}

func readPrompt(q *request, p params) error {
	if text := p.get("prompt"); text != "" {
		q.prompt = strings.Split(text, " ")
	}
	for _, each := range q.prompt {
		if each != promptNone && each != promptLogin && each != promptAsk {
			return bad(CodeRequest, "prompt may be none, login and consent.")
		}
	}
	if q.asksFor(promptNone) && len(q.prompt) > 1 {
		return bad(CodeRequest, "prompt=none goes with nothing else.")
	}
	if text := p.get("max_age"); text != "" {
		seconds, err := strconv.ParseUint(text, 10, 31)
		if err != nil {
			return bad(CodeRequest, "max_age must be a number of seconds.")
		}
		q.maxAge = time.Duration(seconds) * time.Second
	}
	return nil
}

func (q *request) asksFor(prompt string) bool { return slices.Contains(q.prompt, prompt) }

// answer sends the person back to the app (RFC 6749 4.1.2, RFC 9207).
func (s *Server) answer(w http.ResponseWriter, q *request, add map[string]string) {
	sendTo(w, s.answerURL(q, add))
}

func (s *Server) answerURL(q *request, add map[string]string) string {
	v := make(map[string][]string, len(add)+2)
	for name, value := range add {
		v[name] = []string{value}
	}
	if q.state != "" {
		v["state"] = []string{q.state}
	}
	v["iss"] = []string{s.c.Issuer}
	return destination(q.redirect, v)
}

// answerError tells the app what was wrong, where it is known who it is, and the
// person otherwise.
func (s *Server) answerError(w http.ResponseWriter, q *request, err error) error {
	e := refusalOf(err)
	if q.redirect == "" || e == nil || e.Status >= http.StatusInternalServerError {
		return err
	}
	s.answer(w, q, errorParams(e))
	return nil
}

func errorParams(e *strikeplate.Error) map[string]string {
	return map[string]string{"error": e.Code, "error_description": describable(e.Message)}
}
