package main

import (
	"crypto/rand"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/strikeplate/strikeplate/oauth/authserver"
	"github.com/strikeplate/strikeplate/storage"
)

// people stands for a product's own sign-in. There is Ada, and no password: that is
// why this program serves loopback addresses only.
type people struct {
	mu       sync.Mutex
	sessions map[string]time.Time // when they signed in, by cookie
	barrier  *http.CrossOriginProtection
}

const cookie = "demo_session"

func newPeople() *people {
	return &people{sessions: make(map[string]time.Time), barrier: http.NewCrossOriginProtection()}
}

// who is what the authorization server asks.
func (p *people) who(r *http.Request) (storage.Actor, time.Time, error) {
	c, err := r.Cookie(cookie)
	if err != nil {
		return storage.Actor{}, time.Time{}, authserver.ErrSignedOut
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	at, ok := p.sessions[c.Value]
	if !ok {
		return storage.Actor{}, time.Time{}, authserver.ErrSignedOut
	}
	return storage.Actor{User: "ada", Organisation: "acme", Role: "admin"}, at, nil
}

func signInPage(returnTo string) string { return "/sign-in?to=" + url.QueryEscape(returnTo) }

var page = template.Must(template.New("").Parse(`<!doctype html><html lang="en"><meta charset="utf-8"><title>Sign in</title>
<form method="post"><input type="hidden" name="to" value="{{.}}"><button>Sign in as Ada</button></form></html>`))

func (p *people) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	to := r.FormValue("to")
	if !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || strings.ContainsAny(to, "\\\r\n\t") || p.barrier.Check(r) != nil {
		http.Error(w, "not from here", http.StatusForbidden)
		return
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_ = page.Execute(w, to)
		return
	}
	id := rand.Text()
	p.mu.Lock()
	if len(p.sessions) > 1000 {
		clear(p.sessions)
	}
	p.sessions[id] = time.Now()
	p.mu.Unlock()
	http.SetCookie(w, &http.Cookie{Name: cookie, Value: id, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode}) //nolint:gosec // not Secure: the demo speaks http on loopback
	http.Redirect(w, r, to, http.StatusSeeOther)                                                                        //nolint:gosec // a path of this host: see above
}
