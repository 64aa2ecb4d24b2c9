package storagetest

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/strikeplate/strikeplate/storage"
)

// Granting is what [RunGrants] checks: apps, what they were let do, the log and
// the feed of that, from one value. If it has an EraseOrganisation as in
// [storage.Operator], that is checked too.
type Granting interface {
	storage.Apps
	storage.Grants
	storage.Audit
	storage.Feed
}

// RunGrants checks every promise of [storage.Apps] and [storage.Grants]. open
// returns an empty store, and a new one at each call.
func RunGrants(t *testing.T, open func(*testing.T) Granting) {
	run(t, grantCases(), open)
	run(t, grantRaces, func(t *testing.T) grantPair {
		s := open(t)
		return grantPair{s, s}
	})
}

// RunGrantsPair checks what must hold between two store values on the same data,
// and that revocations through one reach the watchers of the other. open returns
// both on a new, empty database.
func RunGrantsPair(t *testing.T, open func(*testing.T) (here, there Granting)) {
	opened := func(t *testing.T) grantPair {
		here, there := open(t)
		return grantPair{here, there}
	}
	run(t, grantRaces, opened)
	run(t, grantPairCases, opened)
}

func grantCases() []check[Granting] {
	return slices.Concat(appCases, begunCases, revokedCases, codeCases, rotationCases, grantUpkeepCases, grantFeedCases)
}

type grantPair struct{ here, there Granting }

func (p grantPair) nth(i int) Granting {
	if i%2 == 0 {
		return p.here
	}
	return p.there
}

// rounds is how often a race is run. Two values of one store have little that one
// hasn't, and take turns at its lock slowly.
func (p grantPair) rounds() int {
	if p.here == p.there {
		return rounds
	}
	return rounds / 5
}

// granting drives a store and fails the test where it must not fail.
type granting struct {
	t testing.TB
	s Granting
}

func digest(text string) [32]byte { return sha256.Sum256([]byte(text)) }

// newApp returns one to register, as a service would; without an organisation it
// registered itself.
func newApp(organisation, id string) storage.App {
	a := storage.App{
		ClientID: id, Organisation: organisation, Name: "App " + id, Homepage: "https://" + id + ".example",
		Creator: "u-admin", Source: storage.AppRegistered,
		Secrets:      []storage.AppSecret{{Hash: digest("secret of " + id), Last4: "x7Qa", Created: noon}},
		RedirectURIs: []string{"https://" + id + ".example/back"}, Scopes: []string{"meetings:read", "meetings:write"},
		Created: noon,
	}
	if organisation == "" {
		a.Source, a.Public, a.Secrets, a.Creator = storage.AppDynamic, true, nil, ""
	}
	return a
}

func newGrant(organisation, id, clientID string) storage.Grant {
	return storage.Grant{
		ID: id, ClientID: clientID, Organisation: organisation, Subject: "u1", Scopes: []string{"meetings:read"},
		Authenticated: noon, Created: noon, Expires: noon.Add(90 * 24 * time.Hour),
	}
}

func newCode(g storage.Grant, name string) storage.Code {
	return storage.Code{
		Hash: digest(name), Grant: g.ID, RedirectURI: "https://app.example/back", RedirectGiven: true,
		Challenge: "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", Expires: noon.Add(time.Minute),
	}
}

func newToken(kind storage.TokenKind, grant, name string) storage.Token {
	life := time.Hour
	if kind == storage.RefreshToken {
		life = 30 * 24 * time.Hour
	}
	return storage.Token{
		Hash: digest(name), Kind: kind, Grant: grant, Scopes: []string{"meetings:read"}, Created: noon, Expires: noon.Add(life),
	}
}

// newTokens are an access and a refresh token, named after what they come from.
func newTokens(grant, name string) []storage.Token {
	return []storage.Token{newToken(storage.AccessToken, grant, "access "+name), newToken(storage.RefreshToken, grant, "refresh "+name)}
}

func grantEntry(organisation, target string) []storage.Entry {
	e := newEntry(organisation, target)
	e.Action = "grant.changed"
	return []storage.Entry{e}
}

func appMutation(a storage.App) storage.AppMutation {
	m := storage.AppMutation{Now: noon, Put: a}
	if a.Organisation != "" {
		m.Audit = grantEntry(a.Organisation, a.ClientID)
	}
	return m
}

func begun(g storage.Grant, tokens ...storage.Token) storage.NewGrant {
	return storage.NewGrant{Now: noon, Grant: g, Tokens: tokens, Audit: grantEntry(g.Organisation, g.ID)}
}

func withCode(g storage.Grant, name string) storage.NewGrant {
	n := begun(g)
	c := newCode(g, name)
	n.Code = &c
	return n
}

func agreed(g storage.Grant, scopes ...string) *storage.Consent {
	return &storage.Consent{Organisation: g.Organisation, Subject: g.Subject, ClientID: g.ClientID, Scopes: scopes, Given: noon}
}

func revocation(organisation, id string) storage.GrantRevocation {
	return storage.GrantRevocation{Now: noon.Add(time.Minute), Organisation: organisation, ID: id, Because: "lost", Audit: grantEntry(organisation, id)}
}

func (g granting) putApp(a storage.App) storage.App {
	g.t.Helper()
	if err := g.s.CommitApp(g.t.Context(), appMutation(a)); err != nil {
		g.t.Fatalf("CommitApp: %v", err)
	}
	return g.app(a.ClientID)
}

func (g granting) app(id string) storage.App {
	g.t.Helper()
	a, err := g.s.App(g.t.Context(), id)
	if err != nil {
		g.t.Fatalf("App(%q): %v", id, err)
	}
	return a
}

func (g granting) begin(n storage.NewGrant) {
	g.t.Helper()
	if err := g.s.BeginGrant(g.t.Context(), n); err != nil {
		g.t.Fatalf("BeginGrant: %v", err)
	}
}

func (g granting) grant(organisation, id string) storage.Grant {
	g.t.Helper()
	got, err := g.s.Grant(g.t.Context(), organisation, id)
	if err != nil {
		g.t.Fatalf("Grant(%q, %q): %v", organisation, id, err)
	}
	return got
}

func (g granting) presented(hash [32]byte) storage.Presented {
	g.t.Helper()
	p, err := g.s.Presented(g.t.Context(), hash)
	if err != nil {
		g.t.Fatalf("Presented: %v", err)
	}
	return p
}

func (g granting) revoke(r storage.GrantRevocation, want int) {
	g.t.Helper()
	if n, err := g.s.RevokeGrants(g.t.Context(), r); err != nil || n != want {
		g.t.Fatalf("RevokeGrants: %d, %v; want %d", n, err, want)
	}
}

func (g granting) block(organisation, clientID string) {
	g.t.Helper()
	b := storage.Block{Organisation: organisation, ClientID: clientID, By: "u-admin", Because: "not ours", At: noon.Add(time.Minute)}
	if err := g.s.BlockApp(g.t.Context(), b, grantEntry(organisation, clientID)); err != nil {
		g.t.Fatalf("BlockApp: %v", err)
	}
}

// wantRevoked fails unless exactly the named grants of acme and globex are.
func (g granting) wantRevoked(want ...string) {
	g.t.Helper()
	var got []string
	for _, organisation := range []string{"acme", "globex"} {
		for _, one := range g.grants(storage.GrantQuery{Query: storage.Query{Organisation: organisation, Status: storage.Revoked, Now: noon}}) {
			got = append(got, one.ID)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if d := cmp.Diff(want, got); d != "" {
		g.t.Fatalf("revoked grants (-want +got):\n%s", d)
	}
}

// logged returns the actions of an organisation's log.
func (g granting) logged(organisation string) []string {
	g.t.Helper()
	entries, _, err := g.s.Entries(g.t.Context(), storage.Query{Organisation: organisation, Limit: 1000})
	if err != nil {
		g.t.Fatalf("Entries: %v", err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Action+" "+e.Target)
	}
	return all
}

// unlogged runs f, and fails if the log of acme has grown.
func (g granting) unlogged(what string, f func()) {
	g.t.Helper()
	before := g.logged("acme")
	f()
	if d := cmp.Diff(before, g.logged("acme")); d != "" {
		g.t.Fatalf("%s changed nothing, yet was logged (-before +after):\n%s", what, d)
	}
}

func (g granting) grants(q storage.GrantQuery) []storage.Grant {
	g.t.Helper()
	return pages(g.t, q.PageSize(), func(cursor string) ([]storage.Grant, string, error) {
		q.Cursor = cursor
		return g.s.ListGrants(g.t.Context(), q)
	})
}

func (g granting) apps(q storage.Query) []storage.App {
	g.t.Helper()
	return pages(g.t, q.PageSize(), func(cursor string) ([]storage.App, string, error) {
		q.Cursor = cursor
		return g.s.ListApps(g.t.Context(), q)
	})
}

// pages reads all of a list.
func pages[T any](t testing.TB, size int, list func(cursor string) ([]T, string, error)) []T {
	t.Helper()
	var all []T
	for cursor := ""; ; {
		page, next, err := list(cursor)
		switch {
		case err != nil:
			t.Fatalf("list: %v", err)
		case len(page) > size || len(page) == 0 && next != "":
			t.Fatalf("list: a page of %d where %d are the most, next %q", len(page), size, next)
		case len(all) > 100_000:
			t.Fatal("list: no end")
		}
		all = append(all, page...)
		if next == "" {
			return all
		}
		cursor = next
	}
}

// micro is a time as it comes back.
func micro(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// odd is a moment that no backend keeps as it is.
func odd(hours int) time.Time {
	return noon.Add(time.Duration(hours)*time.Hour + 1500*time.Nanosecond).In(time.FixedZone("", 3600))
}

func numbered(format string, n int) []string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf(format, i))
	}
	return all
}
