package console

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth/manage"
	"github.com/strikeplate/strikeplate/storage"
)

// visit is one request for a page, by somebody who is signed in.
type visit struct {
	s     *Console
	w     http.ResponseWriter
	r     *http.Request
	actor storage.Actor
	now   time.Time
}

// page answers a visit. What it returns is told as a page of its own.
type page func(v *visit) error

// visited asks who is there, and tells what goes wrong.
func (s *Console) visited(p page) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a, err := s.actor(r)
		var elsewhere *Elsewhere
		if r.Method == http.MethodGet && errors.As(err, &elsewhere) && (rooted(elsewhere.URL) || absolute(elsewhere.URL)) {
			http.Redirect(w, r, elsewhere.URL, http.StatusSeeOther)
			return
		}
		v := &visit{s: s, w: w, r: r, actor: a, now: s.c.Now()}
		if err == nil && r.Method == http.MethodPost {
			r.Body = http.MaxBytesReader(w, r.Body, maxForm)
			err = readForm(r)
		}
		if err == nil {
			err = p(v)
		}
		if err != nil {
			strikeplate.Fail(w, r, v.whomToAsk(err))
		}
	})
}

func readForm(r *http.Request) error {
	var large *http.MaxBytesError
	switch err := r.ParseForm(); {
	case errors.As(err, &large):
		return refuse(http.StatusRequestEntityTooLarge, CodeTooLarge, "The form is too large.")
	case err != nil:
		return refuse(http.StatusBadRequest, manage.CodeRequest, "The form could not be read.")
	}
	return nil
}

// whomToAsk adds the administrators' names to a refusal of somebody who is none.
func (v *visit) whomToAsk(err error) error {
	var e *strikeplate.Error
	if !errors.As(err, &e) || e.Code != manage.CodeForbidden {
		return err
	}
	members, _ := v.s.members(v.r.Context(), v.actor) // the refusal stands without names
	var admins []string
	for _, m := range members {
		if m.Active && m.Role == "admin" && len(admins) < 5 {
			admins = append(admins, m.Name)
		}
	}
	if len(admins) == 0 {
		return err
	}
	asked := *e
	asked.Params = map[string]string{"ask": strings.Join(admins, ", ")}
	return &asked
}

// layout is what every page has.
type layout struct {
	Title   string
	Section string // of the navigation; empty: none is marked
	Product *Product
	Looks   *looks
	HasApps bool
	Inside  bool // somebody is signed in, so that navigation makes sense
	Notice  string
	Error   *strikeplate.Error // of the form that is shown again
	Field   string             // that the error is about, as the form calls it
	Wrong   string             // the error's text without the field's name
	Body    any
}

func (s *Console) layout(title, section string, body any) layout {
	return layout{Title: title, Section: section, Product: &s.c.Product, Looks: s.looks, HasApps: s.c.Apps != nil, Inside: true, Body: body}
}

// show renders a page.
func (v *visit) show(name, title, section string, body any) error {
	l := v.s.layout(title, section, body)
	l.Notice = notices[v.r.URL.Query().Get("done")]
	return v.render(http.StatusOK, name, l)
}

// again renders a form again, with what is wrong with it. Failures that nobody
// can mend by filling in the form are returned.
func (v *visit) again(err error, name, title string, body any) error {
	return v.againIn("keys", err, name, title, body)
}

func (v *visit) againIn(section string, err error, name, title string, body any) error {
	var e *strikeplate.Error
	if !errors.As(err, &e) || e.Status >= 500 || e.Status == http.StatusNotFound || e.Status == http.StatusUnauthorized || e.Code == manage.CodeForbidden {
		return err
	}
	l := v.s.layout(title, section, body)
	l.Error, l.Wrong = e, e.Message
	if field := e.Params["field"]; field != "" {
		if title := fields[field]; title != "" {
			l.Field, l.Wrong = title, sentence(strings.TrimPrefix(e.Message, field+": "))
		}
	}
	return v.render(e.Status, name, l)
}

// fields are what forms call the fields of refusals.
var fields = map[string]string{
	"name": "Name", "format": "Environment", "environment": "Environment", "access": "Access", "owner": "Issued to", "scopes": "Scopes",
	"expires": "Expires", "allow": "Allowed addresses", "metadata": "Metadata", "overlap": "Overlap", "reason": "Reason",
	"homepage": "Homepage", "redirect_uris": "Redirect URIs", "origins": "Origins",
	"confirm": "Confirmation", "which": "Which keys", "member": "Member", "before": "Date",
}

// sentence begins with a capital letter, where it begins with a letter.
func sentence(text string) string {
	first, size := utf8.DecodeRuneInString(text)
	return string(unicode.ToUpper(first)) + text[size:]
}

func (v *visit) render(status int, name string, l layout) error {
	text, err := v.s.looks.text(name, l)
	if err != nil {
		return err
	}
	v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	v.w.WriteHeader(status)
	v.w.Write(text)
	return nil
}

func (l *looks) text(name string, data layout) ([]byte, error) {
	var b bytes.Buffer
	if err := l.pages[name].ExecuteTemplate(&b, "layout.html", data); err != nil {
		return nil, fmt.Errorf("console: page %s: %w", name, err)
	}
	return b.Bytes(), nil
}

// notices are what is said after a change, by the name in the next page's URL.
var notices = map[string]string{
	"renamed":     "The key has a new name. Nothing else changed.",
	"changed":     "The changes are saved.",
	"revoked":     "The key is revoked. It stopped working at once.",
	"revoked-all": "The selected keys are revoked. They stopped working at once.",

	"app-revoked":   "The app is revoked. Everything that was granted to it has ended.",
	"app-blocked":   "The app is blocked. What your organisation's members let it do has ended.",
	"app-unblocked": "The app is no longer blocked. Members can let it in again.",
	"app-shown":     "The form was sent before, and nothing was done again. The app's secret was shown then; if you didn't copy it, make a new one.",
	"disconnected":  "The app is disconnected. What you let it do has ended.",
}

// leave sends the browser to another page after a form, so that reloading it
// sends nothing twice.
func (v *visit) leave(path, notice string) error {
	http.Redirect(v.w, v.r, v.s.path(path)+"?done="+url.QueryEscape(notice), http.StatusSeeOther)
	return nil
}

func keyPath(id, tail string) string { return "/keys/" + url.PathEscape(id) + tail }

// problemPage is the dialect of the pages: a refusal that tells a person what to do.
func (s *Console) problemPage(h http.Header, e *strikeplate.Error, requestID string) []byte {
	h.Set("Content-Type", "text/html; charset=utf-8")
	l := s.layout(heading(e), "", map[string]any{
		"Error": e, "Ask": e.Params["ask"], "RequestID": requestID, "Connections": e.Code == manage.CodeForbidden && s.c.Apps != nil,
		"SignIn": (e.Status == http.StatusUnauthorized || e.Code == manage.CodeSignIn) && s.c.Product.SignInURL != "",
	})
	l.Inside = e.Status != http.StatusUnauthorized && e.Code != manage.CodeForbidden
	text, err := s.looks.text("error.html", l)
	if err != nil {
		return nil // the templates are tested
	}
	return text
}

func heading(e *strikeplate.Error) string {
	switch {
	case e.Code == manage.CodeForbidden:
		return "You can't manage this"
	case e.Code == manage.CodeSignIn:
		return "Sign in again to copy a key"
	case e.Status == http.StatusUnauthorized:
		return "You are signed out"
	case e.Code == manage.CodeNotFound:
		return "There is no such key"
	case e.Code == codeNoApp:
		return "There is no such app"
	case e.Status == http.StatusNotFound:
		return "There is no such page"
	case e.Status == http.StatusPaymentRequired:
		return "Your subscription has ended"
	case e.Code == manage.CodeUnknown:
		return "It is not known whether that was done"
	case e.Status >= 500:
		return "This page can't be shown right now"
	default:
		return "That was not done"
	}
}
