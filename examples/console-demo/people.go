package main

import (
	"context"
	"html/template"
	"net/http"
	"sync"
	"time"

	"github.com/strikeplate/strikeplate/keyauth/console"
	"github.com/strikeplate/strikeplate/storage"
)

// people are everybody who can sign in, by what there is to see as them.
var people = []struct {
	storage.User
	About string
}{
	{storage.User{ID: "user_ada", Organisation: "org_acme", Name: "Ada Lovelace", Role: "admin", Active: true}, "administrator of Acme, which has keys of every kind"},
	{storage.User{ID: "user_ben", Organisation: "org_acme", Name: "Ben Okafor", Role: "member", Active: true}, "member of Acme: may not manage keys"},
	{storage.User{ID: "user_cleo", Organisation: "org_acme", Name: "Cleo Martín", Role: "member", Active: false}, "deactivated member of Acme"},
	{storage.User{ID: "user_dora", Organisation: "org_full", Name: "Dora Nowak", Role: "admin", Active: true}, "administrator of Full House, where all ten keys are in use"},
	{storage.User{ID: "user_eli", Organisation: "org_lapsed", Name: "Eli Brandt", Role: "admin", Active: true}, "administrator of Lapsed, whose subscription has ended"},
	{storage.User{ID: "user_fay", Organisation: "org_new", Name: "Fay Chen", Role: "admin", Active: true}, "administrator of Newcomer, which has no keys yet"},
}

// sessions believe whoever says who they are. Nothing else may.
type sessions struct {
	mu    sync.Mutex
	fresh map[string]time.Time
}

const cookie = "demo_user"

func (s *sessions) actor(r *http.Request) (storage.Actor, error) {
	c, err := r.Cookie(cookie)
	if err != nil {
		return storage.Actor{}, console.ErrSignedOut
	}
	for _, p := range people {
		if p.ID == c.Value {
			return storage.Actor{User: p.ID, Organisation: p.Organisation, Role: p.Role}, nil
		}
	}
	return storage.Actor{}, console.ErrSignedOut
}

func (s *sessions) since(r *http.Request) (time.Time, error) {
	a, err := s.actor(r)
	if err != nil {
		return time.Time{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fresh[a.User], nil
}

func (s *sessions) signIn(w http.ResponseWriter, r *http.Request) {
	user := r.PostFormValue("user")
	s.mu.Lock()
	if s.fresh == nil {
		s.fresh = make(map[string]time.Time)
	}
	for _, p := range people {
		if p.ID == user {
			s.fresh[user] = time.Now()
		}
	}
	s.mu.Unlock()
	http.SetCookie(w, &http.Cookie{Name: cookie, Value: user, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode}) //nolint:gosec // loopback has no TLS
	http.Redirect(w, r, "/settings/developer/", http.StatusSeeOther)
}

var choice = template.Must(template.New("").Parse(`<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<title>Console demo</title><h1>Who are you?</h1><form method="post" action="/sign-in">
{{range .}}<p><button name="user" value="{{.ID}}">{{.Name}}</button> {{.About}}</p>{{end}}</form>`))

func (s *sessions) choose(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = choice.Execute(w, people)
}

func logo(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "image/svg+xml")
	w.Write([]byte(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 28 28"><rect width="28" height="28" rx="7" fill="#1f5fbf"/>` +
		`<path d="M7 19V9l7 7 7-7v10" fill="none" stroke="#fff" stroke-width="2.6" stroke-linecap="round" stroke-linejoin="round"/></svg>`))
}

// members is the directory as the pickers see it.
type members struct{}

func (members) Members(_ context.Context, organisation string, limit int) ([]storage.User, error) {
	var all []storage.User
	for _, p := range people {
		if p.Organisation == organisation && len(all) < limit {
			all = append(all, p.User)
		}
	}
	return all, nil
}
