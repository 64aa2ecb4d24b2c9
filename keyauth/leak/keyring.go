package leak

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

const (
	keysFresh    = time.Hour        // for so long they are not asked for again
	keysStale    = 24 * time.Hour   // for so long they serve while they can't be had
	keysInterval = time.Minute      // between two requests, whatever happens
	keysPatience = 10 * time.Second // for one request
	maxKeysSize  = 1 << 20          // bytes of an answer
	maxKeys      = 100
)

// errUnknownSigner: the identifier is not among the sender's keys.
var errUnknownSigner = errors.New("the sender has no such key")

// keyring knows the sender's public keys.
type keyring struct {
	url    string
	client http.Client
	flight singleflight.Group

	mu      sync.Mutex
	keys    map[string]*ecdsa.PublicKey
	fetched time.Time // when keys were last had; ages by the monotonic clock
	tried   time.Time // when they were last asked for
	failure error     // of that attempt
}

func newKeyring(c Config) (*keyring, error) {
	if _, err := http.NewRequest(http.MethodGet, c.KeysURL, http.NoBody); err != nil { //nolint:noctx // it is only parsed, and not sent
		return nil, fmt.Errorf("KeysURL: %w", err)
	}
	k := &keyring{url: c.KeysURL, client: *c.Client}
	k.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return k, nil
}

// key returns the public key with that identifier. It fails with
// errUnknownSigner where there surely is none; any other failure means that it
// could not be found out.
func (k *keyring) key(ctx context.Context, id string) (*ecdsa.PublicKey, error) {
	if key, age := k.cached(id); key != nil && age < keysFresh {
		return key, nil
	}
	err := k.refresh(ctx)
	key, age := k.cached(id)
	switch {
	case key != nil && age <= keysStale:
		return key, nil
	case err != nil:
		return nil, err
	default:
		return nil, errUnknownSigner
	}
}

func (k *keyring) cached(id string) (*ecdsa.PublicKey, time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.keys[id], time.Since(k.fetched)
}

// refresh asks for the keys, once for all who want them at the same time, and
// once a minute: strangers can make up identifiers.
func (k *keyring) refresh(ctx context.Context) error {
	flight := k.flight.DoChan("", func() (any, error) {
		k.mu.Lock()
		if !k.tried.IsZero() && time.Since(k.tried) < keysInterval {
			defer k.mu.Unlock()
			return nil, k.failure
		}
		k.tried = time.Now()
		k.mu.Unlock()

		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keysPatience)
		defer cancel()
		keys, err := k.fetch(ctx)
		k.mu.Lock()
		defer k.mu.Unlock()
		k.failure = err
		if err == nil {
			k.keys, k.fetched = keys, time.Now()
		}
		return nil, err
	})
	select {
	case result := <-flight:
		return result.Err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (k *keyring) fetch(ctx context.Context) (map[string]*ecdsa.PublicKey, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, k.url, http.NoBody)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	res, err := k.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("leak: asking for the sender's keys: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("leak: asking for the sender's keys: status %d", res.StatusCode)
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, maxKeysSize+1))
	if err != nil {
		return nil, fmt.Errorf("leak: reading the sender's keys: %w", err)
	}
	if len(text) > maxKeysSize {
		return nil, errors.New("leak: the list of the sender's keys is too large")
	}
	return readKeys(text)
}

// readKeys takes those keys that signatures can be verified with. A list
// without any is refused, so that the keys known so far go on serving. Keys that
// are no longer current are taken as well: a report may be on its way when the
// sender changes keys, and the sender decides how long to list them.
func readKeys(text []byte) (map[string]*ecdsa.PublicKey, error) {
	var list struct {
		PublicKeys []struct {
			KeyIdentifier string `json:"key_identifier"`
			Key           string `json:"key"`
		} `json:"public_keys"`
	}
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, errors.New("leak: the list of the sender's keys is not in GitHub's form")
	}
	keys := make(map[string]*ecdsa.PublicKey)
	for _, entry := range list.PublicKeys {
		block, _ := pem.Decode([]byte(entry.Key))
		if block == nil || entry.KeyIdentifier == "" || len(keys) >= maxKeys {
			continue
		}
		parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			continue
		}
		if key, ok := parsed.(*ecdsa.PublicKey); ok && key.Curve == elliptic.P256() {
			keys[entry.KeyIdentifier] = key
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("leak: the list of the sender's keys has no ECDSA key on P-256")
	}
	return keys, nil
}
