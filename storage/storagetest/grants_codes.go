package storagetest

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/strikeplate/strikeplate/storage"
)

// codeCases: authorization codes.
var codeCases = []check[Granting]{
	{"CodeUsed", codeUsed},
	{"CodeReused", codeReused},
	{"CodeBurnt", codeBurnt},
	{"CodeExpired", codeExpired},
	{"CodeOfNoUse", codeOfNoUse},
	{"CodeRefused", codeRefused},
}

// coded stores an app and a grant a1 with a code.
func coded(t testing.TB, s Granting) granting {
	t.Helper()
	g := granting{t, s}
	g.putApp(newApp("acme", "app"))
	g.begin(withCode(newGrant("acme", "a1", "app"), "code"))
	return g
}

func (g granting) use(now time.Time, tokens ...storage.Token) error {
	return g.s.UseCode(g.t.Context(), digest("code"), now, tokens)
}

func (g granting) wantUse(what string, now time.Time, want error, tokens ...storage.Token) {
	g.t.Helper()
	wantOnly(g.t, what, g.use(now, tokens...), want)
}

func (g granting) wantUsed(want time.Time) {
	g.t.Helper()
	code, _, err := g.s.Code(g.t.Context(), digest("code"))
	if err != nil {
		g.t.Fatal(err)
	}
	if !code.Used.Equal(want) {
		g.t.Fatalf("the code was used at %v, want %v", code.Used, want)
	}
}

// wantReuseLogged fails unless the log says so often that the code or token of a1 was used
// twice.
func (g granting) wantReuseLogged(want int) {
	g.t.Helper()
	log := g.logged("acme")
	n := len(slices.DeleteFunc(slices.Clone(log), func(line string) bool { return line != "grant.reused a1" }))
	if n != want {
		g.t.Fatalf("the log tells %d times of a reuse, want %d: %q", n, want, log)
	}
}

func codeUsed(t testing.TB, s Granting) {
	g := coded(t, s)
	tokens := newTokens("a1", "first")
	tokens[0].Resources, tokens[0].Created = []string{"https://api.example"}, odd(0)
	g.unlogged("using a code", func() { g.wantUse("a code", odd(0), nil, tokens...) })
	g.wantUsed(micro(odd(0)))
	for _, token := range tokens {
		token.Created = micro(token.Created)
		if d := cmp.Diff(token, g.presented(token.Hash).Token); d != "" {
			t.Errorf("a token that was bought (-want +got):\n%s", d)
		}
	}
	g.wantRevoked()
	wantOnly(t, "an unknown code", s.UseCode(t.Context(), digest("another"), noon, newTokens("a1", "second")), storage.ErrNotFound)
}

// codeReused: who presents a code again, or did before, may have stolen it
// (THREATS 27; RFC 6749 4.1.2).
func codeReused(t testing.TB, s Granting) {
	g := coded(t, s)
	g.wantUse("a code", noon, nil, newTokens("a1", "first")...)
	g.wantUse("used again", noon.Add(time.Hour), storage.ErrReused, newTokens("a1", "second")...)
	g.wantRevoked("a1")
	g.wantReuseLogged(1)
	got := g.presented(digest("access first")).Grant
	if !got.Revoked.Equal(noon.Add(time.Hour)) || got.RevokedBecause == "" || got.Version != 2 {
		t.Errorf("the grant of a code that was used twice: %+v", got)
	}
	_, err := s.Presented(t.Context(), digest("access second"))
	wantOnly(t, "the second one's token", err, storage.ErrNotFound)
	g.wantUsed(noon)
	g.wantUse("a third time", noon.Add(2*time.Hour), storage.ErrReused)
	g.wantReuseLogged(1)
	if d := cmp.Diff(got, g.grant("acme", "a1")); d != "" {
		t.Errorf("a third use changed the grant (-before +after):\n%s", d)
	}
}

func codeBurnt(t testing.TB, s Granting) {
	g := coded(t, s)
	g.wantUse("burnt", noon, nil)
	g.wantUsed(noon)
	g.wantRevoked()
	g.wantUse("used when burnt", noon, storage.ErrReused, newTokens("a1", "first")...)
	g.wantRevoked("a1")
	_, err := s.Presented(t.Context(), digest("access first"))
	wantOnly(t, "a burnt code's token", err, storage.ErrNotFound)
}

func codeExpired(t testing.TB, s Granting) {
	g := coded(t, s)
	end := noon.Add(time.Minute)
	g.wantUse("at its end", end, storage.ErrExpired, newTokens("a1", "late")...)
	g.wantUsed(end)
	_, err := s.Presented(t.Context(), digest("access late"))
	wantOnly(t, "an expired code's token", err, storage.ErrNotFound)
	g.wantRevoked()
	g.wantUse("again", noon, storage.ErrReused)
	g.wantRevoked("a1")

	g.begin(withCode(newGrant("acme", "a2", "app"), "in time"))
	err = s.UseCode(t.Context(), digest("in time"), end.Add(-time.Microsecond), newTokens("a2", "in time"))
	wantOnly(t, "just in time", err, nil)
	over := withCode(newGrant("acme", "a3", "app"), "over")
	over.Grant.Expires = noon.Add(time.Second)
	g.begin(over)
	err = s.UseCode(t.Context(), digest("over"), noon.Add(time.Second), newTokens("a3", "over"))
	wantOnly(t, "when the grant is over", err, storage.ErrExpired)
}

// codeOfNoUse: the app or the grant is out.
func codeOfNoUse(t testing.TB, s Granting) {
	g := coded(t, s)
	g.begin(withCode(newGrant("acme", "a2", "app"), "second"))
	g.begin(withCode(newGrant("globex", "g1", "app"), "third"))
	g.revoke(revocation("acme", "a1"), 1)
	g.wantUse("of a revoked grant", noon, storage.ErrRevoked, newTokens("a1", "first")...)
	g.wantUsed(noon)
	g.block("acme", "app")
	wantOnly(t, "of a blocked app", s.UseCode(t.Context(), digest("second"), noon, newTokens("a2", "second")), storage.ErrBlocked)
	a := g.app("app")
	a.Revoked = noon
	g.putApp(a)
	wantOnly(t, "of a revoked app", s.UseCode(t.Context(), digest("third"), noon, newTokens("g1", "third")), storage.ErrRevoked)
	for _, name := range []string{"first", "second", "third"} {
		_, err := s.Presented(t.Context(), digest("access "+name))
		wantOnly(t, "a token that was refused", err, storage.ErrNotFound)
	}
	g.wantReuseLogged(0)
}

func codeRefused(t testing.TB, s Granting) {
	g := coded(t, s)
	g.begin(begun(newGrant("acme", "a2", "app"), newTokens("a2", "taken")...))
	bad := newTokens("a1", "bad")
	bad[1].Scopes = []string{"\x00"}
	for what, tokens := range map[string][]storage.Token{
		"another's tokens": newTokens("a2", "theirs"),
		"a bad token":      bad,
		"a token twice":    append(newTokens("a1", "twice"), newTokens("a1", "twice")...),
	} {
		wantOther(t, what, g.use(noon, tokens...))
	}
	wantOther(t, "at no time", g.use(time.Time{}, newTokens("a1", "first")...))
	tokens := newTokens("a1", "first")
	tokens[1].Hash = digest("refresh taken")
	g.wantUse("a taken token", noon, storage.ErrConflict, tokens...)
	_, err := s.Presented(t.Context(), digest("access first"))
	wantOnly(t, "a token of what was refused", err, storage.ErrNotFound)
	g.wantUsed(time.Time{})
	g.wantRevoked()
	g.wantUse("after all", noon, nil, newTokens("a1", "first")...)
}
