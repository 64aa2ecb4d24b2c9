package authserver

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/scope"
	"github.com/strikeplate/strikeplate/storage"
)

const (
	maxName      = 100
	maxReason    = 200
	maxRedirects = 20
	maxOrigins   = 20
)

// invalid says what is wrong with a field.
func invalid(field, format string, args ...any) *strikeplate.Error {
	e := bad(CodeRequest, field+": "+format+".", args...)
	e.Params = map[string]string{"field": field}
	return e
}

// checkApp judges a draft and settles its scopes.
func (s *Server) checkApp(app *storage.App) error {
	if err := checkName(app.Name); err != nil {
		return err
	}
	if err := checkHomepage(app.Homepage); err != nil {
		return err
	}
	if err := checkRedirectURIs(app); err != nil {
		return err
	}
	if err := checkOrigins(app); err != nil {
		return err
	}
	switch {
	case app.Public && app.ClientCredentials:
		return invalid("client_credentials", "a public app can't prove that it is the one, so it can't act for the organisation")
	case app.Public && app.InsecureNoPKCE:
		return invalid("insecure_no_pkce", "a public app needs PKCE")
	}
	return s.checkScopes(app)
}

func checkName(name string) error {
	if n := utf8.RuneCountInString(name); n == 0 || n > maxName || !storage.ValidText(name) {
		return invalid("name", "it must have 1 to %d characters", maxName)
	}
	for _, r := range name {
		// People decide by the name, so it must show as it is written.
		if !unicode.IsGraphic(r) || unicode.In(r, unicode.Bidi_Control, unicode.Cf, unicode.Zl, unicode.Zp) {
			return invalid("name", "it must not hold characters that can't be seen")
		}
	}
	return nil
}

func checkHomepage(homepage string) error {
	if homepage == "" {
		return nil
	}
	u, err := url.Parse(homepage)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || !isASCII(homepage) || len(homepage) > maxURI {
		return invalid("homepage", "it must be an https URL in ASCII")
	}
	return nil
}

func checkRedirectURIs(app *storage.App) error {
	switch n := len(app.RedirectURIs); {
	case n == 0 && !app.ClientCredentials:
		return invalid("redirect_uris", "the app needs at least one")
	case n > maxRedirects:
		return invalid("redirect_uris", "there may be %d at most", maxRedirects)
	}
	for i, uri := range app.RedirectURIs {
		if err := checkRedirectURI(uri); err != nil {
			return invalid("redirect_uris", "%.200q: %v", uri, err)
		}
		if slices.Contains(app.RedirectURIs[:i], uri) {
			return invalid("redirect_uris", "%.200q is there twice", uri)
		}
	}
	return nil
}

func checkOrigins(app *storage.App) error {
	switch n := len(app.Origins); {
	case n > 0 && !app.Public:
		return invalid("origins", "only public apps call from browsers; a secret can't be kept there")
	case n > maxOrigins:
		return invalid("origins", "there may be %d at most", maxOrigins)
	}
	for i, origin := range app.Origins {
		if err := checkOrigin(origin); err != nil {
			return invalid("origins", "%.200q: %v", origin, err)
		}
		if slices.Contains(app.Origins[:i], origin) {
			return invalid("origins", "%.200q is there twice", origin)
		}
	}
	return nil
}

func (s *Server) checkScopes(app *storage.App) error {
	resolved, err := s.c.Catalog.Resolve(app.Scopes)
	var unknown *scope.UnknownError
	switch {
	case errors.As(err, &unknown):
		return invalid("scopes", "they don't exist: %s", strings.Join(first(quoted(unknown.Scopes)), ", "))
	case err != nil:
		return invalid("scopes", "%v", err)
	case len(resolved) == 0:
		return invalid("scopes", "choose at least one")
	}
	app.Scopes = resolved
	return nil
}

func quoted(texts []string) (all []string) {
	for _, text := range texts {
		all = append(all, strings.ToValidUTF8(text[:min(len(text), 100)], "?"))
	}
	return all
}

func checkReason(reason string) error {
	if utf8.RuneCountInString(reason) > maxReason || !storage.ValidText(reason) {
		return invalid("reason", "it may have %d characters at most", maxReason)
	}
	return nil
}

// subscribed refuses new apps for organisations that haven't paid.
func (s *Server) subscribed(ctx context.Context, organisation string) error {
	if s.c.Directory == nil {
		return nil
	}
	account, err := s.c.Directory.Account(ctx, organisation)
	switch {
	case errors.Is(err, storage.ErrNotFound) || err == nil && account.Lapsed:
		return refuse(http.StatusPaymentRequired, strikeplate.CodeLapsed, "New apps need an active subscription.")
	case err != nil:
		return unsure("asking for the account", err)
	}
	return nil
}
