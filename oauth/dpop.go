package oauth

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// DPoPConfig wires a [DPoP].
type DPoPConfig struct {
	// URL is what clients call: scheme and host, and the path that a proxy takes away
	// before requests arrive here. Proofs are held against it, never against Host or
	// forwarding fields, which clients choose. Required.
	URL string
	// InsecureHTTP allows http on the loopback interface.
	InsecureHTTP bool
	// Algorithms are those that clients may sign with; empty: ES256, EdDSA (also
	// called Ed25519), and RS256.
	Algorithms []string
	// Window is how old a proof may be, and how far in the future; zero: 1 min, at
	// most 10 min.
	Window time.Duration
	// Replays notes which proofs were used; nil: in memory, a million at a time. A
	// fleet shares one, or else a proof counts once on each instance.
	Replays Replays
	// RequireNonce makes clients put a nonce of ours into their proofs (RFC 9449 9),
	// so that none can be made in advance. It counts for 5 minutes.
	RequireNonce bool
	// NonceKeys are secrets of at least 32 bytes, shared by all instances. Nonces are
	// made with the first; to replace it, put another in front and drop the old one
	// after 5 minutes. Empty: made at random, for one instance.
	NonceKeys [][]byte
	// Now is the clock; nil: time.Now.
	Now func() time.Time
}

// DPoP checks proofs of possession (RFC 9449), for APIs and for token endpoints. It
// is safe for concurrent use.
type DPoP struct {
	config     DPoPConfig
	base       *url.URL
	algorithms algorithms
}

// NewDPoP checks c.
func NewDPoP(c DPoPConfig) (*DPoP, error) {
	base, err := parseURL(c.URL, c.InsecureHTTP)
	if err != nil {
		return nil, fmt.Errorf("oauth: URL: %w", err)
	}
	if base.RawQuery != "" || base.ForceQuery {
		return nil, errors.New("oauth: URL must have no query")
	}
	if len(c.Algorithms) == 0 {
		c.Algorithms = []string{"ES256", "EdDSA", "RS256"}
	}
	d := &DPoP{base: base}
	if d.algorithms, err = newAlgorithms(c.Algorithms); err != nil {
		return nil, fmt.Errorf("oauth: %w", err)
	}
	if err := settleDuration(&c.Window, time.Minute, 10*time.Minute); err != nil {
		return nil, fmt.Errorf("oauth: Window %w", err)
	}
	if slices.ContainsFunc(c.NonceKeys, func(k []byte) bool { return len(k) < 32 }) {
		return nil, errors.New("oauth: NonceKeys must have at least 32 bytes each")
	}
	if len(c.NonceKeys) == 0 {
		key := make([]byte, 32)
		_, _ = rand.Read(key)
		c.NonceKeys = [][]byte{key}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Replays == nil {
		c.Replays = newReplayMemory(2*c.Window, maxReplays, maxReplays/10)
	}
	d.config = c
	return d, nil
}

// ProofError is what is wrong with a proof. Any other error of [DPoP.Check] means
// that it could not be checked.
type ProofError struct {
	// Code is "invalid_dpop_proof", or "use_dpop_nonce" with the Nonce to use, which
	// goes into the field DPoP-Nonce.
	Code, Nonce string
	// Description is for the client's developer.
	Description string
}

// Error is for logs.
func (e *ProofError) Error() string { return e.Code + ": " + e.Description }

func wrongProof(description string) error {
	return &ProofError{Code: CodeProof, Description: description}
}

// Check checks the request's proof (RFC 9449 4.3), and uses it up. accessToken is
// the token that comes with it; at a token endpoint, where none does, it is empty.
// It returns the SHA-256 thumbprint of the key, base64url: what tokens are bound to.
func (d *DPoP) Check(r *http.Request, accessToken string) (thumbprint string, err error) {
	p, err := d.parse(r.Header["Dpop"])
	if err != nil {
		return "", err
	}
	if err := d.judge(p, r, accessToken); err != nil {
		return "", err
	}
	return p.thumbprint, d.use(r.Context(), p)
}

// use notes that the proof was used. Whoever has no key that something is bound to
// doesn't get here with it, so strangers can't fill the memory.
func (d *DPoP) use(ctx context.Context, p *proof) error {
	first, err := d.config.Replays.Use(ctx, p.thumbprint, p.id, p.issued.Add(d.config.Window))
	switch {
	case err != nil:
		return err
	case !first:
		return wrongProof("The proof was used before.")
	}
	return nil
}

// judge holds the proof against the request.
func (d *DPoP) judge(p *proof, r *http.Request, accessToken string) error {
	now := d.config.Now()
	switch {
	case p.method != r.Method:
		return wrongProof("htm is not the request's method.")
	case !d.isTarget(p.target, r.URL):
		return wrongProof("htu is not the request's URL.")
	case p.issued.Before(now.Add(-d.config.Window)) || p.issued.After(now.Add(d.config.Window)):
		return wrongProof("iat is too far from the present.")
	case accessToken != "" && !p.isFor(accessToken):
		return wrongProof("ath is not the access token's hash.")
	case d.config.RequireNonce && !d.isNonce(p.nonce, now):
		return &ProofError{Code: CodeNonce, Nonce: d.nonce(now), Description: "The proof needs the nonce in DPoP-Nonce."}
	}
	return nil
}

// isTarget compares htu with the URL that the client called, both without query
// and fragment and normalised as RFC 3986 6.2 says (RFC 9449 4.3).
func (d *DPoP) isTarget(htu string, called *url.URL) bool {
	u, err := url.Parse(htu)
	if err != nil || u.User != nil || u.Opaque != "" {
		return false
	}
	want := strings.TrimSuffix(d.base.EscapedPath(), "/") + called.EscapedPath()
	return strings.EqualFold(u.Scheme, d.base.Scheme) && hostOf(u) == hostOf(d.base) &&
		normalPath(u.EscapedPath()) == normalPath(want)
}

// normalPath decodes what needs no escape and writes the other escapes in capitals.
// Dots are left alone: no client has to resolve them.
func normalPath(escaped string) string {
	if escaped == "" {
		return "/"
	}
	if !strings.Contains(escaped, "%") {
		return escaped
	}
	var b strings.Builder
	for i := 0; i < len(escaped); i++ {
		if escaped[i] != '%' || i+2 >= len(escaped) {
			b.WriteByte(escaped[i])
			continue
		}
		text, err := url.PathUnescape(escaped[i : i+3])
		if err == nil && isUnreserved(text[0]) {
			b.WriteString(text)
		} else {
			b.WriteString(strings.ToUpper(escaped[i : i+3]))
		}
		i += 2
	}
	return b.String()
}

func isUnreserved(c byte) bool {
	letter := 'a' <= c|0x20 && c|0x20 <= 'z'
	return letter || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0
}

// proven checks the proof that comes with a token bound to a DPoP key. The key is
// compared before the proof is used up.
func (r *Resource) proven(c *credential, thumbprint string) error {
	d := r.config.DPoP
	if d == nil || c.request == nil {
		return errUnknownBinding
	}
	p, err := d.parse(c.request.Header["Dpop"])
	if err == nil {
		err = d.judge(p, c.request, c.token)
	}
	if err == nil && p.thumbprint != thumbprint {
		err = wrongProof("The proof is not by the key that the access token is bound to.")
	}
	if err == nil {
		err = d.use(c.request.Context(), p)
	}
	var wrong *ProofError
	if !errors.As(err, &wrong) {
		return err
	}
	r.counts.unproven.Add(1)
	e := r.unauthorized(dpopScheme, wrong.Code, wrong.Description)
	if wrong.Nonce != "" {
		e.Header = http.Header{nonceField: {wrong.Nonce}}
	}
	return e
}
