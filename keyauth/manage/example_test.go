package manage_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/keyauth/manage"
	"github.com/strikeplate/strikeplate/scope"
	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/memory"
)

func Example() {
	ctx := context.Background()
	store := memory.New()
	defer func() { _ = store.Close(ctx) }()
	if err := store.PutAccount(ctx, storage.Account{Organisation: "acme", Plan: "pro"}); err != nil {
		log.Fatal(err)
	}
	scheme, err := keyauth.NewScheme(keyauth.SchemeConfig{
		Formats: []keyauth.Format{{Prefix: "acme_"}},
		TagKeys: [][]byte{make([]byte, 32)}, // random bytes in earnest
	})
	if err != nil {
		log.Fatal(err)
	}
	catalog, err := scope.NewCatalog(scope.Entry{Scope: "meetings:read", Description: "List and retrieve meetings"})
	if err != nil {
		log.Fatal(err)
	}
	keys, err := manage.New(manage.Config{Scheme: scheme, Keys: store, Directory: store, Catalog: catalog, MaxKeys: 2,
		Terms: manage.Terms{Access: strikeplate.OrganisationFull, MaxLifetime: 365 * 24 * time.Hour}})
	if err != nil {
		log.Fatal(err)
	}

	ada := storage.Actor{User: "ada", Organisation: "acme", Role: "admin"}
	created, err := keys.Create(ctx, ada, manage.Creation{Name: "CRM Sync", Prefix: "acme_", Scopes: []string{"meetings:read"}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(created.Key.Name, created.Key.Scopes, created.Secret) // Secret.Reveal() has the text

	rotated, err := keys.Rotate(ctx, ada, created.Key.ID, 24*time.Hour)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(rotated.Key.Lineage == created.Key.Lineage, rotated.Predecessor.Status)

	_, err = keys.Create(ctx, ada, manage.Creation{Name: "ETL", Prefix: "acme_", Scopes: []string{"meetings:read"}})
	var refusal *strikeplate.Error
	if errors.As(err, &refusal) {
		fmt.Println(refusal.Status, refusal.Message)
	}
	// Output:
	// CRM Sync [meetings:read] [redacted]
	// true active
	// 409 Your organisation has reached its limit of 2 active API keys. Revoke one that is no longer used; its slot is free at once.
}

func ExampleParseAllow() {
	list, err := manage.ParseAllow([]string{"192.0.2.77/24", "2001:db8::1"})
	fmt.Println(list, err)
	_, err = manage.ParseAllow([]string{"my office"})
	var refusal *strikeplate.Error
	if errors.As(err, &refusal) {
		fmt.Println(refusal.Params["field"], refusal.Message)
	}
	// Output:
	// [192.0.2.0/24 2001:db8::1/128] <nil>
	// allow allow: "my office" is neither an address nor a network such as 192.0.2.0/24.
}
