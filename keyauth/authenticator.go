package keyauth

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"
	"golang.org/x/sync/singleflight"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/internal/freshness"
	"github.com/strikeplate/strikeplate/internal/standing"
	"github.com/strikeplate/strikeplate/internal/streams"
	"github.com/strikeplate/strikeplate/storage"
)

// Config wires an [Authenticator].
type Config struct {
	// Scheme and Keys are required.
	Scheme *Scheme
	Keys   storage.Keys
	// Directory knows accounts and users. Required, unless InsecureNoDirectory
	// says that every account is paid up and every owner active.
	Directory           storage.Directory
	InsecureNoDirectory bool
	// Feed tells what changed; nil: every request asks the store for the key's
	// state.
	Feed storage.Feed
	// Read says where keys may stand; zero: in the Authorization header only.
	Read Sources
	// Cache bounds what is remembered.
	Cache Cache
	// Now is the clock by which keys expire; nil: time.Now. Caches age by the
	// monotonic clock whatever this says.
	Now func() time.Time
	// Logger receives what an operator must mend; nil: [slog.Default].
	Logger *slog.Logger
}

// Cache bounds what an [Authenticator] remembers.
type Cache struct {
	// Entries is the number of keys; zero: 100,000, at some 600 bytes each.
	Entries int
	// Fresh bounds how long a change elsewhere may go unnoticed: while the feed's
	// last barrier is older, every request asks the store. Zero: 2 s.
	Fresh time.Duration
	// Directory bounds the age of the directory's answers; zero: 5 s, and more is
	// refused.
	Directory time.Duration
	// Proofs bounds how long a key goes without a re-hash; zero: 24 h.
	Proofs time.Duration
	// StaleIfDown lets keys that were good go on for this long while the store or
	// the directory can't be asked. A revocation that was noticed still counts,
	// one that wasn't doesn't. Zero: not at all; requests are answered 503.
	StaleIfDown time.Duration
	// Shared lets instances share proofs, so that a restart of all of them doesn't
	// hash every key again. Nil: each instance proves for itself.
	Shared *Shared
}

// How long one question to the store or the directory may take, and one wait
// for the hash slot.
const (
	storePatience = 3 * time.Second
	slotPatience  = 2 * time.Second
)

// Authenticator turns API keys into Principals. It is safe for concurrent use.
type Authenticator struct {
	scheme   *Scheme
	keys     storage.Keys
	now      func() time.Time
	logger   *slog.Logger
	read     Sources
	cache    Cache
	refusals refusals

	proofKey [keyRoom]byte
	proofs   *otter.Cache[digest, *proof]
	tracker  *freshness.Tracker
	standing *standing.Cache
	throttle *throttle
	flights  singleflight.Group
	streams  *streams.Watch[stream]
	shared   *sharing
	counts   counts

	stop    context.CancelFunc
	closing context.Context
	working sync.WaitGroup
	ready   func(context.Context) error
	noFeed  bool
}

// New checks c and starts following the feed. Close ends it.
func New(c Config) (*Authenticator, error) {
	if err := c.settle(); err != nil {
		return nil, fmt.Errorf("keyauth: %w", err)
	}
	a := &Authenticator{scheme: c.Scheme, keys: c.Keys, now: c.Now, logger: c.Logger, read: c.Read,
		cache: c.Cache, refusals: newRefusals(c.Scheme), noFeed: c.Feed == nil}
	_, _ = rand.Read(a.proofKey[:]) // of this process alone: digests mean nothing elsewhere
	if r, ok := c.Keys.(interface{ Ready(context.Context) error }); ok {
		a.ready = r.Ready
	}
	a.streams = streams.New(a.recheck)
	a.tracker = freshness.New(c.Cache.Fresh, a.streams.Nudge)
	var err error
	a.proofs, err = otter.New(&otter.Options[digest, *proof]{MaximumSize: c.Cache.Entries})
	if err != nil {
		return nil, fmt.Errorf("keyauth: proof cache: %w", err)
	}
	a.standing, err = standing.New(c.Directory, a.tracker, c.Cache.Directory, storePatience, c.Cache.Entries)
	if err != nil {
		return nil, fmt.Errorf("keyauth: directory cache: %w", err)
	}
	if a.throttle, err = newThrottle(); err != nil {
		return nil, fmt.Errorf("keyauth: throttle: %w", err)
	}
	if a.shared, err = newSharing(c.Cache.Shared, c.Cache.Proofs); err != nil {
		return nil, fmt.Errorf("keyauth: %w", err)
	}
	a.closing, a.stop = context.WithCancel(context.Background())
	a.working.Go(func() { a.streams.Run(a.closing) })
	if c.Feed != nil {
		a.working.Go(func() { a.follow(c.Feed) })
	}
	return a, nil
}

func (c *Config) settle() error {
	switch {
	case c.Scheme == nil:
		return errors.New("a Scheme is required")
	case c.Keys == nil:
		return errors.New("Keys are required")
	case c.Directory == nil && !c.InsecureNoDirectory:
		return errors.New("a Directory is required: it knows who is deactivated and who has paid; " +
			"each backend of package storage brings one")
	case c.Directory != nil && c.InsecureNoDirectory:
		return errors.New("Directory and InsecureNoDirectory exclude each other")
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c.Cache.settle()
}

func (c *Cache) settle() error {
	for _, d := range []struct {
		name  string
		value *time.Duration
		zero  time.Duration
		most  time.Duration
	}{
		{"Fresh", &c.Fresh, 2 * time.Second, time.Minute},
		{"Directory", &c.Directory, 5 * time.Second, 5 * time.Second},
		{"Proofs", &c.Proofs, 24 * time.Hour, 30 * 24 * time.Hour},
		{"StaleIfDown", &c.StaleIfDown, 0, time.Hour},
	} {
		if *d.value < 0 || *d.value > d.most {
			return fmt.Errorf("Cache.%s must be within 0 and %v", d.name, d.most)
		}
		if *d.value == 0 {
			*d.value = d.zero
		}
	}
	if c.Entries < 0 {
		return errors.New("Cache.Entries must not be negative")
	}
	if c.Entries == 0 {
		c.Entries = 100_000
	}
	return nil
}

// Authenticate implements [strikeplate.Authenticator]. What it refuses with, in
// the order in which it is checked: 401 missing_api_key; 401 invalid_api_key;
// 429 too_many_failures; 401 revoked_api_key; 401 expired_api_key; 401
// inactive_owner; 403 ip_not_allowed; 402 subscription_required; and 503
// temporarily_unavailable where it could not be checked.
func (a *Authenticator) Authenticate(r *http.Request) (*strikeplate.Principal, error) {
	var s scratch
	switch a.find(r, &s) {
	case absent:
		if a.scheme.pairs && offersBasic(r) {
			return nil, a.refusals.missingNoted
		}
		return nil, a.refusals.missing
	case unreadable:
		if a.scheme.pairs && offersBasic(r) {
			return nil, a.refusals.strangeToo
		}
		return nil, a.refusals.strange
	}
	p, err := a.verify(r.Context(), &s, caller{request: r})
	if err == a.refusals.invalid && a.scheme.pairs && offersBasic(r) { //nolint:errorlint // the very value
		err = a.refusals.invalidBasic
	}
	return p, err
}

// Verify checks a key that came otherwise than in an HTTP request, as in gRPC
// metadata or a job. client is the caller's address; the zero Addr is in no
// allowlist. It refuses as Authenticate does.
func (a *Authenticator) Verify(ctx context.Context, credential string, client netip.Addr) (*strikeplate.Principal, error) {
	var s scratch
	switch {
	case credential == "":
		return nil, a.refusals.missing
	case !s.set(credential):
		return nil, a.refusals.invalid
	}
	return a.verify(ctx, &s, caller{address: client.Unmap().WithZone("")})
}

// caller is where a credential came from. The address is worked out only when
// somebody asks: most keys have no allowlist.
type caller struct {
	request *http.Request
	address netip.Addr
}

func (c caller) client() netip.Addr {
	if c.request == nil {
		return c.address
	}
	if x := strikeplate.ExchangeFrom(c.request.Context()); x != nil {
		return x.Client()
	}
	ap, err := netip.ParseAddrPort(c.request.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}

// Invalidate forgets what the directory said of an organisation: call it when
// your own account or user data changes. The next request asks again. user is
// for readability; the organisation's other users are asked for again too.
func (a *Authenticator) Invalidate(organisation, user string) {
	a.tracker.Changed(storage.UserChanged, organisation, user, 0)
}

// clock reads both clocks: the wall's for expiry, the monotonic one for ages.
func (a *Authenticator) clock() (wall time.Time, age time.Duration) {
	now := time.Now()
	age = a.tracker.Since(now)
	if a.now != nil {
		return a.now(), age
	}
	return now, age
}
