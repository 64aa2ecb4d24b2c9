package main

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/scope"
)

// product is what keys look like and may do.
func product() (*keyauth.Scheme, *scope.Catalog, error) {
	tagKey := make([]byte, 32)
	rand.Read(tagKey)
	scheme, err := keyauth.NewScheme(keyauth.SchemeConfig{
		Formats: []keyauth.Format{{Prefix: "mvo_", Environments: []strikeplate.Environment{strikeplate.Live, strikeplate.Test}}},
		TagKeys: [][]byte{tagKey},
	})
	if err != nil {
		return nil, nil, err
	}
	catalog, err := scope.NewCatalog(
		scope.Entry{Scope: "meetings:read", Description: "List and retrieve meetings, transcripts, and summaries"},
		scope.Entry{Scope: "meetings:write", Description: "Create, update, and delete meetings"},
		scope.Entry{Scope: "recordings:read", Description: "Download recording audio files"},
		scope.Entry{Scope: "transcripts:read", Description: "Retrieve transcript content"},
		scope.Entry{Scope: "transcripts:write", Description: "Edit transcript content and speaker labels"},
		scope.Entry{Scope: "notes:read", Description: "Read meeting notes and minutes"},
		scope.Entry{Scope: "notes:write", Description: "Create and edit notes and minutes"},
		scope.Entry{Scope: "action-items:read", Description: "List action items"},
		scope.Entry{Scope: "action-items:write", Description: "Create, update, and complete action items"},
		scope.Entry{Scope: "team:read", Description: "Read team membership and settings"},
		scope.Entry{Scope: "webhooks:manage", Description: "Create and manage webhook endpoints"},
	)
	return scheme, catalog, err
}

// seal encrypts kept secrets under a key that dies with the process. A service
// takes Tink, with a keyset from its key management.
type seal struct{ cipher.AEAD }

func newSeal() (seal, error) {
	key := make([]byte, 32)
	rand.Read(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return seal{}, err
	}
	gcm, err := cipher.NewGCMWithRandomNonce(block)
	return seal{gcm}, err
}

func (s seal) Encrypt(plaintext, additional []byte) ([]byte, error) {
	return s.Seal(nil, nil, plaintext, additional), nil //nolint:gosec // the nonce is random, made by the AEAD
}

func (s seal) Decrypt(ciphertext, additional []byte) ([]byte, error) {
	return s.Open(nil, nil, ciphertext, additional)
}
