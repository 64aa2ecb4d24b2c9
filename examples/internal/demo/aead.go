package demo

import (
	"crypto/aes"
	"crypto/cipher"
)

// Seal encrypts what is to be revealed later, by AES-256-GCM under a key of the
// site's. A real service takes Tink's AEAD, whose keys are in a key management
// service and rotate.
func (s *Site) Seal() (Sealer, error) {
	block, err := aes.NewCipher(s.Secret("sealed keys"))
	if err != nil {
		return Sealer{}, err
	}
	gcm, err := cipher.NewGCMWithRandomNonce(block)
	return Sealer{gcm}, err
}

// Sealer is an AEAD, as package manage wants one.
type Sealer struct{ gcm cipher.AEAD }

// Encrypt seals plaintext so that it opens with the same associated data only.
func (s Sealer) Encrypt(plaintext, associatedData []byte) ([]byte, error) {
	return s.gcm.Seal(nil, nil, plaintext, associatedData), nil //nolint:gosec // no nonce is given: the AEAD makes one and puts it in front
}

// Decrypt opens what Encrypt sealed.
func (s Sealer) Decrypt(ciphertext, associatedData []byte) ([]byte, error) {
	return s.gcm.Open(nil, nil, ciphertext, associatedData)
}
