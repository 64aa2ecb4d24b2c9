package storagetest_test

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/storagetest"
)

var brokenApps = []brokenGranting{
	{"origins lost", "AppStored", grantFaults{commitApp: func(s *grantTwin, ctx context.Context, m storage.AppMutation) error {
		m.Put.Origins = nil
		return s.Store.CommitApp(ctx, m)
	}}},
	{"anybody replaces an app", "AppReplaced", grantFaults{commitApp: func(s *grantTwin, ctx context.Context, m storage.AppMutation) error {
		if stored, err := s.App(ctx, m.Put.ClientID); err == nil && m.Put.Version > 0 {
			m.Put.Organisation = stored.Organisation
		}
		return s.Store.CommitApp(ctx, m)
	}}},
	{"an old version replaces a newer one", "AppReplaced", grantFaults{commitApp: func(s *grantTwin, ctx context.Context, m storage.AppMutation) error {
		if stored, err := s.App(ctx, m.Put.ClientID); err == nil && m.Put.Version > 0 {
			m.Put.Version = stored.Version
		}
		return s.Store.CommitApp(ctx, m)
	}}},
	{"what was created is replaced by a creation", "AppReplaced", grantFaults{commitApp: ignoring(storage.ErrConflict)}},
	{"no limit", "AppLimit", grantFaults{commitApp: ignoring(storage.ErrLimit)}},
	{"a change counts as one more", "AppLimit", grantFaults{commitApp: countingChanges}},
	{"counted first and written later", "AppLimitRace", grantFaults{met: newMeeting(storagetest.Many / 4), commitApp: countedFirst}},
	{"any app accepted", "AppRefused", grantFaults{commitApp: func(s *grantTwin, ctx context.Context, m storage.AppMutation) error {
		if m.Check() != nil {
			return nil
		}
		return s.Store.CommitApp(ctx, m)
	}}},
	{"revoked apps hidden", "AppsListed", grantFaults{listApps: func(s *grantTwin, ctx context.Context, q storage.Query) ([]storage.App, string, error) {
		if q.Status == storage.AnyStatus {
			q.Status = storage.Active
		}
		return s.Store.ListApps(ctx, q)
	}}},
	{"oldest apps first", "AppsListed", grantFaults{listApps: func(s *grantTwin, ctx context.Context, q storage.Query) ([]storage.App, string, error) {
		page, next, err := s.Store.ListApps(ctx, q)
		slices.Reverse(page)
		return page, next, err
	}}},
	{"grants outlive their app", "AppRevoked", grantFaults{view: spared(func(g storage.Grant) bool { return g.RevokedBecause == "malware" })}},
	{"grants elsewhere outlive their app", "AppRevoked", grantFaults{view: spared(func(g storage.Grant) bool { return g.Organisation == "globex" })}},
	{"consent outlives its app", "AppRevoked", grantFaults{keepsConsent: true}},
	{"consent outlives a block", "AppBlocked", grantFaults{keepsConsent: true}},
	{"a block revokes nothing", "AppBlocked", grantFaults{view: spared(func(g storage.Grant) bool { return g.RevokedBecause == "not ours" })}},
	{"blocked everywhere", "AppBlocked", grantFaults{presented: func(p storage.Presented) storage.Presented {
		p.Blocked = true
		return p
	}}},
	{"a block that begins nothing", "AppBlocked", grantFaults{begin: func(s *grantTwin, ctx context.Context, n storage.NewGrant) error {
		if err := s.Store.BeginGrant(ctx, n); !errors.Is(err, storage.ErrBlocked) {
			return err
		}
		return nil
	}}},
	{"blocked again and logged", "AppBlocked", grantFaults{block: func(s *grantTwin, ctx context.Context, b storage.Block, audit []storage.Entry) error {
		known, _ := s.Blocks(ctx, b.Organisation)
		err := s.Store.BlockApp(ctx, b, audit)
		if len(known) > 0 {
			s.note(ctx, audit...)
		}
		return err
	}}},
	{"any block accepted", "AppBlockRefused", grantFaults{block: func(s *grantTwin, ctx context.Context, b storage.Block, audit []storage.Entry) error {
		if b.Check(audit) != nil && len(audit) > 0 {
			return nil
		}
		return s.Store.BlockApp(ctx, b, audit)
	}}},
	{"pruning apps has no end", "AppsPruned", grantFaults{pruneApps: func(s *grantTwin, ctx context.Context, before time.Time, limit int) (int, error) {
		n, err := s.Store.PruneApps(ctx, before, limit)
		if n == 0 {
			return 1, err
		}
		return n, err
	}}},
	{"no limit to pruning apps", "AppsPruned", grantFaults{pruneApps: func(s *grantTwin, ctx context.Context, before time.Time, _ int) (int, error) {
		return s.Store.PruneApps(ctx, before, 0)
	}}},
	{"new apps pruned", "AppsPruned", grantFaults{pruneApps: func(s *grantTwin, ctx context.Context, before time.Time, limit int) (int, error) {
		return s.Store.PruneApps(ctx, before.Add(time.Microsecond), limit)
	}}},
	{"changes of apps and grants in silence", "GrantsTold", grantFaults{deaf: func(storage.Subject) bool { return true }}},
	{"revocations in silence", "GrantsTold", grantFaults{deaf: func(s storage.Subject) bool { return s == storage.GrantChanged }}},
	{"changes of apps in silence", "GrantsTold", grantFaults{deaf: func(s storage.Subject) bool { return s == storage.AppChanged }}},
	{"revocations in silence, across values", "GrantsToldAcrossValues", grantFaults{deaf: func(s storage.Subject) bool { return s == storage.GrantChanged }}},
	{"an erasure of apps and grants in silence", "GrantsEraseTold", grantFaults{deaf: func(s storage.Subject) bool { return s == storage.GrantChanged }}},
}
