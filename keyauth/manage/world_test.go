package manage_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/internal/pgtest"
	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/keyauth/manage"
	"github.com/strikeplate/strikeplate/scope"
	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/memory"
	"github.com/strikeplate/strikeplate/storage/postgres"
	"github.com/strikeplate/strikeplate/storage/sqlite"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

const (
	day      = 24 * time.Hour
	patience = time.Minute // for anything, on a loaded machine
)

// store is what each backend is.
type store interface {
	storage.Keys
	storage.Audit
	storage.EditableDirectory
	storage.Feed
	Close(ctx context.Context) error
}

// backends opens two store values on the same new data; they may be one.
var backends = []struct {
	name string
	open func(t testing.TB) (here, there store)
}{
	{"memory", func(t testing.TB) (store, store) {
		t.Helper()
		s := closing(t, memory.New())
		return s, s
	}},
	{"sqlite", func(t testing.TB) (store, store) {
		t.Helper()
		c := sqlite.Config{Path: filepath.Join(t.TempDir(), "keys.db")}
		return opened(sqlite.Open(t.Context(), c))(t), opened(sqlite.Open(t.Context(), c))(t)
	}},
	{"postgres", func(t testing.TB) (store, store) {
		t.Helper()
		c := postgres.Config{URL: pgtest.Database(t) + "&pool_max_conns=64"}
		return opened(postgres.Open(t.Context(), c))(t), opened(postgres.Open(t.Context(), c))(t)
	}},
}

func opened[S store](s S, err error) func(testing.TB) store {
	return func(t testing.TB) store {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return closing(t, s)
	}
}

func closing(t testing.TB, s store) store {
	t.Helper()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

// each runs a test on every backend, side by side: they mostly wait for disks.
func each(t *testing.T, run func(t *testing.T, here, there store)) {
	t.Helper()
	for _, b := range backends {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			here, there := b.open(t)
			run(t, here, there)
		})
	}
}

// clock is set by tests; it never goes back.
type clock struct{ micros atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.micros.Store(time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC).UnixMicro())
	return c
}

func (c *clock) now() time.Time          { return time.UnixMicro(c.micros.Load()).UTC() }
func (c *clock) advance(d time.Duration) { c.micros.Add(d.Microseconds()) }

var tagKey = sync.OnceValue(func() []byte {
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	return key
})

func newScheme(t testing.TB) *keyauth.Scheme {
	t.Helper()
	s, err := keyauth.NewScheme(keyauth.SchemeConfig{
		Formats: []keyauth.Format{
			{Prefix: "mvo_", Environments: []strikeplate.Environment{strikeplate.Live, strikeplate.Test}},
			{Prefix: "mavio_sk_"},
			{Prefix: "mvra_", Environments: []strikeplate.Environment{strikeplate.Live}},
			{Pair: true},
		},
		TagKeys: [][]byte{tagKey()},
		Hashing: keyauth.Hashing{MemoryKiB: 8, Passes: 1, InsecureCheap: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// place is a store with an Authenticator, in which each test has its own
// organisation.
type place struct {
	store  store
	scheme *keyauth.Scheme
	auth   *keyauth.Authenticator
	clock  *clock
	worlds atomic.Int64
}

func newPlace(t testing.TB, s store) *place {
	t.Helper()
	p := &place{store: s, scheme: newScheme(t), clock: newClock()}
	p.auth = authenticator(t, keyauth.Config{Scheme: p.scheme, Keys: s, Directory: s, Feed: s, Now: p.clock.now})
	return p
}

func authenticator(t testing.TB, c keyauth.Config) *keyauth.Authenticator {
	t.Helper()
	auth, err := keyauth.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := auth.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return auth
}

// product is how one of the products uses this package.
type product struct {
	config   manage.Config
	creation manage.Creation // a valid one
}

var catalog = func() *scope.Catalog {
	c, err := scope.NewCatalog(
		scope.Entry{Scope: "meetings:read", Description: "List and retrieve meetings"},
		scope.Entry{Scope: "meetings:write", Description: "Delete meetings"},
		scope.Entry{Scope: "summaries:read", Description: "Retrieve summaries"},
	)
	if err != nil {
		panic(err)
	}
	return c
}()

var (
	mavio = product{
		manage.Config{Catalog: catalog, MaxKeys: 25, Terms: manage.Terms{Access: strikeplate.OrganisationFull}},
		manage.Creation{Name: "CRM Sync", Prefix: "mvo_", Environment: strikeplate.Test, Scopes: []string{"meetings:read"}},
	}
	mavioDeveloper = product{
		manage.Config{Catalog: catalog, MaxKeys: 25, Terms: manage.Terms{
			Access: strikeplate.OrganisationFull, AllowlistPlans: []string{"enterprise"}}},
		manage.Creation{Name: "CRM Sync", Prefix: "mavio_sk_", Scopes: []string{"meetings:read"}},
	}
	avoma = product{
		manage.Config{MaxKeys: 10},
		manage.Creation{Name: "CRM Sync", Access: strikeplate.OrganisationLimited},
	}
	mavera = product{
		manage.Config{MaxKeys: Unlimited, Terms: manage.Terms{Access: strikeplate.OrganisationFull}},
		manage.Creation{Name: "CRM Sync", Prefix: "mvra_"},
	}
)

// Unlimited under its own name, for the table above.
const Unlimited = manage.Unlimited

// world is one organisation of a product, with an administrator and two members.
type world struct {
	testing.TB
	*place
	product
	*manage.Service
	ctx      context.Context
	org      string
	admin    storage.Actor
	zoe, bob string // user ids of members
	used     map[string]time.Time
}

func (p *place) world(t testing.TB, pr product, change ...func(*manage.Config)) *world {
	t.Helper()
	org := fmt.Sprintf("org%d", p.worlds.Add(1))
	w := &world{TB: t, place: p, product: pr, ctx: t.Context(), org: org, zoe: org + "-zoe", bob: org + "-bob",
		admin: storage.Actor{User: org + "-ada", Organisation: org, Role: "admin", Client: netip.MustParseAddr("192.0.2.7")},
		used:  make(map[string]time.Time)}
	w.account(storage.Account{Plan: "pro"})
	for _, id := range []string{w.admin.User, w.zoe, w.bob} {
		w.user(storage.User{ID: id, Active: true})
	}
	w.Service = w.service(p.store, change...)
	return w
}

// service is another instance on the same organisation.
func (w *world) service(keys storage.Keys, change ...func(*manage.Config)) *manage.Service {
	w.Helper()
	c := w.config
	c.Scheme, c.Keys, c.Audit, c.Directory, c.Now = w.scheme, keys, w.store, w.store, w.clock.now
	c.LastUsed = func(context.Context, []string) (map[string]time.Time, error) { return w.used, nil }
	for _, f := range change {
		f(&c)
	}
	s, err := manage.New(c)
	if err != nil {
		w.Fatal(err)
	}
	return s
}

func (w *world) account(a storage.Account) {
	w.Helper()
	a.Organisation = w.org
	w.must(w.store.PutAccount(w.ctx, a))
}

func (w *world) user(u storage.User) {
	w.Helper()
	u.Organisation = w.org
	w.must(w.store.PutUser(w.ctx, u))
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(told(err))
	}
}

// told shows all of a refusal.
func told(err error) string {
	var e *strikeplate.Error
	if errors.As(err, &e) {
		return fmt.Sprintf("%d %s %q %v: %v", e.Status, e.Code, e.Message, e.Params, e.Err)
	}
	return fmt.Sprint(err)
}

// draft is a valid creation, changed.
func (w *world) draft(change ...func(*manage.Creation)) manage.Creation {
	c := w.creation
	for _, f := range change {
		f(&c)
	}
	return c
}

// create makes a key by the administrator.
func (w *world) create(change ...func(*manage.Creation)) manage.Created {
	w.Helper()
	created, err := w.Create(w.ctx, w.admin, w.draft(change...))
	w.must(err)
	return created
}

// creating returns the failure of a creation.
func (w *world) creating(change ...func(*manage.Creation)) error {
	_, err := w.Create(w.ctx, w.admin, w.draft(change...))
	return err
}

func (w *world) get(id string) manage.Key {
	w.Helper()
	k, err := w.Get(w.ctx, w.admin, id)
	w.must(err)
	return k
}

func (w *world) list(f manage.Filter) []manage.Key {
	w.Helper()
	page, err := w.List(w.ctx, w.admin, f)
	w.must(err)
	return page.Keys
}

// legacy stores a key as import does.
func (w *world) legacy() (storage.Key, string) {
	w.Helper()
	minted, err := w.scheme.Mint(w.ctx, w.creation.Prefix, w.creation.Environment)
	w.must(err)
	id := "imported-" + rand.Text()
	k := storage.Key{ID: id, Lookup: minted.Lookup, Lineage: id, Organisation: w.org, Name: "Old CRM", Last4: minted.Last4,
		Format: minted.Format, Environment: minted.Environment, Access: strikeplate.Legacy, Creator: w.admin.User,
		Hash: minted.Hash, SecretVersion: 1, Created: w.clock.now()}
	w.must(w.store.Commit(w.ctx, storage.Mutation{Now: k.Created, Put: []storage.Key{k},
		Audit: []storage.Entry{{Organisation: w.org, Action: "key.import", Target: id, At: k.Created}}}))
	return k, minted.Secret.Reveal()
}

// stored is the record behind a key.
func (w *world) stored(id string) storage.Key {
	w.Helper()
	k, err := w.store.Key(w.ctx, w.org, id)
	w.must(err)
	return k
}

// works fails unless the secret is accepted.
func (w *world) works(secret string) *strikeplate.Principal {
	w.Helper()
	p, err := w.auth.Verify(w.ctx, secret, w.admin.Client)
	if err != nil {
		w.Fatalf("a good key is refused: %s", told(err))
	}
	return p
}

// fails unless the secret is refused with that code.
func (w *world) fails(secret, code string) {
	w.Helper()
	if p, err := w.auth.Verify(w.ctx, secret, w.admin.Client); !refusedWith(err, 0, code) {
		w.Fatalf("got %v, %s; want %s", p, told(err), code)
	}
}

// refused fails unless err is that refusal, and says something to a person.
func (w *world) refused(err error, status int, code string) *strikeplate.Error {
	w.Helper()
	var e *strikeplate.Error
	if !refusedWith(err, status, code) || !errors.As(err, &e) {
		w.Fatalf("got %s, want %d %s", told(err), status, code)
	}
	if len(e.Message) < 10 || e.Message[len(e.Message)-1] != '.' {
		w.Errorf("%s: %q is no sentence", code, e.Message)
	}
	return e
}

// invalid fails unless err names the field.
func (w *world) invalid(err error, field string) *strikeplate.Error {
	w.Helper()
	e := w.refused(err, 400, manage.CodeRequest)
	if e.Params["field"] != field {
		w.Fatalf("%s: names %q, want %q", told(err), e.Params["field"], field)
	}
	return e
}

func refusedWith(err error, status int, code string) bool {
	var e *strikeplate.Error
	return errors.As(err, &e) && e.Code == code && (status == 0 || e.Status == status)
}

// entries is the organisation's whole audit log.
func (w *world) entries() []manage.Entry {
	w.Helper()
	var all []manage.Entry
	for cursor := ""; ; {
		page, err := w.Audit(w.ctx, w.admin, cursor, 1000)
		w.must(err)
		if len(page.Entries) == 0 {
			return all
		}
		all, cursor = append(all, page.Entries...), page.Next
	}
}

// logged counts entries of an action.
func (w *world) logged(action string) int {
	w.Helper()
	n := 0
	for _, e := range w.entries() {
		if e.Action == action {
			n++
		}
	}
	return n
}

func named(name string) func(*manage.Creation) { return func(c *manage.Creation) { c.Name = name } }

func scoped(scopes ...string) func(*manage.Creation) {
	return func(c *manage.Creation) { c.Scopes = scopes }
}

func level(a strikeplate.Access, owner string) func(*manage.Creation) {
	return func(c *manage.Creation) { c.Access, c.Owner = a, owner }
}

func expiring(at time.Time) func(*manage.Creation) {
	return func(c *manage.Creation) { c.Expires = at }
}

func allowing(texts ...string) func(*manage.Creation) {
	return func(c *manage.Creation) {
		list, err := manage.ParseAllow(texts)
		if err != nil {
			panic(err)
		}
		c.Allow = list
	}
}
