package leak_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/keyauth/leak"
	"github.com/strikeplate/strikeplate/storage"
)

// faulty is a store whose look-ups and commits a test can hold up or fail.
type faulty struct {
	storage.Keys
	mu     sync.Mutex
	lookUp func(ctx context.Context, lookup string) error
	commit func(m storage.Mutation) error
}

func (f *faulty) set(lookUp func(context.Context, string) error, commit func(storage.Mutation) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lookUp, f.commit = lookUp, commit
}

func (f *faulty) KeyByLookup(ctx context.Context, lookup string) (storage.Key, error) {
	f.mu.Lock()
	hook := f.lookUp
	f.mu.Unlock()
	if hook != nil {
		if err := hook(ctx, lookup); err != nil {
			return storage.Key{}, err
		}
	}
	return f.Keys.KeyByLookup(ctx, lookup)
}

func (f *faulty) Commit(ctx context.Context, m storage.Mutation) error {
	f.mu.Lock()
	hook := f.commit
	f.mu.Unlock()
	if hook != nil {
		if err := hook(m); err != nil {
			return err
		}
	}
	return f.Keys.Commit(ctx, m)
}

// troubled is a bubble with a faulty store and a log.
func troubled(t *testing.T, run func(t *testing.T, s *sender, w *world, f *faulty, log *bytes.Buffer)) {
	t.Helper()
	f, log := &faulty{}, &bytes.Buffer{}
	inBubble(t, func(c *leak.Config) {
		f.Keys = c.Keys
		c.Keys, c.Logger = f, slog.New(slog.NewTextHandler(log, nil))
	}, func(t *testing.T, s *sender, w *world) { run(t, s, w, f, log) })
}

// What isn't known when the budget ends is left out of the reply, and finished
// all the same.
func TestThreat12AsynchronousPastTheBudget(t *testing.T) {
	troubled(t, func(t *testing.T, s *sender, w *world, f *faulty, _ *bytes.Buffer) {
		quick, _ := w.key()
		slow, slowKey := w.key()
		release := make(chan struct{})
		f.set(func(_ context.Context, lookup string) error { // a store that heeds no deadline
			if lookup == slowKey.Lookup {
				<-release
			}
			return nil
		}, nil)
		content := body(t, leaked(quick, slow, "no key"))
		fields := s.sign("known", content)
		start := time.Now()
		got := labels(t, post(w.intake.GitHub(), content, fields))
		want := map[string]string{hashed(quick): "true_positive", hashed("no key"): "false_positive"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if took := time.Since(start); took != 25*time.Second {
			t.Errorf("the reply took %v", took)
		}
		if w.code(quick) != strikeplate.CodeRevoked || w.code(slow) != "" || w.intake.Stats().Pending != 1 {
			t.Errorf("%+v", w.intake.Stats())
		}
		// Sent again meanwhile, it joins what is under way.
		if labels(t, post(w.intake.GitHub(), content, fields)); w.intake.Stats().Pending != 1 {
			t.Errorf("%+v", w.intake.Stats())
		}
		close(release)
		w.must(w.intake.Close(t.Context()))
		if code := w.code(slow); code != strikeplate.CodeRevoked {
			t.Errorf("after Close: %q", code)
		}
		refused(t, post(w.intake.GitHub(), content, fields), 503, strikeplate.CodeUnavailable)
		if got := w.intake.Stats(); got.Leaked != 2 || got.Revoked != 2 || got.Pending != 0 {
			t.Errorf("%+v", got)
		}
	})
}

// A sender that hangs up doesn't stop the work.
func TestSenderLeaves(t *testing.T) {
	troubled(t, func(t *testing.T, s *sender, w *world, f *faulty, _ *bytes.Buffer) {
		text, key := w.key()
		release := make(chan struct{})
		f.set(func(context.Context, string) error { <-release; return nil }, nil)
		content := body(t, leaked(text))
		ctx, leave := context.WithTimeout(t.Context(), time.Second)
		defer leave()
		r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/leaks", bytes.NewReader(content))
		r.Header.Set("Content-Type", "application/json")
		for name, value := range s.sign("known", content) {
			r.Header.Set(name, value)
		}
		start := time.Now()
		w.intake.GitHub().ServeHTTP(httptest.NewRecorder(), r)
		if took := time.Since(start); took != time.Second {
			t.Errorf("the handler stayed for %v", took)
		}
		close(release)
		w.must(w.intake.Close(t.Context()))
		if w.stored(key).Revoked.IsZero() {
			t.Error("the key is not revoked")
		}
	})
}

// While the store fails the sender is told to try again, and the work goes on
// by itself as well.
func TestStoreFails(t *testing.T) {
	down := errors.New("store: down")
	for what, fail := range map[string]func(f *faulty){
		"look-ups": func(f *faulty) { f.set(func(context.Context, string) error { return down }, nil) },
		"commits":  func(f *faulty) { f.set(nil, func(storage.Mutation) error { return down }) },
	} {
		t.Run(what, func(t *testing.T) {
			troubled(t, func(t *testing.T, s *sender, w *world, f *faulty, _ *bytes.Buffer) {
				text, key := w.key()
				fail(f)
				content := body(t, leaked(text))
				fields := s.sign("known", content)
				refused(t, post(w.intake.GitHub(), content, fields), 503, strikeplate.CodeUnavailable, text)
				f.set(nil, nil)
				later(5 * time.Second)
				if w.stored(key).Revoked.IsZero() {
					t.Error("the key is not revoked")
				}
				if found := labels(t, post(w.intake.GitHub(), content, fields)); found[hashed(text)] != "true_positive" {
					t.Errorf("sent again: %v", found)
				}
				if n := len(w.entries()); n != 2 {
					t.Errorf("%d entries", n)
				}
			})
		})
	}
}

// A commit that was made though it failed is not made again.
func TestUnknownOutcome(t *testing.T) {
	troubled(t, func(t *testing.T, s *sender, w *world, f *faulty, _ *bytes.Buffer) {
		text, _ := w.key()
		f.set(nil, func(m storage.Mutation) error {
			f.set(nil, nil)
			return errors.Join(f.Keys.Commit(context.Background(), m), errors.New("the connection broke"))
		})
		content := body(t, leaked(text))
		if found := labels(t, post(w.intake.GitHub(), content, s.sign("known", content))); found[hashed(text)] != "true_positive" {
			t.Errorf("%v", found)
		}
		if n := len(w.entries()); n != 2 {
			t.Errorf("%d entries", n)
		}
	})
}

// Whatever happens to the key meanwhile, it ends, and nothing is written twice.
func TestKeyChangesMeanwhile(t *testing.T) {
	for what, test := range map[string]struct {
		change  func(*storage.Key)
		entries int
	}{
		"renamed":     {func(k *storage.Key) { k.Name = "another name" }, 2},
		"revoked":     {func(k *storage.Key) { k.Revoked, k.RevokedBecause = time.Now(), "by hand" }, 0},
		"regenerated": {func(k *storage.Key) { k.Lookup, k.Hash, k.SecretVersion = "new", "$new", 2 }, 0},
	} {
		t.Run(what, func(t *testing.T) {
			troubled(t, func(t *testing.T, s *sender, w *world, f *faulty, _ *bytes.Buffer) {
				text, key := w.key()
				f.set(nil, func(storage.Mutation) error {
					f.set(nil, nil)
					k := w.stored(key)
					test.change(&k)
					w.put(k)
					return nil
				})
				content := body(t, leaked(text))
				if found := labels(t, post(w.intake.GitHub(), content, s.sign("known", content))); found[hashed(text)] != "true_positive" {
					t.Errorf("%v", found)
				}
				if n := len(w.entries()); n != test.entries {
					t.Errorf("%d entries, want %d", n, test.entries)
				}
				got := w.stored(key)
				if (got.Revoked.IsZero()) != (what == "regenerated") {
					t.Errorf("%+v", got)
				}
			})
		})
	}
}

// What can't be verified at all is told to the log, without the token.
func TestGivenUp(t *testing.T) {
	troubled(t, func(t *testing.T, s *sender, w *world, f *faulty, log *bytes.Buffer) {
		broken, key := w.key(func(k *storage.Key) { k.Hash = "$broken" })
		content := body(t, leaked(broken))
		if found := labels(t, post(w.intake.GitHub(), content, s.sign("known", content))); len(found) != 0 {
			t.Errorf("labelled all the same: %v", found)
		}
		if w.intake.Stats().GivenUp != 1 || !strings.Contains(log.String(), key.Lookup) || strings.Contains(log.String(), broken) {
			t.Errorf("%+v, %s", w.intake.Stats(), log)
		}

		log.Reset()
		f.set(func(context.Context, string) error { return errors.New("store: down") }, nil)
		text, key := w.key()
		content = body(t, leaked(text))
		refused(t, post(w.intake.GitHub(), content, s.sign("known", content)), 503, strikeplate.CodeUnavailable, text)
		later(16 * time.Minute)
		if w.intake.Stats().GivenUp != 2 || !strings.Contains(log.String(), key.Lookup) || strings.Contains(log.String(), text) {
			t.Errorf("%+v, %s", w.intake.Stats(), log)
		}
	})
}

// Close waits no longer than it is told to.
func TestCloseGivesUp(t *testing.T) {
	troubled(t, func(t *testing.T, s *sender, w *world, f *faulty, log *bytes.Buffer) {
		f.set(func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() }, nil)
		text, _ := w.key()
		content := body(t, leaked(text))
		refused(t, post(w.intake.GitHub(), content, s.sign("known", content)), 503, strikeplate.CodeUnavailable)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.intake.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close: %v", err)
		}
		if w.intake.Stats().GivenUp != 1 || log.Len() == 0 {
			t.Errorf("%+v, %s", w.intake.Stats(), log)
		}
	})
}

// When too much waits, a report is refused whole; one about what waits already
// is not.
func TestThreat12FullQueue(t *testing.T) {
	troubled(t, func(t *testing.T, s *sender, w *world, f *faulty, _ *bytes.Buffer) {
		release := make(chan struct{})
		f.set(func(context.Context, string) error { <-release; return nil }, nil)
		var tokens []string
		for range leak.MaxPending {
			text, _ := w.mint("mvo_", strikeplate.Test)
			tokens = append(tokens, text)
		}
		send := func(tokens ...string) int {
			content := body(t, leaked(tokens...))
			return post(w.intake.GitHub(), content, s.sign("known", content)).Code
		}
		for i := 0; i < len(tokens); i += leak.MaxReports {
			if got := send(tokens[i : i+leak.MaxReports]...); got != 200 {
				t.Fatal(got)
			}
		}
		one, key := w.key()
		content := body(t, leaked(one))
		refused(t, post(w.intake.GitHub(), content, s.sign("known", content)), 503, strikeplate.CodeUnavailable, one)
		if got := send(tokens[0]); got != 200 {
			t.Errorf("a token that waits already: %d", got)
		}
		if got := w.intake.Stats(); got.Pending != leak.MaxPending || got.Refused != 1 {
			t.Errorf("%+v", got)
		}
		close(release)
		later(time.Minute)
		if got := send(one); got != 200 || w.stored(key).Revoked.IsZero() {
			t.Errorf("when there is room: %d", got)
		}
	})
}

// Each token is hashed once, however often and by however many reports it is
// named, and tokens without a true checksum never.
func TestThreat12Deduplicated(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, s *sender, w *world) {
		text, _ := w.key()
		before := w.auth.Stats().Hashes
		tokens := strings.Split(strings.Repeat(text+" ", 500)+strings.Repeat(text[:len(text)-1]+"_ ", 500), " ")
		content := body(t, leaked(tokens[:1000]...))
		for range 5 {
			labels(t, post(w.intake.GitHub(), content, s.sign("known", content)))
		}
		if n := w.auth.Stats().Hashes - before; n != 1 {
			t.Errorf("%d hashes", n)
		}
		if n := len(w.entries()); n != 2 {
			t.Errorf("%d entries", n)
		}
	})
}

// While the queue is flooded with real ids and noise, whoever presents an honest
// key that was never seen waits for the hash under way, and no other.
func TestThreat12ReportsGoLast(t *testing.T) {
	c := formats()
	c.TagKeys, c.InsecureUnkeyedChecksum = nil, true // the attacker's best case
	c.Hashing = keyauth.Hashing{MemoryKiB: 4096, Passes: 1, InsecureCheap: true}
	w := newWorld(t, closing(t, memoryStore()), c, func(c *leak.Config) { c.Budget = time.Millisecond })

	var noise []string
	_, other := w.key()
	for range 300 {
		text, k := w.mint("mvo_", strikeplate.Live)
		k.Hash = other.Hash
		w.put(k)
		noise = append(noise, text)
	}
	var honest []string
	for range 20 {
		text, _ := w.key()
		honest = append(honest, text)
	}
	content := body(t, leaked(noise...))
	if reply := post(w.intake.Scanner(), content, signed(w.secret, content, time.Now())); reply.Code != 200 {
		t.Fatalf("%d %s", reply.Code, reply.Body)
	}
	for i, text := range honest {
		before := w.auth.Stats().Hashes
		if code := w.code(text); code != "" {
			t.Errorf("honest key %d: %s", i, code)
		}
		if n := w.auth.Stats().Hashes - before; n > 4 { // its own, the one under way, and those while the test looked
			t.Errorf("honest key %d waited for %d hashes", i, n)
		}
	}
	if w.intake.Stats().Pending == 0 {
		t.Error("the flood was over before the honest keys came; make it larger")
	}
	w.must(w.intake.Close(t.Context()))
	if got := w.intake.Stats(); got.False != 300 || got.Leaked != 0 {
		t.Errorf("%+v", got)
	}
}
