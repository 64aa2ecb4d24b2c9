package storagetest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/strikeplate/strikeplate/storage"
)

// grantUpkeepCases: what is used once, and how all of it ends.
var grantUpkeepCases = []check[Granting]{
	{"PushedTaken", pushedTaken},
	{"PushRefused", pushRefused},
	{"UsedOnce", usedOnce},
	{"GrantsPruned", grantsPruned},
	{"GrantsPrunedInParts", grantsPrunedInParts},
	{"RotatedTokensStay", rotatedTokensStay},
	{"GrantsErased", grantsErased},
	{"GrantsCancelled", grantsCancelled},
}

func newPushed(name string) storage.Pushed {
	return storage.Pushed{Hash: digest(name), ClientID: "app", Form: "client_id=app&state=%C3%A9", Expires: noon.Add(time.Minute)}
}

func (g granting) push(p storage.Pushed) {
	g.t.Helper()
	if err := g.s.Push(g.t.Context(), p); err != nil {
		g.t.Fatalf("Push: %v", err)
	}
}

func (g granting) take(name string, now time.Time, want error) storage.Pushed {
	g.t.Helper()
	p, err := g.s.TakePushed(g.t.Context(), digest(name), now)
	wantOnly(g.t, name, err, want)
	return p
}

func pushedTaken(t testing.TB, s Granting) {
	g := granting{t, s}
	p := newPushed("p1")
	p.Expires = odd(1)
	g.push(p)
	g.push(newPushed("p2"))
	g.push(newPushed("p3"))
	wantOnly(t, "pushed twice", s.Push(t.Context(), newPushed("p2")), storage.ErrConflict)
	p.Expires = micro(p.Expires)
	if d := cmp.Diff(p, g.take("p1", noon, nil)); d != "" {
		t.Errorf("what was pushed (-want +got):\n%s", d)
	}
	g.take("p1", noon, storage.ErrNotFound)
	if got := g.take("p2", noon.Add(time.Minute), storage.ErrExpired); got.Form != "" {
		t.Errorf("an expired request was returned: %+v", got)
	}
	g.take("p2", noon, storage.ErrNotFound)
	g.take("p3", noon.Add(time.Minute-time.Microsecond), nil)
	g.take("unknown", noon, storage.ErrNotFound)
}

func pushRefused(t testing.TB, s Granting) {
	for what, change := range map[string]func(*storage.Pushed){
		"no hash":      func(p *storage.Pushed) { p.Hash = [32]byte{} },
		"no client ID": func(p *storage.Pushed) { p.ClientID = "" },
		"no end":       func(p *storage.Pushed) { p.Expires = time.Time{} },
		"a long form":  func(p *storage.Pushed) { p.Form = strings.Repeat("a", 8<<10+1) },
		"a NUL byte":   func(p *storage.Pushed) { p.Form = "\x00" },
	} {
		p := newPushed("p1")
		change(&p)
		wantOther(t, what, s.Push(t.Context(), p))
	}
	granting{t, s}.take("p1", noon, storage.ErrNotFound)
}

func usedOnce(t testing.TB, s Granting) {
	end := odd(1)
	for i, c := range []struct {
		name         string
		now, expires time.Time
		first        bool
	}{
		{"a", noon, end, true},
		{"b", noon, end, true},
		{"a", noon, end, false},
		{"a", micro(end).Add(-time.Microsecond), end.Add(time.Hour), false}, // and doesn't last longer for it
		{"a", micro(end), end.Add(time.Hour), true},
		{"a", micro(end), end.Add(time.Hour), false},
		{"b", micro(end).Add(-time.Microsecond), end, false},
	} {
		first, err := s.UseOnce(t.Context(), digest(c.name), c.now, c.expires)
		if err != nil || first != c.first {
			t.Fatalf("use %d, of %s at %v: %t, %v; want %t", i, c.name, c.now, first, err, c.first)
		}
	}
}

func (g granting) prune(before time.Time, limit, want int) {
	g.t.Helper()
	if n, err := g.s.PruneGrants(g.t.Context(), before, limit); err != nil || n != want {
		g.t.Fatalf("PruneGrants before %v: %d, %v; want %d", before, n, err, want)
	}
}

// grantsPruned: each of what ended before a moment, and nothing else.
func grantsPruned(t testing.TB, s Granting) {
	g := granting{t, s}
	g.putApp(newApp("acme", "app"))
	g.begin(withCode(newGrant("acme", "a1", "app"), "code"))
	g.begin(begun(newGrant("acme", "a2", "app"), newTokens("a2", "a2")...))
	over := begun(newGrant("acme", "over", "app"), newTokens("over", "over")...)
	over.Consent = agreed(over.Grant, "meetings:read")
	g.begin(over)
	r := revocation("acme", "over")
	r.Now = noon.Add(time.Second)
	g.revoke(r, 1)
	g.push(newPushed("p1"))
	if _, err := s.UseOnce(t.Context(), digest("once"), noon, noon.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}

	g.prune(r.Now, 0, 0)                       // nothing ended before
	g.prune(r.Now.Add(time.Microsecond), 0, 3) // the revoked grant with its tokens
	g.wantNoToken("access over", "refresh over")
	_, err := s.Grant(t.Context(), "acme", "over")
	wantOnly(t, "a pruned grant", err, storage.ErrNotFound)
	if _, err := s.Consent(t.Context(), "acme", "u1", "app"); err != nil {
		t.Errorf("consent outlives grants: %v", err)
	}

	g.prune(noon.Add(time.Minute), 0, 0)
	g.prune(noon.Add(time.Minute+time.Microsecond), 0, 3) // the code, the request, what was used once
	_, _, err = s.Code(t.Context(), digest("code"))
	wantOnly(t, "a pruned code", err, storage.ErrNotFound)
	g.take("p1", noon, storage.ErrNotFound)
	if first, err := s.UseOnce(t.Context(), digest("once"), noon, noon.Add(time.Minute)); err != nil || !first {
		t.Errorf("what was used once, after pruning: %t, %v", first, err)
	}
	g.grant("acme", "a1")

	g.prune(noon.Add(time.Hour+time.Microsecond), 0, 2) // an access token, what was used once again
	g.wantNoToken("access a2")
	g.presented(digest("refresh a2"))
	g.prune(noon.Add(30*24*time.Hour+time.Microsecond), 0, 1) // a refresh token that was not rotated
	g.wantNoToken("refresh a2")
	g.prune(noon.Add(90*24*time.Hour), 0, 0)
	g.prune(noon.Add(90*24*time.Hour+time.Microsecond), 0, 2)
	_, err = s.Grant(t.Context(), "acme", "a2")
	wantOnly(t, "a grant that ended", err, storage.ErrNotFound)
}

// grantsPrunedInParts: no more than limit of each, and grants not before theirs.
func grantsPrunedInParts(t testing.TB, s Granting) {
	g := granting{t, s}
	g.putApp(newApp("acme", "app"))
	for i := range 3 {
		id := fmt.Sprint("a", i)
		g.begin(begun(newGrant("acme", id, "app"), newTokens(id, id)...))
		g.push(newPushed(id))
	}
	late := noon.Add(100 * 24 * time.Hour)
	left := func() (grants, tokens int) {
		for i := range 3 {
			id := fmt.Sprint("a", i)
			of := 0
			for _, name := range []string{"access ", "refresh "} {
				if _, err := s.Presented(t.Context(), digest(name+id)); err == nil {
					of++
				}
			}
			tokens += of
			if _, err := s.Grant(t.Context(), "acme", id); err == nil {
				grants++
			} else if of > 0 {
				t.Errorf("grant %s is gone before %d of its tokens", id, of)
			}
		}
		return grants, tokens
	}
	removed := 0
	for range 20 {
		n, err := s.PruneGrants(t.Context(), late, 2)
		if err != nil || n > 2*3 {
			t.Fatalf("PruneGrants of 2 each: %d, %v", n, err)
		}
		grants, tokens := left()
		if removed += n; removed > 0 && removed < 12 && grants+tokens == 0 {
			t.Fatalf("%d removed, and nothing is left", removed)
		}
		if n == 0 {
			break
		}
	}
	if grants, tokens := left(); removed != 12 || grants+tokens != 0 {
		t.Errorf("%d removed, %d grants and %d tokens left; want 12, 0, 0", removed, grants, tokens)
	}
}

// rotatedTokensStay: who uses one long after it expired is noticed all the same.
func rotatedTokensStay(t testing.TB, s Granting) {
	g := refreshable(t, s)
	g.rotate("rotated", rotation("a1", "a1", "next"), false, nil)
	late := noon.Add(80 * 24 * time.Hour)
	g.prune(late, 0, 5) // but for the rotated one
	r := rotation("a1", "a1", "another")
	r.Now = late
	g.rotate("an expired token that was rotated", r, false, storage.ErrReused)
	g.wantRevoked("a1")
}

func grantsErased(t testing.TB, s Granting) {
	o, ok := s.(interface {
		EraseOrganisation(ctx context.Context, organisation string) error
	})
	if !ok {
		return // it erases nothing
	}
	g := granting{t, s}
	g.putApp(newApp("acme", "ours"))
	g.putApp(newApp("globex", "theirs"))
	g.putApp(newApp("", "nobody's"))
	for _, c := range []string{"ours", "theirs", "nobody's"} {
		for _, organisation := range []string{"acme", "globex"} {
			id := organisation + " " + c
			n := begun(newGrant(organisation, id, c), newTokens(id, id)...)
			n.Consent = agreed(n.Grant, "meetings:read")
			g.begin(n)
			g.begin(withCode(newGrant(organisation, "code "+id, c), "code "+id))
		}
	}
	g.block("acme", "blocked")
	g.block("globex", "blocked")
	for range 2 { // once more finds nothing
		if err := o.EraseOrganisation(t.Context(), "acme"); err != nil {
			t.Fatal(err)
		}
	}
	_, err := s.App(t.Context(), "ours")
	wantOnly(t, "its app", err, storage.ErrNotFound)
	for _, c := range []string{"ours", "theirs", "nobody's"} {
		for _, organisation := range []string{"acme", "globex"} {
			want, id := error(nil), organisation+" "+c
			if c == "ours" || organisation == "acme" {
				want = storage.ErrNotFound
			}
			_, err := s.Grant(t.Context(), organisation, id)
			wantOnly(t, "grant "+id, err, want)
			_, err = s.Presented(t.Context(), digest("access "+id))
			wantOnly(t, "token "+id, err, want)
			_, _, err = s.Code(t.Context(), digest("code "+id))
			wantOnly(t, "code "+id, err, want)
			_, err = s.Consent(t.Context(), organisation, "u1", c)
			wantOnly(t, "consent "+id, err, want)
		}
	}
	g.wantBlocks("acme")
	if got, err := s.Blocks(t.Context(), "globex"); err != nil || len(got) != 1 {
		t.Errorf("another's blocks: %v, %v", got, err)
	}
	g.putApp(newApp("globex", "ours")) // its name is free again
	g.begin(begun(newGrant("acme", "acme ours", "theirs"), newTokens("acme ours", "acme ours")...))
}

// grantsCancelled: nothing is written for a caller who has gone.
func grantsCancelled(t testing.TB, s Granting) {
	g := refreshable(t, s)
	g.begin(withCode(newGrant("acme", "a3", "app"), "code"))
	g.push(newPushed("p1"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, revoked := s.RevokeGrants(ctx, revocation("acme", "a1"))
	_, _, rotated := s.Rotate(ctx, rotation("a1", "a1", "next"))
	_, taken := s.TakePushed(ctx, digest("p1"), noon)
	_, once := s.UseOnce(ctx, digest("once"), noon, noon.Add(time.Hour))
	for what, err := range map[string]error{
		"CommitApp":    s.CommitApp(ctx, appMutation(newApp("acme", "new"))),
		"BlockApp":     s.BlockApp(ctx, storage.Block{Organisation: "acme", ClientID: "app", At: noon}, grantEntry("acme", "app")),
		"BeginGrant":   s.BeginGrant(ctx, begun(newGrant("acme", "new", "app"))),
		"RevokeGrants": revoked,
		"UseCode":      s.UseCode(ctx, digest("code"), noon, newTokens("a3", "a3")),
		"Rotate":       rotated,
		"DropToken":    s.DropToken(ctx, digest("access a1")),
		"Push":         s.Push(ctx, newPushed("p2")),
		"TakePushed":   taken,
		"UseOnce":      once,
	} {
		wantOther(t, what+" when cancelled", err)
	}
	_, err := s.App(t.Context(), "new")
	wantOnly(t, "an app", err, storage.ErrNotFound)
	_, err = s.Grant(t.Context(), "acme", "new")
	wantOnly(t, "a grant", err, storage.ErrNotFound)
	g.wantRevoked()
	g.wantBlocks("acme")
	g.wantNoToken("access a3", "access next")
	g.wantUse("the code", noon, nil, newTokens("a3", "a3")...)
	g.rotate("the token", rotation("a1", "a1", "next"), false, nil)
	g.presented(digest("access a1"))
	g.take("p2", noon, storage.ErrNotFound)
	g.take("p1", noon, nil)
	if first, err := s.UseOnce(t.Context(), digest("once"), noon, noon.Add(time.Hour)); err != nil || !first {
		t.Errorf("UseOnce: %t, %v", first, err)
	}
}
