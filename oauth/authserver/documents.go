package authserver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/internal/outward"
	"github.com/strikeplate/strikeplate/scope"
	"github.com/strikeplate/strikeplate/storage"
)

// Documents lets apps be described by a document at the https URL that is their
// client id (draft-ietf-oauth-client-id-metadata-document). Such apps are public,
// and send people back to the document's own host or to a loopback address.
//
// Strangers choose the URLs that are fetched, so fetching is bounded: https and
// public addresses only, no redirects, at most 16 KiB in 5 seconds, eight at a time,
// and twenty a minute for one address.
type Documents struct {
	// Scopes are the most that such apps may ask for. Required.
	Scopes []string
	// Hosts are the only hosts that documents may be at; nil: any.
	Hosts []string
	// Keep is how long a document counts; zero: an hour, at most a day.
	Keep time.Duration
	// InsecureLoopback lets documents be at loopback addresses, for tests. Roots are
	// then the CAs that count; nil: the system's.
	InsecureLoopback bool
	TLS              *tls.Config
}

const (
	maxDocument      = 16 << 10
	documentPatience = 5 * time.Second
	documentsKept    = 1000
	documentsAtOnce  = 8
	failureKept      = 30 * time.Second
)

func (d *Documents) settle(catalog *scope.Catalog) error {
	resolved, err := catalog.Resolve(d.Scopes)
	if err != nil || len(resolved) == 0 {
		return fmt.Errorf("Scopes: at least one of the catalog is required (%w)", errors.Join(err, errNone))
	}
	d.Scopes = resolved
	if d.Keep == 0 {
		d.Keep = time.Hour
	}
	if d.Keep < 0 || d.Keep > day {
		return errors.New("Keep must be positive and at most a day")
	}
	return nil
}

// documents fetches and remembers what apps say of themselves.
type documents struct {
	c       Documents
	now     func() time.Time
	logger  *slog.Logger
	client  *http.Client
	slots   chan struct{}
	fetches *guard
	flights singleflight.Group

	mu    sync.Mutex
	known map[string]remembered
}

type remembered struct {
	app   storage.App
	err   error
	until time.Time
}

func newDocuments(c Documents, now func() time.Time, logger *slog.Logger) *documents {
	return &documents{
		c: c, now: now, logger: logger, slots: make(chan struct{}, documentsAtOnce), fetches: newGuard(mostDocuments), known: make(map[string]remembered),
		client: outward.Client(outward.Config{InsecureLoopback: c.InsecureLoopback, TLS: c.TLS, Timeout: documentPatience}),
	}
}

// isDocumentID says that a client id can be a document's URL: https, with a path,
// and written in the one way that there is.
func isDocumentID(id string) bool {
	u, err := url.Parse(id)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || strings.Contains(id, "#") ||
		len(u.Path) < 2 || u.String() != id || strings.ToLower(u.Host) != u.Host || len(id) > maxClientID || !isASCII(id) {
		return false
	}
	for _, element := range strings.Split(u.Path, "/") {
		if element == "." || element == ".." {
			return false
		}
	}
	return true
}

// app returns the app that a document describes. What can't be had is remembered
// for a short while too.
func (d *documents) app(ctx context.Context, id string, catalog *scope.Catalog) (storage.App, error) {
	d.mu.Lock()
	r, ok := d.known[id]
	d.mu.Unlock()
	if ok && d.now().Before(r.until) {
		return r.app, r.err
	}
	var address netip.Addr
	if x := strikeplate.ExchangeFrom(ctx); x != nil {
		address = x.Client()
	}
	if wait := d.fetches.charge("", address); wait > 0 {
		return storage.App{}, slowDown(wait, "Too many new apps were looked up from your address. Try again in a minute.")
	}
	flight := d.flights.DoChan(id, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), documentPatience)
		defer cancel()
		app, err := d.fetch(ctx, id, catalog)
		if err != nil && refusalOf(err) == nil {
			d.logger.WarnContext(ctx, "an OAuth client's document could not be fetched", "client_id", id, "error", err)
			err = &strikeplate.Error{Status: http.StatusBadRequest, Code: CodeClient, Err: err,
				Message: "The app describes itself by a document that can't be fetched. Tell the people who make the app."}
		}
		d.remember(id, app, err)
		return app, err
	})
	select {
	case result := <-flight:
		app, _ := result.Val.(storage.App)
		return app, result.Err
	case <-ctx.Done():
		return storage.App{}, unsure("fetching a document", ctx.Err())
	}
}

func (d *documents) remember(id string, app storage.App, err error) {
	now := d.now()
	r := remembered{app, err, now.Add(d.c.Keep)}
	if err != nil {
		r.until = now.Add(failureKept)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for other, old := range d.known {
		if len(d.known) < documentsKept {
			break
		}
		if !now.Before(old.until) || other != id {
			delete(d.known, other)
		}
	}
	d.known[id] = r
}

func (d *documents) fetch(ctx context.Context, id string, catalog *scope.Catalog) (storage.App, error) {
	u, err := url.Parse(id)
	if err != nil {
		return storage.App{}, err
	}
	if !d.allows(u.Hostname()) {
		return storage.App{}, bad(CodeClient, "Apps of that host can't be let in here.")
	}
	select {
	case d.slots <- struct{}{}:
		defer func() { <-d.slots }()
	case <-ctx.Done():
		return storage.App{}, ctx.Err()
	}
	text, err := d.get(ctx, id)
	if err != nil {
		return storage.App{}, err
	}
	return describeDocument(id, text, d.c.Scopes, catalog, d.now())
}

func (d *documents) allows(host string) bool {
	if d.c.Hosts == nil {
		return true
	}
	for _, each := range d.c.Hosts {
		if strings.EqualFold(each, host) {
			return true
		}
	}
	return false
}

func (d *documents) get(ctx context.Context, id string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, id, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "application/json")
	res, err := d.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	kind, _, err := mime.ParseMediaType(res.Header.Get("Content-Type"))
	switch {
	case res.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("status %d", res.StatusCode)
	case err != nil || kind != "application/json" && !strings.HasSuffix(kind, "+json"):
		return nil, errors.New("it is no JSON")
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, maxDocument+1))
	if err == nil && len(text) > maxDocument {
		err = errors.New("it is too long")
	}
	return text, err
}

// describeDocument makes an app of a document.
func describeDocument(id string, text []byte, limit []string, catalog *scope.Catalog, now time.Time) (storage.App, error) {
	m, err := readMetadata(text)
	if err != nil {
		return storage.App{}, err
	}
	switch {
	case m.ClientID != id:
		return storage.App{}, bad(CodeClient, "The app's document is about another client_id.")
	case m.Method != "" && m.Method != "none":
		return storage.App{}, bad(CodeClient, "The app's document wants an authentication that is not had here; only none is.")
	}
	if m.Name == "" {
		m.Name = hostOf(id)
	}
	app, err := m.describe(limit, catalog)
	if err != nil {
		return storage.App{}, err
	}
	for _, uri := range app.RedirectURIs {
		if _, _, local := loopback(uri); !local && hostOf(uri) != hostOf(id) {
			return storage.App{}, bad(CodeRedirectURI, "The app's document names a redirect URI of another host.")
		}
	}
	app.ClientID, app.Source, app.Public, app.Created = id, storage.AppDocument, true, now
	app.Origins = originsOf(append([]string{id}, app.RedirectURIs...))
	return app, nil
}

// keepDocument stores an app that is described by a document, once somebody lets it
// in: grants belong to stored apps.
func (s *Server) keepDocument(ctx context.Context, app storage.App, now time.Time) error {
	if app.Source != storage.AppDocument {
		return nil
	}
	stored, err := s.known(ctx, app.ClientID)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		app.Version, app.Created = 0, now
	case err != nil:
		return err
	case sameDescription(stored, app):
		return nil
	default:
		app.Version, app.Created = stored.Version, stored.Created
	}
	err = s.c.Store.CommitApp(ctx, storage.AppMutation{Now: now, Put: app})
	if errors.Is(err, storage.ErrConflict) { // another person lets it in at the same time
		return nil
	}
	if err != nil {
		return unsure("keeping a client's document", err)
	}
	return nil
}

func sameDescription(a, b storage.App) bool {
	return a.Name == b.Name && a.Homepage == b.Homepage && equal(a.RedirectURIs, b.RedirectURIs) &&
		equal(a.Scopes, b.Scopes) && equal(a.Origins, b.Origins)
}

func equal(a, b []string) bool { return strings.Join(a, "\n") == strings.Join(b, "\n") }
