package demo

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/examples/internal/meetings"
	"github.com/strikeplate/strikeplate/keyauth/console"
	"github.com/strikeplate/strikeplate/storage"
)

// session is what the cookie says, under a MAC. A real service keeps sessions
// where it can end them.
type session struct {
	User string    `json:"user"`
	At   time.Time `json:"at"`
}

const sessionLength = 12 * time.Hour

func (s *Site) cookieName() string { return strings.ReplaceAll(s.Name, "-", "_") + "_session" }

func (s *Site) setSession(w http.ResponseWriter, user string) {
	content, err := json.Marshal(session{User: user, At: s.Clock.Now()})
	if err != nil {
		panic(err) // a text and a time always can be
	}
	value := base64.RawURLEncoding.EncodeToString(content) + "." + base64.RawURLEncoding.EncodeToString(s.mac(content))
	s.setCookie(w, value, int(sessionLength/time.Second))
}

func (s *Site) setCookie(w http.ResponseWriter, value string, age int) {
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // not Secure: the demo speaks plain HTTP on loopback
		Name: s.cookieName(), Value: value, Path: "/", MaxAge: age, HttpOnly: true,
		SameSite: http.SameSiteLaxMode, // a redirect to the consent page brings the cookie
	})
}

func (s *Site) mac(content []byte) []byte {
	h := hmac.New(sha256.New, s.Secret("sessions"))
	h.Write(content)
	return h.Sum(nil)
}

func (s *Site) session(r *http.Request) (session, error) {
	cookie, err := r.Cookie(s.cookieName())
	if err != nil {
		return session{}, console.ErrSignedOut
	}
	left, right, _ := strings.Cut(cookie.Value, ".")
	content, err := base64.RawURLEncoding.DecodeString(left)
	mac, bad := base64.RawURLEncoding.DecodeString(right)
	var found session
	if err != nil || bad != nil || !hmac.Equal(mac, s.mac(content)) || json.Unmarshal(content, &found) != nil {
		return session{}, console.ErrSignedOut
	}
	if s.Clock.Now().Sub(found.At) > sessionLength {
		return session{}, console.ErrSignedOut
	}
	return found, nil
}

// SignedIn says who sent a request, for the console. The directory is asked each
// time, so a user who is deactivated is out at once.
func (s *Site) SignedIn(r *http.Request) (storage.Actor, error) {
	found, err := s.session(r)
	var a storage.Actor
	if err == nil {
		a, err = s.actor(r.Context(), found.User)
	}
	if errors.Is(err, console.ErrSignedOut) {
		err = &console.Elsewhere{URL: "/sign-in?next=" + url.QueryEscape(r.URL.RequestURI())}
	}
	return a, err
}

// FreshSignIn says when who sent a request last signed in.
func (s *Site) FreshSignIn(r *http.Request) (time.Time, error) {
	found, err := s.session(r)
	return found.At, err
}

func (s *Site) actor(ctx context.Context, id string) (storage.Actor, error) {
	u, err := s.userByID(ctx, id)
	if errors.Is(err, storage.ErrNotFound) || err == nil && !u.Active {
		return storage.Actor{}, console.ErrSignedOut
	}
	if err != nil {
		return storage.Actor{}, err
	}
	a := storage.Actor{User: u.ID, Organisation: u.Organisation, Role: u.Role}
	if x := strikeplate.ExchangeFrom(ctx); x != nil {
		a.Client = x.Client()
	}
	return a, nil
}

// Members are an organisation's people, for the console.
func (s *Site) Members(ctx context.Context, organisation string, limit int) ([]storage.User, error) {
	var members []storage.User
	for _, u := range meetings.MembersOf(organisation) {
		now, err := s.Store.User(ctx, organisation, u.ID)
		if err != nil {
			return nil, err
		}
		members = append(members, now)
	}
	return members[:min(limit, len(members))], nil
}
