package storagetest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"

	"github.com/strikeplate/strikeplate/storage"
)

// directoryCases: accounts and users.
var directoryCases = []check[storage.EditableDirectory]{
	{"Account", account},
	{"User", user},
	{"UserOfAnotherOrganisation", userOfAnother},
	{"DirectoryCopies", directoryCopies},
	{"DirectoryText", directoryText},
	{"DirectoryCancelled", directoryCancelled},
	{"DirectoryRace", directoryRace},
	{"DirectoryFeed", directoryFeed},
}

func fullAccount() storage.Account {
	return storage.Account{
		Organisation: "acme", Plan: "équipe ⚙", Lapsed: true,
		Settings: map[string]any{
			"private_via_api": true, "seats": 12.5, "region": "zürich ' \" \\", "none": nil,
			"licences": []any{"a", 1.0, map[string]any{"deep": []any{"x"}}},
		},
	}
}

func account(t testing.TB, d storage.EditableDirectory) {
	_, err := d.Account(t.Context(), "acme")
	wantOnly(t, "unknown account", err, storage.ErrNotFound)
	for i, want := range []storage.Account{fullAccount(), {Organisation: "acme", Plan: "free"}, fullAccount()} {
		putAccount(t, d, want)
		got, err := d.Account(t.Context(), "acme")
		if df := diff(want, got); df != "" || err != nil {
			t.Errorf("account %d: %v (-want +got):\n%s", i, err, df)
		}
	}
	_, err = d.Account(t.Context(), "Acme")
	wantOnly(t, "account by another case", err, storage.ErrNotFound)
}

func user(t testing.TB, d storage.EditableDirectory) {
	_, err := d.User(t.Context(), "acme", "u1")
	wantOnly(t, "unknown user", err, storage.ErrNotFound)
	for _, scopes := range [][]string{nil, {}, {"meetings:read", "a,b"}, {}, nil} {
		want := storage.User{ID: "u1", Organisation: "acme", Name: "Zoë", Role: "admin", Active: len(scopes) == 0, Scopes: scopes}
		putUser(t, d, want)
		got, err := d.User(t.Context(), "acme", "u1") // nil and empty scopes differ
		if df := diff(want, got); df != "" || err != nil {
			t.Errorf("scopes %#v: %v (-want +got):\n%s", scopes, err, df)
		}
	}
}

func userOfAnother(t testing.TB, d storage.EditableDirectory) {
	want := storage.User{ID: "u1", Organisation: "acme", Name: "Zoë", Active: true}
	putUser(t, d, want)
	for _, other := range []string{"globex", "", "acme "} {
		_, err := d.User(t.Context(), other, "u1")
		wantOnly(t, "user from "+other, err, storage.ErrNotFound)
	}
	err := d.PutUser(t.Context(), storage.User{ID: "u1", Organisation: "globex", Name: "Mallory", Active: true})
	wantOnly(t, "another organisation's id", err, storage.ErrConflict)
	got, err := d.User(t.Context(), "acme", "u1")
	if df := diff(want, got); df != "" || err != nil {
		t.Errorf("after a refused PutUser: %v (-want +got):\n%s", err, df)
	}
}

func directoryCopies(t testing.TB, d storage.EditableDirectory) {
	a, u := fullAccount(), storage.User{ID: "u1", Organisation: "acme", Scopes: []string{"a", "b"}}
	putAccount(t, d, a)
	putUser(t, d, u)
	for range 2 { // first what was passed in, then what was read
		a.Settings["region"] = "scribbled"
		a.Settings["licences"].([]any)[2].(map[string]any)["deep"] = "scribbled"
		u.Scopes[0] = "scribbled"
		var err, err2 error
		a, err = d.Account(t.Context(), "acme")
		u, err2 = d.User(t.Context(), "acme", "u1")
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		if df := diff(fullAccount(), a); df != "" {
			t.Fatalf("the account shares memory with a caller (-want +got):\n%s", df)
		}
		if u.Scopes[0] != "a" {
			t.Fatal("the user shares memory with a caller")
		}
	}
}

func directoryText(t testing.TB, d storage.EditableDirectory) {
	for _, bad := range []string{"a\x00b", "caf\xe9"} {
		wantOther(t, "an account's plan", d.PutAccount(t.Context(), storage.Account{Organisation: "acme", Plan: bad}))
		wantOther(t, "an account's name", d.PutAccount(t.Context(), storage.Account{Organisation: bad}))
		wantOther(t, "a user's name", d.PutUser(t.Context(), storage.User{ID: "u1", Organisation: "acme", Name: bad}))
		wantOther(t, "a user's scope", d.PutUser(t.Context(), storage.User{ID: "u1", Organisation: "acme", Scopes: []string{bad}}))
		_, err := d.Account(t.Context(), bad)
		wantOnly(t, "account by such text", err, storage.ErrNotFound)
		_, err = d.User(t.Context(), "acme", bad)
		wantOnly(t, "user by such text", err, storage.ErrNotFound)
	}
	for _, setting := range []any{math.NaN(), make(chan int), func() {}} {
		err := d.PutAccount(t.Context(), storage.Account{Organisation: "acme", Settings: map[string]any{"x": setting}})
		wantOther(t, "settings that JSON cannot hold", err)
	}
	_, err := d.Account(t.Context(), "acme")
	wantOnly(t, "account after refusals", err, storage.ErrNotFound)
	_, err = d.User(t.Context(), "acme", "u1")
	wantOnly(t, "user after refusals", err, storage.ErrNotFound)
}

func directoryCancelled(t testing.TB, d storage.EditableDirectory) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, call := range map[string]func() error{
		"Account":    func() error { _, err := d.Account(ctx, "acme"); return err },
		"User":       func() error { _, err := d.User(ctx, "acme", "u1"); return err },
		"PutAccount": func() error { return d.PutAccount(ctx, fullAccount()) },
		"PutUser":    func() error { return d.PutUser(ctx, storage.User{ID: "u1", Organisation: "acme"}) },
	} {
		promptly(t, name, func() {
			if err := call(); err == nil || isSentinel(err) {
				t.Errorf("%s with a cancelled context: %v", name, err)
			}
		})
	}
	_, err := d.Account(t.Context(), "acme")
	wantOnly(t, "account after a cancelled PutAccount", err, storage.ErrNotFound)
}

// directoryRace: one id, two organisations; one of them has it afterwards.
func directoryRace(t testing.TB, d storage.EditableDirectory) {
	for round := range turns(10) {
		id := fmt.Sprint("u", round)
		organisation := func(i int) string { return []string{"acme", "globex"}[i%2] }
		errs := together(many, func(i int) error {
			return d.PutUser(t.Context(), storage.User{ID: id, Organisation: organisation(i), Active: true})
		})
		owners := make(map[string]bool)
		for i, err := range errs {
			if err == nil {
				owners[organisation(i)] = true
				continue
			}
			wantOnly(t, "PutUser", err, storage.ErrConflict)
		}
		if len(owners) != 1 {
			t.Fatalf("round %d: the user belongs to %v", round, owners)
		}
	}
}

func directoryFeed(t testing.TB, d storage.EditableDirectory) {
	feed, ok := d.(storage.Feed)
	if !ok {
		t.Skip("the directory is no storage.Feed")
	}
	w := startWatch(t, feed, newWatch())
	for range 2 { // created, then replaced
		putAccount(t, d, fullAccount())
		putUser(t, d, storage.User{ID: "u1", Organisation: "globex"})
		for _, s := range []subject{{storage.AccountChanged, "acme", "acme"}, {storage.UserChanged, "globex", "u1"}} {
			if _, told := w.version(s); !told {
				t.Fatalf("the call returned, and its watcher was not told of %v", s)
			}
		}
		w.mu.Lock()
		clear(w.told)
		w.mu.Unlock()
	}
}

func putAccount(t testing.TB, d storage.EditableDirectory, a storage.Account) {
	t.Helper()
	if err := d.PutAccount(t.Context(), a); err != nil {
		t.Fatalf("PutAccount: %v", err)
	}
}

func putUser(t testing.TB, d storage.EditableDirectory, u storage.User) {
	t.Helper()
	if err := d.PutUser(t.Context(), u); err != nil {
		t.Fatalf("PutUser: %v", err)
	}
}
