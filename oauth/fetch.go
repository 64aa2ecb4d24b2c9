package oauth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/go-jose/go-jose/v4/json"
)

// Fetch says how issuers are asked.
type Fetch struct {
	// Client sends the requests; nil: one of its own, with the proxy of the
	// environment. Its redirects are not followed: where keys come from is the
	// issuer's word, not its web server's.
	Client *http.Client
	// Timeout bounds one fetch, and how long a request waits for one. Zero: 5 s.
	Timeout time.Duration
	// Refresh is how often keys are fetched anew; zero: 5 min. A key id that isn't
	// known makes them be fetched at once, though at most once a second.
	Refresh time.Duration
	// MaxStale is how long keys count while they can't be fetched; zero: 24 h.
	MaxStale time.Duration
}

// How much an issuer may answer.
const (
	maxAnswer   = 512 << 10
	maxQuestion = 30 * time.Second
)

func (f *Fetch) settle() error {
	for _, d := range []struct {
		name       string
		value      *time.Duration
		zero, most time.Duration
	}{
		{"Timeout", &f.Timeout, 5 * time.Second, maxQuestion},
		{"Refresh", &f.Refresh, 5 * time.Minute, 24 * time.Hour},
		{"MaxStale", &f.MaxStale, 24 * time.Hour, 30 * 24 * time.Hour},
	} {
		if err := settleDuration(d.value, d.zero, d.most); err != nil {
			return fmt.Errorf("%s %w", d.name, err)
		}
	}
	client := http.Client{}
	if f.Client != nil {
		client = *f.Client
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	f.Client = &client
	return nil
}

var (
	errStatus = errors.New("the answer's status is not 200")
	errLong   = errors.New("the answer is too long")
)

// do sends a request and reads the answer, both bounded.
func (f *Fetch) do(req *http.Request) ([]byte, error) {
	req.Header.Set("Accept", "application/json")
	resp, err := f.Client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%w: %d", errStatus, resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if len(body) > maxAnswer {
		return nil, errLong
	}
	return body, err
}

func (f *Fetch) get(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	body, err := f.do(req)
	if err != nil {
		return nil, fmt.Errorf("GET %s: %w", url, err)
	}
	return body, nil
}

// discover finds an issuer's metadata. The places after the first are tried only
// where there is none at the one before.
func (f *Fetch) discover(ctx context.Context, issuer string, allowHTTP bool) (serverMetadata, error) {
	u, err := parseURL(issuer, allowHTTP)
	if err != nil {
		return serverMetadata{}, err
	}
	for _, place := range metadataURLs(u) {
		var body []byte
		if body, err = f.get(ctx, place); errors.Is(err, errStatus) {
			continue
		}
		if err != nil {
			return serverMetadata{}, err
		}
		m, err := parseMetadata(body, issuer, allowHTTP)
		if err != nil {
			return m, fmt.Errorf("GET %s: %w", place, err)
		}
		return m, nil
	}
	return serverMetadata{}, err
}

// parseMetadata accepts what the issuer says of itself, and of nobody else (RFC
// 8414 3.3): this is what keeps one issuer from handing out another's keys.
func parseMetadata(body []byte, issuer string, allowHTTP bool) (serverMetadata, error) {
	var m serverMetadata
	if err := json.Unmarshal(body, &m); err != nil || !isObject(body) {
		return m, errors.New("the metadata is not a JSON object as in RFC 8414")
	}
	if m.Issuer != issuer {
		return m, fmt.Errorf("the metadata is of issuer %.200q, not %q", m.Issuer, issuer)
	}
	if _, err := parseURL(m.KeysURL, allowHTTP); m.KeysURL != "" && err != nil {
		return m, fmt.Errorf("jwks_uri: %w", err)
	}
	if _, err := parseURL(m.Introspection, allowHTTP); m.Introspection != "" && err != nil {
		return m, fmt.Errorf("introspection_endpoint: %w", err)
	}
	return m, nil
}
