package authserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/strikeplate/strikeplate/internal/colour"
	"github.com/strikeplate/strikeplate/oauth"
	"github.com/strikeplate/strikeplate/scope"
	"github.com/strikeplate/strikeplate/storage"
)

// Store keeps apps, grants and tokens; every backend of [storage] fits. Commit is
// that of [storage.Keys]: denials are logged through it.
type Store interface {
	storage.Apps
	storage.Grants
	Commit(ctx context.Context, m storage.Mutation) error
}

// Config wires a [Server].
type Config struct {
	// Issuer names the server (RFC 8414): an https URL without query and fragment,
	// such as "https://mavio.example". Where it has a path, the Server serves below
	// that path. http is for loopback hosts only. Required.
	Issuer string
	// Store is required.
	Store Store
	// Directory knows who is an active member, and with what scopes. Required,
	// unless InsecureNoDirectory says that everybody is, with all.
	Directory           storage.Directory
	InsecureNoDirectory bool
	// Catalog lists the scopes, in words for those who are asked. Required.
	Catalog *scope.Catalog
	// SignIn is the embedder's. Required.
	SignIn SignIn
	// Tokens says what tokens are like. Its Prefix and Keys are required.
	Tokens Tokens
	// Audiences are what tokens can be for, and who may ask about them; zero: the
	// service alone, and apps about their own tokens.
	Audiences Audiences
	// Clients are further ways of becoming known; zero: apps are registered by people.
	Clients Clients
	// Management says who may manage apps; zero: administrators.
	Management Management
	// Product is what the consent page calls things; the zero value is presentable.
	Product Product
	// Now is the caller's clock; nil: time.Now.
	Now func() time.Time
	// Logger is told of codes and tokens that were used twice, and of documents that
	// could not be fetched; nil: nobody is.
	Logger *slog.Logger
}

// SignIn is how the server learns who is there. It keeps no sessions of its own.
type SignIn struct {
	// Who says who sent a request, and when they last proved who they are. Required.
	// Errors: [ErrSignedOut]; any other is 503.
	Who func(*http.Request) (storage.Actor, time.Time, error)
	// Page returns where people sign in: a path of this host or an https URL. From
	// there they must be sent to returnTo, which is a path of this host. It is also
	// used where somebody who is signed in must prove again who they are, so it
	// must not send them back without that. Nil: people are told to sign in first.
	Page func(returnTo string) string
}

// ErrSignedOut is what SignIn.Who returns where nobody is signed in.
var ErrSignedOut = errors.New("authserver: nobody is signed in")

// Tokens says what tokens are like, and how long things live.
type Tokens struct {
	// Prefix begins every token, code and client secret, so that whoever finds one
	// knows what it is: "mvo_" makes mvo_at_…, mvo_rt_…, mvo_ac_… and mvo_cs_….
	// Required; lower-case letters and digits, and an underscore at the end.
	Prefix string
	// Keys are secrets of at least 32 random bytes, shared by all instances. Refresh
	// tokens derive their successors under the first, and requests that people are
	// asked about are sealed under it. To replace it, put another in front and drop
	// the old one after 15 minutes. Required.
	Keys [][]byte
	// Access is how long access tokens live; zero: an hour, which is also the most.
	Access time.Duration
	// Refresh is how long a refresh token may rest unused; zero: 30 days.
	Refresh time.Duration
	// Grant is how long all tokens of one consent live together, whatever was
	// refreshed meanwhile; zero: 180 days.
	Grant time.Duration
	// Code is how long an authorization code lives; zero: a minute, which is also
	// the most.
	Code time.Duration
	// Grace is for clients that lost the answer to a refresh: for so long, repeating
	// it gives the same tokens again instead of ending the grant. Zero: 10 seconds,
	// negative: none; at most 30 seconds.
	Grace time.Duration
	// Signing makes access tokens JWTs (RFC 9068), which others can check without
	// asking; nil: they are opaque.
	Signing *Signing
	// DPoP binds tokens to the keys of clients that send proofs (RFC 9449), so that
	// they are of no use to a thief; nil: proofs are ignored. An empty URL is the
	// issuer's host, and nil Replays are kept in the Store.
	DPoP *oauth.DPoPConfig
	// Certificates says where clients' TLS certificates are seen, which tokens are
	// then bound to (RFC 8705); zero: nowhere.
	Certificates oauth.Certificates
}

// Audiences are the resources that tokens are for (RFC 8707).
type Audiences struct {
	// Service identifies the service itself, an absolute URI; empty: the Issuer.
	Service string
	// More are further resources that apps may ask for tokens for.
	More []string
	// Introspectors are confidential apps, by client id, with the resources about
	// whose tokens they may ask.
	Introspectors map[string][]string
	// Introspector recognises resource servers that are no apps, as by a client
	// certificate, and returns the resources that they serve. No resources and no
	// error: it is nobody known here. Nil: there are none.
	Introspector func(*http.Request) ([]string, error)
}

// Clients are ways of becoming a client without being registered by a person.
type Clients struct {
	// Documents lets apps be described by a document at the URL that is their client
	// id (draft-ietf-oauth-client-id-metadata-document). Nil: they can't.
	Documents *Documents
	// Registration lets apps register themselves (RFC 7591). Nil: they can't.
	Registration *Registration
}

// Management says who may manage apps and others' grants.
type Management struct {
	// Authorize decides whether the actor may do the action, as manage.Config's
	// field of that name does, and (*policies.Engine).Manage fits both. The record
	// describes an app: ID is its client id, and Organisation the actor's own. Nil:
	// administrators may do everything, others nothing.
	Authorize func(ctx context.Context, a storage.Actor, action string, app storage.Key) error
	// AdminRoles are the roles of administrators; nil: "admin".
	AdminRoles []string
	// MaxOverlap bounds how long a replaced client secret goes on working; zero: 7
	// days.
	MaxOverlap time.Duration
}

// Product is what the consent page calls things.
type Product struct {
	// Name; empty: the issuer's host.
	Name string
	// Logo is an image's path on this host, or empty.
	Logo string
	// Accent and AccentDark are the colours of buttons and links on light and on
	// dark pages, as #rrggbb; empty: a blue. New refuses those that can't be read.
	Accent, AccentDark string
	// Grants is where people see and revoke what they let apps do: a path of this
	// host, or empty.
	Grants string
	// OrganisationName tells an organisation's name; nil: its id is shown.
	OrganisationName func(ctx context.Context, organisation string) (string, error)
}

const (
	maxAccess = time.Hour
	maxCode   = time.Minute
	maxGrace  = 30 * time.Second
	day       = 24 * time.Hour
	// asking is how long people may take to sign in and to decide.
	asking = 15 * time.Minute
)

var (
	prefixForm = regexp.MustCompile(`^[a-z][a-z0-9]{0,15}_$`)
	pathForm   = regexp.MustCompile(`^(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*$`)
)

func (c *Config) settle() error {
	switch {
	case c.Store == nil:
		return errors.New("Store is required")
	case c.Directory == nil && !c.InsecureNoDirectory:
		return errors.New("a Directory is required: it knows whose tokens have to stop working")
	case c.Directory != nil && c.InsecureNoDirectory:
		return errors.New("Directory and InsecureNoDirectory exclude each other")
	case len(c.Catalog.Scopes()) == 0:
		return errors.New("Catalog is required, with at least one scope")
	case c.SignIn.Who == nil:
		return errors.New("SignIn.Who is required")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Management.AdminRoles == nil {
		c.Management.AdminRoles = []string{"admin"}
	}
	if c.Management.MaxOverlap == 0 {
		c.Management.MaxOverlap = 7 * day
	}
	if c.Management.MaxOverlap < 0 {
		return errors.New("Management.MaxOverlap must not be negative")
	}
	issuer, err := settleIssuer(c.Issuer)
	if err != nil {
		return err
	}
	for _, settle := range []func() error{
		c.Tokens.settle,
		func() error { return c.Audiences.settle(c.Issuer) },
		func() error { return c.Product.settle(issuer.Host) },
		func() error { return c.Clients.settle(c.Catalog) },
	} {
		if err := settle(); err != nil {
			return err
		}
	}
	return nil
}

func settleIssuer(issuer string) (*url.URL, error) {
	u, err := url.Parse(issuer)
	switch {
	case issuer == "":
		return nil, errors.New("Issuer is required")
	case err != nil || u.Host == "" || u.User != nil || u.String() != issuer || strings.ContainsAny(issuer, "?#") || !pathForm.MatchString(u.Path):
		return nil, fmt.Errorf("Issuer: %q is no plain URL without query, fragment and slash at the end", issuer)
	case u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())):
		return nil, fmt.Errorf("Issuer: %q must be https; http is for loopback hosts", issuer)
	}
	return u, nil
}

func (t *Tokens) settle() error {
	if !prefixForm.MatchString(t.Prefix) {
		return fmt.Errorf("Tokens.Prefix: %q must be lower-case letters and digits, and an underscore at the end", t.Prefix)
	}
	if len(t.Keys) == 0 {
		return errors.New("Tokens.Keys: at least one secret of 32 random bytes is required")
	}
	for i, k := range t.Keys {
		if len(k) < 32 {
			return fmt.Errorf("Tokens.Keys: secret %d has fewer than 32 bytes", i)
		}
	}
	for _, d := range []struct {
		name           string
		field          *time.Duration
		otherwise, max time.Duration
	}{
		{"Access", &t.Access, maxAccess, maxAccess},
		{"Refresh", &t.Refresh, 30 * day, 10 * 366 * day},
		{"Grant", &t.Grant, 180 * day, 10 * 366 * day},
		{"Code", &t.Code, maxCode, maxCode},
		{"Grace", &t.Grace, 10 * time.Second, maxGrace},
	} {
		if *d.field == 0 {
			*d.field = d.otherwise
		}
		if *d.field < 0 && d.name != "Grace" || *d.field > d.max {
			return fmt.Errorf("Tokens.%s must be positive and at most %v", d.name, d.max)
		}
	}
	t.Grace = max(0, t.Grace)
	return t.Signing.settle()
}

func (a *Audiences) settle(issuer string) error {
	if a.Service == "" {
		a.Service = issuer
	}
	for _, resource := range append([]string{a.Service}, a.More...) {
		if !isResource(resource) {
			return fmt.Errorf("Audiences: %q is no absolute URI without fragment (RFC 8707)", resource)
		}
	}
	for client, resources := range a.Introspectors {
		if len(resources) == 0 {
			return fmt.Errorf("Audiences.Introspectors: %q serves no resource", client)
		}
	}
	return nil
}

// isResource says that text can identify a resource (RFC 8707 2).
func isResource(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Scheme != "" && (u.Host != "" || u.Opaque != "") && !strings.Contains(text, "#") &&
		len(text) <= maxURI && storage.ValidText(text)
}

func (p *Product) settle(host string) error {
	if p.Name == "" {
		p.Name = host
	}
	for name, text := range map[string]string{"Logo": p.Logo, "Grants": p.Grants} {
		if text != "" && !rooted(text) {
			return fmt.Errorf("Product.%s: %q is no path of this host", name, text)
		}
	}
	for _, c := range []struct {
		name, otherwise, ground string
		field                   *string
	}{
		{"Accent", "#1f5fbf", "#f3f4f7", &p.Accent}, {"AccentDark", "#8ab4f8", "#1c2027", &p.AccentDark}, // as style.css has them
	} {
		if *c.field == "" {
			*c.field = c.otherwise
		}
		if err := colour.Legible(*c.field, c.ground); err != nil {
			return fmt.Errorf("Product.%s: %w", c.name, err)
		}
	}
	return nil
}

// rooted says that text is a path of this host.
func rooted(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Host == "" && u.Scheme == "" && strings.HasPrefix(text, "/") && !strings.HasPrefix(text, "//") &&
		!strings.ContainsAny(text, "\\\r\n\t")
}

// isLoopback says that a URL's host means the machine itself (RFC 8252 7.3).
func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}
