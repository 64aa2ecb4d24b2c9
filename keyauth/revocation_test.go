package keyauth_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/memory"
)

// On the instance that revokes, the very next request is refused, however many
// others are under way.
func TestRevokedByTheNextRequest(t *testing.T) {
	s := newService(t, nil)
	for range 50 {
		text, key := s.mintAs(t, s.scheme, "mvo_", strikeplate.Live)
		stop := make(chan struct{})
		var others sync.WaitGroup
		for range 4 {
			others.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						_, _ = s.auth.Verify(t.Context(), text, client)
					}
				}
			})
		}
		if _, err := s.auth.Verify(t.Context(), text, client); err != nil {
			t.Fatal(err)
		}
		s.update(t, key.ID, func(k *storage.Key) { k.Revoked = time.Now() })
		_, err := s.auth.Verify(t.Context(), text, client)
		close(stop)
		others.Wait()
		wantCode(t, err, 401, "revoked_api_key")
	}
}

// THREATS 9: a fill that read the record before the revocation, and ends after
// it, is not remembered.
func TestThreat9FillsCannotResurrect(t *testing.T) {
	for _, test := range []struct {
		name string
		make string // what outdates the entry, so that a fill begins
	}{{"first fill", ""}, {"after a rename", "rename"}, {"after a lost feed", "lost"}} {
		t.Run(test.name, func(t *testing.T) {
			keys := &gatedKeys{}
			feed := newManualFeed()
			s := newService(t, func(c *keyauth.Config) {
				keys.Keys = c.Keys
				c.Keys = keys
				c.Feed = both{c.Feed, feed}
			})
			text, key := s.mintAs(t, s.scheme, "mvo_", strikeplate.Live)
			switch test.make {
			case "rename":
				_, err := s.auth.Verify(t.Context(), text, client)
				wantNoError(t, err)
				s.update(t, key.ID, func(k *storage.Key) { k.Name = "other" })
			case "lost":
				_, err := s.auth.Verify(t.Context(), text, client)
				wantNoError(t, err)
				feed.sink().Lost(errors.New("test"))
				waitUntil(t, "the feed is fresh again", func() bool { return s.auth.Stats().Fresh })
			}

			g := newGate()
			release := sync.OnceFunc(func() { close(g.open) })
			defer release() // also if the test fails in the middle
			keys.set(g, nil)
			filled := make(chan error, 1)
			go func() {
				_, err := s.auth.Verify(t.Context(), text, client)
				filled <- err
			}()
			select {
			case <-g.arrived: // the fill has read the record as it was
			case err := <-filled:
				t.Fatalf("no fill began: the request was answered from memory (%v)", err)
			}
			keys.set(nil, nil)
			s.update(t, key.ID, func(k *storage.Key) { k.Revoked = time.Now() })

			// Who comes now must not join the fill that is under way: it waits for us.
			impatient, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			_, err := s.auth.Verify(impatient, text, client)
			wantCode(t, err, 401, "revoked_api_key")
			release()
			<-filled
			for range 3 {
				_, err = s.auth.Verify(t.Context(), text, client)
				wantCode(t, err, 401, "revoked_api_key")
			}
		})
	}
}

// THREATS 8: a feed that falls silent, without an error, is unhealthy: a
// revocation that it doesn't tell is noticed within Cache.Fresh, and from then
// on every request asks the store.
func TestThreat8SilentFeedIsUnhealthy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		scheme, err := keyauth.NewScheme(keyauth.SchemeConfig{Formats: []keyauth.Format{{Prefix: "k_"}},
			Hashing: cheap, TagKeys: [][]byte{randomBytes(32)}})
		if err != nil {
			t.Fatal(err)
		}
		store := memory.New()
		feed := &silentFeed{Feed: store}
		auth, err := keyauth.New(keyauth.Config{Scheme: scheme, Keys: store, InsecureNoDirectory: true, Feed: feed})
		if err != nil {
			t.Fatal(err)
		}
		s := &service{store: store, scheme: scheme, auth: auth}
		text, key := s.mintAs(t, scheme, "k_", strikeplate.Live)
		time.Sleep(time.Second) // virtual: the feed settles
		verify := func() error { _, err := auth.Verify(t.Context(), text, client); return err }
		if err := verify(); err != nil {
			t.Fatal(err)
		}
		reads := auth.Stats().Reads
		if err := verify(); err != nil || auth.Stats().Reads != reads {
			t.Fatalf("a healthy feed's state is not served from memory: %v", err)
		}

		feed.setMute(true)
		s.update(t, key.ID, func(k *storage.Key) { k.Revoked = time.Now() })
		time.Sleep(2*time.Second + 500*time.Millisecond + time.Millisecond) // virtual time: the bound, and the barrier's own interval
		wantCode(t, verify(), 401, "revoked_api_key")
		reads = auth.Stats().Reads
		for range 5 {
			_ = verify()
		}
		if got := auth.Stats().Reads - reads; got != 5 {
			t.Errorf("%d of 5 requests asked the store while the feed was silent", got)
		}
		if auth.Stats().Fresh || auth.Ready(t.Context()) == nil {
			t.Error("a silent feed is reported as healthy")
		}
		if h := auth.Stats().Hashes; h != 2 { // one to mint, one to prove
			t.Errorf("%d hashes, want 2", h)
		}
		wantNoError(t, auth.Close(t.Context()))
		wantNoError(t, store.Close(t.Context()))
	})
}

// THREATS 10: what the directory said counts for five seconds at most, and not
// at all after Invalidate.
func TestThreat10DirectoryAnswersAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		scheme, err := keyauth.NewScheme(keyauth.SchemeConfig{Formats: []keyauth.Format{{Prefix: "k_"}},
			Hashing: cheap, TagKeys: [][]byte{randomBytes(32)}})
		if err != nil {
			t.Fatal(err)
		}
		store, own := memory.New(), memory.New() // own: the embedder's data, which feeds nobody
		auth, err := keyauth.New(keyauth.Config{Scheme: scheme, Keys: store, Directory: own, Feed: store})
		if err != nil {
			t.Fatal(err)
		}
		s := &service{store: store, scheme: scheme, auth: auth}
		put := func(lapsed, active bool) {
			wantNoError(t, own.PutAccount(t.Context(), storage.Account{Organisation: "acme", Lapsed: lapsed}))
			wantNoError(t, own.PutUser(t.Context(), storage.User{ID: "ada", Organisation: "acme", Active: active}))
		}
		put(false, true)
		text, _ := s.mintAs(t, scheme, "k_", strikeplate.Live, func(k *storage.Key) {
			k.Access, k.Owner = strikeplate.UserFull, "ada"
		})
		code := func() string {
			_, err := auth.Verify(t.Context(), text, client)
			if err == nil {
				return ""
			}
			return refusal(t, err).Code
		}
		time.Sleep(time.Second) // virtual time
		for _, step := range []struct {
			lapsed, active bool
			want           string
		}{{true, true, "subscription_required"}, {false, true, ""}, {false, false, "inactive_owner"}, {false, true, ""}} {
			before := code()
			put(step.lapsed, step.active)
			if got := code(); got != before {
				t.Errorf("the directory is asked for each request: %q", got)
			}
			auth.Invalidate("acme", "ada")
			if got := code(); got != step.want {
				t.Errorf("after Invalidate: %q, want %q", got, step.want)
			}
		}
		put(true, true)
		time.Sleep(5*time.Second - time.Millisecond) // virtual time
		if got := code(); got != "" && got != "subscription_required" {
			t.Errorf("got %q", got)
		}
		time.Sleep(time.Millisecond) // virtual time
		if got := code(); got != "subscription_required" {
			t.Errorf("after five seconds: %q", got)
		}
		wantNoError(t, auth.Close(t.Context()))
		wantNoError(t, store.Close(t.Context()))
		wantNoError(t, own.Close(t.Context()))
	})
}

var errDown = errors.New("connection refused by 10.1.2.3")

// A store that can't be asked is 503 for warm and cold keys alike, never 401,
// and mends by itself.
func TestStoreDown(t *testing.T) {
	keys := &gatedKeys{}
	s := newService(t, func(c *keyauth.Config) {
		keys.Keys = c.Keys
		c.Keys, c.Feed = keys, nil // no feed: every request asks
	})
	warm, cold := s.mint(t, strikeplate.Live), s.mint(t, strikeplate.Live)
	_, err := s.auth.Verify(t.Context(), warm, client)
	wantNoError(t, err)
	keys.set(nil, errDown)
	for _, text := range []string{warm, cold} {
		_, err := s.auth.Verify(t.Context(), text, client)
		wantCode(t, err, 503, "temporarily_unavailable")
		if e := refusal(t, err); e.RetryAfter < time.Second || !errors.Is(err, errDown) {
			t.Errorf("%+v", e)
		}
	}
	keys.set(nil, nil)
	for _, text := range []string{warm, cold} {
		_, err := s.auth.Verify(t.Context(), text, client)
		wantNoError(t, err)
	}
}

// The grace is opt-in, and a revocation that was noticed counts all the same.
func TestStaleIfDown(t *testing.T) {
	keys := &gatedKeys{}
	feed := newManualFeed()
	s := newService(t, func(c *keyauth.Config) {
		keys.Keys = c.Keys
		c.Keys = keys
		c.Feed = both{c.Feed, feed}
		c.Cache.StaleIfDown = time.Minute
	})
	good := s.mint(t, strikeplate.Live)
	ended, endedKey := s.mintAs(t, s.scheme, "mvo_", strikeplate.Live)
	for _, text := range []string{good, ended} {
		_, err := s.auth.Verify(t.Context(), text, client)
		wantNoError(t, err)
	}
	s.update(t, endedKey.ID, func(k *storage.Key) { k.Revoked = time.Now() })
	keys.set(nil, errDown)
	feed.sink().Lost(errDown)
	if _, err := s.auth.Verify(t.Context(), good, client); err != nil {
		t.Errorf("within the grace: %v", err)
	}
	if n := s.auth.Stats().Bridged; n != 1 {
		t.Errorf("%d bridged requests counted, want 1", n)
	}
	_, err := s.auth.Verify(t.Context(), ended, client)
	wantCode(t, err, 503, "temporarily_unavailable")
}

// 001-86b: a stream ends when its key is revoked.
func TestStreamEndsWithItsKey(t *testing.T) {
	s := newService(t, nil)
	text, key := s.mintAs(t, s.scheme, "mvo_", strikeplate.Live)
	started, ended := make(chan struct{}), make(chan error, 1)
	h := strikeplate.Require(s.auth)(s.auth.EndWithKey(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(started)
		<-r.Context().Done()
		ended <- context.Cause(r.Context())
	})))
	server := httptest.NewServer(h)
	defer server.Close()
	go func() {
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
		r.Header.Set("Authorization", "Bearer "+text)
		if res, err := server.Client().Do(r); err == nil {
			_ = res.Body.Close()
		}
	}()
	<-started
	s.update(t, key.ID, func(k *storage.Key) { k.Revoked = time.Now() })
	wantCode(t, <-ended, 401, "revoked_api_key")
}
