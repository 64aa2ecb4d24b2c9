package leak

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/strikeplate/strikeplate"
)

// The header fields of reports by scanners of the embedder's own.
const (
	timestampField = "Leak-Timestamp"
	macField       = "Leak-Signature"
)

// reportAge is how old a report may be, or ahead of this clock.
const reportAge = 5 * time.Minute

// Scanner serves the same reports as [Intake.GitHub], from scanners that share
// one of Config.ScannerSecrets. Leak-Timestamp is the time in seconds since 1970,
// at most 5 minutes off; Leak-Signature is HMAC-SHA256 of timestamp, "." and raw
// body under the secret, in hexadecimal:
//
//	body='[{"token":"'$LEAKED'","type":"ci","url":"","source":"build log"}]'
//	now=$(date +%s)
//	mac=$(printf '%s.%s' "$now" "$body" | openssl dgst -sha256 -mac HMAC -macopt hexkey:$SECRET_HEX -r | cut -d' ' -f1)
//	printf '%s' "$body" | curl https://api.example/leaks/scanner -H 'Content-Type: application/json' \
//		-H "Leak-Timestamp: $now" -H "Leak-Signature: $mac" --data-binary @-
//
// A report that is sent again within its 5 minutes changes nothing.
func (in *Intake) Scanner() http.Handler {
	return in.handler("scanner", in.signedByScanner)
}

func (in *Intake) signedByScanner(r *http.Request) (func(body []byte) error, error) {
	if len(in.c.ScannerSecrets) == 0 {
		return nil, &strikeplate.Error{Status: http.StatusServiceUnavailable, Code: strikeplate.CodeUnavailable,
			Message: "Reports of scanners are not set up here.", RetryAfter: time.Hour,
			Err: errors.New("leak: Config.ScannerSecrets is empty")}
	}
	timestamp, ok := single(r, timestampField)
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if !ok || err != nil {
		return nil, unsigned("The header field " + timestampField + " is missing or malformed.")
	}
	text, ok := single(r, macField)
	mac, err := hex.DecodeString(text)
	if !ok || err != nil || len(mac) != sha256.Size {
		return nil, unsigned("The header field " + macField + " is missing or malformed.")
	}
	if off := in.c.Now().Unix() - seconds; off > int64(reportAge/time.Second) || -off > int64(reportAge/time.Second) {
		return nil, unsigned("The report is too old, or a clock is wrong. Sign it anew with the present time.")
	}
	return func(body []byte) error {
		genuine := false
		for _, secret := range in.c.ScannerSecrets {
			h := hmac.New(sha256.New, secret)
			h.Write([]byte(timestamp + "."))
			h.Write(body)
			genuine = hmac.Equal(h.Sum(nil), mac) || genuine
		}
		if !genuine {
			return unsigned("The signature is not one of this timestamp and body.")
		}
		return nil
	}, nil
}
