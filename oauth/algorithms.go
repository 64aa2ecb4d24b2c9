package oauth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	_ "crypto/sha256" // RS256 and its like
	_ "crypto/sha512"
	"errors"
	"fmt"
	"math/big"
	"slices"
)

// family is a way to sign.
type family int

const (
	pkcs1 family = iota
	pss
	ecdsaFamily
	eddsa
)

// algorithm is one way to sign in all its details, so that nothing is left for a
// token to choose.
type algorithm struct {
	name   string
	family family
	hash   crypto.Hash
	curve  elliptic.Curve
}

// known are the algorithms there are here: RFC 7518 3.1's asymmetric ones and
// RFC 8037's. Ed25519 is RFC 9864's name for what EdDSA means here.
var known = []*algorithm{
	{"RS256", pkcs1, crypto.SHA256, nil}, {"RS384", pkcs1, crypto.SHA384, nil}, {"RS512", pkcs1, crypto.SHA512, nil},
	{"PS256", pss, crypto.SHA256, nil}, {"PS384", pss, crypto.SHA384, nil}, {"PS512", pss, crypto.SHA512, nil},
	{"ES256", ecdsaFamily, crypto.SHA256, elliptic.P256()}, {"ES384", ecdsaFamily, crypto.SHA384, elliptic.P384()},
	{"ES512", ecdsaFamily, crypto.SHA512, elliptic.P521()},
	{"EdDSA", eddsa, 0, nil}, {"Ed25519", eddsa, 0, nil},
}

// algorithms are those that an issuer or a client may use.
type algorithms []*algorithm

// newAlgorithms finds the algorithms of that name. Naming EdDSA or Ed25519 allows
// both spellings of it.
func newAlgorithms(names []string) (algorithms, error) {
	var all algorithms
	for _, name := range names {
		i := slices.IndexFunc(known, func(a *algorithm) bool { return a.name == name })
		if i < 0 {
			return nil, fmt.Errorf("Algorithms: %q is not an asymmetric signature algorithm that is supported", name)
		}
		for _, a := range known {
			if (a == known[i] || a.family == eddsa && known[i].family == eddsa) && !slices.Contains(all, a) {
				all = append(all, a)
			}
		}
	}
	return all, nil
}

func (all algorithms) find(name string) *algorithm {
	for _, a := range all {
		if a.name == name {
			return a
		}
	}
	return nil
}

func (all algorithms) names() []string {
	names := make([]string, len(all))
	for i, a := range all {
		names[i] = a.name
	}
	return names
}

// same reports whether a key's alg allows the algorithm.
func (a *algorithm) same(name string) bool {
	return a.name == name || a.family == eddsa && (name == "EdDSA" || name == "Ed25519")
}

// fits reports whether the key is of the algorithm's type and curve.
func (a *algorithm) fits(key crypto.PublicKey) bool {
	switch key := key.(type) {
	case *rsa.PublicKey:
		return a.family == pkcs1 || a.family == pss
	case *ecdsa.PublicKey:
		return a.family == ecdsaFamily && key.Curve == a.curve
	case ed25519.PublicKey:
		return a.family == eddsa
	}
	return false
}

var errSignature = errors.New("the signature is wrong")

// verify checks a signature by a key that fits. It is stricter than most JOSE
// libraries: a PSS salt is as long as the hash (RFC 7518 3.5), an ECDSA signature
// as long as the curve says (3.4).
func (a *algorithm) verify(key crypto.PublicKey, signed string, signature []byte) error {
	if a.family == eddsa {
		if k, ok := key.(ed25519.PublicKey); ok && ed25519.Verify(k, []byte(signed), signature) {
			return nil
		}
		return errSignature
	}
	h := a.hash.New()
	_, _ = h.Write([]byte(signed)) // a hash never fails
	sum := h.Sum(nil)
	switch k := key.(type) {
	case *rsa.PublicKey:
		if a.family == pss {
			return rsa.VerifyPSS(k, a.hash, sum, signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		}
		return rsa.VerifyPKCS1v15(k, a.hash, sum, signature)
	case *ecdsa.PublicKey:
		half := (a.curve.Params().BitSize + 7) / 8
		if len(signature) == 2*half && ecdsa.Verify(k, sum, new(big.Int).SetBytes(signature[:half]), new(big.Int).SetBytes(signature[half:])) {
			return nil
		}
	}
	return errSignature
}
