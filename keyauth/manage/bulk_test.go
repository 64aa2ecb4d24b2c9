package manage_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth/manage"
	"github.com/strikeplate/strikeplate/storage"
)

func TestRevokeAll(t *testing.T) {
	each(t, func(t *testing.T, s, _ store) {
		p := newPlace(t, s)
		w, other := p.world(t, mavera), p.world(t, mavera)
		mine, theirs := w.create(), other.create()
		bob := storage.Actor{User: w.bob, Organisation: w.org, Role: "admin"}
		for range 3 {
			w.must(second(w.Create(w.ctx, bob, w.draft())))
		}
		w.clock.advance(time.Hour)
		moment := w.clock.now()
		late := w.create()

		w.invalid(second(w.RevokeAll(w.ctx, w.admin, manage.Selection{}, "", nil)), "selection")
		revoke := func(sel manage.Selection, want int) {
			t.Helper()
			n, err := w.RevokeAll(w.ctx, w.admin, sel, "sweep", nil)
			w.must(err)
			if n != want {
				t.Errorf("%+v: %d revoked, want %d", sel, n, want)
			}
		}
		revoke(manage.Selection{Creator: w.bob}, 3)
		w.works(mine.Secret.Reveal())
		revoke(manage.Selection{Creator: w.bob}, 0)
		revoke(manage.Selection{CreatedBefore: moment}, 1)
		w.fails(mine.Secret.Reveal(), strikeplate.CodeRevoked)
		w.works(late.Secret.Reveal())
		revoke(manage.Selection{All: true, Owner: w.zoe}, 0)
		revoke(manage.Selection{All: true}, 1)
		w.fails(late.Secret.Reveal(), strikeplate.CodeRevoked)
		w.works(theirs.Secret.Reveal())
		if n := w.logged(manage.ActionRevoke); n != 5 {
			t.Errorf("%d entries", n)
		}
	})
}

// Batches are transactions of their own: what was done stays done, and a second
// call goes on.
func TestRevokeAllGoesOn(t *testing.T) {
	w := inMemory(t, mavera)
	for range 450 {
		w.create()
	}
	flaky := &failing{store: w.store, after: 1}
	w.Service = w.service(flaky)
	var told []int
	n, err := w.RevokeAll(w.ctx, w.admin, manage.Selection{All: true}, "", func(done int) { told = append(told, done) })
	if !errors.Is(err, errDown) || n != 200 || fmt.Sprint(told) != "[200]" {
		t.Fatalf("%d revoked, %v, told %v", n, err, told)
	}
	flaky.after = 100
	n, err = w.RevokeAll(w.ctx, w.admin, manage.Selection{All: true}, "", func(done int) { told = append(told, done) })
	w.must(err)
	if n != 250 || fmt.Sprint(told) != "[200 200 250]" || len(w.list(manage.Filter{})) != 0 {
		t.Errorf("%d revoked, told %v", n, told)
	}
}

// failing fails each commit after some.
type failing struct {
	store
	after int
}

func (f *failing) Commit(ctx context.Context, m storage.Mutation) error {
	if f.after--; f.after < 0 {
		return errDown
	}
	return f.store.Commit(ctx, m)
}

// Keys that others change or create meanwhile are revoked all the same.
func TestRevokeAllAgainstOthers(t *testing.T) {
	each(t, func(t *testing.T, here, there store) {
		w := newPlace(t, here).world(t, mavera)
		var secrets []string
		for range 20 {
			secrets = append(secrets, w.create().Secret.Reveal())
		}
		meddling := w.service(there)
		stop, stopped := context.WithCancel(t.Context())
		var others sync.WaitGroup
		for i, k := range w.list(manage.Filter{})[:4] {
			others.Go(func() {
				for n := 0; stop.Err() == nil; n++ {
					if _, err := meddling.Rename(w.ctx, w.admin, k.ID, fmt.Sprint(i, " ", n)); err != nil {
						if !refusedWith(err, 409, strikeplate.CodeRevoked) {
							t.Error(told(err))
						}
						return
					}
				}
			})
		}
		n, err := w.RevokeAll(w.ctx, w.admin, manage.Selection{All: true}, "", nil)
		stopped()
		others.Wait()
		w.must(err)
		if n != 20 || len(w.list(manage.Filter{})) != 0 {
			t.Errorf("%d revoked, %d left", n, len(w.list(manage.Filter{})))
		}
		for _, secret := range secrets {
			w.fails(secret, strikeplate.CodeRevoked)
		}
	})
}

// Of 64 rotations of one key at once, one succeeds; regenerations and
// revocations each leave one good secret, or none.
func TestRacesForOneKey(t *testing.T) {
	each(t, func(t *testing.T, here, there store) {
		w := newPlace(t, here).world(t, mavera)
		services := []*manage.Service{w.Service, w.service(there)}
		c := w.create()
		race := func(n int, do func(s *manage.Service) error) (won int) {
			errs := make([]error, n)
			start := newMeeting(n)
			var done sync.WaitGroup
			for i := range n {
				done.Go(func() { start.wait(); errs[i] = do(services[i%2]) })
			}
			done.Wait()
			for _, err := range errs {
				if err == nil {
					won++
				} else if !refusedWith(err, 409, manage.CodeRotated) && !refusedWith(err, 409, manage.CodeConflict) {
					t.Errorf("lost with %s", told(err))
				}
			}
			return won
		}
		if won := race(many, func(s *manage.Service) error { return second(s.Rotate(w.ctx, w.admin, c.Key.ID, day)) }); won != 1 {
			t.Errorf("%d rotations succeeded", won)
		}
		if keys := w.list(manage.Filter{}); len(keys) != 2 {
			t.Errorf("%d keys", len(keys))
		}
		var mu sync.Mutex
		good := make(map[int64]string)
		won := race(8, func(s *manage.Service) error {
			r, err := s.Regenerate(w.ctx, w.admin, c.Key.ID)
			if err == nil {
				mu.Lock()
				defer mu.Unlock()
				good[r.Key.SecretVersion] = r.Secret.Reveal()
			}
			return err
		})
		if last := w.get(c.Key.ID).SecretVersion; won != len(good) || int(last) != 1+won {
			t.Errorf("%d regenerations, %d versions, the last %d", won, len(good), last)
		} else if _, err := services[0].Get(w.ctx, w.admin, c.Key.ID); err == nil {
			w.works(good[last])
		}
		if won := race(many, func(s *manage.Service) error { return second(s.Revoke(w.ctx, w.admin, c.Key.ID, "")) }); won != many {
			t.Errorf("%d revocations succeeded", won)
		}
		if n := w.logged(manage.ActionRevoke); n != 1 {
			t.Errorf("%d entries of the revocation", n)
		}
	})
}

func TestExportAudit(t *testing.T) {
	w := inMemory(t, mavera)
	for range 1100 {
		w.create(named(`<CRM & "ETL">`))
	}
	var out bytes.Buffer
	next, err := w.ExportAudit(w.ctx, w.admin, &out, "")
	w.must(err)
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if len(lines) != 1100 {
		t.Fatalf("%d lines", len(lines))
	}
	for i, line := range lines {
		var e manage.Entry
		var k manage.Key
		if err := errors.Join(json.Unmarshal([]byte(line), &e), json.Unmarshal(e.After, &k)); err != nil {
			t.Fatal(err)
		}
		if e.Position != int64(i+1) || k.ID != e.Target || k.Name != `<CRM & "ETL">` || e.Actor.Client != w.admin.Client {
			t.Fatalf("line %d: %s", i, line)
		}
	}
	w.create()
	out.Reset()
	_, err = w.ExportAudit(w.ctx, w.admin, &out, next)
	w.must(err)
	if n := strings.Count(out.String(), "\n"); n != 1 {
		t.Errorf("continued with %d lines", n)
	}
	_, err = w.ExportAudit(w.ctx, w.admin, &out, "nonsense")
	w.invalid(err, "cursor")
	_, err = w.Audit(w.ctx, w.admin, "nonsense", 0)
	w.invalid(err, "cursor")
	if cursor, err := w.ExportAudit(w.ctx, w.admin, full{}, next); !errors.Is(err, errDown) || cursor != next {
		t.Errorf("a full disk: %q, %v", cursor, err)
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errDown }
