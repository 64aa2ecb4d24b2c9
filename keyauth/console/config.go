package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/keyauth/manage"
	"github.com/strikeplate/strikeplate/keyauth/usage"
	"github.com/strikeplate/strikeplate/scope"
	"github.com/strikeplate/strikeplate/storage"
)

// Config wires a Console.
type Config struct {
	// Manage does everything that is done to keys. Required.
	Manage *manage.Service
	// Scheme, Terms and Catalog are those that Manage has. Scheme is required.
	Scheme  *keyauth.Scheme
	Terms   manage.Terms
	Catalog *scope.Catalog
	// Usage tells what keys were used for; a [*usage.Counter] fits. Nil: pages say
	// that usage isn't counted.
	Usage Usage
	// Members lists whom a key may be issued to. Nil: the creator types an id.
	Members Members
	// Apps are the OAuth apps; a *authserver.Server fits. Nil: no pages about them.
	Apps Apps
	// Replays remembers which requests were carried out; every [storage] backend
	// does. Required.
	Replays storage.Replays
	// SignedIn says who sent a request. Required. An actor without a Client gets
	// the address that the request's [strikeplate.Edge] knows. Errors: [ErrSignedOut] is
	// answered with a page that says so; a [*Elsewhere] sends browsers there; a
	// [*strikeplate.Error] is told; any other is 503.
	SignedIn func(*http.Request) (storage.Actor, error)
	// FreshSignIn tells when the actor last proved who they are, for copying kept
	// secrets. Nil: they can't be copied here.
	FreshSignIn func(*http.Request) (time.Time, error)
	// Product is what the pages call things, and what they look like.
	Product Product
	// Now is the clock that "3 hours ago" is told by; nil: time.Now.
	Now func() time.Time
}

// Product names a product's own things. The zero value is presentable.
type Product struct {
	// Name; empty: "Developer".
	Name string
	// Base is the path that the Console is mounted at, such as
	// "/settings/developer"; empty: the root.
	Base string
	// Home is where the logo leads; empty: the list of keys.
	Home string
	// Logo is an image's path, or an https URL; empty: the name alone.
	Logo string
	// Colours are the product's own.
	Colours Colours
	// Data is what keys reach, in the plural, such as "meetings"; empty: "data".
	Data string
	// EnvironmentVariable is where programs keep their key; empty: "API_KEY".
	EnvironmentVariable string
	// TryURL is what the curl line calls, such as
	// "https://api.example.com/v1/whoami"; empty: no curl line.
	TryURL string
	// SignInURL is where people sign in, also to prove again who they are; empty:
	// no link.
	SignInURL string
	// DateLayout is the layout of days, as in package time; empty: "2 Jan 2006".
	DateLayout string
	// Location is the zone of times on pages; nil: UTC.
	Location *time.Location
}

// Colours are of the form #rrggbb. New refuses those that can't be read: text
// needs a contrast of 4.5 to 1 (WCAG 2.2, 1.4.3).
type Colours struct {
	// Accent is the colour of buttons and links on light pages, AccentDark on dark
	// ones; empty: a blue.
	Accent, AccentDark string
}

// ErrSignedOut is what Config.SignedIn returns where nobody is signed in.
var ErrSignedOut = errors.New("console: nobody is signed in")

// Elsewhere is what Config.SignedIn returns to send a browser elsewhere, as to a
// sign-in page. Calls of the API, and forms, are answered 401 instead.
type Elsewhere struct{ URL string }

// Error implements error.
func (e *Elsewhere) Error() string { return "console: nobody is signed in: see " + e.URL }

// Unwrap says that nobody is signed in.
func (e *Elsewhere) Unwrap() error { return ErrSignedOut }

// Usage answers what keys were used for. The methods are those of
// [*usage.Counter], which says what they do.
type Usage interface {
	Series(ctx context.Context, q storage.UsageQuery) (usage.Series, error)
	Endpoints(ctx context.Context, q storage.UsageQuery) ([]storage.UsageEndpoint, error)
	Refusals(ctx context.Context, q storage.UsageQuery) ([]storage.UsageRefusal, error)
	Addresses(ctx context.Context, organisation, lineage, credential string) ([]storage.UsageAddress, error)
	Credentials(ctx context.Context, organisation string, ids []string) (map[string]storage.UsageSeen, error)
	Unusual(ctx context.Context, organisation, lineage string) ([]usage.Event, error)
}

// Members lists an organisation's people, for pickers and to tell names.
type Members interface {
	// Members returns up to limit members of the organisation, in the order in
	// which they are to be shown. Inactive ones are named, and not offered.
	Members(ctx context.Context, organisation string, limit int) ([]storage.User, error)
}

var (
	baseForm     = regexp.MustCompile(`^(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+$`)
	variableForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,99}$`)
)

func (c *Config) settle() error {
	switch {
	case c.Manage == nil:
		return errors.New("Manage is required")
	case c.Scheme == nil:
		return errors.New("Scheme is required")
	case c.Replays == nil:
		return errors.New("Replays is required: every storage backend fits")
	case c.SignedIn == nil:
		return errors.New("SignedIn is required")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Terms.MaxOverlap == 0 {
		c.Terms.MaxOverlap = 7 * 24 * time.Hour // as manage has it
	}
	return c.Product.settle()
}

func (p *Product) settle() error {
	or(&p.Name, "Developer")
	or(&p.Data, "data")
	or(&p.EnvironmentVariable, "API_KEY")
	or(&p.DateLayout, "2 Jan 2006")
	p.Base = strings.TrimSuffix(p.Base, "/")
	or(&p.Home, p.Base+"/")
	if p.Location == nil {
		p.Location = time.UTC
	}
	if p.Base != "" && !baseForm.MatchString(p.Base) {
		return fmt.Errorf("Product.Base: %q is no plain path", p.Base)
	}
	if !variableForm.MatchString(p.EnvironmentVariable) {
		return fmt.Errorf("Product.EnvironmentVariable: %q is no name of a variable", p.EnvironmentVariable)
	}
	if strings.ContainsAny(p.TryURL, "'\\\n") || p.TryURL != "" && !absolute(p.TryURL) {
		return fmt.Errorf("Product.TryURL: %q is no http or https URL", p.TryURL)
	}
	for name, text := range map[string]string{"Logo": p.Logo, "Home": p.Home, "SignInURL": p.SignInURL} {
		if text != "" && !rooted(text) && !absolute(text) {
			return fmt.Errorf("Product.%s: %q is neither a path nor an http or https URL", name, text)
		}
	}
	return p.Colours.settle()
}

func or(field *string, otherwise string) {
	if *field == "" {
		*field = otherwise
	}
}

// rooted says that text is a path of this host.
func rooted(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Host == "" && u.Scheme == "" && strings.HasPrefix(text, "/") && !strings.HasPrefix(text, "//")
}

func absolute(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http") && !strings.ContainsAny(u.Host, " ;,'\"")
}
