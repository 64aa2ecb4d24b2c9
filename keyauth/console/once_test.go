package console_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate/keyauth/console"
	"github.com/strikeplate/strikeplate/keyauth/manage"
	"github.com/strikeplate/strikeplate/storage"
)

const body = `{"name": "CRM Sync", "access": "org-limited", "scopes": ["meetings:read"], "no_expiry": true}`

// 001-22b: a repetition is answered with the record and without the secret, and
// nothing that is stored for it holds one.
func TestThreat11ReplaysOmitTheSecret(t *testing.T) {
	kept := &watched{}
	w := newWorld(t, func(s *setting) { kept.Replays = s.console.Replays; s.console.Replays = kept })
	first := w.call("ada", "POST", "/keys", body, "Idempotency-Key", "one").want(t, 201)
	made := into[createdBody](t, first)
	again := w.call("ada", "POST", "/keys", strings.ReplaceAll(body, ", ", ",\n\t"), "Idempotency-Key", "one").want(t, 200, made.Key.ID)
	if replayed := into[createdBody](t, again); replayed.Secret != "" || replayed.Code != console.CodeShown || strings.Contains(again.body, made.Secret) {
		t.Errorf("the repetition says %s", again.body)
	}
	rotate := func(headers ...string) reply {
		return w.call("ada", "POST", "/keys/"+made.Key.ID+"/rotate", `{"overlap_seconds": 60}`, headers...)
	}
	next := into[createdBody](t, rotate("Idempotency-Key", "one").want(t, 201)) // the route is part of the name
	again = rotate("Idempotency-Key", "one").want(t, 200, next.Key.ID)
	if strings.Contains(again.body, next.Secret) || into[createdBody](t, again).Code != console.CodeShown {
		t.Errorf("the repetition says %s", again.body)
	}
	if n := w.count("ada"); n != 2 {
		t.Errorf("%d keys, want one and its successor", n)
	}
	for _, text := range kept.texts() {
		for _, secret := range []string{made.Secret, next.Secret} {
			if strings.Contains(text, secret) || strings.Contains(text, secret[len(secret)-20:]) {
				t.Errorf("%q is stored for a repetition", text)
			}
		}
	}
}

// The name of a request is actor, organisation, route and key; its body is
// compared by digest.
func TestThreat11ReplaysAreScoped(t *testing.T) {
	w := newWorld(t)
	create := func(visitor, key, body string) reply {
		return w.call(visitor, "POST", "/keys", body, "Idempotency-Key", key)
	}
	create("ada", "k", body).want(t, 201)
	create("ada", "k", strings.Replace(body, "CRM", "BI", 1)).wantCode(t, 422, console.CodeReused)
	create("alan", "k", body).want(t, 201)    // another actor
	create("mallory", "k", body).want(t, 201) // another organisation
	create("ada", "l", body).want(t, 201)     // another key
	create("ada", "", body).want(t, 201)      // none: carried out each time
	create("ada", "", body).want(t, 201)
	create("ada", "k", body).want(t, 200)
	w.pass(25 * time.Hour)
	create("ada", "k", strings.Replace(body, "CRM", "BI", 1)).want(t, 201) // forgotten after a day
}

// A request that surely made nothing may be sent again under its key.
func TestIdempotencyAfterARefusal(t *testing.T) {
	w := newWorld(t, func(s *setting) { s.manage.MaxKeys = 1 })
	only := w.create("ada", creation("only"))
	w.call("ada", "POST", "/keys", body, "Idempotency-Key", "k").wantCode(t, 409, manage.CodeLimit)
	w.call("ada", "POST", "/keys/"+only.Key.ID+"/revoke", `{}`).want(t, 200)
	w.call("ada", "POST", "/keys", body, "Idempotency-Key", "k").want(t, 201)
	// Who may no longer see keys is told nothing by a repetition either.
	w.call("ben", "POST", "/keys", body, "Idempotency-Key", "k").wantCode(t, 403, manage.CodeForbidden)
}

// 64 at once with one key make one API key, over two instances that share a
// store: one answer has the secret.
func TestThreat11RaceMakesOneKey(t *testing.T) {
	const many = 64
	w := newWorld(t, func(s *setting) { s.manage.MaxKeys = manage.Unlimited })
	there := w.twin()
	for round := range 3 {
		var done sync.WaitGroup
		start := make(chan struct{})
		replies := make([]reply, many)
		for i := range many {
			instance := []*world{w, there}[i%2]
			done.Go(func() {
				<-start
				r := instance.request(http.MethodPost, base+"/api/keys", body)
				r.Header.Set("Content-Type", "application/json")
				r.Header.Set("Idempotency-Key", fmt.Sprint("race ", round))
				replies[i] = instance.send("ada", r)
			})
		}
		close(start)
		done.Wait()
		secrets := 0
		for _, r := range replies {
			switch r.StatusCode {
			case 201:
				secrets++
			case 200:
				r.want(t, 200, console.CodeShown)
			default:
				r.wantCode(t, 409, console.CodeUnderWay) // it took longer than anybody waits
			}
		}
		if n := w.count("ada"); secrets != 1 || n != round+1 {
			t.Fatalf("round %d: %d answers with a secret, %d keys", round, secrets, n)
		}
	}
}

// The process dies between the key's creation and the note of it: a repetition
// is refused for as long as the note lasts, and makes no second key.
func TestIdempotencyAfterACrash(t *testing.T) {
	kept := &watched{deaf: true}
	w := newWorld(t, func(s *setting) { kept.Replays = s.console.Replays; s.console.Replays = kept })
	w.call("ada", "POST", "/keys", body, "Idempotency-Key", "k").want(t, 201)
	w.pass(2 * time.Minute)
	for range 2 {
		w.call("ada", "POST", "/keys", body, "Idempotency-Key", "k").wantCode(t, 409, console.CodeOutcome)
	}
	w.call("ada", "POST", "/keys", strings.Replace(body, "CRM", "BI", 1), "Idempotency-Key", "k").wantCode(t, 422, console.CodeReused)
	if n := w.count("ada"); n != 1 {
		t.Errorf("%d keys", n)
	}
}

// The store can't tell whether the key was made: nobody may try again.
func TestIdempotencyAfterAnUnknownOutcome(t *testing.T) {
	keys := &unsure{}
	w := newWorld(t, func(s *setting) {
		keys.Keys = s.manage.Keys
		s.manage.Keys, s.manage.Audit = keys, s.manage.Keys.(storage.Audit)
	})
	keys.unsure = true
	w.call("ada", "POST", "/keys", body, "Idempotency-Key", "k").wantCode(t, 503, manage.CodeUnknown)
	keys.unsure = false
	w.pass(2 * time.Minute)
	w.call("ada", "POST", "/keys", body, "Idempotency-Key", "k").wantCode(t, 409, console.CodeOutcome)
}

func TestIdempotencyIsBounded(t *testing.T) {
	kept := &watched{full: true}
	w := newWorld(t, func(s *setting) { kept.Replays = s.console.Replays; s.console.Replays = kept })
	res := w.call("ada", "POST", "/keys", body, "Idempotency-Key", "k").wantCode(t, 429, console.CodeTooMany)
	if res.Header.Get("Retry-After") == "" {
		t.Error("429 without Retry-After")
	}
	kept.full, kept.broken = false, true
	w.call("ada", "POST", "/keys", body, "Idempotency-Key", "k").wantCode(t, 503, "temporarily_unavailable").wantNone(t, "wires are cut")
	if n := w.count("ada"); n != 0 {
		t.Errorf("%d keys", n)
	}
}

// A form that is sent twice, as by reloading the page with the secret, makes one
// key and shows the secret once.
func TestThreat11FormsSentTwice(t *testing.T) {
	w := newWorld(t)
	form := createForm("CRM Sync")
	first := w.post("ada", "/keys", form).want(t, 200, "mvo_test_")
	again := w.post("ada", "/keys", form).want(t, 200, "shown already", "CRM Sync")
	secret := secretOn(t, first)
	again.wantNone(t, secret)
	k := made(w.keys.List(t.Context(), people["ada"], manage.Filter{}))(t).Keys
	if len(k) != 1 {
		t.Fatalf("%d keys", len(k))
	}
	path := "/keys/" + k[0].ID
	turn := inputs(w.get("ada", path+"/rotate").want(t, 200).document(t))
	rotated := secretOn(t, w.post("ada", path+"/rotate", turn))
	w.post("ada", path+"/rotate", turn).want(t, 200, "shown already").wantNone(t, rotated)
	turn = inputs(w.get("ada", path+"/regenerate").want(t, 200).document(t))
	fresh := secretOn(t, w.post("ada", path+"/regenerate", turn))
	w.post("ada", path+"/regenerate", turn).want(t, 200, "shown already").wantNone(t, fresh)
	got := made(w.keys.Get(t.Context(), people["ada"], k[0].ID))(t)
	if n := w.count("ada"); n != 2 || got.SecretVersion != 2 {
		t.Errorf("%d keys, secret version %d: a form that was sent twice had its effect twice", n, got.SecretVersion)
	}
	w.post("ada", "/keys", url.Values{"name": {"no nonce"}, "kind": {"mvo_|test"}, "access": {"org-full"}, "scope": {"meetings:read"}, "ends": {"90d"}}).want(t, 200, "mvo_test_")
}

// twin is another instance on the same store.
func (w *world) twin() *world {
	w.Helper()
	other := newWorld(w, func(s *setting) {
		s.manage.MaxKeys = manage.Unlimited
		s.manage.Keys, s.manage.Directory, s.manage.Audit = w.store, w.store, w.store
		s.console.Replays = w.store
	})
	return other
}

// watched keeps what is stored, and fails as told.
type watched struct {
	storage.Replays
	deaf, full, broken bool

	mu   sync.Mutex
	kept []string
}

func (s *watched) texts() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.kept...)
}

func (s *watched) BeginReplay(ctx context.Context, r storage.Replay) (storage.Replay, bool, error) {
	s.mu.Lock()
	s.kept = append(s.kept, fmt.Sprintf("%+v", r))
	s.mu.Unlock()
	switch {
	case s.full:
		return storage.Replay{}, false, storage.ErrReplays
	case s.broken:
		return storage.Replay{}, false, errors.New("the wires are cut")
	}
	return s.Replays.BeginReplay(ctx, r)
}

func (s *watched) SettleReplay(ctx context.Context, organisation, request, target string) error {
	s.mu.Lock()
	s.kept = append(s.kept, organisation+request+target)
	s.mu.Unlock()
	if s.deaf {
		return errors.New("the process died")
	}
	return s.Replays.SettleReplay(ctx, organisation, request, target)
}

// unsure loses the answer to a commit, and can't be asked for what it holds.
type unsure struct {
	storage.Keys
	unsure bool
}

var errLost = errors.New("the connection was lost")

func (s *unsure) Commit(ctx context.Context, m storage.Mutation) error {
	err := s.Keys.Commit(ctx, m)
	if s.unsure && len(m.Put) > 0 {
		return errLost
	}
	return err
}

func (s *unsure) Key(ctx context.Context, organisation, id string) (storage.Key, error) {
	if s.unsure {
		return storage.Key{}, errLost
	}
	return s.Keys.Key(ctx, organisation, id)
}
