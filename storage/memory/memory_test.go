package memory_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/memory"
	"github.com/strikeplate/strikeplate/storage/storagetest"
)

func TestKeys(t *testing.T) {
	storagetest.RunKeys(t, func(*testing.T) storagetest.Store { return memory.New() })
}

func TestDirectory(t *testing.T) {
	storagetest.RunDirectory(t, func(*testing.T) storage.EditableDirectory { return memory.New() })
}

func TestPair(t *testing.T) {
	storagetest.RunPair(t, func(*testing.T) (here, there storagetest.Store) {
		s := memory.New()
		return s, s
	})
}

// A log that dropped entries shows so by its Positions.
func TestAuditBound(t *testing.T) {
	s := memory.New()
	ctx := t.Context()
	read := func(cursor string) ([]storage.Entry, string, error) {
		return s.Entries(ctx, storage.Query{Organisation: "acme", Cursor: cursor, Limit: 1000})
	}
	_, start, err := read("")
	if err != nil {
		t.Fatal(err)
	}
	one := storage.Mutation{Audit: []storage.Entry{{Organisation: "acme", Action: "key.denied"}}}
	for range 12_345 {
		if err := s.Commit(ctx, one); err != nil {
			t.Fatal(err)
		}
	}
	page, next, err := read(start)
	if err != nil || page[0].Position == 1 {
		t.Fatalf("first position kept: %d, %v", page[0].Position, err)
	}
	kept := 0
	for position := page[0].Position; len(page) > 0; page, next, err = read(next) {
		for _, e := range page {
			if err != nil || e.Position != position {
				t.Fatalf("position %d, want %d, %v", e.Position, position, err)
			}
			position++
			kept++
		}
	}
	if kept < 10_000 || kept > 11_000 {
		t.Errorf("%d entries kept", kept)
	}
}

func TestClosed(t *testing.T) {
	s := memory.New()
	ctx := t.Context()
	if err := s.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Close(ctx), s.Close(ctx)); err != nil {
		t.Fatal(err)
	}
	if s.Ready(ctx) == nil {
		t.Error("ready after Close")
	}
	if _, err := s.KeyByLookup(ctx, "x"); err == nil || errors.Is(err, storage.ErrNotFound) {
		t.Errorf("a closed store could not tell, yet said %v", err)
	}
}

func Example() {
	ctx := context.Background()
	store := memory.New()
	defer store.Close(ctx)

	created := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	err := store.Commit(ctx, storage.Mutation{
		Now:   created,
		Put:   []storage.Key{{ID: "k1", Lookup: "4f7k", Organisation: "acme", Name: "CI", Created: created}},
		Limit: &storage.Limit{Organisation: "acme", Max: 10},
		Audit: []storage.Entry{{Organisation: "acme", Action: "key.created", Target: "k1", At: created}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	key, err := store.KeyByLookup(ctx, "4f7k")
	fmt.Println(key.Name, key.Status(created), err)
	// Output: CI active <nil>
}
