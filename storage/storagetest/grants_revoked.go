package storagetest

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/strikeplate/strikeplate/storage"
)

// revokedCases: how grants end before their time.
var revokedCases = []check[Granting]{
	{"GrantRevokedByID", grantRevokedByID},
	{"GrantsRevokedByName", grantsRevokedByName},
	{"ConsentForgotten", consentForgotten},
	{"RevocationRefused", revocationRefused},
}

// family stores grants of two organisations, users and apps.
func (g granting) family() {
	g.t.Helper()
	g.putApp(newApp("acme", "app"))
	g.putApp(newApp("acme", "other"))
	for _, one := range []struct{ organisation, id, subject, clientID string }{
		{"acme", "u1-app", "u1", "app"}, {"acme", "u1-app-again", "u1", "app"}, {"acme", "u1-other", "u1", "other"},
		{"acme", "u2-app", "u2", "app"}, {"acme", "itself-app", "", "app"}, {"globex", "g-u1-app", "u1", "app"},
	} {
		n := newGrant(one.organisation, one.id, one.clientID)
		n.Subject = one.subject
		all := begun(n, newTokens(n.ID, n.ID)...)
		if n.Subject != "" {
			all.Consent = agreed(n, "meetings:read")
		}
		g.begin(all)
	}
}

func grantRevokedByID(t testing.TB, s Granting) {
	g := granting{t, s}
	g.family()
	r := revocation("acme", "u1-app")
	r.Now = odd(1)
	r.Subject, r.ClientID = "u2", "other" // where there is an ID, they say nothing
	g.revoke(r, 1)
	g.wantRevoked("u1-app")
	one := g.grant("acme", "u1-app")
	if !one.Revoked.Equal(micro(odd(1))) || one.RevokedBecause != "lost" || one.Version != 2 {
		t.Errorf("the grant is %+v", one)
	}
	if got := g.presented(digest("access u1-app")).Grant; cmp.Diff(one, got) != "" {
		t.Errorf("its token presents %+v, the grant is %+v", got, one)
	}
	if log := g.logged("acme"); log[len(log)-1] != "grant.changed u1-app" {
		t.Errorf("the log: %q", log)
	}
	g.unlogged("revoking again", func() { g.revoke(revocation("acme", "u1-app"), 0) })
	if d := cmp.Diff(one, g.grant("acme", "u1-app")); d != "" {
		t.Errorf("revoked again (-before +after):\n%s", d)
	}
	if _, err := s.Consent(t.Context(), "acme", "u1", "app"); err != nil {
		t.Errorf("consent after one grant was revoked: %v", err)
	}
}

func grantsRevokedByName(t testing.TB, s Granting) {
	g := granting{t, s}
	g.family()
	r := revocation("acme", "")
	r.Subject, r.ClientID = "u1", "app"
	g.revoke(r, 2)
	g.wantRevoked("u1-app", "u1-app-again")
	r.Because, r.Now, r.ClientID = "left", noon.Add(time.Hour), ""
	g.revoke(r, 1)
	g.wantRevoked("u1-app", "u1-app-again", "u1-other")
	if one := g.grant("acme", "u1-app"); one.RevokedBecause != "lost" || one.Version != 2 {
		t.Errorf("what was revoked before is %+v", one)
	}
	r.Subject, r.ClientID = "", "app"
	g.revoke(r, 2)
	g.wantRevoked("u1-app", "u1-app-again", "u1-other", "u2-app", "itself-app")
	g.unlogged("revoking what is revoked", func() { g.revoke(r, 0) })
	for status, want := range map[storage.Status]int{storage.Revoked: 5, storage.Unrevoked: 0} {
		q := storage.GrantQuery{Query: storage.Query{Organisation: "acme", Now: noon, Status: status}}
		if got := len(g.grants(q)); got != want {
			t.Errorf("%d grants are %s, want %d", got, status, want)
		}
	}
}

func consentForgotten(t testing.TB, s Granting) {
	g := granting{t, s}
	g.family()
	remembered := func() string {
		var all []string
		for _, c := range [][3]string{{"acme", "u1", "app"}, {"acme", "u1", "other"}, {"acme", "u2", "app"}, {"globex", "u1", "app"}} {
			if _, err := s.Consent(t.Context(), c[0], c[1], c[2]); err == nil {
				all = append(all, strings.Join(c[:], "-"))
			}
		}
		return strings.Join(all, " ")
	}
	for _, step := range []struct{ subject, clientID, want string }{
		{"u3", "", "acme-u1-app acme-u1-other acme-u2-app globex-u1-app"},
		{"u1", "app", "acme-u1-other acme-u2-app globex-u1-app"},
		{"", "app", "acme-u1-other globex-u1-app"},
		{"u1", "", "globex-u1-app"},
	} {
		r := revocation("acme", "")
		r.Subject, r.ClientID = step.subject, step.clientID
		if _, err := s.RevokeGrants(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		if got := remembered(); got != step.want {
			t.Fatalf("after revoking %q, %q: remembered %q, want %q", step.subject, step.clientID, got, step.want)
		}
	}
	// Consent without a grant that is unrevoked is forgotten too, and logged.
	again := begun(newGrant("acme", "again", "app"))
	again.Consent = agreed(again.Grant, "meetings:read")
	g.begin(again)
	g.revoke(revocation("acme", "again"), 1)
	r := revocation("acme", "")
	r.Subject, r.Audit = "u1", grantEntry("acme", "forgotten")
	g.revoke(r, 0)
	if got := remembered(); got != "globex-u1-app" {
		t.Errorf("remembered %q", got)
	}
	if !slices.Contains(g.logged("acme"), "grant.changed forgotten") {
		t.Error("consent was forgotten, and nothing logged")
	}
}

func revocationRefused(t testing.TB, s Granting) {
	g := granting{t, s}
	g.family()
	g.unlogged("a refused revocation", func() {
		_, err := s.RevokeGrants(t.Context(), revocation("acme", "unknown"))
		wantOnly(t, "an unknown grant", err, storage.ErrNotFound)
		_, err = s.RevokeGrants(t.Context(), revocation("globex", "u1-app"))
		wantOnly(t, "another organisation's grant", err, storage.ErrNotFound)
		r := revocation("acme", "u1-app")
		r.Audit = nil
		_, err = s.RevokeGrants(t.Context(), r)
		wantOnly(t, "without an entry", err, storage.ErrNoAudit)
		for what, change := range map[string]func(*storage.GrantRevocation){
			"of nothing":      func(r *storage.GrantRevocation) { r.ID = "" },
			"no organisation": func(r *storage.GrantRevocation) { r.Organisation = "" },
			"no time":         func(r *storage.GrantRevocation) { r.Now = time.Time{} },
			"a NUL byte":      func(r *storage.GrantRevocation) { r.Because = "\x00" },
			"a long reason":   func(r *storage.GrantRevocation) { r.Because = strings.Repeat("a", 1025) },
		} {
			r := revocation("acme", "u1-app")
			change(&r)
			_, err := s.RevokeGrants(t.Context(), r)
			wantOther(t, what, err)
		}
	})
	g.wantRevoked()
}
