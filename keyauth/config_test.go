package keyauth_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/storage/memory"
)

func TestConfigRefusals(t *testing.T) {
	scheme, err := keyauth.NewScheme(mavio())
	if err != nil {
		t.Fatal(err)
	}
	store := memory.New()
	good := keyauth.Config{Scheme: scheme, Keys: store, Directory: store}
	for name, change := range map[string]func(*keyauth.Config){
		"no scheme":            func(c *keyauth.Config) { c.Scheme = nil },
		"no keys":              func(c *keyauth.Config) { c.Keys = nil },
		"no directory":         func(c *keyauth.Config) { c.Directory = nil },
		"directory and none":   func(c *keyauth.Config) { c.InsecureNoDirectory = true },
		"old directory":        func(c *keyauth.Config) { c.Cache.Directory = 6 * time.Second },
		"negative freshness":   func(c *keyauth.Config) { c.Cache.Fresh = -1 },
		"endless grace":        func(c *keyauth.Config) { c.Cache.StaleIfDown = 25 * time.Hour },
		"negative cache bound": func(c *keyauth.Config) { c.Cache.Entries = -1 },
	} {
		c := good
		change(&c)
		if _, err := keyauth.New(c); err == nil || !strings.HasPrefix(err.Error(), "keyauth: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Close ends every goroutine and refuses nobody: late requests ask the store.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // which fails if a goroutine is left behind
		scheme, err := keyauth.NewScheme(mavio())
		if err != nil {
			t.Fatal(err)
		}
		store := memory.New()
		auth, err := keyauth.New(keyauth.Config{Scheme: scheme, Keys: store, InsecureNoDirectory: true, Feed: store})
		if err != nil {
			t.Fatal(err)
		}
		s := &service{store: store, scheme: scheme, auth: auth}
		text, key := s.mintAs(t, scheme, "mvo_", strikeplate.Live)
		synctest.Wait()
		wantNoError(t, auth.Ready(t.Context()))
		_, err = auth.Verify(t.Context(), text, client)
		wantNoError(t, err)

		wantNoError(t, auth.Close(t.Context()))
		wantNoError(t, auth.Close(t.Context())) // again: nothing
		if auth.Ready(t.Context()) == nil {
			t.Error("closed and ready")
		}
		if _, err = auth.Verify(t.Context(), text, client); err != nil {
			t.Errorf("after Close: %v", err)
		}
		s.put(t, revokedCopy(t, s, key.ID))
		_, err = auth.Verify(t.Context(), text, client)
		wantCode(t, err, 401, "revoked_api_key")
		wantNoError(t, store.Close(t.Context()))
	})
}

type unready struct{ *memory.Store }

var errUnready = errors.New("migrating")

func (unready) Ready(context.Context) error { return errUnready }

func TestReadyAsksTheStore(t *testing.T) {
	s := newService(t, func(c *keyauth.Config) { c.Keys = unready{c.Keys.(*memory.Store)} })
	if err := s.auth.Ready(t.Context()); !errors.Is(err, errUnready) {
		t.Errorf("got %v", err)
	}
}
