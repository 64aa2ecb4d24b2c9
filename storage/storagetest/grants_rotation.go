package storagetest

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/strikeplate/strikeplate/storage"
)

// rotationCases: refresh tokens, and how a token is dropped.
var rotationCases = []check[Granting]{
	{"TokenRotated", tokenRotated},
	{"TokenReused", tokenReused},
	{"RotationRepeated", rotationRepeated},
	{"NoRepetition", noRepetition},
	{"RepeatedOfNoUse", repeatedOfNoUse},
	{"RotationOfNoUse", rotationOfNoUse},
	{"RotationRefused", rotationRefused},
	{"TokenDropped", tokenDropped},
}

// refreshable stores an app and grants a1 and a2, each with tokens of its name.
func refreshable(t testing.TB, s Granting) granting {
	t.Helper()
	g := granting{t, s}
	g.putApp(newApp("acme", "app"))
	for _, id := range []string{"a1", "a2"} {
		g.begin(begun(newGrant("acme", id, "app"), newTokens(id, id)...))
	}
	return g
}

// rotation exchanges a refresh token for a pair, both by their names.
func rotation(grant, old, next string) storage.Rotation {
	pair := newTokens(grant, next)
	return storage.Rotation{Old: digest("refresh " + old), Now: noon, Access: pair[0], Refresh: pair[1]}
}

func (g granting) rotate(what string, r storage.Rotation, repeated bool, want error) storage.Token {
	g.t.Helper()
	access, again, err := g.s.Rotate(g.t.Context(), r)
	wantOnly(g.t, what, err, want)
	if again != repeated {
		g.t.Fatalf("%s: repeated %t, want %t", what, again, repeated)
	}
	return access
}

func (g granting) wantNoToken(names ...string) {
	g.t.Helper()
	for _, name := range names {
		_, err := g.s.Presented(g.t.Context(), digest(name))
		wantOnly(g.t, name, err, storage.ErrNotFound)
	}
}

func tokenRotated(t testing.TB, s Granting) {
	g := refreshable(t, s)
	r := rotation("a1", "a1", "next")
	r.Now, r.Access.Created, r.Access.Resources = odd(1), odd(1), []string{"https://api.example"}
	r.Access.Expires, r.Refresh.Thumbprint = odd(2), "thumb"
	want := r.Access
	want.Created, want.Expires = micro(want.Created), micro(want.Expires)
	g.unlogged("rotating", func() {
		if d := cmp.Diff(want, g.rotate("rotated", r, false, nil)); d != "" {
			t.Errorf("the access token that is returned (-want +got):\n%s", d)
		}
	})
	if d := cmp.Diff(want, g.presented(want.Hash).Token) + cmp.Diff(r.Refresh, g.presented(r.Refresh.Hash).Token); d != "" {
		t.Errorf("the new tokens (-want +got):\n%s", d)
	}
	old := newTokens("a1", "a1")
	old[1].Rotated, old[1].Successor = micro(odd(1)), r.Refresh.Hash
	for _, token := range old {
		if d := cmp.Diff(token, g.presented(token.Hash).Token); d != "" {
			t.Errorf("the old %s token (-want +got):\n%s", token.Kind, d)
		}
	}
	g.rotate("the next", rotation("a1", "next", "third"), false, nil)
	g.wantRevoked()
}

// tokenReused: without Grace a refresh token works once, and its family ends when
// it is used again (THREATS 27; RFC 9700 4.14.2).
func tokenReused(t testing.TB, s Granting) {
	g := refreshable(t, s)
	r := rotation("a1", "a1", "next")
	g.rotate("rotated", r, false, nil)
	r.Now = noon.Add(time.Second)
	g.rotate("rotated again", r, false, storage.ErrReused)
	g.wantRevoked("a1")
	g.wantReuseLogged(1)
	got := g.grant("acme", "a1")
	if !got.Revoked.Equal(r.Now) || got.RevokedBecause == "" || got.Version != 2 {
		t.Errorf("the grant of a token that was used twice: %+v", got)
	}
	thief := rotation("a1", "a1", "another")
	thief.Now = noon.Add(time.Hour)
	g.rotate("by another", thief, false, storage.ErrReused)
	g.wantNoToken("access another", "refresh another")
	g.wantReuseLogged(1)
	if d := cmp.Diff(got, g.grant("acme", "a1")); d != "" {
		t.Errorf("a third use changed the grant (-before +after):\n%s", d)
	}
	g.rotate("the successor", rotation("a1", "next", "third"), false, storage.ErrRevoked)
}

// rotationRepeated: a client whose answer was lost gets the same again.
func rotationRepeated(t testing.TB, s Granting) {
	g := refreshable(t, s)
	r := rotation("a1", "a1", "next")
	r.Grace = 30 * time.Second
	first := g.rotate("rotated", r, false, nil)
	for what, after := range map[string]time.Duration{
		"at once": 0, "just in time": r.Grace - time.Microsecond, "by a clock that is behind": -time.Second,
	} {
		again := r
		again.Now = noon.Add(after)
		again.Access.Scopes, again.Access.Expires = []string{"more"}, noon.Add(2*time.Hour) // what is stored counts
		g.unlogged(what, func() {
			if d := cmp.Diff(first, g.rotate(what, again, true, nil)); d != "" {
				t.Errorf("%s: not the same again (-want +got):\n%s", what, d)
			}
		})
	}
	if d := cmp.Diff(first, g.presented(first.Hash).Token); d != "" {
		t.Errorf("a repetition changed the access token (-want +got):\n%s", d)
	}
	if old := g.presented(r.Old).Token; !old.Rotated.Equal(noon) {
		t.Errorf("a repetition moved Rotated to %v", old.Rotated)
	}
	g.wantRevoked()
	// Also when the old token has expired meanwhile.
	short := begun(newGrant("acme", "a3", "app"), newTokens("a3", "a3")...)
	short.Tokens[1].Expires = noon.Add(time.Second)
	g.begin(short)
	r = rotation("a3", "a3", "a3 next")
	r.Grace = 30 * time.Second
	g.rotate("rotated", r, false, nil)
	r.Now = noon.Add(2 * time.Second)
	g.rotate("repeated when the old one has expired", r, true, nil)
}

// noRepetition: what looks like a repetition, and isn't one.
func noRepetition(t testing.TB, s Granting) {
	g := granting{t, s}
	g.putApp(newApp("acme", "app"))
	g.begin(begun(newGrant("acme", "of another", "app"), newTokens("of another", "of another")...))
	for what, change := range map[string]func(r *storage.Rotation, next storage.Rotation){
		"too late":                 func(r *storage.Rotation, _ storage.Rotation) { r.Now = noon.Add(r.Grace) },
		"without Grace":            func(r *storage.Rotation, _ storage.Rotation) { r.Grace, r.Now = 0, noon.Add(-time.Second) },
		"another successor":        func(r *storage.Rotation, _ storage.Rotation) { r.Refresh.Hash = digest("another") },
		"another access token":     func(r *storage.Rotation, _ storage.Rotation) { r.Access.Hash = digest("another") },
		"the successor's rotation": func(r *storage.Rotation, next storage.Rotation) { g.rotate("the successor", next, false, nil) },
		"the access token's end": func(r *storage.Rotation, _ storage.Rotation) {
			if err := s.DropToken(t.Context(), r.Access.Hash); err != nil {
				t.Fatal(err)
			}
		},
		"another grant's access token": func(r *storage.Rotation, _ storage.Rotation) { r.Access.Hash = digest("access of another") },
	} {
		g.begin(begun(newGrant("acme", what, "app"), newTokens(what, what)...))
		r := rotation(what, what, "next of "+what)
		r.Grace = 30 * time.Second
		g.rotate("rotated", r, false, nil)
		change(&r, rotation(what, "next of "+what, "third of "+what))
		g.rotate(what, r, false, storage.ErrReused)
		if g.grant("acme", what).Revoked.IsZero() {
			t.Errorf("%s: the grant was not revoked", what)
		}
	}
}

// repeatedOfNoUse: a repetition gives nothing that was taken away meanwhile.
func repeatedOfNoUse(t testing.TB, s Granting) {
	g := refreshable(t, s)
	over := begun(newGrant("acme", "a3", "app"), newTokens("a3", "a3")...)
	over.Grant.Expires = noon.Add(time.Second)
	g.begin(over)
	rotations := make(map[string]storage.Rotation)
	for _, id := range []string{"a1", "a2", "a3"} {
		r := rotation(id, id, id+" next")
		r.Grace = 30 * time.Second
		g.rotate("rotated", r, false, nil)
		r.Now = noon.Add(time.Second)
		rotations[id] = r
	}
	wantNothing := func(id string, want error) {
		t.Helper()
		if access, _, err := s.Rotate(t.Context(), rotations[id]); access.Hash != ([32]byte{}) {
			t.Errorf("%s: an access token was returned with %v", id, err)
		} else {
			wantOnly(t, id, err, want)
		}
	}
	g.revoke(revocation("acme", "a1"), 1)
	wantNothing("a1", storage.ErrRevoked)
	wantNothing("a3", storage.ErrExpired)
	g.block("acme", "app")
	wantNothing("a2", storage.ErrBlocked)
	g.wantReuseLogged(0)
}

func rotationOfNoUse(t testing.TB, s Granting) {
	g := refreshable(t, s)
	g.rotate("an unknown token", rotation("a1", "unknown", "next"), false, storage.ErrNotFound)
	r := rotation("a1", "a1", "next")
	r.Old = digest("access a1")
	g.rotate("an access token", r, false, storage.ErrNotFound)

	r = rotation("a1", "a1", "next")
	r.Now = noon.Add(30 * 24 * time.Hour)
	g.rotate("at its end", r, false, storage.ErrExpired)
	r.Now = r.Now.Add(-time.Microsecond)
	g.rotate("just in time", r, false, nil)
	over := begun(newGrant("acme", "a3", "app"), newTokens("a3", "a3")...)
	over.Grant.Expires = noon.Add(time.Hour)
	g.begin(over)
	r = rotation("a3", "a3", "a3 next")
	r.Now = noon.Add(time.Hour)
	g.rotate("when the grant is over", r, false, storage.ErrExpired)
	g.wantRevoked()

	g.begin(begun(newGrant("globex", "g1", "app"), newTokens("g1", "g1")...))
	g.revoke(revocation("acme", "a2"), 1)
	g.rotate("of a revoked grant", rotation("a2", "a2", "a2 next"), false, storage.ErrRevoked)
	g.block("acme", "app")
	g.rotate("of a blocked app", rotation("a2", "a2", "a2 next"), false, storage.ErrBlocked)
	a := g.app("app")
	a.Revoked = noon
	g.putApp(a)
	g.rotate("of a revoked app", rotation("g1", "g1", "g1 next"), false, storage.ErrRevoked)
	g.wantNoToken("access a3 next", "access a2 next", "refresh a2 next", "access g1 next")
	g.wantReuseLogged(0)
}

func rotationRefused(t testing.TB, s Granting) {
	g := refreshable(t, s)
	for what, change := range map[string]func(*storage.Rotation){
		"at no time":       func(r *storage.Rotation) { r.Now = time.Time{} },
		"to itself":        func(r *storage.Rotation) { r.Refresh.Hash = r.Old },
		"the wrong way":    func(r *storage.Rotation) { r.Access, r.Refresh = r.Refresh, r.Access },
		"another's tokens": func(r *storage.Rotation) { r.Access.Grant, r.Refresh.Grant = "a2", "a2" },
		"of two grants":    func(r *storage.Rotation) { r.Access.Grant = "a2" },
		"one hash":         func(r *storage.Rotation) { r.Access.Hash = r.Refresh.Hash },
		"a NUL byte":       func(r *storage.Rotation) { r.Access.Scopes = []string{"\x00"} },
	} {
		r := rotation("a1", "a1", "next")
		change(&r)
		_, _, err := s.Rotate(t.Context(), r)
		wantOther(t, what, err)
	}
	for what, change := range map[string]func(*storage.Rotation){
		"a taken refresh token": func(r *storage.Rotation) { r.Refresh.Hash = digest("refresh a2") },
		"a taken access token":  func(r *storage.Rotation) { r.Access.Hash = digest("access a1") },
	} {
		r := rotation("a1", "a1", "next")
		change(&r)
		g.rotate(what, r, false, storage.ErrConflict)
	}
	g.wantNoToken("access next", "refresh next")
	g.wantRevoked()
	g.rotate("after all", rotation("a1", "a1", "next"), false, nil)
}

func tokenDropped(t testing.TB, s Granting) {
	g := refreshable(t, s)
	for _, name := range []string{"access a1", "access a1", "refresh a2", "unknown"} {
		if err := s.DropToken(t.Context(), digest(name)); err != nil {
			t.Fatalf("DropToken %s: %v", name, err)
		}
	}
	g.wantNoToken("access a1")
	g.presented(digest("refresh a1"))
	g.presented(digest("access a2"))
	g.presented(digest("refresh a2")) // goes with its grant alone
	g.wantRevoked()
	for id, want := range map[string]int64{"a1": 2, "a2": 1} {
		if one := g.grant("acme", id); one.Version != want {
			t.Errorf("grant %s has version %d, want %d", id, one.Version, want)
		}
	}
	g.revoke(revocation("acme", "a2"), 1)
	if err := s.DropToken(t.Context(), digest("access a2")); err != nil {
		t.Fatalf("DropToken of a revoked grant: %v", err)
	}
	g.wantNoToken("access a2")
	if one := g.grant("acme", "a2"); one.Version != 2 {
		t.Errorf("dropping a revoked grant's token made it version %d", one.Version)
	}
}
