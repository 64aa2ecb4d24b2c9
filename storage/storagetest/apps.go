package storagetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/strikeplate/strikeplate/storage"
)

// appCases: OAuth clients.
var appCases = []check[Granting]{
	{"AppStored", appStored},
	{"AppReplaced", appReplaced},
	{"AppLimit", appLimit},
	{"AppsListed", appsListed},
	{"AppRevoked", appRevoked},
	{"AppBlocked", appBlocked},
	{"AppBlockRefused", appBlockRefused},
	{"AppsPruned", appsPruned},
	{"AppRefused", appRefused},
}

func fullApp() storage.App {
	a := newApp("acme", "app")
	a.Secrets = []storage.AppSecret{
		{Hash: digest("old"), Last4: "1234", Created: odd(-2), Expires: odd(1)}, {Hash: digest("new"), Last4: "5678", Created: odd(0)},
	}
	a.RedirectURIs = []string{"https://a.example/é?x=1", "http://127.0.0.1/"}
	a.Origins = []string{"https://a.example", "https://b.example"}
	a.ClientCredentials, a.InsecureNoPKCE, a.Created = true, true, odd(-3)
	return a
}

func appStored(t testing.TB, s Granting) {
	g := granting{t, s}
	document := newApp("", "https://client.example/metadata")
	document.Source = storage.AppDocument
	for _, a := range []storage.App{fullApp(), document} {
		want := a
		want.Version = 1
		want.Created = micro(a.Created)
		want.Secrets = slices.Clone(a.Secrets)
		for i, secret := range want.Secrets {
			want.Secrets[i].Created, want.Secrets[i].Expires = micro(secret.Created), micro(secret.Expires)
		}
		got := g.putApp(a)
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("a stored app (-want +got):\n%s", d)
		}
		got.RedirectURIs[0] = "https://evil.example/"
		if d := cmp.Diff(want, g.app(a.ClientID)); d != "" {
			t.Fatalf("changing what was returned changed the store (-want +got):\n%s", d)
		}
		want.Secrets, want.Origins, want.Name = nil, nil, "Renamed"
		changed := want
		changed.Secrets, changed.Origins = []storage.AppSecret{}, []string{}
		want.Version++
		if d := cmp.Diff(want, g.putApp(changed)); d != "" {
			t.Fatalf("a changed app (-want +got):\n%s", d)
		}
	}
	_, err := s.App(t.Context(), "nobody's")
	wantOnly(t, "an unknown app", err, storage.ErrNotFound)
	_, err = s.App(t.Context(), "a\x00")
	wantOnly(t, "an app that can't be", err, storage.ErrNotFound)
}

func appReplaced(t testing.TB, s Granting) {
	g := granting{t, s}
	a := g.putApp(newApp("acme", "app"))
	gone := newApp("acme", "gone")
	gone.Revoked, gone.RevokedBecause = noon, "evil"
	gone = g.putApp(gone)
	for what, c := range map[string]struct {
		from   storage.App
		change func(*storage.App)
		want   error
	}{
		"created again":        {a, func(a *storage.App) { a.Version = 0 }, storage.ErrConflict},
		"taken by another":     {newApp("globex", "app"), func(*storage.App) {}, storage.ErrConflict},
		"never created":        {a, func(a *storage.App) { a.ClientID = "other" }, storage.ErrNotFound},
		"another organisation": {a, func(a *storage.App) { a.Organisation = "globex" }, storage.ErrNotFound},
		"nobody's":             {a, func(a *storage.App) { a.Organisation = "" }, storage.ErrNotFound},
		"revoked":              {gone, func(a *storage.App) { a.Revoked, a.Version = time.Time{}, 7 }, storage.ErrRevoked},
		"an old version":       {a, func(a *storage.App) { a.Version, a.Creator = 7, "u2" }, storage.ErrConflict},
		"another creator":      {a, func(a *storage.App) { a.Creator = "u2" }, storage.ErrPermanent},
		"another source":       {a, func(a *storage.App) { a.Source = storage.AppDynamic }, storage.ErrPermanent},
		"became public":        {a, func(a *storage.App) { a.Public, a.Secrets = true, nil }, storage.ErrPermanent},
		"created at another":   {a, func(a *storage.App) { a.Created = a.Created.Add(time.Microsecond) }, storage.ErrPermanent},
	} {
		next := c.from
		c.change(&next)
		g.unlogged(what, func() { wantOnly(t, what, s.CommitApp(t.Context(), appMutation(next)), c.want) })
	}
	unlogged := appMutation(a)
	unlogged.Audit = nil
	wantOnly(t, "without an entry", s.CommitApp(t.Context(), unlogged), storage.ErrNoAudit)
	for _, stored := range []storage.App{a, gone} {
		if d := cmp.Diff(stored, g.app(stored.ClientID)); d != "" {
			t.Fatalf("what was refused changed the app (-before +after):\n%s", d)
		}
	}
	_, err := s.App(t.Context(), "other")
	wantOnly(t, "what was refused", err, storage.ErrNotFound)
}

func appLimit(t testing.TB, s Granting) {
	g := granting{t, s}
	for i := range storage.MaxApps {
		g.putApp(newApp("acme", fmt.Sprint("app", i)))
	}
	g.unlogged("beyond the limit", func() {
		wantOnly(t, "one more app", s.CommitApp(t.Context(), appMutation(newApp("acme", "more"))), storage.ErrLimit)
	})
	g.putApp(newApp("globex", "theirs"))
	g.putApp(newApp("", "nobody's"))
	a := g.app("app7")
	a.Name = "a change at the limit"
	a = g.putApp(a)
	a.Revoked = noon
	g.putApp(a)
	g.putApp(newApp("acme", "more"))
}

func appsListed(t testing.TB, s Granting) {
	g := granting{t, s}
	for i, id := range numbered("app%d", 7) {
		a := newApp("acme", id)
		a.Created = noon.Add(time.Duration(i/2) * time.Minute) // some at the same time
		if i == 3 {
			a.Revoked = noon
		}
		g.putApp(a)
	}
	g.putApp(newApp("globex", "theirs"))
	g.putApp(newApp("", "nobody's"))
	for _, c := range []struct {
		status storage.Status
		want   []string
	}{
		{storage.AnyStatus, []string{"app6", "app5", "app4", "app3", "app2", "app1", "app0"}},
		{storage.Active, []string{"app6", "app5", "app4", "app2", "app1", "app0"}},
		{storage.Unrevoked, []string{"app6", "app5", "app4", "app2", "app1", "app0"}},
		{storage.Revoked, []string{"app3"}},
		{storage.Expired, nil},
	} {
		for _, limit := range []int{0, 1, 2, 7} {
			var got []string
			for _, a := range g.apps(storage.Query{Organisation: "acme", Status: c.status, Now: noon, Limit: limit}) {
				got = append(got, a.ClientID)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("status %q, pages of %d (-want +got):\n%s", c.status, limit, d)
			}
		}
	}
	if got := g.apps(storage.Query{Now: noon}); len(got) > 0 {
		t.Errorf("no organisation lists %d apps", len(got))
	}
	_, _, err := s.ListApps(t.Context(), storage.Query{Organisation: "acme", Cursor: "?"})
	wantOnly(t, "an unreadable cursor", err, storage.ErrNotFound)
}

// appRevoked: it takes its grants with it, wherever they are.
func appRevoked(t testing.TB, s Granting) {
	g := granting{t, s}
	a := g.putApp(newApp("acme", "app"))
	g.putApp(newApp("acme", "other"))
	for _, one := range []storage.Grant{newGrant("acme", "a1", "app"), newGrant("globex", "g1", "app"), newGrant("acme", "a2", "other")} {
		n := begun(one, newTokens(one.ID, one.ID)...)
		n.Consent = agreed(one, "meetings:read")
		g.begin(n)
	}
	g.revoke(revocation("acme", "a1"), 1)
	before := g.grant("acme", "a1")
	a.Revoked, a.RevokedBecause = odd(1), "malware"
	a = g.putApp(a)
	g.wantRevoked("a1", "g1")
	if d := cmp.Diff(before, g.grant("acme", "a1")); d != "" {
		t.Errorf("a grant that was revoked before changed (-before +after):\n%s", d)
	}
	got := g.presented(digest("access g1"))
	if !got.Grant.Revoked.Equal(micro(odd(1))) || got.Grant.RevokedBecause != "malware" || got.Grant.Version != 2 {
		t.Errorf("a grant of a revoked app: %+v", got.Grant)
	}
	if d := cmp.Diff(a, got.App); d != "" {
		t.Errorf("the app that is presented (-want +got):\n%s", d)
	}
	_, err := s.Consent(t.Context(), "globex", "u1", "app")
	wantOnly(t, "consent to a revoked app", err, storage.ErrNotFound)
	if _, err := s.Consent(t.Context(), "acme", "u1", "other"); err != nil {
		t.Errorf("consent to another app: %v", err)
	}
	wantOnly(t, "a grant for a revoked app", s.BeginGrant(t.Context(), begun(newGrant("acme", "a3", "app"))), storage.ErrRevoked)
}

func appBlocked(t testing.TB, s Granting) {
	g := granting{t, s}
	g.putApp(newApp("", "app"))
	for _, one := range []storage.Grant{newGrant("acme", "a1", "app"), newGrant("globex", "g1", "app")} {
		n := begun(one, newTokens(one.ID, one.ID)...)
		n.Consent = agreed(one, "meetings:read")
		g.begin(n)
	}
	g.block("acme", "app")
	g.wantRevoked("a1")
	if one := g.grant("acme", "a1"); one.RevokedBecause != "not ours" || !one.Revoked.Equal(noon.Add(time.Minute)) || one.Version != 2 {
		t.Errorf("a grant of a blocked app: %+v", one)
	}
	if here, there := g.presented(digest("access a1")), g.presented(digest("access g1")); !here.Blocked || there.Blocked {
		t.Errorf("blocked: %t in the organisation, %t in another", here.Blocked, there.Blocked)
	}
	_, err := s.Consent(t.Context(), "acme", "u1", "app")
	wantOnly(t, "consent to a blocked app", err, storage.ErrNotFound)
	if _, err := s.Consent(t.Context(), "globex", "u1", "app"); err != nil {
		t.Errorf("consent in another organisation: %v", err)
	}
	wantOnly(t, "a grant for a blocked app", s.BeginGrant(t.Context(), begun(newGrant("acme", "a2", "app"))), storage.ErrBlocked)
	g.begin(begun(newGrant("globex", "g2", "app")))
	g.unlogged("blocking again", func() {
		b := storage.Block{Organisation: "acme", ClientID: "app", By: "u2", Because: "again", At: noon.Add(time.Hour)}
		if err := s.BlockApp(t.Context(), b, grantEntry("acme", "again")); err != nil {
			t.Fatal(err)
		}
	})
	b := storage.Block{Organisation: "acme", ClientID: "unheard of", At: odd(1)}
	if err := s.BlockApp(t.Context(), b, grantEntry("acme", "unheard of")); err != nil {
		t.Fatal(err)
	}
	b.At = micro(b.At)
	g.wantBlocks("acme", b, storage.Block{Organisation: "acme", ClientID: "app", By: "u-admin", Because: "not ours", At: noon.Add(time.Minute)})
	g.wantBlocks("globex")

	if err := s.UnblockApp(t.Context(), "acme", "app", grantEntry("acme", "unblocked")); err != nil {
		t.Fatal(err)
	}
	g.wantBlocks("acme", b)
	g.begin(begun(newGrant("acme", "a2", "app")))
	g.wantRevoked("a1") // stays so
	if log := g.logged("acme"); !slices.Contains(log, "grant.changed unblocked") || !slices.Contains(log, "grant.changed app") {
		t.Errorf("the log of blocking and unblocking: %q", log)
	}
}

func (g granting) wantBlocks(organisation string, want ...storage.Block) {
	g.t.Helper()
	got, err := g.s.Blocks(g.t.Context(), organisation)
	if err != nil {
		g.t.Fatalf("Blocks: %v", err)
	}
	if d := cmp.Diff(want, got); d != "" {
		g.t.Fatalf("blocks of %s (-want +got):\n%s", organisation, d)
	}
}

func appBlockRefused(t testing.TB, s Granting) {
	g := granting{t, s}
	b := storage.Block{Organisation: "acme", ClientID: "app", At: noon}
	wantOnly(t, "a block without an entry", s.BlockApp(t.Context(), b, nil), storage.ErrNoAudit)
	for what, change := range map[string]func(*storage.Block){
		"no organisation": func(b *storage.Block) { b.Organisation = "" },
		"no app":          func(b *storage.Block) { b.ClientID = "" },
		"no time":         func(b *storage.Block) { b.At = time.Time{} },
		"a NUL byte":      func(b *storage.Block) { b.Because = "a\x00" },
		"a long reason":   func(b *storage.Block) { b.Because = strings.Repeat("a", 1025) },
	} {
		bad := b
		change(&bad)
		g.unlogged(what, func() { wantOther(t, what, s.BlockApp(t.Context(), bad, grantEntry("acme", "app"))) })
	}
	g.wantBlocks("acme")
	g.block("globex", "app")
	wantOnly(t, "lifted without an entry", s.UnblockApp(t.Context(), "globex", "app", nil), storage.ErrNoAudit)
	g.unlogged("lifted twice", func() {
		wantOnly(t, "another's block", s.UnblockApp(t.Context(), "acme", "app", grantEntry("acme", "app")), storage.ErrNotFound)
	})
	if got, err := s.Blocks(t.Context(), "globex"); err != nil || len(got) != 1 {
		t.Errorf("blocks of globex: %v, %v", got, err)
	}
}

// appsPruned: those that nobody registered and nobody let in.
func appsPruned(t testing.TB, s Granting) {
	g := granting{t, s}
	g.putApp(newApp("acme", "registered"))
	for i, id := range []string{"used", "revoked", "new", "idle1", "idle2", "idle3"} {
		a := newApp("", id)
		if id == "new" {
			a.Created = noon.Add(time.Hour)
		}
		if i == 1 {
			a.Revoked = noon
		}
		g.putApp(a)
	}
	n := begun(newGrant("acme", "a1", "used"))
	g.begin(n)
	for _, want := range []int{2, 1, 0} {
		if got, err := s.PruneApps(t.Context(), noon.Add(time.Hour), 2); err != nil || got != want {
			t.Fatalf("PruneApps: %d, %v; want %d", got, err, want)
		}
	}
	for _, id := range []string{"registered", "used", "revoked", "new"} {
		g.app(id)
	}
	for _, id := range []string{"idle1", "idle2", "idle3"} {
		_, err := s.App(t.Context(), id)
		wantOnly(t, "a pruned app", err, storage.ErrNotFound)
	}
}

func appRefused(t testing.TB, s Granting) {
	for what, change := range map[string]func(*storage.App){
		"no client ID":           func(a *storage.App) { a.ClientID = "" },
		"a long client ID":       func(a *storage.App) { a.ClientID = strings.Repeat("a", 1025) },
		"a NUL byte":             func(a *storage.App) { a.Name = "a\x00" },
		"not UTF-8":              func(a *storage.App) { a.Scopes = []string{"\xff"} },
		"a long name":            func(a *storage.App) { a.Name = strings.Repeat("a", 256) },
		"a long redirect URI":    func(a *storage.App) { a.RedirectURIs = []string{strings.Repeat("a", 2049)} },
		"a long origin":          func(a *storage.App) { a.Origins = []string{strings.Repeat("a", 2049)} },
		"a long homepage":        func(a *storage.App) { a.Homepage = strings.Repeat("a", 2049) },
		"too many redirect URIs": func(a *storage.App) { a.RedirectURIs = numbered("https://a.example/%d", storage.MaxAppURLs+1) },
		"too many scopes":        func(a *storage.App) { a.Scopes = numbered("scope%d", storage.MaxGrantScopes+1) },
		"no source":              func(a *storage.App) { a.Source = "" },
		"no time":                func(a *storage.App) { a.Created = time.Time{} },
		"a negative version":     func(a *storage.App) { a.Version = -1 },
		"three secrets": func(a *storage.App) {
			a.Secrets = []storage.AppSecret{{Hash: digest("1")}, {Hash: digest("2")}, {Hash: digest("3")}}
		},
		"a secret of nothing":    func(a *storage.App) { a.Secrets = make([]storage.AppSecret, 1) },
		"a public app's secret":  func(a *storage.App) { a.Public = true },
		"a secret not ValidText": func(a *storage.App) { a.Secrets[0].Last4 = "\xff" },
		"a long reason":          func(a *storage.App) { a.RevokedBecause = strings.Repeat("a", 1025) },
	} {
		a := fullApp()
		change(&a)
		err := s.CommitApp(t.Context(), appMutation(a))
		wantOther(t, what, err)
	}
	_, err := s.App(t.Context(), "app")
	wantOnly(t, "what was refused", err, storage.ErrNotFound)
	granting{t, s}.putApp(fullApp())
}
