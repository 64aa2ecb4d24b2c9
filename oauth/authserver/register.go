package authserver

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4/json"

	"github.com/strikeplate/strikeplate/scope"
	"github.com/strikeplate/strikeplate/storage"
)

// Registration lets apps register themselves (RFC 7591). Nobody has checked them,
// and the consent page says so. Those that nobody let in are removed by
// [storage.Apps].PruneApps, which something has to call.
type Registration struct {
	// Allow says who may register, as by an initial access token in the request: nil
	// is yes, a [*strikeplate.Error] the refusal, any other error 503. Nil: everybody,
	// five times a minute from one address.
	Allow func(*http.Request) error
	// Scopes are the most that such apps may ask for. Required.
	Scopes []string
	// Confidential lets apps have a secret. False: they are public, and people are
	// asked each time.
	Confidential bool
}

func (c *Clients) settle(catalog *scope.Catalog) error {
	if r := c.Registration; r != nil {
		resolved, err := catalog.Resolve(r.Scopes)
		if err != nil || len(resolved) == 0 {
			return fmt.Errorf("Clients.Registration.Scopes: at least one of the catalog is required (%w)", errors.Join(err, errNone))
		}
		settled := *r
		settled.Scopes = resolved
		c.Registration = &settled
	}
	if d := c.Documents; d != nil {
		settled := *d
		if err := settled.settle(catalog); err != nil {
			return fmt.Errorf("Clients.Documents: %w", err)
		}
		c.Documents = &settled
	}
	return nil
}

var errNone = errors.New("others count for nothing")

// clientMetadata is what an app says of itself: RFC 7591 2, and the documents that
// client ids point to.
type clientMetadata struct {
	ClientID      string   `json:"client_id,omitempty"`
	Name          string   `json:"client_name"`
	Homepage      string   `json:"client_uri,omitempty"`
	RedirectURIs  []string `json:"redirect_uris"`
	Method        string   `json:"token_endpoint_auth_method"`
	GrantTypes    []string `json:"grant_types"`
	ResponseTypes []string `json:"response_types"`
	Scope         string   `json:"scope"`
}

// registered is the answer to a registration (RFC 7591 3.2.1).
type registered struct {
	clientMetadata
	Secret        string `json:"client_secret,omitempty"`
	IssuedAt      int64  `json:"client_id_issued_at"`
	SecretExpires *int64 `json:"client_secret_expires_at,omitempty"`
}

// readMetadata reads a JSON object whose names may each be there once. Members that
// this server doesn't know are left out (RFC 7591 2).
func readMetadata(text []byte) (m clientMetadata, err error) {
	if json.Unmarshal(text, &m) != nil { // go-jose's: exact names, and no duplicates
		return m, bad(CodeMetadata, "The metadata is no JSON object that can be read.")
	}
	return m, nil
}

// describe makes an app of what it says of itself.
func (m clientMetadata) describe(limit []string, catalog *scope.Catalog) (storage.App, error) {
	app := storage.App{Name: strings.TrimSpace(m.Name), Homepage: m.Homepage, RedirectURIs: m.RedirectURIs, Scopes: limit}
	switch {
	case len(m.ResponseTypes) > 0 && !slices.Equal(m.ResponseTypes, []string{"code"}):
		return app, bad(CodeMetadata, "response_types may be code.")
	case slices.ContainsFunc(m.GrantTypes, func(g string) bool { return g != grantCode && g != grantRefresh }):
		return app, bad(CodeMetadata, "grant_types may be %s and %s.", grantCode, grantRefresh)
	case len(m.RedirectURIs) == 0:
		return app, bad(CodeRedirectURI, "redirect_uris is missing.")
	}
	if m.Scope != "" {
		scopes, err := catalog.Parse(m.Scope)
		if err != nil || len(missing(scopes, limit)) > 0 {
			return app, bad(CodeMetadata, "scope may be: %s.", strings.Join(limit, " "))
		}
		app.Scopes = scopes
	}
	if err := checkRedirectURIs(&app); err != nil {
		return app, bad(CodeRedirectURI, "%s", refusalOf(err).Message)
	}
	for _, err := range []error{checkName(app.Name), checkHomepage(app.Homepage)} {
		if err != nil {
			return app, bad(CodeMetadata, "%s", refusalOf(err).Message)
		}
	}
	return app, nil
}

// registerClient answers POST /oauth/register.
func (s *Server) registerClient(w http.ResponseWriter, r *http.Request) error {
	c := s.c.Clients.Registration
	if c.Allow != nil {
		if err := c.Allow(r); err != nil {
			return err
		}
	} else if wait := s.registrations.charge("", clientAddress(r)); wait > 0 {
		return slowDown(wait, "Too many apps were registered from your address.")
	}
	if r.URL.RawQuery != "" {
		return bad(CodeRequest, "Parameters belong into the body, not into the URL.")
	}
	text, err := readText(w, r, "application/json", maxBody)
	if err != nil {
		return err
	}
	m, err := readMetadata([]byte(text))
	if err != nil {
		return err
	}
	if m.Method == "" { // what RFC 7591 2 makes of its absence, as far as it is had here
		m.Method = "client_secret_basic"
		if !c.Confidential {
			m.Method = "none"
		}
	}
	public := m.Method == "none"
	if !public && (!c.Confidential || m.Method != "client_secret_basic" && m.Method != "client_secret_post") {
		return bad(CodeMetadata, "The token_endpoint_auth_method is not one that apps can register with here.")
	}
	app, err := m.describe(c.Scopes, s.c.Catalog)
	if err != nil {
		return err
	}
	app.ClientID, app.Source, app.Public, app.Created = newAppID(), storage.AppDynamic, public, s.now()
	if public {
		app.Origins = originsOf(app.RedirectURIs)
	}
	return s.keepRegistered(w, r, app, m)
}

func (s *Server) keepRegistered(w http.ResponseWriter, r *http.Request, app storage.App, m clientMetadata) error {
	answer := registered{clientMetadata: m, IssuedAt: app.Created.Unix()}
	if !app.Public {
		answer.Secret, answer.SecretExpires = s.addSecret(&app, app.Created).Reveal(), new(int64)
	}
	if err := s.c.Store.CommitApp(r.Context(), storage.AppMutation{Now: app.Created, Put: app}); err != nil {
		return unsure("registering an app", err)
	}
	answer.ClientID, answer.Name, answer.Scope = app.ClientID, app.Name, strings.Join(app.Scopes, " ")
	answer.GrantTypes, answer.ResponseTypes = []string{grantCode, grantRefresh}, []string{"code"}
	return writeJSON(w, http.StatusCreated, answer)
}

// originsOf are the origins of an app's own pages: where it is sent back to.
func originsOf(uris []string) (origins []string) {
	for _, uri := range uris {
		scheme, rest, _ := strings.Cut(uri, "://")
		host, _, _ := strings.Cut(rest, "/")
		host, _, _ = strings.Cut(host, "?")
		origin := strings.ToLower(scheme + "://" + host)
		if scheme == "https" && checkOrigin(origin) == nil && !slices.Contains(origins, origin) && len(origins) < maxOrigins {
			origins = append(origins, origin)
		}
	}
	return origins
}
