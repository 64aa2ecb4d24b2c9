package keyauth

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/storage"
)

// verifyUnproven is the long way, in the order that costs an attacker's work
// least: shape and checksum, throttle, look-up, hash. Then the state.
func (a *Authenticator) verifyUnproven(ctx context.Context, text []byte, d digest, from caller) (*strikeplate.Principal, error) {
	now, _ := a.clock()
	sh, c := a.scheme.parse(text, now)
	if sh == nil {
		a.counts.malformed.Add(1)
		if !a.scheme.claimed(text) {
			return nil, a.refusals.strange
		}
		return nil, a.refusals.invalid
	}
	p, err := a.prove(ctx, claim{
		lookup: string(c.lookup), secret: string(c.secret), shape: sh, digest: d, client: from.client(),
	})
	if err != nil {
		a.throttle.linger(ctx)
		return nil, err
	}
	now, age := a.clock()
	st := p.state.Load()
	if st == nil || !a.mayServe(st, age) {
		if st, err = a.refresh(ctx, p, age); err != nil {
			if errors.Is(err, errOutdated) { // regenerated while we hashed
				return nil, a.refusals.invalid
			}
			return nil, err
		}
	}
	return st.verdict(now, from)
}

// claim is a well-formed credential on its way to being proven. Unlike a
// credential, it has memory of its own.
type claim struct {
	lookup, secret string
	shape          *shape
	digest         digest
	client         netip.Addr
}

// prove hashes once for all requests that present the same text at once.
func (a *Authenticator) prove(ctx context.Context, c claim) (*proof, error) {
	if _, wait := a.throttle.judge(c.lookup, c.client); wait > 0 {
		a.throttle.refused.Add(1)
		return nil, tooManyFailures("", wait)
	}
	flight := a.flights.DoChan(string(c.digest[:]), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storePatience+slotPatience)
		defer cancel()
		return a.proveAlone(ctx, c)
	})
	select {
	case result := <-flight:
		p, _ := result.Val.(*proof)
		return p, result.Err
	case <-ctx.Done():
		return nil, unavailable("", ctx.Err())
	}
}

func (a *Authenticator) proveAlone(ctx context.Context, c claim) (*proof, error) {
	if p, ok := a.proofs.GetIfPresent(c.digest); ok && a.tracker.Since(time.Now()) < p.until {
		return p, nil // another flight landed between our caller's look and ours
	}
	key, err := a.lookUp(ctx, c)
	if err != nil {
		return nil, err
	}
	stored, err := a.scheme.readHash(key.Hash)
	if err != nil {
		a.logger.ErrorContext(ctx, "a key's stored hash is unusable; regenerate or revoke the key", "key", key.ID, "error", err)
		return nil, unavailable(key.ID, err)
	}
	life, shared := a.shared.find(ctx, &c, &key)
	if !shared {
		life = a.cache.Proofs
		match, err := a.compare(ctx, c, key.ID, stored)
		if err != nil {
			return nil, err
		}
		if !match {
			return nil, a.refusals.invalid
		}
		a.share(c, key)
	}
	if a.scheme.outdated(stored) {
		a.rehash(key, c.secret)
	}
	_, age := a.clock()
	p := &proof{organisation: strings.Clone(key.Organisation), keyID: strings.Clone(key.ID),
		secretVersion: key.SecretVersion, until: age + life}
	if c.shape.foreign != nil {
		p.accepted = c.shape.foreign.Until
	}
	a.proofs.Set(c.digest, p)
	return p, nil
}

// share tells the other instances of a proof. Hashes come one at a time, so there
// are never many of these. Close waits for the last.
func (a *Authenticator) share(c claim, key storage.Key) {
	if a.shared.shares(&c) && a.closing.Err() == nil {
		a.working.Go(func() { a.shared.tell(context.WithoutCancel(a.closing), &c, &key) })
	}
}

// lookUp finds the record that a claim names.
func (a *Authenticator) lookUp(ctx context.Context, c claim) (storage.Key, error) {
	ctx, cancel := context.WithTimeout(ctx, storePatience)
	defer cancel()
	a.counts.lookups.Add(1)
	key, err := a.keys.KeyByLookup(ctx, c.lookup)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		a.throttle.charge(c.lookup, c.client)
		return storage.Key{}, a.refusals.invalid
	case err != nil:
		return storage.Key{}, unavailable("", err)
	case key.Format != c.shape.format || key.Environment != c.shape.environment:
		a.throttle.charge(c.lookup, c.client)
		return storage.Key{}, a.refusals.invalid
	}
	return key, nil
}

// compare waits for the slot and hashes. The throttle is asked again when the
// turn comes: while this claim waited, others may have used up its failures. So
// a failure is charged before the next one's turn.
func (a *Authenticator) compare(ctx context.Context, c claim, keyID string, stored storedHash) (bool, error) {
	class, _ := a.throttle.judge(c.lookup, c.client)
	ctx, cancel := context.WithTimeout(ctx, slotPatience)
	defer cancel()
	if err := a.scheme.slot.acquire(ctx, class); err != nil {
		return false, a.refusals.busy
	}
	defer a.scheme.slot.release()
	if _, wait := a.throttle.judge(c.lookup, c.client); wait > 0 {
		a.throttle.refused.Add(1)
		return false, tooManyFailures(keyID, wait)
	}
	a.scheme.slot.hashes.Add(1)
	match, err := stored.matches(c.secret)
	if err != nil {
		return false, unavailable(keyID, err)
	}
	if !match {
		a.throttle.charge(c.lookup, c.client)
	}
	return match, nil
}
