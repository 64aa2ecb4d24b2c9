package storagetest_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/storagetest"
)

// brokenGranting breaks one promise, and names the case that must notice.
type brokenGranting struct {
	fault, caught string
	faults        grantFaults
}

func TestBrokenGrantsFail(t *testing.T) {
	storagetest.SetPatience(t, 500*time.Millisecond)
	for _, b := range slices.Concat(brokenApps, brokenGrants, brokenTokens, brokenGrantRaces) {
		t.Run(strings.ReplaceAll(b.fault, " ", "_"), func(t *testing.T) {
			mustFail(t, func(tb testing.TB) bool { return storagetest.GrantCase(tb, b.caught, newGrantTwin(b.faults)) })
		})
	}
}

// The cases pass on what the broken stores are made of.
func TestSoundGrantsPass(t *testing.T) {
	done := make(map[string]bool)
	for _, b := range slices.Concat(brokenApps, brokenGrants, brokenTokens, brokenGrantRaces) {
		if done[b.caught] {
			continue
		}
		done[b.caught] = true
		if got := failures(t, func(tb testing.TB) { storagetest.GrantCase(tb, b.caught, newGrantTwin(grantFaults{})) }); len(got) > 0 {
			t.Errorf("a sound store fails %s: %v", b.caught, got)
		}
	}
}

var brokenGrants = []brokenGranting{
	{"another organisation sees the grant", "GrantWithCode", grantFaults{grant: func(s *grantTwin, ctx context.Context, _, id string) (storage.Grant, error) {
		return s.Store.Grant(ctx, "acme", id)
	}}},
	{"the code's key lost", "GrantWithCode", grantFaults{code: func(c storage.Code) storage.Code {
		c.Thumbprint = ""
		return c
	}}},
	{"no scopes mean all", "GrantWithTokens", grantFaults{presented: func(p storage.Presented) storage.Presented {
		if len(p.Token.Scopes) == 0 {
			p.Token.Scopes = p.Grant.Scopes
		}
		return p
	}}},
	{"a taken hash is some error", "GrantRefused", grantFaults{begin: func(s *grantTwin, ctx context.Context, n storage.NewGrant) error {
		err := s.Store.BeginGrant(ctx, n)
		if errors.Is(err, storage.ErrConflict) {
			return errors.New("constraint")
		}
		return err
	}}},
	{"consent of a refused grant stays", "GrantRefused", grantFaults{keepsConsent: true}},
	{"a refused grant logged", "GrantRefused", grantFaults{begin: func(s *grantTwin, ctx context.Context, n storage.NewGrant) error {
		err := s.Store.BeginGrant(ctx, n)
		if err != nil {
			s.note(ctx, n.Audit...)
		}
		return err
	}}},
	{"any grant accepted", "GrantOutOfBounds", grantFaults{begin: func(s *grantTwin, ctx context.Context, n storage.NewGrant) error {
		if n.Check() != nil {
			return nil
		}
		return s.Store.BeginGrant(ctx, n)
	}}},
	{"grants judged at another time", "GrantsListed", grantFaults{listGrants: func(s *grantTwin, ctx context.Context, q storage.GrantQuery) ([]storage.Grant, string, error) {
		q.Now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		return s.Store.ListGrants(ctx, q)
	}}},
	{"grants of all users listed", "GrantsListed", grantFaults{listGrants: func(s *grantTwin, ctx context.Context, q storage.GrantQuery) ([]storage.Grant, string, error) {
		q.Subject = ""
		return s.Store.ListGrants(ctx, q)
	}}},
	{"a filter after the page was cut", "GrantsListed", grantFaults{listGrants: lateGrantFilter}},
	{"consent replaced", "ConsentRemembered", grantFaults{consent: func(c storage.Consent) storage.Consent {
		c.Scopes = c.Scopes[max(len(c.Scopes)-2, 0):]
		return c
	}}},
	{"revoked again", "GrantRevokedByID", grantFaults{revoke: func(s *grantTwin, ctx context.Context, r storage.GrantRevocation) (int, error) {
		n, err := s.Store.RevokeGrants(ctx, r)
		if err == nil && n == 0 {
			n = 1
		}
		return n, err
	}}},
	{"nothing revoked, and logged", "GrantRevokedByID", grantFaults{revoke: func(s *grantTwin, ctx context.Context, r storage.GrantRevocation) (int, error) {
		n, err := s.Store.RevokeGrants(ctx, r)
		if err == nil && n == 0 {
			s.note(ctx, r.Audit...)
		}
		return n, err
	}}},
	{"an ID and all else that is named", "GrantRevokedByID", grantFaults{revoke: func(s *grantTwin, ctx context.Context, r storage.GrantRevocation) (int, error) {
		n, err := s.Store.RevokeGrants(ctx, r)
		if r.Subject != "" {
			r.ID, r.ClientID = "", ""
			_, _ = s.Store.RevokeGrants(ctx, r) // of the user's
		}
		return n, err
	}}},
	{"a user's grants of all apps", "GrantsRevokedByName", grantFaults{revoke: func(s *grantTwin, ctx context.Context, r storage.GrantRevocation) (int, error) {
		if r.Subject != "" {
			r.ClientID = ""
		}
		return s.Store.RevokeGrants(ctx, r)
	}}},
	{"revoked but still active", "GrantsRevokedByName", grantFaults{view: spared(func(g storage.Grant) bool { return g.ID == "u2-app" })}},
	{"consent is for ever", "ConsentForgotten", grantFaults{keepsConsent: true}},
	{"forgotten and not logged", "ConsentForgotten", grantFaults{hide: "grant.changed forgotten"}},
	{"an unknown grant is revoked", "RevocationRefused", grantFaults{revoke: func(s *grantTwin, ctx context.Context, r storage.GrantRevocation) (int, error) {
		n, err := s.Store.RevokeGrants(ctx, r)
		if errors.Is(err, storage.ErrNotFound) {
			err = nil
		}
		return n, err
	}}},
	{"another organisation revokes", "RevocationRefused", grantFaults{revoke: func(s *grantTwin, ctx context.Context, r storage.GrantRevocation) (int, error) {
		if r.Organisation == "globex" {
			r.Organisation = "acme"
		}
		return s.Store.RevokeGrants(ctx, r)
	}}},
	{"pushed requests of any size", "PushRefused", grantFaults{push: func(s *grantTwin, ctx context.Context, p storage.Pushed) error {
		if p.Check() != nil {
			return nil
		}
		return s.Store.Push(ctx, p)
	}}},
	{"expired requests are not there", "PushedTaken", grantFaults{take: func(s *grantTwin, ctx context.Context, hash [32]byte, now time.Time) (storage.Pushed, error) {
		p, err := s.Store.TakePushed(ctx, hash, now)
		if errors.Is(err, storage.ErrExpired) {
			err = storage.ErrNotFound
		}
		return p, err
	}}},
	{"requests taken twice", "PushedTaken", grantFaults{take: func(s *grantTwin, ctx context.Context, hash [32]byte, now time.Time) (storage.Pushed, error) {
		p, err := s.Store.TakePushed(ctx, hash, now)
		if err == nil {
			err = s.Store.Push(ctx, p)
		}
		return p, err
	}}},
	{"used for ever", "UsedOnce", grantFaults{once: func(s *grantTwin, ctx context.Context, hash [32]byte, now, expires time.Time) (bool, error) {
		return s.Store.UseOnce(ctx, hash, now.Add(-24*time.Hour), expires)
	}}},
	{"each use lasts longer", "UsedOnce", grantFaults{once: func(s *grantTwin, ctx context.Context, hash [32]byte, now, expires time.Time) (bool, error) {
		first, err := s.Store.UseOnce(ctx, hash, now, expires)
		if !first && err == nil {
			_, err = s.Store.UseOnce(ctx, hash, now.Add(24*time.Hour), expires)
		}
		return first, err
	}}},
	{"pruned up to the moment itself", "GrantsPruned", grantFaults{prune: func(s *grantTwin, ctx context.Context, before time.Time, limit int) (int, error) {
		return s.Store.PruneGrants(ctx, before.Add(time.Microsecond), limit)
	}}},
	{"consent pruned", "GrantsPruned", grantFaults{prune: func(s *grantTwin, ctx context.Context, before time.Time, limit int) (int, error) {
		_, _ = s.Store.RevokeGrants(ctx, storage.GrantRevocation{Now: before, Organisation: "acme", Subject: "u1", ClientID: "app", Audit: []storage.Entry{{Organisation: "acme"}}})
		return s.Store.PruneGrants(ctx, before, limit)
	}}},
	{"no limit to pruning", "GrantsPrunedInParts", grantFaults{prune: func(s *grantTwin, ctx context.Context, before time.Time, _ int) (int, error) {
		n, err := s.Store.PruneGrants(ctx, before, 0)
		return n, err
	}}},
	{"rotated tokens pruned", "RotatedTokensStay", grantFaults{rotate: func(s *grantTwin, ctx context.Context, r storage.Rotation) (storage.Token, bool, error) {
		if old, err := s.Store.Presented(ctx, r.Old); err == nil && old.Token.Expires.Before(r.Now) {
			return storage.Token{}, false, storage.ErrNotFound
		}
		return s.Store.Rotate(ctx, r)
	}}},
	{"erased grants stay", "GrantsErased", grantFaults{erase: func(*grantTwin, context.Context, string) error { return nil }}},
	{"all grants erased", "GrantsErased", grantFaults{erase: func(s *grantTwin, ctx context.Context, organisation string) error {
		return errors.Join(s.Store.EraseOrganisation(ctx, organisation), s.Store.EraseOrganisation(ctx, "globex"))
	}}},
	{"used though cancelled", "GrantsCancelled", grantFaults{useCode: func(s *grantTwin, ctx context.Context, hash [32]byte, now time.Time, tokens []storage.Token) error {
		return s.Store.UseCode(context.WithoutCancel(ctx), hash, now, tokens)
	}}},
}
