package storagetest_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/memory"
)

// grantFaults say what a grantTwin does wrong: the methods that are replaced, and
// what becomes of what is returned.
type grantFaults struct {
	commitApp  func(s *grantTwin, ctx context.Context, m storage.AppMutation) error
	listApps   func(s *grantTwin, ctx context.Context, q storage.Query) ([]storage.App, string, error)
	block      func(s *grantTwin, ctx context.Context, b storage.Block, audit []storage.Entry) error
	pruneApps  func(s *grantTwin, ctx context.Context, before time.Time, limit int) (int, error)
	begin      func(s *grantTwin, ctx context.Context, n storage.NewGrant) error
	grant      func(s *grantTwin, ctx context.Context, organisation, id string) (storage.Grant, error)
	listGrants func(s *grantTwin, ctx context.Context, q storage.GrantQuery) ([]storage.Grant, string, error)
	revoke     func(s *grantTwin, ctx context.Context, r storage.GrantRevocation) (int, error)
	useCode    func(s *grantTwin, ctx context.Context, hash [32]byte, now time.Time, tokens []storage.Token) error
	rotate     func(s *grantTwin, ctx context.Context, r storage.Rotation) (storage.Token, bool, error)
	drop       func(s *grantTwin, ctx context.Context, hash [32]byte) error
	push       func(s *grantTwin, ctx context.Context, p storage.Pushed) error
	take       func(s *grantTwin, ctx context.Context, hash [32]byte, now time.Time) (storage.Pushed, error)
	once       func(s *grantTwin, ctx context.Context, hash [32]byte, now, expires time.Time) (bool, error)
	prune      func(s *grantTwin, ctx context.Context, before time.Time, limit int) (int, error)
	erase      func(s *grantTwin, ctx context.Context, organisation string) error

	view      func(storage.Grant) storage.Grant // of every grant
	presented func(storage.Presented) storage.Presented
	code      func(storage.Code) storage.Code
	consent   func(storage.Consent) storage.Consent

	keepsConsent bool                       // whatever happens to it
	hide         string                     // action and target of entries
	deaf         func(storage.Subject) bool // what watchers are not told of
	behind       error                      // grants begin though their app was shut out meanwhile, with this failure
	met          *meeting
}

// grantTwin is a memory store with faults.
type grantTwin struct {
	*memory.Store
	grantFaults

	mu      sync.Mutex
	given   map[[3]string]storage.Consent
	seen    map[[32]byte]bool
	late    []storage.Grant
	windows map[string]*window // by app
}

// window is the time from when somebody looked until the app was shut out.
type window struct{ opened, shut chan struct{} }

func newGrantTwin(f grantFaults) *grantTwin {
	if f.met != nil {
		f.met = newMeeting(f.met.n)
	}
	return &grantTwin{
		Store: memory.New(), grantFaults: f,
		given: make(map[[3]string]storage.Consent), seen: make(map[[32]byte]bool), windows: make(map[string]*window),
	}
}

func viewed[T any](f func(T) T, v T) T {
	if f == nil {
		return v
	}
	return f(v)
}

// note writes to the log alone.
func (s *grantTwin) note(ctx context.Context, audit ...storage.Entry) {
	_ = s.Commit(ctx, storage.Mutation{Audit: audit}) // of a sound store
}

func (s *grantTwin) window(app string) *window {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.windows[app]
	if w == nil {
		w = &window{opened: make(chan struct{}), shut: make(chan struct{})}
		s.windows[app] = w
	}
	return w
}

// shuts runs f, which shuts an app out, after somebody has looked.
func (s *grantTwin) shuts(app string, f func() error) error {
	if s.behind == nil {
		return f()
	}
	w := s.window(app)
	<-w.opened
	defer close(w.shut)
	return f()
}

func (s *grantTwin) CommitApp(ctx context.Context, m storage.AppMutation) error {
	switch {
	case s.commitApp != nil:
		return s.commitApp(s, ctx, m)
	case !m.Put.Revoked.IsZero():
		return s.shuts(m.Put.ClientID, func() error { return s.Store.CommitApp(ctx, m) })
	}
	return s.Store.CommitApp(ctx, m)
}

func (s *grantTwin) ListApps(ctx context.Context, q storage.Query) ([]storage.App, string, error) {
	if s.listApps != nil {
		return s.listApps(s, ctx, q)
	}
	return s.Store.ListApps(ctx, q)
}

func (s *grantTwin) BlockApp(ctx context.Context, b storage.Block, audit []storage.Entry) error {
	if s.block != nil {
		return s.block(s, ctx, b, audit)
	}
	return s.shuts(b.ClientID, func() error { return s.Store.BlockApp(ctx, b, audit) })
}

func (s *grantTwin) PruneApps(ctx context.Context, before time.Time, limit int) (int, error) {
	if s.pruneApps != nil {
		return s.pruneApps(s, ctx, before, limit)
	}
	return s.Store.PruneApps(ctx, before, limit)
}

func (s *grantTwin) BeginGrant(ctx context.Context, n storage.NewGrant) error {
	if c := n.Consent; c != nil {
		s.mu.Lock()
		s.given[[3]string{c.Organisation, c.Subject, c.ClientID}] = *c
		s.mu.Unlock()
	}
	switch {
	case s.begin != nil:
		return s.begin(s, ctx, n)
	case s.behind != nil:
		return s.beginBehind(ctx, n)
	}
	return s.Store.BeginGrant(ctx, n)
}

func (s *grantTwin) beginBehind(ctx context.Context, n storage.NewGrant) error {
	w := s.window(n.Grant.ClientID)
	s.mu.Lock()
	select {
	case <-w.opened:
	default:
		close(w.opened)
	}
	s.mu.Unlock()
	<-w.shut
	err := s.Store.BeginGrant(ctx, n)
	if !errors.Is(err, s.behind) {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.late = append(s.late, n.Grant)
	return nil
}

func (s *grantTwin) Grant(ctx context.Context, organisation, id string) (storage.Grant, error) {
	if s.grant != nil {
		return s.grant(s, ctx, organisation, id)
	}
	g, err := s.Store.Grant(ctx, organisation, id)
	return viewed(s.view, g), err
}

func (s *grantTwin) ListGrants(ctx context.Context, q storage.GrantQuery) ([]storage.Grant, string, error) {
	if s.listGrants != nil {
		return s.listGrants(s, ctx, q)
	}
	status := q.Status
	if s.view != nil {
		q.Status = storage.AnyStatus
	}
	page, next, err := s.Store.ListGrants(ctx, q)
	for i := range page {
		page[i] = viewed(s.view, page[i])
	}
	if s.view != nil {
		page = slices.DeleteFunc(page, func(g storage.Grant) bool { return !g.Status(q.Now).In(status) })
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.late {
		if g.ClientID == q.ClientID {
			page = append(page, g)
		}
	}
	return page, next, err
}

func (s *grantTwin) RevokeGrants(ctx context.Context, r storage.GrantRevocation) (int, error) {
	if s.revoke != nil {
		return s.revoke(s, ctx, r)
	}
	return s.Store.RevokeGrants(ctx, r)
}

func (s *grantTwin) Consent(ctx context.Context, organisation, subject, clientID string) (storage.Consent, error) {
	if s.keepsConsent {
		s.mu.Lock()
		defer s.mu.Unlock()
		if c, ok := s.given[[3]string{organisation, subject, clientID}]; ok {
			return c, nil
		}
	}
	c, err := s.Store.Consent(ctx, organisation, subject, clientID)
	return viewed(s.consent, c), err
}

func (s *grantTwin) Code(ctx context.Context, hash [32]byte) (storage.Code, storage.Grant, error) {
	c, g, err := s.Store.Code(ctx, hash)
	return viewed(s.code, c), viewed(s.view, g), err
}

func (s *grantTwin) UseCode(ctx context.Context, hash [32]byte, now time.Time, tokens []storage.Token) error {
	if s.useCode != nil {
		return s.useCode(s, ctx, hash, now, tokens)
	}
	return s.Store.UseCode(ctx, hash, now, tokens)
}

func (s *grantTwin) Presented(ctx context.Context, hash [32]byte) (storage.Presented, error) {
	p, err := s.Store.Presented(ctx, hash)
	p.Grant = viewed(s.view, p.Grant)
	return viewed(s.presented, p), err
}

func (s *grantTwin) Rotate(ctx context.Context, r storage.Rotation) (storage.Token, bool, error) {
	if s.rotate != nil {
		return s.rotate(s, ctx, r)
	}
	access, again, err := s.Store.Rotate(ctx, r)
	if s.behind != nil && errors.Is(err, storage.ErrNotFound) {
		err = s.behind // one that is late
	}
	return access, again, err
}

func (s *grantTwin) DropToken(ctx context.Context, hash [32]byte) error {
	if s.drop != nil {
		return s.drop(s, ctx, hash)
	}
	return s.Store.DropToken(ctx, hash)
}

func (s *grantTwin) Push(ctx context.Context, p storage.Pushed) error {
	if s.push != nil {
		return s.push(s, ctx, p)
	}
	return s.Store.Push(ctx, p)
}

func (s *grantTwin) TakePushed(ctx context.Context, hash [32]byte, now time.Time) (storage.Pushed, error) {
	if s.take != nil {
		return s.take(s, ctx, hash, now)
	}
	return s.Store.TakePushed(ctx, hash, now)
}

func (s *grantTwin) UseOnce(ctx context.Context, hash [32]byte, now, expires time.Time) (bool, error) {
	if s.once != nil {
		return s.once(s, ctx, hash, now, expires)
	}
	return s.Store.UseOnce(ctx, hash, now, expires)
}

func (s *grantTwin) PruneGrants(ctx context.Context, before time.Time, limit int) (int, error) {
	if s.prune != nil {
		return s.prune(s, ctx, before, limit)
	}
	return s.Store.PruneGrants(ctx, before, limit)
}

func (s *grantTwin) EraseOrganisation(ctx context.Context, organisation string) error {
	if s.erase != nil {
		return s.erase(s, ctx, organisation)
	}
	return s.Store.EraseOrganisation(ctx, organisation)
}

func (s *grantTwin) Entries(ctx context.Context, q storage.Query) ([]storage.Entry, string, error) {
	page, next, err := s.Store.Entries(ctx, q)
	return slices.DeleteFunc(page, func(e storage.Entry) bool { return e.Action+" "+e.Target == s.hide }), next, err
}

func (s *grantTwin) Watch(ctx context.Context, sink storage.Sink) error {
	if s.deaf != nil {
		sink = deafSink{sink, s.deaf}
	}
	return s.Store.Watch(ctx, sink)
}

// deafSink is not told of some changes.
type deafSink struct {
	storage.Sink
	to func(storage.Subject) bool
}

func (s deafSink) Changed(subject storage.Subject, organisation, id string, version int64) {
	if !s.to(subject) {
		s.Sink.Changed(subject, organisation, id, version)
	}
}

// spared returns a view in which some grants were never revoked.
func spared(f func(storage.Grant) bool) func(storage.Grant) storage.Grant {
	return func(g storage.Grant) storage.Grant {
		if f(g) {
			g.Revoked, g.RevokedBecause = time.Time{}, ""
		}
		return g
	}
}

func reusedTwice(g storage.Grant) bool { return strings.Contains(g.RevokedBecause, "twice") }

// ignoring reports success where a store fails with err.
func ignoring(sentinel error) func(s *grantTwin, ctx context.Context, m storage.AppMutation) error {
	return func(s *grantTwin, ctx context.Context, m storage.AppMutation) error {
		if err := s.Store.CommitApp(ctx, m); !errors.Is(err, sentinel) {
			return err
		}
		return nil
	}
}

func (s *grantTwin) heldApps(ctx context.Context, organisation string) int {
	page, _, _ := s.Store.ListApps(ctx, storage.Query{Organisation: organisation, Status: storage.Active, Limit: 1000})
	return len(page)
}

func countingChanges(s *grantTwin, ctx context.Context, m storage.AppMutation) error {
	if s.heldApps(ctx, m.Put.Organisation) >= storage.MaxApps {
		return storage.ErrLimit
	}
	return s.Store.CommitApp(ctx, m)
}

// countedFirst meets others near the limit, between the count and the writing.
func countedFirst(s *grantTwin, ctx context.Context, m storage.AppMutation) error {
	held := s.heldApps(ctx, m.Put.Organisation)
	if m.Put.Version == 0 && held >= storage.MaxApps-10 {
		s.met.wait()
	}
	if held >= storage.MaxApps {
		return storage.ErrLimit
	}
	return ignoring(storage.ErrLimit)(s, ctx, m)
}

// lateGrantFilter filters what a page holds already.
func lateGrantFilter(s *grantTwin, ctx context.Context, q storage.GrantQuery) ([]storage.Grant, string, error) {
	all := q
	all.Subject, all.ClientID = "", ""
	page, next, err := s.Store.ListGrants(ctx, all)
	of := storage.GrantRevocation{Organisation: q.Organisation, Subject: q.Subject, ClientID: q.ClientID}
	return slices.DeleteFunc(page, func(g storage.Grant) bool { return !of.Matches(g) }), next, err
}

// offered answers a repetition with what it offers.
func offered(s *grantTwin, ctx context.Context, r storage.Rotation) (storage.Token, bool, error) {
	access, again, err := s.Store.Rotate(ctx, r)
	if again {
		access = r.Access
	}
	return access, again, err
}

// yield lets others go on.
func yield() {
	for range 1000 {
		runtime.Gosched()
	}
}
