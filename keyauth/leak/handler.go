package leak

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/netip"
	"time"

	"github.com/strikeplate/strikeplate"
)

const (
	maxBody      = 4 << 20          // bytes of a report
	maxReading   = 32               // bodies that are being read at a time
	bodyPatience = 10 * time.Second // for one body to arrive
)

// Codes of the refusals that this package adds to those of package strikeplate.
const (
	CodeSignature = "invalid_signature" // 401: nothing proves who sent the report
	CodeReport    = "invalid_report"    // 400, 405, 413 or 415: the report can't be read
)

func refuse(status int, code, message string) *strikeplate.Error {
	return &strikeplate.Error{Status: status, Code: code, Message: message}
}

func unsigned(message string) *strikeplate.Error {
	e := refuse(http.StatusUnauthorized, CodeSignature, message)
	e.Challenge = []string{`Signature realm="leak reports"`} // RFC 9110 15.5.2 wants one
	return e
}

func busy(why error) *strikeplate.Error {
	return &strikeplate.Error{Status: http.StatusServiceUnavailable, Code: strikeplate.CodeUnavailable,
		Message: "Not every reported token could be dealt with. Send the report again later.", RetryAfter: time.Minute, Err: why}
}

var (
	errCrowded  = errors.New("leak: too many reports at a time")
	errTroubled = errors.New("leak: the store kept reported tokens from being dealt with")
	errClosed   = errors.New("leak: the intake is closed")
)

// handler serves reports whose header fields signed judges, and then their body.
func (in *Intake) handler(reporter string, signed func(*http.Request) (func([]byte) error, error)) http.Handler {
	reading := make(chan struct{}, maxReading)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), in.c.Budget)
		defer cancel()
		r = r.WithContext(ctx)
		reply, err := in.serve(w, r, reporter, reading, signed)
		if err != nil {
			strikeplate.Fail(w, r, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		_, _ = w.Write(reply) //nolint:gosec // JSON, told as such, with nosniff; a sender that left needs no answer
	})
}

func (in *Intake) serve(w http.ResponseWriter, r *http.Request, reporter string, reading chan struct{},
	signed func(*http.Request) (func([]byte) error, error),
) ([]byte, error) {
	if err := checkHead(w, r); err != nil {
		return nil, err
	}
	prove, err := signed(r)
	if err != nil {
		return nil, err
	}
	body, err := readBody(w, r, reading)
	if err != nil {
		return nil, err
	}
	if err := prove(body); err != nil {
		return nil, err
	}
	reports, err := parseReports(body)
	if err != nil {
		return nil, err
	}
	verdicts, err := in.judge(r.Context(), origin{reporter: reporter, client: client(r)}, reports)
	if err != nil {
		return nil, err
	}
	return json.Marshal(verdicts)
}

// client is the sender's address, the socket's where no Edge stands in front.
func client(r *http.Request) netip.Addr {
	if x := strikeplate.ExchangeFrom(r.Context()); x != nil {
		return x.Client()
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return peer.Addr().Unmap()
}

// checkHead refuses what no signature could make acceptable.
func checkHead(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return refuse(http.StatusMethodNotAllowed, CodeReport, "Reports of leaked keys are sent by POST.")
	}
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return refuse(http.StatusUnsupportedMediaType, CodeReport, "A report is application/json.")
	}
	if len(r.Header["Content-Encoding"]) > 0 {
		return refuse(http.StatusUnsupportedMediaType, CodeReport, "A report is sent without a content encoding.")
	}
	if r.ContentLength > maxBody {
		return tooLarge()
	}
	return nil
}

func tooLarge() error {
	return refuse(http.StatusRequestEntityTooLarge, CodeReport, "The report is too large. Send it in parts.")
}

// readBody takes the body of a stranger, who knows the identifiers of keys like
// everybody does: few at a time, and each in bounded time.
func readBody(w http.ResponseWriter, r *http.Request, reading chan struct{}) ([]byte, error) {
	select {
	case reading <- struct{}{}:
		defer func() { <-reading }()
	default:
		return nil, busy(errCrowded)
	}
	connection := http.NewResponseController(w)
	_ = connection.SetReadDeadline(time.Now().Add(bodyPatience)) // where it can't be set, the server's ReadTimeout must do
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	_ = connection.SetReadDeadline(time.Time{})
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		return nil, tooLarge()
	case err != nil:
		return nil, refuse(http.StatusBadRequest, CodeReport, "The report did not arrive whole.")
	}
	return body, nil
}
