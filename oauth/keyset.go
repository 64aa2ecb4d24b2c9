package oauth

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"
)

// signingKey is one key of an issuer.
type signingKey struct {
	id         string
	algorithm  string // the only one that it is for; empty: any that fits
	public     crypto.PublicKey
	thumbprint []byte
	// retired: the issuer no longer has it. What was signed with it no longer counts.
	retired atomic.Bool
	until   atomic.Int64 // when it is too old, unless it is fetched again, on the tracker's scale
}

// counts reports whether what was signed with it may be believed, remembered or not.
func (k *signingKey) counts(age time.Duration) bool {
	return !k.retired.Load() && age <= time.Duration(k.until.Load())
}

// lasts says until when the keys count.
func (s *keySet) lasts(until time.Duration) {
	for _, k := range s.keys {
		k.until.Store(int64(until))
	}
}

// keySet is an issuer's signing keys. It isn't changed after it was made.
type keySet struct{ keys []*signingKey }

// maxKeys bounds a set; the rest is left out.
const maxKeys = 64

var (
	errNotKeySet = errors.New("not a JWK Set")
	errNoKeys    = errors.New("the JWK Set has no public key that signatures could be checked with")
)

// parseKeySet reads the keys that may verify signatures. Others are left out, as
// RFC 7517 5 has it: symmetric ones, those that use or key_ops give to something
// else, those that are too short. Keys that the set before had stay the same.
func parseKeySet(raw []byte, before *keySet) (*keySet, error) {
	var wire struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(raw, &wire); err != nil || !isObject(raw) {
		return nil, errNotKeySet
	}
	set := new(keySet)
	for _, one := range wire.Keys[:min(len(wire.Keys), maxKeys)] {
		k := parseKey(one)
		if k == nil {
			continue
		}
		if before != nil {
			k = before.same(k)
		}
		set.keys = append(set.keys, k)
	}
	if len(set.keys) == 0 {
		return nil, errNoKeys
	}
	return set, nil
}

// parseKey returns nil for what isn't a public key to verify signatures with.
func parseKey(raw json.RawMessage) *signingKey {
	// go-jose doesn't read key_ops, and leaves use to its caller.
	var says struct {
		ID         string   `json:"kid"`
		Algorithm  string   `json:"alg"`
		Use        *string  `json:"use"`
		Operations []string `json:"key_ops"`
	}
	var key jose.JSONWebKey
	if json.Unmarshal(raw, &says) != nil || json.Unmarshal(raw, &key) != nil {
		return nil
	}
	if says.Use != nil && *says.Use != "sig" || says.Operations != nil && !slices.Contains(says.Operations, "verify") {
		return nil
	}
	public := usable(key.Key)
	if public == nil {
		return nil
	}
	thumbprint, err := (&jose.JSONWebKey{Key: public}).Thumbprint(crypto.SHA256)
	if err != nil {
		return nil
	}
	return &signingKey{id: says.ID, algorithm: says.Algorithm, public: public, thumbprint: thumbprint}
}

// usable returns an acceptable public key, or nil: for a private or symmetric one
// too, since who publishes those has lost them. Long RSA keys cost their user time
// that whoever chose the key doesn't pay for.
func usable(key any) crypto.PublicKey {
	switch k := key.(type) {
	case *rsa.PublicKey:
		if bits := k.N.BitLen(); bits >= 2048 && bits <= 8192 && k.E >= 3 && k.E%2 == 1 {
			return k
		}
	case *ecdsa.PublicKey:
		return k
	case ed25519.PublicKey:
		return k
	}
	return nil
}

// same returns the set's own key if it equals k.
func (s *keySet) same(k *signingKey) *signingKey {
	for _, have := range s.keys {
		if have.id == k.id && have.algorithm == k.algorithm && bytes.Equal(have.thumbprint, k.thumbprint) {
			return have
		}
	}
	return k
}

// retire marks the keys that the next set no longer has.
func (s *keySet) retire(next *keySet) {
	for _, k := range s.keys {
		if !slices.Contains(next.keys, k) {
			k.retired.Store(true)
		}
	}
}

const (
	errUnknownKey = invalid("The access token is signed with a key that its issuer doesn't have.")
	errNoKeyID    = invalid("The access token doesn't say which of its issuer's keys it is signed with.")
	errKeyUse     = invalid("The access token is signed with an algorithm that its key is not for.")
)

// find returns the key that a token names. A token that names none is let off only
// where there is nothing to choose: trying one key after the other would let an
// attacker choose.
func (s *keySet) find(id *string, a *algorithm) (*signingKey, error) {
	if id == nil {
		if len(s.keys) != 1 {
			return nil, errNoKeyID
		}
		return s.keys[0].allowing(a)
	}
	err := error(errUnknownKey)
	for _, k := range s.keys {
		if k.id != *id {
			continue
		}
		if k, err = k.allowing(a); err == nil {
			return k, nil
		}
	}
	return nil, err
}

func (k *signingKey) allowing(a *algorithm) (*signingKey, error) {
	if !a.fits(k.public) || k.algorithm != "" && !a.same(k.algorithm) {
		return nil, errKeyUse
	}
	return k, nil
}
