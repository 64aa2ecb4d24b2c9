package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/keyauth/manage"
	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/postgres"
	"github.com/strikeplate/strikeplate/storage/sqlite"
)

// store is what both backends are.
type store interface {
	storage.Keys
	storage.Audit
	storage.Operator
	Close(ctx context.Context) error
}

// open opens the store as it is. Its tables are the service's: they are changed
// only on request, so that an emergency brings no upgrade.
func (p *program) open(ctx context.Context, create bool) (store, error) {
	switch {
	case p.db == "":
		return nil, errors.New("say where the keys are: -db FILE or -db postgres://…, in front of the command")
	case strings.HasPrefix(p.db, "postgres://"), strings.HasPrefix(p.db, "postgresql://"):
		return opened(postgres.Open(ctx, postgres.Config{URL: p.db, SkipMigrations: !p.migrate}))
	}
	_, err := os.Stat(p.db)
	missing := errors.Is(err, os.ErrNotExist)
	if missing && !create { // a mistyped name must not look like a store without keys
		return nil, fmt.Errorf("there is no file %s", p.db)
	}
	if missing {
		fmt.Fprintf(p.tell, "%s is new\n", p.db)
	}
	return opened(sqlite.Open(ctx, sqlite.Config{Path: p.db, SkipMigrations: !p.migrate && !missing}))
}

func opened[S store](s S, err error) (store, error) {
	if err != nil {
		return nil, fmt.Errorf("%w (-migrate makes missing tables)", err)
	}
	return s, nil
}

func closing(s store) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = s.Close(ctx)
}

// manager manages keys of s. It asks no directory, since the embedder's may be
// what is broken, and knows no limit.
func manager(s store, format keyauth.Format, tagKey []byte) (*manage.Service, error) {
	scheme, err := keyauth.NewScheme(keyauth.SchemeConfig{Formats: []keyauth.Format{format}, TagKeys: [][]byte{tagKey}})
	if err != nil {
		return nil, err
	}
	return manage.New(manage.Config{Scheme: scheme, Keys: s, InsecureNoDirectory: true, MaxKeys: manage.Unlimited,
		AdminRoles: []string{role}})
}

// keeper is a manager that mints nothing, and so needs no true tag key.
func keeper(s store) (*manage.Service, error) {
	tagKey := make([]byte, 32)
	_, _ = rand.Read(tagKey)
	return manager(s, keyauth.Format{Pair: true}, tagKey)
}

const role = "operator"

// actor is how the audit log names whoever runs the command.
func (p *program) actor(organisation string) storage.Actor {
	return storage.Actor{User: p.by, Organisation: organisation, Role: role}
}
