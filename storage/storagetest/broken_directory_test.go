package storagetest_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/memory"
	"github.com/strikeplate/strikeplate/storage/storagetest"
)

// brokenDirectories break one promise each.
var brokenDirectories = []struct {
	fault, caught string
	make          func() storage.EditableDirectory
}{
	{"users of any organisation", "UserOfAnotherOrganisation", func() storage.EditableDirectory { return &anyonesUsers{Store: memory.New()} }},
	{"users change organisation", "UserOfAnotherOrganisation", func() storage.EditableDirectory { return &movingUsers{Store: memory.New()} }},
	{"users change organisation in a race", "DirectoryRace", func() storage.EditableDirectory { return &movingUsers{Store: memory.New()} }},
	{"no scopes read as all", "User", func() storage.EditableDirectory { return &emptyIsNil{Store: memory.New()} }},
	{"settings shared with callers", "DirectoryCopies", func() storage.EditableDirectory { return &sharedSettings{Store: memory.New()} }},
	{"text cut at NUL", "DirectoryText", func() storage.EditableDirectory { return &cutUsers{Store: memory.New()} }},
	{"written though cancelled", "DirectoryCancelled", func() storage.EditableDirectory { return &deafDirectory{Store: memory.New()} }},
	{"accounts change in silence", "DirectoryFeed", func() storage.EditableDirectory { return &silentAccounts{Store: memory.New(), quiet: memory.New()} }},
}

func TestBrokenDirectoriesFail(t *testing.T) {
	for _, b := range brokenDirectories {
		t.Run(strings.ReplaceAll(b.fault, " ", "_"), func(t *testing.T) {
			mustFail(t, func(tb testing.TB) bool { return storagetest.DirectoryCase(tb, b.caught, b.make()) })
			got := failures(t, func(tb testing.TB) { storagetest.DirectoryCase(tb, b.caught, memory.New()) })
			if len(got) > 0 {
				t.Errorf("a sound directory fails %s: %v", b.caught, got)
			}
		})
	}
}

type anyonesUsers struct{ *memory.Store }

func (d *anyonesUsers) User(ctx context.Context, _, id string) (storage.User, error) {
	return d.Store.User(ctx, "acme", id)
}

// movingUsers replaces whatever user had the id.
type movingUsers struct {
	*memory.Store
	users sync.Map
}

func (d *movingUsers) PutUser(_ context.Context, u storage.User) error {
	d.users.Store(u.ID, u)
	return nil
}

func (d *movingUsers) User(_ context.Context, organisation, id string) (storage.User, error) {
	u, ok := d.users.Load(id)
	if !ok || u.(storage.User).Organisation != organisation {
		return storage.User{}, storage.ErrNotFound
	}
	return u.(storage.User), nil
}

type emptyIsNil struct{ *memory.Store }

func (d *emptyIsNil) PutUser(ctx context.Context, u storage.User) error {
	if len(u.Scopes) == 0 {
		u.Scopes = nil
	}
	return d.Store.PutUser(ctx, u)
}

type sharedSettings struct {
	*memory.Store
	accounts sync.Map
}

func (d *sharedSettings) PutAccount(_ context.Context, a storage.Account) error {
	d.accounts.Store(a.Organisation, a)
	return nil
}

func (d *sharedSettings) Account(_ context.Context, organisation string) (storage.Account, error) {
	a, _ := d.accounts.Load(organisation)
	return a.(storage.Account), nil
}

type cutUsers struct{ *memory.Store }

func (d *cutUsers) PutUser(ctx context.Context, u storage.User) error {
	u.Name, _, _ = strings.Cut(u.Name, "\x00")
	return d.Store.PutUser(ctx, u)
}

type deafDirectory struct{ *memory.Store }

func (d *deafDirectory) PutAccount(ctx context.Context, a storage.Account) error {
	d.Store.PutAccount(context.WithoutCancel(ctx), a)
	return ctx.Err()
}

// silentAccounts watches one store and keeps accounts in another.
type silentAccounts struct {
	*memory.Store
	quiet *memory.Store
}

func (d *silentAccounts) PutAccount(ctx context.Context, a storage.Account) error {
	return d.quiet.PutAccount(ctx, a)
}
