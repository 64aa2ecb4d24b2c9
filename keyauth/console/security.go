package console

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/storage"
)

// secured sets what every response carries. Nothing may run or be drawn but
// what this handler serves as files of its own.
func (s *Console) secured(next http.Handler) http.Handler {
	images := "'self'"
	if logo := s.c.Product.Logo; absolute(logo) {
		u, _ := url.Parse(logo) // checked by settle
		images += " " + u.Scheme + "://" + u.Host
	}
	policy := "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src " + images +
		"; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Frame-Options", "DENY")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// guarded refuses writes that another origin's page had a browser send.
func guarded(next http.Handler) http.Handler {
	p := http.NewCrossOriginProtection()
	p.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		strikeplate.Fail(w, r, &strikeplate.Error{
			Status: http.StatusForbidden, Code: CodeCrossOrigin,
			Message: "The request came from another site's page. Open the Developer page and try again there.",
		})
	}))
	return p.Handler(next)
}

// actor asks who sent the request.
func (s *Console) actor(r *http.Request) (storage.Actor, error) {
	a, err := s.c.SignedIn(r)
	if err == nil && (a.User == "" || a.Organisation == "") {
		err = ErrSignedOut
	}
	if err != nil {
		return storage.Actor{}, signedOut(err)
	}
	if x := strikeplate.ExchangeFrom(r.Context()); !a.Client.IsValid() && x != nil {
		a.Client = x.Client()
	}
	return a, nil
}

// signedOut makes a refusal of ErrSignedOut, and leaves other errors alone.
func signedOut(err error) error {
	var told *strikeplate.Error
	if !errors.Is(err, ErrSignedOut) || errors.As(err, &told) {
		return err
	}
	return &strikeplate.Error{
		Status: http.StatusUnauthorized, Code: CodeSignedOut, Message: "Sign in to manage API keys.",
		Challenge: []string{`Session realm="developer"`}, Err: err,
	}
}

type actorKey struct{}

func withActor(ctx context.Context, a storage.Actor) context.Context {
	return context.WithValue(ctx, actorKey{}, a)
}

func actorFrom(ctx context.Context) storage.Actor {
	a, _ := ctx.Value(actorKey{}).(storage.Actor)
	return a
}
