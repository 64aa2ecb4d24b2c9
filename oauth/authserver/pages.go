package authserver

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/internal/colour"
)

//go:embed templates/*.html assets/style.css
var files embed.FS

// pages are what people see.
type pages struct {
	product   *Product
	style     []byte
	stylePath string // with a digest of the content in it, so that browsers may keep it
	byName    map[string]*template.Template
}

// layout is what every page has.
type layout struct {
	Title   string
	Product *Product
	Style   string
	Body    any
}

func newPages(s *Server) (*pages, error) {
	p := &pages{product: &s.c.Product, byName: map[string]*template.Template{}}
	style, err := files.ReadFile("assets/style.css")
	if err != nil {
		return nil, err
	}
	p.style = append([]byte(colours(s.c.Product)), style...)
	sum := sha256.Sum256(p.style)
	p.stylePath = s.path(pathAssets) + "style." + hex.EncodeToString(sum[:8]) + ".css"
	for _, name := range []string{"consent.html", "refused.html", "problem.html"} {
		t := template.New(name).Funcs(template.FuncMap{
			"day": func(t time.Time) string { return t.Format("2 January 2006") },
		})
		if p.byName[name], err = t.ParseFS(files, "templates/layout.html", "templates/"+name); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// colours stand in front of the style sheet: pages have no styles of their own.
func colours(p Product) string {
	return fmt.Sprintf(":root{--accent:%s;--on-accent:%s}\n@media (prefers-color-scheme:dark){:root{--accent:%s;--on-accent:%s}}\n",
		p.Accent, colour.On(p.Accent), p.AccentDark, colour.On(p.AccentDark))
}

// policy is the Content-Security-Policy of a page. Browsers hold the answer to a
// form to form-action, and everything that it is redirected to after: the app's
// address, and wherever the app sends people on. So https is open for it, and loopback
// hosts for a native app.
func (p *pages) policy(redirect string) string {
	action := "'self'"
	if redirect != "" {
		action += " https:"
		if u, err := url.Parse(redirect); err == nil && u.Scheme == "http" {
			action += " http://127.0.0.1:* http://localhost:*"
			if strings.Contains(u.Host, "[") {
				action += " http:" // an IPv6 address is no host-source (CSP3 2.3.1)
			}
		}
	}
	return "default-src 'none'; style-src 'self'; img-src 'self'; form-action " + action + "; base-uri 'none'; frame-ancestors 'none'"
}

// secured sets what every page carries. There is no Cross-Origin-Opener-Policy: it
// would cut an app off from the window that it opened for this.
func (p *pages) secured(next http.Handler) http.Handler {
	policy := p.policy("")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Frame-Options", "DENY")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

func (p *pages) show(w http.ResponseWriter, status int, name, title string, body any) error {
	text, err := p.text(name, title, body)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	w.Write(text)
	return nil
}

func (p *pages) text(name, title string, body any) ([]byte, error) {
	var b bytes.Buffer
	err := p.byName[name].ExecuteTemplate(&b, "layout.html", layout{Title: title, Product: p.product, Style: p.stylePath, Body: body})
	if err != nil {
		return nil, fmt.Errorf("authserver: page %s: %w", name, err)
	}
	return b.Bytes(), nil
}

// problem is the dialect of the pages: a refusal that tells a person what to do.
func (p *pages) problem(h http.Header, e *strikeplate.Error, requestID string) []byte {
	h.Set("Content-Type", "text/html; charset=utf-8")
	title := "This link doesn't work"
	switch {
	case e.Status >= 500:
		title = "This page can't be shown right now"
	case e.Status == http.StatusUnauthorized:
		title = "You are signed out"
	case e.Status == http.StatusForbidden:
		title = "That was not done"
	}
	text, err := p.text("problem.html", title, map[string]any{"Title": title, "Error": e, "RequestID": requestID})
	if err != nil {
		return nil // the templates are tested
	}
	return text
}

// serve answers with the style sheet.
func (p *pages) serve(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != p.stylePath {
		strikeplate.Fail(w, r, refuse(http.StatusNotFound, strikeplate.CodeNotFound, "There is no such file."))
		return
	}
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(p.style))
}
