package manage

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/storage"
)

// AEAD encrypts secrets that are kept. Tink's primitive of that name fits; it
// brings keysets, their rotation and key management services.
type AEAD interface {
	Encrypt(plaintext, associatedData []byte) ([]byte, error)
	Decrypt(ciphertext, associatedData []byte) ([]byte, error)
}

// Reveal keeps the secrets of new keys, encrypted, for [Service.Reveal].
type Reveal struct {
	// Seal encrypts; nil: secrets are not kept.
	Seal AEAD
	// FreshSignIn is how old the actor's sign-in may be; zero: 10 minutes, and an
	// hour is the most.
	FreshSignIn time.Duration
}

func (r *Reveal) settle() error {
	if r.FreshSignIn == 0 {
		r.FreshSignIn = 10 * time.Minute
	}
	if r.FreshSignIn < 0 || r.FreshSignIn > time.Hour {
		return errors.New("Reveal.FreshSignIn must be within 0 and 1h")
	}
	return nil
}

// signInSkew is how far the clock that stamped a sign-in may be ahead.
const signInSkew = time.Minute

// Reveal returns the secret of an active key again. signedIn is when the actor
// last proved who they are; the log has the entry before the secret is out. What
// it refuses with: 403 forbidden, 403 fresh_sign_in_required, 404 key_not_found,
// 409 revoked_api_key, 409 expired_api_key, 409 secret_not_kept.
func (s *Service) Reveal(ctx context.Context, a storage.Actor, id string, signedIn time.Time) (strikeplate.Secret, error) {
	key, err := s.findSecret(ctx, a, ActionReveal, id)
	if err != nil {
		return strikeplate.Secret{}, err
	}
	now := s.now()
	if signedIn.IsZero() || now.Sub(signedIn) > s.c.Reveal.FreshSignIn || signedIn.Sub(now) > signInSkew {
		return strikeplate.Secret{}, s.audited(ctx, a, ActionReveal, id, refuse(http.StatusForbidden, CodeSignIn,
			"Sign in again to see the secret: it takes a sign-in of the last %s.", s.c.Reveal.FreshSignIn))
	}
	switch status := key.Status(now); {
	case status == storage.Revoked:
		return strikeplate.Secret{}, revoked()
	case status == storage.Expired:
		return strikeplate.Secret{}, errors.Join(expired("revealed"), s.forget(ctx, a, now, key))
	case s.c.Reveal.Seal == nil || len(key.Sealed) == 0:
		return strikeplate.Secret{}, refuse(http.StatusConflict, CodeNoSecret,
			"The secret of this key was not kept. Regenerate the key to get a new one.")
	}
	text, err := s.c.Reveal.Seal.Decrypt(key.Sealed, sealedTo(key))
	if err != nil {
		return strikeplate.Secret{}, fmt.Errorf("manage: opening the secret of %s: %w", key.ID, err)
	}
	err = s.c.Keys.Commit(ctx, storage.Mutation{Now: now, Audit: []storage.Entry{{
		Organisation: key.Organisation, Actor: a, Action: ActionReveal, Target: key.ID, At: now,
	}}})
	if err != nil {
		return strikeplate.Secret{}, told(err, "audit")
	}
	return strikeplate.NewSecret(string(text)), nil
}

// ForgetExpired erases the kept secrets of the organisation's expired keys, and
// returns how many. It is upkeep, for a sweep to call: nobody is asked.
func (s *Service) ForgetExpired(ctx context.Context, organisation string) (int, error) {
	now := s.now()
	q := storage.Query{Organisation: organisation, Status: storage.Expired, Now: now, Limit: revokedAtOnce}
	done := 0
	for {
		page, next, err := s.c.Keys.ListKeys(ctx, q)
		if err != nil {
			return done, told(err, "listing keys")
		}
		for _, k := range page {
			if len(k.Sealed) == 0 {
				continue
			}
			if err := s.forget(ctx, storage.Actor{Role: "system"}, now, k); err != nil {
				return done, err
			}
			done++
		}
		if q.Cursor = next; next == "" {
			return done, nil
		}
	}
}

// forget erases a kept secret. That the key changed meanwhile is no failure:
// whoever changed it had a reason to keep or to erase.
func (s *Service) forget(ctx context.Context, a storage.Actor, now time.Time, key storage.Key) error {
	if len(key.Sealed) == 0 {
		return nil
	}
	before := key
	key.Sealed = nil
	err := s.commit(ctx, a, now, nil, change{action: ActionForget, before: &before, after: key})
	if isConflict(err) {
		return nil
	}
	return err
}

// seal encrypts a secret for its key's record; nil where secrets are not kept.
func (r Reveal) seal(key storage.Key, secret strikeplate.Secret) ([]byte, error) {
	if r.Seal == nil {
		return nil, nil
	}
	sealed, err := r.Seal.Encrypt([]byte(secret.Reveal()), sealedTo(key))
	if err != nil {
		return nil, fmt.Errorf("manage: sealing the secret: %w", err)
	}
	if len(sealed) == 0 {
		return nil, errors.New("manage: sealing the secret: the AEAD returned nothing")
	}
	return sealed, nil
}

// sealedTo is the associated data: a ciphertext opens for one version of one
// key's secret in one organisation. Lengths keep the parts from running together.
func sealedTo(key storage.Key) []byte {
	var data []byte
	for _, part := range []string{"strikeplate sealed secret 1", key.Organisation, key.ID} {
		data = binary.BigEndian.AppendUint64(data, uint64(len(part)))
		data = append(data, part...)
	}
	return binary.BigEndian.AppendUint64(data, uint64(key.SecretVersion))
}
