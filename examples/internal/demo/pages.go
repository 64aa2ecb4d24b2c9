package demo

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"strings"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/examples/internal/meetings"
	"github.com/strikeplate/strikeplate/keyauth/console"
	"github.com/strikeplate/strikeplate/scope"
	"github.com/strikeplate/strikeplate/storage"
)

//go:embed pages.html
var pagesText string

//go:embed style.css
var style []byte

var pages = template.Must(template.New("").Parse(pagesText))

// Pages declares the demo's own routes: they need no API key. ready says whether
// the server can serve.
func (s *Site) Pages(routes *scope.Routes, openAPI []byte, ready ...func(ctx context.Context) error) {
	c := &controls{site: s}
	public := func(pattern string, h http.HandlerFunc) { routes.Public(pattern, h) }
	public("GET /{$}", s.front)
	public("GET /sign-in", s.signInPage)
	public("POST /sign-in", s.signIn)
	public("POST /sign-out", s.signOut)
	public("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		for _, ask := range append(ready, s.Store.Ready, s.Meetings.DB.PingContext) {
			if err := ask(r.Context()); err != nil {
				strikeplate.Fail(w, r, err)
				return
			}
		}
		writeJSON(w, map[string]string{"status": "ready"})
	})
	public("GET /openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Write(openAPI)
	})
	public("GET /demo/style.css", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/css; charset=utf-8")
		w.Write(style)
	})
	public("POST /demo/login", s.login)
	routes.Public("POST /demo/clock", control(c.clock))
	routes.Public("POST /demo/runtime", control(c.runtime))
	routes.Public("POST /demo/organisations/{id}", control(c.organisation))
	routes.Public("POST /demo/users/{id}", control(c.user))
}

// front is the page that says what to try. No secret is on it.
func (s *Site) front(w http.ResponseWriter, r *http.Request) {
	var who *person
	if a, err := s.SignedIn(r); err == nil {
		for _, p := range s.people(r.Context()) {
			if p.ID == a.User {
				who = &p
			}
		}
	}
	s.render(w, http.StatusOK, "front", map[string]any{
		"Title": s.Title, "Base": s.Base, "Try": s.here(s.Try), "Controls": s.here(s.Controls), "Pages": s.Product.Pages,
		"Keys": s.minted.Keys, "File": s.Credentials, "SignedIn": who, "Forgotten": s.minted.forgotten(),
	})
}

// here are examples with the server's address.
func (s *Site) here(examples []Example) []Example {
	shown := make([]Example, len(examples))
	for i, e := range examples {
		shown[i] = Example{About: strings.ReplaceAll(e.About, "BASE", s.Base), Command: strings.ReplaceAll(e.Command, "BASE", s.Base)}
	}
	return shown
}

// person is a line of the sign-in page.
type person struct {
	meetings.User
	Organisation, Plan string
	Lapsed, Active     bool
}

func (s *Site) people(ctx context.Context) []person {
	var all []person
	for _, o := range meetings.Organisations {
		account, _ := s.Store.Account(ctx, o.ID) // what isn't known isn't shown
		for _, u := range meetings.MembersOf(o.ID) {
			now, err := s.Store.User(ctx, o.ID, u.ID)
			all = append(all, person{User: u, Organisation: o.Title, Plan: account.Plan, Lapsed: account.Lapsed, Active: err == nil && now.Active})
		}
	}
	return all
}

func (s *Site) signInPage(w http.ResponseWriter, r *http.Request) {
	s.askWho(w, r, http.StatusOK, r.FormValue("next"), "")
}

func (s *Site) askWho(w http.ResponseWriter, r *http.Request, status int, next, problem string) {
	s.render(w, status, "sign-in", map[string]any{"Title": s.Title, "Users": s.people(r.Context()), "Next": local(next), "Problem": problem})
}

// signIn takes the page's form.
func (s *Site) signIn(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	next := r.PostFormValue("next")
	a, err := s.become(r, r.PostFormValue("user"))
	if err != nil {
		s.askWho(w, r, http.StatusForbidden, next, sentence(err))
		return
	}
	s.setSession(w, a.User)
	http.Redirect(w, r, local(next), http.StatusSeeOther) //nolint:gosec // local sees to it
}

func (s *Site) signOut(w http.ResponseWriter, r *http.Request) {
	if err := s.fromHere(r); err != nil {
		strikeplate.Fail(w, r, err)
		return
	}
	s.setCookie(w, "", -1)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// login answers POST /demo/login {"user": "admin"}.
func (s *Site) login(w http.ResponseWriter, r *http.Request) {
	var ask struct {
		User string `json:"user"`
	}
	err := s.fromHere(r)
	if err == nil {
		err = readJSON(w, r, &ask)
	}
	var a storage.Actor
	if err == nil {
		a, err = s.become(r, ask.User)
	}
	if err != nil {
		strikeplate.Fail(w, r, err)
		return
	}
	s.setSession(w, a.User)
	writeJSON(w, map[string]any{"user": userState{ID: a.User, Organisation: a.Organisation, Role: a.Role, Active: true}})
}

// fromHere refuses what pages of other sites send, and who comes under another
// name than loopback's, unless the server is to be reached by others.
func (s *Site) fromHere(r *http.Request) error {
	if s.InsecureDemo {
		return sameOrigin(r)
	}
	return ownSite(r)
}

// become says as whom the user of that name acts.
func (s *Site) become(r *http.Request, name string) (storage.Actor, error) {
	if err := s.fromHere(r); err != nil {
		return storage.Actor{}, err
	}
	for _, u := range meetings.Users {
		if u.Name != name {
			continue
		}
		a, err := s.actor(r.Context(), u.ID)
		if errors.Is(err, console.ErrSignedOut) {
			err = &strikeplate.Error{Status: http.StatusForbidden, Code: "user_deactivated", Message: u.FullName + " is deactivated and can't sign in."}
		}
		return a, err
	}
	return storage.Actor{}, missing(storage.ErrNotFound)
}

func sentence(err error) string {
	var e *strikeplate.Error
	if errors.As(err, &e) {
		return e.Message
	}
	return "That didn't work. Try again."
}

// local keeps redirects on this site.
func local(next string) string {
	u, err := url.Parse(next)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.ContainsAny(next, "\\\r\n\t") {
		return "/"
	}
	return next
}

func (s *Site) render(w http.ResponseWriter, status int, page string, data any) {
	var b bytes.Buffer
	if err := pages.ExecuteTemplate(&b, page, data); err != nil {
		http.Error(w, "the page could not be made", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	forms := "'self'"
	if page == "sign-in" {
		// From here people go on to an app that they let in earlier, and browsers apply
		// this to where a form's answer redirects.
		forms = "*"
	}
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; form-action "+forms+"; frame-ancestors 'none'; base-uri 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	w.WriteHeader(status)
	w.Write(b.Bytes())
}
