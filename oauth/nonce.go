package oauth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"time"
)

const (
	nonceField = "Dpop-Nonce"
	nonceLife  = 5 * time.Minute
	nonceStep  = 30 * time.Second // one nonce for all in that time
	nonceSize  = 8 + 16
)

// nonce says when it was made, under a MAC: nothing has to be kept of it.
func (d *DPoP) nonce(now time.Time) string {
	b := make([]byte, 8, nonceSize)
	binary.BigEndian.PutUint64(b, uint64(now.Truncate(nonceStep).Unix()))
	return base64.RawURLEncoding.EncodeToString(append(b, nonceTag(d.config.NonceKeys[0], b)...))
}

func nonceTag(key, b []byte) []byte {
	h := hmac.New(sha256.New, key)
	_, _ = h.Write([]byte("strikeplate dpop nonce")) // a hash never fails
	_, _ = h.Write(b)
	return h.Sum(nil)[:16]
}

// isNonce reports whether a nonce is ours and young enough.
func (d *DPoP) isNonce(text string, now time.Time) bool {
	b, err := decodeStrict(text)
	if err != nil || len(b) != nonceSize {
		return false
	}
	made := time.Unix(int64(binary.BigEndian.Uint64(b)), 0)
	if now.Before(made.Add(-nonceStep)) || now.After(made.Add(nonceLife)) {
		return false
	}
	ours := false
	for _, key := range d.config.NonceKeys {
		ours = hmac.Equal(nonceTag(key, b[:8]), b[8:]) || ours
	}
	return ours
}

// Nonces gives clients that send proofs their next nonce with every response, where
// nonces are required; without it they learn of a new one by a refusal, once in five
// minutes. It belongs outside of [strikeplate.Require].
func (d *DPoP) Nonces(next http.Handler) http.Handler {
	if !d.config.RequireNonce {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.Header["Dpop"]) > 0 {
			w.Header()[nonceField] = []string{d.nonce(d.config.Now())}
		}
		next.ServeHTTP(w, r)
	})
}
