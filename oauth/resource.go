package oauth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/strikeplate/strikeplate/internal/freshness"
	"github.com/strikeplate/strikeplate/internal/standing"
	"github.com/strikeplate/strikeplate/internal/streams"
	"github.com/strikeplate/strikeplate/scope"
	"github.com/strikeplate/strikeplate/storage"
)

// ResourceConfig describes a [Resource].
type ResourceConfig struct {
	// Identifier names the API to authorization servers (RFC 8707, RFC 9728): an
	// https URL without query or fragment, such as "https://api.example.com/v1".
	// Tokens must name it as their audience, byte for byte. Required.
	Identifier string
	// Audiences are other names that tokens may be for, as while the API moves.
	Audiences []string
	// InsecureHTTP allows an http Identifier on the loopback interface.
	InsecureHTTP bool
	// Metadata is what [Resource.Metadata] tells clients.
	Metadata Metadata
	// Catalog lists the scopes that count; others that a token has are dropped.
	// Nil: a token's scopes are taken as they are.
	Catalog *scope.Catalog
	// Directory knows accounts and users. Required, unless InsecureNoDirectory
	// says that every account is paid up and every user active.
	Directory           storage.Directory
	InsecureNoDirectory bool
	// Feed tells what changed; nil: every request with a token of the own server
	// asks the store.
	Feed storage.Feed
	// DPoP checks proofs of possession; nil: tokens bound to a DPoP key are refused.
	DPoP *DPoP
	// Certificates says where clients' TLS certificates are seen.
	Certificates Certificates
	// RequireBound refuses bearer tokens: only those count that are bound to a DPoP
	// key or a certificate, which a thief doesn't have.
	RequireBound bool
	// Cache bounds what is remembered.
	Cache Cache
	// Now is the clock by which tokens expire; nil: time.Now. Caches age by the
	// monotonic clock whatever this says.
	Now func() time.Time
	// Logger receives what an operator must mend; nil: [slog.Default].
	Logger *slog.Logger
}

// Metadata is what clients may know of a protected resource (RFC 9728).
type Metadata struct {
	// AuthorizationServers are the issuers that clients may get tokens from.
	AuthorizationServers []string
	// Scopes are those to advertise; nil: the Catalog's.
	Scopes []string
	// Ask are the scopes that challenges tell clients to ask for at first. Empty:
	// challenges name none.
	Ask []string
	// Name is for people, Documentation a URL for developers. Empty: left out.
	Name, Documentation string
}

// Cache bounds what a [Resource] remembers.
type Cache struct {
	// Tokens is the number of tokens that each authenticator remembers; zero:
	// 100,000, at some 800 bytes each.
	Tokens int
	// Fresh bounds how long a change elsewhere may go unnoticed: while the feed's
	// last barrier is older, every request asks the store. Zero: 2 s.
	Fresh time.Duration
	// Directory bounds the age of the directory's answers; zero: 5 s, and more is
	// refused.
	Directory time.Duration
}

// How long one question to the store or the directory may take.
const storePatience = 3 * time.Second

// Resource is the API as OAuth sees it: what its tokens must be for, how it
// challenges clients, and what is known of accounts and users. The
// authenticators of one API share one. It is safe for concurrent use.
type Resource struct {
	config      ResourceConfig
	metadataURL string
	document    []byte
	audiences   []string
	scopes      []string // the catalog's; nil without one
	offers      []string // the challenges of a request that sent nothing

	tracker  *freshness.Tracker
	sink     sink
	standing *standing.Cache
	streams  *streams.Watch[stream]
	counts   counts

	mu     sync.Mutex
	cores  []*core
	closed bool

	stop    context.CancelFunc
	closing context.Context
	working sync.WaitGroup
}

// NewResource checks c and starts following the feed. Close ends it.
func NewResource(c ResourceConfig) (*Resource, error) {
	identifier, err := c.settle()
	if err != nil {
		return nil, fmt.Errorf("oauth: %w", err)
	}
	r := &Resource{config: c, audiences: append([]string{c.Identifier}, c.Audiences...)}
	if c.Catalog != nil {
		r.scopes = c.Catalog.Scopes()
	}
	r.metadataURL = resourceWellKnown(identifier)
	if r.document, err = r.describe(); err != nil {
		return nil, fmt.Errorf("oauth: Metadata: %w", err)
	}
	r.offers = r.challenges(anyScheme, "", "")
	r.streams = streams.New(r.recheck)
	r.tracker = freshness.New(c.Cache.Fresh, r.streams.Nudge)
	r.sink.Tracker = r.tracker
	r.standing, err = standing.New(c.Directory, r.tracker, c.Cache.Directory, storePatience, c.Cache.Tokens)
	if err != nil {
		return nil, fmt.Errorf("oauth: directory cache: %w", err)
	}
	r.closing, r.stop = context.WithCancel(context.Background())
	r.working.Go(func() { r.streams.Run(r.closing) })
	if c.Feed != nil {
		r.working.Go(func() { r.follow(c.Feed) })
	}
	return r, nil
}

func (c *ResourceConfig) settle() (*url.URL, error) {
	identifier, err := parseURL(c.Identifier, c.InsecureHTTP)
	switch {
	case err != nil:
		return nil, fmt.Errorf("Identifier: %w", err)
	case identifier.RawQuery != "" || identifier.ForceQuery:
		return nil, errors.New("Identifier must have no query")
	case slices.Contains(c.Audiences, ""):
		return nil, errors.New("Audiences must not be empty texts")
	case c.Directory == nil && !c.InsecureNoDirectory:
		return nil, errors.New("a Directory is required: it knows who is deactivated and who has paid")
	case c.Directory != nil && c.InsecureNoDirectory:
		return nil, errors.New("Directory and InsecureNoDirectory exclude each other")
	case c.RequireBound && c.DPoP == nil && !c.Certificates.used():
		return nil, errors.New("RequireBound needs DPoP or Certificates")
	}
	if err := c.Certificates.check(); err != nil {
		return nil, fmt.Errorf("Certificates: %w", err)
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	for _, s := range slices.Concat(c.Metadata.Ask, c.Metadata.Scopes) {
		if !isScopeToken(s) {
			return nil, fmt.Errorf("Metadata: %q is not a scope", s)
		}
	}
	return identifier, c.Cache.settle()
}

func (c *Cache) settle() error {
	for _, d := range []struct {
		name       string
		value      *time.Duration
		zero, most time.Duration
	}{
		{"Fresh", &c.Fresh, 2 * time.Second, time.Minute},
		{"Directory", &c.Directory, 5 * time.Second, 5 * time.Second},
	} {
		if err := settleDuration(d.value, d.zero, d.most); err != nil {
			return fmt.Errorf("Cache.%s %w", d.name, err)
		}
	}
	if c.Tokens < 0 {
		return errors.New("Cache.Tokens must not be negative")
	}
	if c.Tokens == 0 {
		c.Tokens = 100_000
	}
	return nil
}

// settleDuration gives zero its meaning and refuses what is out of range.
func settleDuration(d *time.Duration, zero, most time.Duration) error {
	if *d < 0 || *d > most {
		return fmt.Errorf("must be within 0 and %v", most)
	}
	if *d == 0 {
		*d = zero
	}
	return nil
}

// parseURL accepts absolute https URLs without user or fragment, and http ones
// of the loopback interface where that is allowed.
func parseURL(text string, allowHTTP bool) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, errors.New("not a URL") // url.Error repeats the text
	case u.Host == "" || u.Opaque != "" || u.User != nil || strings.Contains(text, "#"):
		return nil, fmt.Errorf("%q is not an absolute URL without user and fragment", text)
	case u.Scheme == "https":
		return u, nil
	case u.Scheme == "http" && isLoopback(u.Hostname()):
		if !allowHTTP {
			return nil, fmt.Errorf("%q must be https; InsecureHTTP allows http on the loopback interface", text)
		}
		return u, nil
	}
	return nil, fmt.Errorf("%q must be https", text)
}

// Invalidate forgets what the directory said of an organisation: call it when
// your own account or user data changes. The next request asks again.
func (r *Resource) Invalidate(organisation, user string) {
	r.sink.Changed(storage.UserChanged, organisation, user, 0)
}

// clock reads both clocks: the wall's for expiry, the monotonic one for ages.
func (r *Resource) clock() (wall time.Time, age time.Duration) {
	now := time.Now()
	age = r.tracker.Since(now)
	if r.config.Now != nil {
		return r.config.Now(), age
	}
	return now, age
}

// add makes a new authenticator's tokens known to the middlewares here.
func (r *Resource) add(c *core) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cores = append(r.cores, c)
}

func (r *Resource) all() []*core {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.cores)
}
