package storagetest

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/strikeplate/strikeplate/storage"
)

// begunCases: how grants begin, and how they are found.
var begunCases = []check[Granting]{
	{"GrantWithCode", grantWithCode},
	{"GrantWithTokens", grantWithTokens},
	{"GrantRefused", grantRefused},
	{"GrantOutOfBounds", grantOutOfBounds},
	{"GrantsListed", grantsListed},
	{"ConsentRemembered", consentRemembered},
}

func fullGrant() storage.Grant {
	one := newGrant("acme", "a1", "app")
	one.Scopes = []string{"meetings:write", "meetings:read"}
	one.Resources = []string{"https://api.example/v1", "https://mcp.example"}
	one.Thumbprint = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
	one.Authenticated, one.Created, one.Expires = odd(-1), odd(0), odd(1000)
	return one
}

// asBegun is the grant as it comes back.
func asBegun(one storage.Grant) storage.Grant {
	one.Version = 1
	one.Authenticated, one.Created, one.Expires = micro(one.Authenticated), micro(one.Created), micro(one.Expires)
	return one
}

func grantWithCode(t testing.TB, s Granting) {
	g := granting{t, s}
	g.putApp(newApp("acme", "app"))
	n := withCode(fullGrant(), "code")
	n.Code.Thumbprint, n.Code.Expires = n.Grant.Thumbprint, odd(1)
	g.begin(n)
	want := asBegun(n.Grant)
	if d := cmp.Diff(want, g.grant("acme", "a1")); d != "" {
		t.Errorf("a grant (-want +got):\n%s", d)
	}
	code, of, err := s.Code(t.Context(), digest("code"))
	if err != nil {
		t.Fatal(err)
	}
	wantCode := *n.Code
	wantCode.Expires = micro(wantCode.Expires)
	if d := cmp.Diff(wantCode, code) + cmp.Diff(want, of); d != "" {
		t.Errorf("its code and grant (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{"grant.changed app", "grant.changed a1"}, g.logged("acme")); d != "" {
		t.Errorf("the log (-want +got):\n%s", d)
	}
	_, err = s.Grant(t.Context(), "globex", "a1")
	wantOnly(t, "another organisation's grant", err, storage.ErrNotFound)
	_, err = s.Grant(t.Context(), "acme", "a2")
	wantOnly(t, "an unknown grant", err, storage.ErrNotFound)
	_, _, err = s.Code(t.Context(), digest("another"))
	wantOnly(t, "an unknown code", err, storage.ErrNotFound)
	_, err = s.Consent(t.Context(), "acme", "u1", "app")
	wantOnly(t, "consent that nobody gave", err, storage.ErrNotFound)
}

func grantWithTokens(t testing.TB, s Granting) {
	g := granting{t, s}
	a := g.putApp(fullApp())
	tokens := newTokens("a1", "first")
	tokens[0].Scopes, tokens[0].Resources = []string{"meetings:read"}, []string{"https://api.example/v1"}
	tokens[0].Thumbprint, tokens[0].Certificate = "thumb", "certificate"
	tokens[0].Created, tokens[0].Expires = odd(0), odd(1)
	tokens[1].Scopes = []string{}
	g.begin(begun(fullGrant(), tokens...))
	for _, token := range tokens {
		want := storage.Presented{Token: token, Grant: asBegun(fullGrant()), App: a}
		want.Token.Created, want.Token.Expires = micro(token.Created), micro(token.Expires)
		if len(token.Scopes) == 0 {
			want.Token.Scopes = nil
		}
		got := g.presented(token.Hash)
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s token presented (-want +got):\n%s", token.Kind, d)
		}
	}
	_, err := s.Presented(t.Context(), digest("another"))
	wantOnly(t, "an unknown token", err, storage.ErrNotFound)
}

func grantRefused(t testing.TB, s Granting) {
	g := granting{t, s}
	g.putApp(newApp("acme", "app"))
	gone := newApp("acme", "gone")
	gone.Revoked = noon
	g.putApp(gone)
	g.block("acme", "blocked")
	g.putApp(newApp("globex", "blocked"))
	taken := begun(newGrant("acme", "a1", "app"), newTokens("a1", "taken")...)
	g.begin(taken)
	n := withCode(newGrant("globex", "g1", "app"), "code")
	n.Consent = agreed(n.Grant, "meetings:read")
	g.begin(n)
	for what, c := range map[string]struct {
		n    storage.NewGrant
		want error
	}{
		"no such app":       {withCode(newGrant("acme", "new", "nobody's"), "new"), storage.ErrNotFound},
		"a revoked app":     {withCode(newGrant("acme", "new", "gone"), "new"), storage.ErrRevoked},
		"a blocked app":     {withCode(newGrant("acme", "new", "blocked"), "new"), storage.ErrBlocked},
		"a taken ID":        {withCode(newGrant("acme", "g1", "app"), "new"), storage.ErrConflict},
		"a taken code":      {withCode(newGrant("acme", "new", "app"), "code"), storage.ErrConflict},
		"a taken token":     {begun(newGrant("acme", "new", "app"), newToken(storage.AccessToken, "new", "new"), newToken(storage.AccessToken, "new", "refresh taken")), storage.ErrConflict},
		"without a log":     {storage.NewGrant{Now: noon, Grant: newGrant("acme", "new", "app")}, storage.ErrNoAudit},
		"blocked and taken": {withCode(newGrant("acme", "g1", "blocked"), "code"), storage.ErrBlocked},
	} {
		if c.want != storage.ErrNoAudit { //nolint:errorlint // which of the sentinels
			c.n.Consent = agreed(c.n.Grant, "meetings:write")
		}
		g.unlogged(what, func() { wantOnly(t, what, s.BeginGrant(t.Context(), c.n), c.want) })
	}
	_, err := s.Grant(t.Context(), "acme", "new")
	wantOnly(t, "a refused grant", err, storage.ErrNotFound)
	_, _, err = s.Code(t.Context(), digest("new"))
	wantOnly(t, "a refused grant's code", err, storage.ErrNotFound)
	_, err = s.Presented(t.Context(), digest("new"))
	wantOnly(t, "a refused grant's token", err, storage.ErrNotFound)
	_, err = s.Consent(t.Context(), "acme", "u1", "app")
	wantOnly(t, "a refused grant's consent", err, storage.ErrNotFound)
}

func grantOutOfBounds(t testing.TB, s Granting) {
	g := granting{t, s}
	g.putApp(newApp("acme", "app"))
	for what, change := range map[string]func(*storage.NewGrant){
		"no ID":                 func(n *storage.NewGrant) { n.Grant.ID, n.Code.Grant = "", "" },
		"no organisation":       func(n *storage.NewGrant) { n.Grant.Organisation = "" },
		"no app":                func(n *storage.NewGrant) { n.Grant.ClientID = "" },
		"a long subject":        func(n *storage.NewGrant) { n.Grant.Subject = strings.Repeat("a", 256) },
		"a NUL byte":            func(n *storage.NewGrant) { n.Grant.Subject = "\x00" },
		"too many scopes":       func(n *storage.NewGrant) { n.Grant.Scopes = numbered("scope%d", storage.MaxGrantScopes+1) },
		"too many resources":    func(n *storage.NewGrant) { n.Grant.Resources = numbered("https://%d.example", storage.MaxAppURLs+1) },
		"a long resource":       func(n *storage.NewGrant) { n.Grant.Resources = []string{strings.Repeat("a", 2049)} },
		"over before it begins": func(n *storage.NewGrant) { n.Grant.Expires = n.Grant.Created },
		"no beginning":          func(n *storage.NewGrant) { n.Grant.Created = time.Time{} },
		"a version":             func(n *storage.NewGrant) { n.Grant.Version = 1 },
		"revoked":               func(n *storage.NewGrant) { n.Grant.Revoked = noon },
		"another's consent":     func(n *storage.NewGrant) { n.Consent = agreed(newGrant("acme", "", "other"), "a") },
		"consent to too much":   func(n *storage.NewGrant) { n.Consent = agreed(n.Grant, numbered("s%d", storage.MaxGrantScopes+1)...) },
		"another's code":        func(n *storage.NewGrant) { n.Code.Grant = "other" },
		"a code of nothing":     func(n *storage.NewGrant) { n.Code.Hash = [32]byte{} },
		"a used code":           func(n *storage.NewGrant) { n.Code.Used = noon },
		"a code without an end": func(n *storage.NewGrant) { n.Code.Expires = time.Time{} },
		"a code's long URI":     func(n *storage.NewGrant) { n.Code.RedirectURI = strings.Repeat("a", 2049) },
		"a code and tokens":     func(n *storage.NewGrant) { n.Tokens = newTokens("new", "new") },
		"another's token":       func(n *storage.NewGrant) { n.Code, n.Tokens = nil, newTokens("other", "new") },
		"a token twice": func(n *storage.NewGrant) {
			n.Code = nil
			n.Tokens = append(newTokens("new", "new"), newTokens("new", "new")...)
		},
		"a token of no kind":     func(n *storage.NewGrant) { n.Code, n.Tokens = nil, []storage.Token{newToken("", "new", "new")} },
		"a token without an end": func(n *storage.NewGrant) { n.Code, n.Tokens = nil, newTokens("new", "new"); n.Tokens[1].Expires = noon },
		"a rotated token":        func(n *storage.NewGrant) { n.Code, n.Tokens = nil, newTokens("new", "new"); n.Tokens[1].Rotated = noon },
		"a broken log":           func(n *storage.NewGrant) { n.Audit[0].Action = "\xff" },
	} {
		n := withCode(newGrant("acme", "new", "app"), "new")
		change(&n)
		g.unlogged(what, func() { wantOther(t, what, s.BeginGrant(t.Context(), n)) })
	}
	g.begin(withCode(newGrant("acme", "new", "app"), "new"))
}

func grantsListed(t testing.TB, s Granting) {
	g := granting{t, s}
	g.putApp(newApp("acme", "app"))
	g.putApp(newApp("acme", "other"))
	for i, id := range numbered("a%d", 8) {
		one := newGrant("acme", id, []string{"app", "other"}[i%2])
		one.Subject = []string{"u1", "u2", ""}[i%3]
		one.Created = noon.Add(time.Duration(i/2) * time.Second)
		if i >= 6 {
			one.Expires = noon.Add(time.Hour)
		}
		g.begin(begun(one))
	}
	g.begin(begun(newGrant("globex", "g1", "app")))
	g.revoke(revocation("acme", "a3"), 1)
	g.revoke(revocation("acme", "a6"), 1)
	hour := noon.Add(time.Hour)
	for _, c := range []struct {
		status            storage.Status
		now               time.Time
		subject, clientID string
		want              string
	}{
		{storage.AnyStatus, noon, "", "", "a7 a6 a5 a4 a3 a2 a1 a0"},
		{storage.Active, noon, "", "", "a7 a5 a4 a2 a1 a0"},
		{storage.Active, hour, "", "", "a5 a4 a2 a1 a0"},
		{storage.Expired, hour.Add(-time.Microsecond), "", "", ""},
		{storage.Expired, hour, "", "", "a7"},
		{storage.Unrevoked, hour, "", "", "a7 a5 a4 a2 a1 a0"},
		{storage.Revoked, noon, "", "", "a6 a3"},
		{storage.AnyStatus, noon, "u1", "", "a6 a3 a0"},
		{storage.AnyStatus, noon, "", "other", "a7 a5 a3 a1"},
		{storage.AnyStatus, noon, "u1", "other", "a3"},
		{storage.Active, noon, "u2", "app", "a4"},
		{storage.Active, noon, "u1", "nobody's", ""},
	} {
		for _, limit := range []int{0, 1, 3} {
			var got []string
			for _, one := range g.grants(storage.GrantQuery{
				Query:   storage.Query{Organisation: "acme", Status: c.status, Now: c.now, Limit: limit},
				Subject: c.subject, ClientID: c.clientID,
			}) {
				got = append(got, one.ID)
			}
			if d := cmp.Diff(c.want, strings.Join(got, " ")); d != "" {
				t.Errorf("%+v, pages of %d (-want +got):\n%s", c, limit, d)
			}
		}
	}
	_, _, err := s.ListGrants(t.Context(), storage.GrantQuery{Query: storage.Query{Organisation: "acme", Cursor: "?"}})
	wantOnly(t, "an unreadable cursor", err, storage.ErrNotFound)
}

func consentRemembered(t testing.TB, s Granting) {
	g := granting{t, s}
	g.putApp(newApp("acme", "app"))
	want := *agreed(newGrant("acme", "", "app"), "a", "b")
	for i, scopes := range [][]string{{"a", "b"}, {"b", "c"}, {}} {
		n := begun(newGrant("acme", []string{"a1", "a2", "a3"}[i], "app"))
		n.Consent = agreed(n.Grant, scopes...)
		n.Consent.Given = odd(i)
		g.begin(n)
		want.Given = micro(odd(i))
		if i == 1 {
			want.Scopes = []string{"a", "b", "c"}
		}
		got, err := s.Consent(t.Context(), "acme", "u1", "app")
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("consent %d (-want +got):\n%s", i, d)
		}
	}
	for _, name := range [][3]string{{"globex", "u1", "app"}, {"acme", "u2", "app"}, {"acme", "u1", "other"}} {
		_, err := s.Consent(t.Context(), name[0], name[1], name[2])
		wantOnly(t, "consent of "+strings.Join(name[:], ", "), err, storage.ErrNotFound)
	}
}
