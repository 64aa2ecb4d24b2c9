package keyauth

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/internal/freshness"
	"github.com/strikeplate/strikeplate/internal/standing"
	"github.com/strikeplate/strikeplate/storage"
)

// state is a key's record joined with what the directory says of its account
// and owner. It is never changed after it was made.
type state struct {
	principal strikeplate.Principal
	scopes    []string // the key's own, before they were narrowed
	allow     []netip.Prefix
	stamp     freshness.Stamp
	read      time.Duration // when the record was read
	until     time.Duration // when the directory must be asked again
	// fresh: the feed was healthy when the record was read. What was read while
	// it wasn't answers the request that asked, and no other.
	fresh                     bool
	revoked, inactive, lapsed bool
}

// verdict says what the state means for a caller at a moment.
func (s *state) verdict(now time.Time, from caller) (*strikeplate.Principal, error) {
	p := &s.principal
	switch {
	case s.revoked:
		return nil, revoked(p.Credential)
	case !p.Expires.IsZero() && !now.Before(p.Expires):
		return nil, expired(p.Credential)
	case s.inactive:
		return nil, inactive(p.Credential)
	case len(s.allow) > 0 && !s.allows(from.client()):
		return nil, wrongAddress(p)
	case s.lapsed:
		return nil, lapsed(p)
	}
	return p, nil
}

func (s *state) allows(client netip.Addr) bool {
	return slices.ContainsFunc(s.allow, func(p netip.Prefix) bool { return p.Contains(client) })
}

// mayServe reports whether a remembered state may be served.
func (a *Authenticator) mayServe(s *state, age time.Duration) bool {
	return s.fresh && age < s.until && a.tracker.IsFresh(age) &&
		a.tracker.RecordCurrent(&s.stamp) && a.tracker.OrganisationUnchanged(&s.stamp)
}

// refresh finds out the state of a proven key. It fails with errOutdated if the
// proof no longer counts, else with a refusal.
func (a *Authenticator) refresh(ctx context.Context, p *proof, age time.Duration) (*state, error) {
	old := p.state.Load()
	var s *state
	var err error
	if a.tracker.IsFresh(age) {
		s, err = a.refreshTogether(ctx, p, old)
	} else {
		s, err = a.readState(ctx, p) // strict: what another request read may be too old for this one
	}
	switch {
	case err == nil, errors.Is(err, errOutdated):
		return s, err
	case a.mayBridge(old, age):
		a.counts.bridged.Add(1)
		return old, nil
	default:
		return nil, unavailable(p.keyID, err)
	}
}

// refreshTogether asks once for all requests that want to know at the same
// time. The stamp is part of the flight's name: who comes after a change
// doesn't join a question that was put before it.
func (a *Authenticator) refreshTogether(ctx context.Context, p *proof, old *state) (*state, error) {
	stamp := a.tracker.Stamp(p.keyID, p.organisation)
	flight := a.flights.DoChan(fmt.Sprintf("%s %d %v", p.keyID, p.secretVersion, stamp), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storePatience)
		defer cancel()
		if old != nil && old.fresh && a.tracker.RecordCurrent(&old.stamp) {
			return a.rejoin(ctx, p, old)
		}
		return a.readState(ctx, p)
	})
	select {
	case result := <-flight:
		s, _ := result.Val.(*state)
		return s, result.Err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// mayBridge allows the opt-in grace: the store is silent, and the last that it
// said is young enough and not known to have changed.
func (a *Authenticator) mayBridge(old *state, age time.Duration) bool {
	return old != nil && a.cache.StaleIfDown > 0 && age-old.read <= a.cache.StaleIfDown &&
		a.tracker.RecordUnchanged(&old.stamp) && a.tracker.OrganisationUnchanged(&old.stamp)
}

// readState reads the key's record and joins it with the directory.
func (a *Authenticator) readState(ctx context.Context, p *proof) (*state, error) {
	ctx, cancel := context.WithTimeout(ctx, storePatience)
	defer cancel()
	_, age := a.clock()
	s := &state{stamp: a.tracker.Stamp(p.keyID, p.organisation), read: age, fresh: a.tracker.IsFresh(age)}

	a.counts.reads.Add(1)
	key, err := a.keys.Key(ctx, p.organisation, p.keyID)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return nil, errOutdated
	case err != nil:
		return nil, err
	case key.SecretVersion != p.secretVersion:
		return nil, errOutdated
	}
	s.fill(p, key)
	return a.join(ctx, p, s)
}

// rejoin asks the directory again about a record that is still current.
func (a *Authenticator) rejoin(ctx context.Context, p *proof, old *state) (*state, error) {
	s := *old
	now := a.tracker.Stamp(p.keyID, p.organisation)
	s.stamp.RenewOrganisation(now)
	return a.join(ctx, p, &s)
}

func (a *Authenticator) join(ctx context.Context, p *proof, s *state) (*state, error) {
	st, err := a.standing.Check(ctx, s.principal.Organisation, s.principal.Subject)
	if err != nil {
		return nil, fmt.Errorf("directory: %w", err)
	}
	s.apply(st)
	p.state.Store(s)
	return s, nil
}

// fill takes from the record what requests need. Strings that the proof already
// has are shared with it: with 100,000 keys that is megabytes.
func (s *state) fill(p *proof, key storage.Key) {
	lineage := key.Lineage
	if lineage == p.keyID {
		lineage = p.keyID
	}
	s.principal = strikeplate.Principal{
		Kind: strikeplate.KindKey, Environment: shared(key.Environment, environments),
		Access: shared(key.Access, accessLevels), Expires: key.Expires,
		Credential: p.keyID, Lineage: lineage, Organisation: p.organisation,
	}
	if key.Access.ForUser() {
		s.principal.Subject = key.Owner
		s.inactive = key.Owner == ""
	}
	s.scopes, s.allow, s.revoked = key.Scopes, key.Allow, !key.Revoked.IsZero()
}

var (
	environments = []strikeplate.Environment{strikeplate.Live, strikeplate.Test}
	accessLevels = []strikeplate.Access{strikeplate.UserLimited, strikeplate.UserFull,
		strikeplate.OrganisationLimited, strikeplate.OrganisationFull, strikeplate.Legacy}
)

// shared returns the known constant equal to v, so that v's own memory can go.
func shared[T ~string](v T, known []T) T {
	if i := slices.Index(known, v); i >= 0 {
		return known[i]
	}
	return v
}

// apply adds what the directory says. A key is never stronger than its owner
// is at present.
func (s *state) apply(st standing.Standing) {
	s.until = st.Until
	s.principal.Plan, s.principal.Settings = st.Plan, st.Settings
	s.lapsed = st.Lapsed
	s.principal.Scopes = s.scopes
	if s.principal.Subject == "" {
		return
	}
	s.inactive = st.Inactive
	if st.Scopes != nil {
		s.principal.Scopes = narrow(s.scopes, st.Scopes)
	}
}

func narrow(own, granted []string) []string {
	kept := make([]string, 0, len(own))
	for _, scope := range own {
		if slices.Contains(granted, scope) {
			kept = append(kept, scope)
		}
	}
	return kept
}
