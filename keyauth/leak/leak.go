// Package leak is the intake for reports of leaked keys: what a secret scanner
// finds is verified as a real key, and revoked.
//
//	intake, err := leak.New(leak.Config{Scheme: scheme, Keys: store})
//	...
//	defer intake.Close(ctx)
//	mux.Handle("POST /leaks/github", intake.GitHub())
//
// [Intake.GitHub] speaks the protocol of GitHub's secret scanning partner
// program: enrol with the expressions of [keyauth.Scheme.Patterns] and the
// handler's address. [Intake.Scanner] takes the same reports from scanners of
// your own, under a secret that you share with them.
//
// Each reported key is revoked at once, and the audit log tells where it was
// found, in one transaction. Package operate delivers that to whoever must
// hear of it. Reporting a key again changes nothing.
//
// # What can be told
//
// Revoked and expired keys are recognised like others, whoever owns them. A key
// whose secret was regenerated since is not: nothing is kept of the old secret,
// which is dead. Nor is one of a foreign shape whose date has passed.
//
// Reports that are not finished within the budget are finished after the reply,
// from memory: the end of the process loses them, unless [Intake.Close] is
// called first. Those that the store kept from being finished are answered 503
// as well, so that the sender tries again.
//
// # Security notes
//
// Nothing of a report is looked at before its signature is verified. The text
// that comes with a key (source, url, type) was written by whoever leaked it: it
// is bounded, stripped of the key and kept as text; no address in it is ever
// fetched. The address of the sender's public keys is configuration, redirects
// are not followed, and a key identifier that nobody knows causes at most one
// request a minute.
//
// Hashing waits in the scheme's slot behind everything that verifies requests. So
// a flood of reports delays reports only; and a flood of wrong secrets, while it
// lasts, delays revocations: rate limits belong in front of the API. With keyed
// checksums a made-up key costs neither a look-up nor a hash. A reported token
// appears in no log, error or audit entry.
package leak

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/storage"
)

// Action is what happens to a key that leaked.
type Action int

// The actions. The zero value is the safest.
const (
	// Revoke ends the key at once and for ever.
	Revoke Action = iota
	// ReportOnly leaves it alone: the audit log tells of it, once a day at most for
	// as long as it is reported, and somebody must act.
	ReportOnly
)

// ActionLeaked is the audit log's name for a leak. Such an entry tells of the
// key as it was, and besides, as "leak", of the [Leak]. A [Revoke] is another
// entry of the same transaction, named as package manage names it.
const ActionLeaked = "key.leaked"

// GitHubKeys is where GitHub publishes the keys that sign its reports.
const GitHubKeys = "https://api.github.com/meta/public_keys/secret_scanning"

// Config wires an [Intake].
type Config struct {
	// Scheme and Keys are required, and the same that the Authenticator has.
	Scheme *keyauth.Scheme
	Keys   storage.Keys
	// Action is what happens to leaked keys; zero: [Revoke].
	Action Action
	// KeysURL is where the sender's public keys are, in GitHub's form; https is
	// required. Empty: [GitHubKeys].
	KeysURL string
	// Client asks for them; nil: http.DefaultClient. GitHub limits the rate of
	// anonymous requests by address; a transport may add a token. Redirects are
	// not followed, and each request has 10 s.
	Client *http.Client
	// ScannerSecrets are shared with scanners of your own, at least 32 random
	// bytes each. Every one listed verifies, so that a new one can be introduced
	// beside the old. None: [Intake.Scanner] answers 503.
	ScannerSecrets [][]byte
	// Budget is how long a request may take before it is answered with what is
	// known by then; zero: 25 s, of GitHub's 30. The server's WriteTimeout must be
	// longer.
	Budget time.Duration
	// InsecureEchoTokens names keys in replies by their text (token_raw) instead of
	// by their SHA-256 (token_hash), so that they appear in whatever records replies.
	InsecureEchoTokens bool
	// Now is the caller's clock; nil: time.Now.
	Now func() time.Time
	// Logger receives reports that were given up; nil: [slog.Default].
	Logger *slog.Logger
}

// Intake takes reports of leaked keys. It is safe for concurrent use.
type Intake struct {
	c       Config
	signer  *keyring
	cleaner cleaner
	work    *queue
}

// New checks c and starts the work that goes on after replies: call
// [Intake.Close] to end it.
func New(c Config) (*Intake, error) {
	if err := c.settle(); err != nil {
		return nil, fmt.Errorf("leak: %w", err)
	}
	signer, err := newKeyring(c)
	if err != nil {
		return nil, fmt.Errorf("leak: %w", err)
	}
	in := &Intake{c: c, signer: signer, cleaner: newCleaner(c.Scheme)}
	in.work = newQueue(in.settle)
	return in, nil
}

func (c *Config) settle() error {
	switch {
	case c.Scheme == nil || c.Keys == nil:
		return errors.New("Scheme and Keys are required")
	case c.Action != Revoke && c.Action != ReportOnly:
		return errors.New("Action is neither Revoke nor ReportOnly")
	case c.Budget < 0:
		return errors.New("Budget must not be negative")
	}
	for i, secret := range c.ScannerSecrets {
		if len(secret) < 32 {
			return fmt.Errorf("scanner secret %d has %d bytes; at least 32 are required", i+1, len(secret))
		}
	}
	if c.KeysURL == "" {
		c.KeysURL = GitHubKeys
	}
	if u, err := url.Parse(c.KeysURL); err != nil || u.Scheme != "https" || u.Host == "" {
		return errors.New("KeysURL must be an https address")
	}
	if c.Client == nil {
		c.Client = http.DefaultClient
	}
	if c.Budget == 0 {
		c.Budget = 25 * time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return nil
}

// Close refuses further reports (503) and waits until those taken are finished,
// or until ctx ends: then the rest is given up, which the log tells, and ctx's
// error is returned.
func (in *Intake) Close(ctx context.Context) error { return in.work.close(ctx) }

// Stats are counts since [New], by distinct keys, and a gauge.
type Stats struct {
	Reported uint64 // tokens in reports with a valid signature, repetitions too
	Leaked   uint64 // proven to be keys
	Revoked  uint64 // of those, revoked by a report
	False    uint64 // no keys of this service
	GivenUp  uint64 // could not be verified, whatever was tried
	Refused  uint64 // reports answered 503 because too much is waiting

	Pending int // tokens waiting now
}

// Stats returns the current counts. It is cheap and safe for concurrent use.
func (in *Intake) Stats() Stats { return in.work.stats() }
