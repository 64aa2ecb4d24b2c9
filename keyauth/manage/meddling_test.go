package manage_test

import (
	"context"
	"sync"
	"testing"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth/manage"
	"github.com/strikeplate/strikeplate/storage"
)

// meddler does something to the record before the first commit reaches the
// store, as an instance at the same time would.
type meddler struct {
	store
	meddle func()
	once   sync.Once
}

func (m *meddler) Commit(ctx context.Context, mutation storage.Mutation) error {
	m.once.Do(m.meddle)
	return m.store.Commit(ctx, mutation)
}

// A change that doesn't matter to the call is no reason to fail it: it is made
// again on the record as it is now, with the secret that was hashed already.
func TestChangedMeanwhile(t *testing.T) {
	seal := newGCM()
	keep := func(c *manage.Config) { c.Reveal.Seal = seal }
	w := inMemory(t, avoma, keep)
	against := func(meddle func()) { w.Service = w.service(&meddler{store: w.store, meddle: meddle}, keep) }
	plain := w.service(w.store, keep)
	fresh := func() string {
		c, err := plain.Create(w.ctx, w.admin, w.draft())
		w.must(err)
		return c.Key.ID
	}
	renames := func(id string) func() {
		return func() { w.must(second(plain.Rename(w.ctx, w.admin, id, "renamed meanwhile"))) }
	}
	handedOut := func(c manage.Created, err error) {
		t.Helper()
		w.must(err)
		w.works(c.Secret.Reveal())
		kept, err := w.Reveal(w.ctx, w.admin, c.Key.ID, w.clock.now())
		w.must(err)
		if kept.Reveal() != c.Secret.Reveal() || c.Key.Name != "renamed meanwhile" {
			t.Errorf("%q: another secret was kept, or the name lost", c.Key.Name)
		}
	}

	id := fresh()
	against(renames(id))
	r, err := w.Rotate(w.ctx, w.admin, id, day)
	handedOut(r.Created, err)

	id = fresh()
	against(renames(id))
	handedOut(w.Regenerate(w.ctx, w.admin, id))

	id = fresh()
	against(renames(id))
	w.must(second(w.Revoke(w.ctx, w.admin, id, "")))

	id = fresh()
	against(renames(id))
	w.refused(second(w.Update(w.ctx, w.admin, id, manage.Update{Version: 1, Metadata: &map[string]string{"a": "b"}})), 409, manage.CodeConflict)

	id = fresh()
	against(func() { w.must(second(plain.Regenerate(w.ctx, w.admin, id))) })
	w.refused(second(w.Regenerate(w.ctx, w.admin, id)), 409, manage.CodeConflict)

	for name, do := range map[string]func(id string) error{
		"rotate":     func(id string) error { return second(w.Rotate(w.ctx, w.admin, id, day)) },
		"regenerate": func(id string) error { return second(w.Regenerate(w.ctx, w.admin, id)) },
		"rename":     func(id string) error { return second(w.Rename(w.ctx, w.admin, id, "x")) },
	} {
		id = fresh()
		against(func() { w.must(second(plain.Revoke(w.ctx, w.admin, id, ""))) })
		if err := do(id); !refusedWith(err, 409, strikeplate.CodeRevoked) {
			t.Errorf("%s of a key that was revoked meanwhile: %s", name, told(err))
		}
	}
	if got := len(w.list(manage.Filter{Status: storage.Active})); got != 5 {
		t.Errorf("%d active keys", got)
	}
}
