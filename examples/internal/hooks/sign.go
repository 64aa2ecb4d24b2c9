package hooks

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"time"
)

// SignatureHeader carries the signature of a delivery.
const SignatureHeader = "Mavio-Signature"

// ErrSignature means that a delivery is forged, or old.
var ErrSignature = errors.New("hooks: bad signature")

// newSecret makes a webhook's secret.
func newSecret() string {
	random := make([]byte, 32)
	_, _ = rand.Read(random)
	return "whsec_" + base64.RawURLEncoding.EncodeToString(random)
}

func mac(secret, stamp string, body []byte) []byte {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(stamp + "."))
	h.Write(body)
	return h.Sum(nil)
}

// Sign returns the signature of a body that is sent at a moment.
func Sign(secret string, at time.Time, body []byte) string {
	stamp := strconv.FormatInt(at.Unix(), 10)
	return "t=" + stamp + ",v1=" + hex.EncodeToString(mac(secret, stamp, body))
}

// Verify fails with ErrSignature unless the body was signed with the secret within
// five minutes of now.
func Verify(secret, signature string, body []byte, now time.Time) error {
	stamp, sum, ok := strings.Cut(signature, ",v1=")
	stamp, begins := strings.CutPrefix(stamp, "t=")
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	given, bad := hex.DecodeString(sum)
	if !ok || !begins || err != nil || bad != nil || !hmac.Equal(given, mac(secret, stamp, body)) {
		return ErrSignature
	}
	if age := now.Sub(time.Unix(seconds, 0)); age < -5*time.Minute || age > 5*time.Minute {
		return ErrSignature
	}
	return nil
}
