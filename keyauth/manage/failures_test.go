package manage_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/golang/mock/gomock"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/internal/storagemock"
	"github.com/strikeplate/strikeplate/keyauth/manage"
	"github.com/strikeplate/strikeplate/storage"
)

// errCut is a connection that was lost while the store committed.
var errCut = errors.New("unexpected EOF at 10.0.0.5:5432")

// mocked is a world whose keys are a mock in front of the real store.
func mocked(t *testing.T, change ...func(*manage.Config)) (*world, *storagemock.MockKeys) {
	t.Helper()
	w := inMemory(t, avoma, change...)
	keys := storagemock.NewMockKeys(gomock.NewController(t))
	keys.EXPECT().Key(gomock.Any(), gomock.Any(), gomock.Any()).DoAndReturn(w.store.Key).AnyTimes()
	keys.EXPECT().ListKeys(gomock.Any(), gomock.Any()).DoAndReturn(w.store.ListKeys).AnyTimes()
	w.Service = w.service(keys, change...)
	return w, keys
}

var mutations = []string{"create", "rotate", "regenerate", "rename", "update", "revoke", "revoke all"}

// mutations are the calls that commit, on a key that is there.
func (w *world) mutations(id string) map[string]func() (secret strikeplate.Secret, err error) {
	none := strikeplate.Secret{}
	version := w.stored(id).Version
	return map[string]func() (strikeplate.Secret, error){
		"create": func() (strikeplate.Secret, error) {
			c, err := w.Create(w.ctx, w.admin, w.draft())
			return c.Secret, err
		},
		"rotate": func() (strikeplate.Secret, error) {
			r, err := w.Rotate(w.ctx, w.admin, id, day)
			return r.Secret, err
		},
		"regenerate": func() (strikeplate.Secret, error) { c, err := w.Regenerate(w.ctx, w.admin, id); return c.Secret, err },
		"rename":     func() (strikeplate.Secret, error) { return none, second(w.Rename(w.ctx, w.admin, id, "new")) },
		"update": func() (strikeplate.Secret, error) {
			return none, second(w.Update(w.ctx, w.admin, id, manage.Update{Version: version, Metadata: &map[string]string{"a": "b"}}))
		},
		"revoke": func() (strikeplate.Secret, error) { return none, second(w.Revoke(w.ctx, w.admin, id, "")) },
		"revoke all": func() (strikeplate.Secret, error) {
			return none, second(w.RevokeAll(w.ctx, w.admin, manage.Selection{All: true}, "", nil))
		},
	}
}

// Where the outcome is unknown and the store turns out to hold the change, the
// call succeeds, and a secret is not lost.
func TestOutcomeUnknownButWritten(t *testing.T) {
	for _, what := range mutations {
		t.Run(what, func(t *testing.T) {
			w, keys := mocked(t)
			c, err := w.service(w.store).Create(w.ctx, w.admin, w.draft())
			w.must(err)
			keys.EXPECT().Commit(gomock.Any(), gomock.Any()).DoAndReturn(func(ctx context.Context, m storage.Mutation) error {
				w.must(w.store.Commit(ctx, m))
				return errCut
			})
			secret, err := w.mutations(c.Key.ID)[what]()
			w.must(err)
			if text := secret.Reveal(); text != "" {
				w.works(text)
			}
		})
	}
}

// Where it is unknown and nothing shows, the actor is told to look, gets no
// secret, and sees nothing of the cause.
func TestOutcomeUnknown(t *testing.T) {
	for _, what := range mutations {
		t.Run(what, func(t *testing.T) {
			w, keys := mocked(t)
			c, err := w.service(w.store).Create(w.ctx, w.admin, w.draft())
			w.must(err)
			keys.EXPECT().Commit(gomock.Any(), gomock.Any()).Return(errCut)
			secret, err := w.mutations(c.Key.ID)[what]()
			e := w.refused(err, 503, manage.CodeUnknown)
			if !errors.Is(err, errCut) || secret.Reveal() != "" || e.RetryAfter < time.Second {
				t.Errorf("%s", told(err))
			}
		})
	}
}

// The store says that the audit entry can't be written: nothing is, and it is no
// refusal of the actor's.
func TestAuditThatCannotBeWritten(t *testing.T) {
	for _, cause := range []error{storage.ErrNoAudit, storage.ErrPermanent} {
		w, keys := mocked(t)
		keys.EXPECT().Commit(gomock.Any(), gomock.Any()).Return(cause)
		if err := w.creating(); !errors.Is(err, cause) || errors.As(err, new(*strikeplate.Error)) {
			t.Errorf("%s", told(err))
		}
	}
}

// No secret is revealed without its entry in the log.
func TestRevealWithoutAudit(t *testing.T) {
	seal := newGCM()
	w, keys := mocked(t, func(c *manage.Config) { c.Reveal.Seal = seal })
	c, err := w.service(w.store, func(c *manage.Config) { c.Reveal.Seal = seal }).Create(w.ctx, w.admin, w.draft())
	w.must(err)
	keys.EXPECT().Commit(gomock.Any(), gomock.Any()).Return(errCut)
	secret, err := w.Reveal(w.ctx, w.admin, c.Key.ID, w.clock.now())
	if !errors.Is(err, errCut) || secret.Reveal() != "" {
		t.Errorf("revealed: %s", told(err))
	}
}

// A denial stays one when the log can't be written, and tells the operator.
func TestDenialWithoutAudit(t *testing.T) {
	w, keys := mocked(t)
	keys.EXPECT().Commit(gomock.Any(), gomock.Any()).Return(errCut)
	_, err := w.List(w.ctx, storage.Actor{User: w.zoe, Organisation: w.org}, manage.Filter{})
	if e := w.refused(err, 403, manage.CodeForbidden); !errors.Is(e, errCut) {
		t.Errorf("%s", told(err))
	}
}

// A store that can't be read says nothing about keys.
func TestStoreDown(t *testing.T) {
	w := inMemory(t, avoma)
	c := w.create()
	keys := storagemock.NewMockKeys(gomock.NewController(t))
	keys.EXPECT().Key(gomock.Any(), gomock.Any(), gomock.Any()).Return(storage.Key{}, errDown).AnyTimes()
	keys.EXPECT().ListKeys(gomock.Any(), gomock.Any()).Return(nil, "", errDown).AnyTimes()
	log := storagemock.NewMockAudit(gomock.NewController(t))
	log.EXPECT().Entries(gomock.Any(), gomock.Any()).Return(nil, "", errDown).AnyTimes()
	w.Service = w.service(keys, func(cfg *manage.Config) { cfg.Audit = log })
	for what, do := range w.calls(w.admin, c.Key.ID) {
		if err := do(); !errors.Is(err, errDown) || errors.As(err, new(*strikeplate.Error)) {
			t.Errorf("%s: %s", what, told(err))
		}
	}
}

// The directory is asked for what it must be, and for nothing else: rename,
// regenerate and revoke work without it.
func TestDirectoryDown(t *testing.T) {
	w := inMemory(t, avoma)
	c := w.create(level(strikeplate.UserFull, w.zoe))
	directory := storagemock.NewMockDirectory(gomock.NewController(t))
	directory.EXPECT().Account(gomock.Any(), w.org).Return(storage.Account{}, errDown).Times(2)
	w.Service = w.service(w.store, func(cfg *manage.Config) { cfg.Directory = directory })
	for _, what := range mutations {
		_, err := w.mutations(c.Key.ID)[what]()
		if asks := what == "create" || what == "rotate"; errors.Is(err, errDown) != asks || !asks && err != nil {
			t.Errorf("%s: %s", what, told(err))
		}
	}
}
