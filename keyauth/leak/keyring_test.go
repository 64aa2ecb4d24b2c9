package leak_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth/leak"
	"github.com/strikeplate/strikeplate/storage/memory"
)

// sender signs in this process and publishes its keys without a network, so that
// it may live in a bubble of its own time.
type sender struct {
	testing.TB
	mu    sync.Mutex
	keys  map[string]*ecdsa.PrivateKey
	asked atomic.Int64
	reply func(*http.Request) (*http.Response, error) // nil: the keys
}

func newSender(t testing.TB, curve elliptic.Curve, ids ...string) *sender {
	t.Helper()
	s := &sender{TB: t, keys: make(map[string]*ecdsa.PrivateKey)}
	for _, id := range ids {
		s.add(curve, id)
	}
	return s
}

func (s *sender) add(curve elliptic.Curve, id string) {
	s.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		s.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys[id] = key
}

// RoundTrip implements http.RoundTripper.
func (s *sender) RoundTrip(r *http.Request) (*http.Response, error) {
	s.asked.Add(1)
	s.mu.Lock()
	reply := s.reply
	s.mu.Unlock()
	if reply != nil {
		return reply(r)
	}
	return respond(http.StatusOK, s.list()), nil
}

func (s *sender) answer(reply func(*http.Request) (*http.Response, error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reply = reply
}

func respond(status int, text string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(text))}
}

func (s *sender) list() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	type entry map[string]any
	var all []entry
	for id, key := range s.keys {
		der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
		if err != nil {
			s.Error(err)
		}
		all = append(all, entry{"key_identifier": id, "is_current": false,
			"key": string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))})
	}
	text, err := json.Marshal(entry{"public_keys": all})
	if err != nil {
		s.Error(err)
	}
	return string(text)
}

// sign signs as id, with its key or, if it has none, another's.
func (s *sender) sign(id string, content []byte) map[string]string {
	s.Helper()
	s.mu.Lock()
	key := s.keys[id]
	for _, other := range s.keys {
		if key == nil {
			key = other
		}
	}
	s.mu.Unlock()
	digest := sha256.Sum256(content)
	signature, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
	if err != nil {
		s.Fatal(err)
	}
	return map[string]string{"Github-Public-Key-Identifier": id,
		"Github-Public-Key-Signature": base64.StdEncoding.EncodeToString(signature)}
}

func (s *sender) used(c *leak.Config) { c.Client = &http.Client{Transport: s} }

// status is what an empty report signed as id is answered with.
func (s *sender) status(h http.Handler, id string) int {
	s.Helper()
	return post(h, []byte("[]"), s.sign(id, []byte("[]"))).Code
}

// inBubble runs a test on a memory store in a bubble of its own time.
func inBubble(t *testing.T, change func(*leak.Config), run func(t *testing.T, s *sender, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newSender(t, elliptic.P256(), "known")
		w := newWorld(t, closing(t, memory.New()), formats(), s.used, func(c *leak.Config) {
			if change != nil {
				change(c)
			}
		})
		run(t, s, w)
	})
}

func later(d time.Duration) { time.Sleep(d) } // of the bubble's clock

func TestSendersKeysAreRememberedForAnHour(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *sender, w *world) {
		h := w.intake.GitHub()
		for _, step := range []struct {
			after  time.Duration
			status int
			asked  int64
		}{{0, 200, 1}, {0, 200, 1}, {59 * time.Minute, 200, 1}, {2 * time.Minute, 200, 2}, {time.Second, 200, 2}} {
			later(step.after)
			if got := s.status(h, "known"); got != step.status || s.asked.Load() != step.asked {
				t.Errorf("after %v: %d, asked %d times; want %d, %d", step.after, got, s.asked.Load(), step.status, step.asked)
			}
		}
		s.add(elliptic.P256(), "new") // a key that came later is found at once
		later(time.Minute)
		if got := s.status(h, "new"); got != 200 || s.asked.Load() != 3 {
			t.Errorf("a new key: %d, asked %d times", got, s.asked.Load())
		}
	})
}

// While the sender's keys can't be had, those known serve for a day; then
// nothing can be verified, which is 503 and not 401.
func TestSendersKeysWhileTheirServerIsDown(t *testing.T) {
	down := func(*http.Request) (*http.Response, error) { return nil, errors.New("connection refused") }
	inBubble(t, nil, func(t *testing.T, s *sender, w *world) {
		h := w.intake.GitHub()
		s.answer(down)
		for range 3 {
			reply := post(h, []byte("[]"), s.sign("known", []byte("[]")))
			refused(t, reply, 503, strikeplate.CodeUnavailable)
		}
		if n := s.asked.Load(); n != 1 {
			t.Errorf("asked %d times in a minute", n)
		}
		s.answer(nil)
		later(time.Minute)
		if got := s.status(h, "known"); got != 200 {
			t.Errorf("after it came back: %d", got)
		}
		s.answer(down)
		later(23 * time.Hour)
		if got := s.status(h, "known"); got != 200 {
			t.Errorf("stale for 23 hours: %d", got)
		}
		later(time.Minute)
		if got := s.status(h, "other"); got != 503 { // it may be a new key: nobody can tell
			t.Errorf("an unknown key while the server is down: %d", got)
		}
		later(2 * time.Hour)
		if got := s.status(h, "known"); got != 503 {
			t.Errorf("stale for more than a day: %d", got)
		}
	})
}

// Answers that are no list of keys change nothing.
func TestSendersKeysAnswers(t *testing.T) {
	for what, answer := range map[string]func(*http.Request) (*http.Response, error){
		"slow": func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		},
		"huge": func(*http.Request) (*http.Response, error) {
			return respond(200, `{"public_keys":[`+strings.Repeat(" ", 2<<20)), nil
		},
		"endless": func(*http.Request) (*http.Response, error) {
			r := respond(200, "")
			r.Body = io.NopCloser(endless{})
			return r, nil
		},
		"elsewhere": func(*http.Request) (*http.Response, error) {
			r := respond(302, "")
			r.Header.Set("Location", "https://elsewhere.example/keys")
			return r, nil
		},
		"an error": func(*http.Request) (*http.Response, error) { return respond(403, "rate limit"), nil },
		"HTML":     func(*http.Request) (*http.Response, error) { return respond(200, "<html>"), nil },
		"no keys":  func(*http.Request) (*http.Response, error) { return respond(200, `{"public_keys":[]}`), nil },
		"P-384": func(*http.Request) (*http.Response, error) {
			return respond(200, newSender(t, elliptic.P384(), "known").list()), nil
		},
	} {
		t.Run(what, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, s *sender, w *world) {
				h := w.intake.GitHub()
				s.answer(answer)
				start := time.Now()
				if got := s.status(h, "known"); got != 503 {
					t.Errorf("at first: %d", got)
				}
				if took := time.Since(start); took > 10*time.Second {
					t.Errorf("it took %v", took)
				}
				s.answer(nil)
				later(time.Minute)
				if got := s.status(h, "known"); got != 200 {
					t.Errorf("after a good answer: %d", got)
				}
				s.answer(answer)
				later(2 * time.Hour)
				if got := s.status(h, "known"); got != 200 {
					t.Errorf("with keys of before: %d", got)
				}
				if n := s.asked.Load(); n != 3 {
					t.Errorf("asked %d times: redirects are not followed", n)
				}
			})
		})
	}
}

type endless struct{}

func (endless) Read(b []byte) (int, error) { return copy(b, "["), nil }

// Those who want the keys at the same time ask once.
func TestSendersKeysAreAskedForTogether(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *sender, w *world) {
		s.answer(func(*http.Request) (*http.Response, error) {
			later(3 * time.Second)
			return respond(200, s.list()), nil
		})
		h, fields := w.intake.GitHub(), s.sign("known", []byte("[]"))
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				if reply := post(h, []byte("[]"), fields); reply.Code != 200 {
					t.Errorf("%d %s", reply.Code, reply.Body)
				}
			})
		}
		all.Wait()
		if n := s.asked.Load(); n != 1 {
			t.Errorf("asked %d times", n)
		}
	})
}

// Made-up identifiers cause one request a minute, and learn nothing.
func TestThreat12UnknownIdentifiersAskOnceAMinute(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *sender, w *world) {
		h := w.intake.GitHub()
		if got := s.status(h, "known"); got != 200 {
			t.Fatal(got)
		}
		for minute := range int64(5) {
			var all sync.WaitGroup
			for i := range 50 {
				all.Go(func() {
					if got := s.status(h, "made-up-"+strconv.Itoa(i)); got != 401 {
						t.Errorf("a made-up identifier: %d", got)
					}
				})
			}
			all.Wait()
			if n := s.asked.Load(); n != 1+minute {
				t.Errorf("in minute %d: asked %d times", minute, n)
			}
			if got := s.status(h, "known"); got != 200 {
				t.Errorf("the sender itself: %d", got)
			}
			later(time.Minute)
		}
	})
}

// Addresses in reports are never asked, whatever they name.
func TestThreat12ReportedAddressesAreNeverFetched(t *testing.T) {
	var asked atomic.Int64
	bait := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	t.Cleanup(bait.Close)
	s := newSender(t, elliptic.P256(), "known")
	s.answer(func(r *http.Request) (*http.Response, error) {
		if r.URL.String() != leak.GitHubKeys {
			asked.Add(1)
		}
		return respond(200, s.list()), nil
	})
	w := newWorld(t, closing(t, memory.New()), formats(), s.used)
	text, _ := w.key()
	content := body(t, []report{{Token: text, Type: bait.URL, URL: bait.URL + "/x", Source: bait.URL}})
	if found := labels(t, post(w.intake.GitHub(), content, s.sign("known", content))); found[hashed(text)] != "true_positive" {
		t.Errorf("%v", found)
	}
	w.must(w.intake.Close(context.Background()))
	if n := asked.Load(); n != 0 {
		t.Errorf("%d requests to reported addresses", n)
	}
}

// A stranger who sends bodies slowly, or many at a time, is bounded.
func TestThreat12StrangersBodies(t *testing.T) {
	s := newSender(t, elliptic.P256(), "known")
	w := newWorld(t, closing(t, memory.New()), formats(), s.used)
	h := w.intake.GitHub()
	fields := s.sign("known", []byte("[]"))
	release := make(chan struct{})
	var sent, all sync.WaitGroup
	for range 32 {
		sent.Add(1)
		all.Go(func() {
			r := httptest.NewRequest(http.MethodPost, "/leaks", &stalled{Reader: bytes.NewReader([]byte("[]")), begun: sent.Done, release: release})
			r.Header.Set("Content-Type", "application/json")
			for name, value := range fields {
				r.Header.Set(name, value)
			}
			h.ServeHTTP(httptest.NewRecorder(), r)
		})
	}
	sent.Wait()
	refused(t, post(h, []byte("[]"), fields), 503, strikeplate.CodeUnavailable)
	close(release)
	all.Wait()
	if got := post(h, []byte("[]"), fields); got.Code != 200 {
		t.Errorf("after they ended: %d", got.Code)
	}
}

// stalled is a body that does not arrive until it is released.
type stalled struct {
	io.Reader
	once    sync.Once
	begun   func()
	release chan struct{}
}

func (s *stalled) Read(b []byte) (int, error) {
	s.once.Do(s.begun)
	<-s.release
	return s.Reader.Read(b)
}
