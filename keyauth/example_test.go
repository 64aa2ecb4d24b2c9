package keyauth_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/keyauth/manage"
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

	tagKey := make([]byte, 32) // from your secrets manager, the same on every instance
	_, _ = rand.Read(tagKey)
	scheme, err := keyauth.NewScheme(keyauth.SchemeConfig{
		Formats: []keyauth.Format{{Prefix: "acme_", Environments: []strikeplate.Environment{strikeplate.Live, strikeplate.Test}}},
		TagKeys: [][]byte{tagKey},
	})
	if err != nil {
		log.Fatal(err)
	}
	keys, err := keyauth.New(keyauth.Config{Scheme: scheme, Keys: store, Directory: store, Feed: store})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = keys.Close(ctx) }()

	api := strikeplate.Require(keys)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, _ := strikeplate.FromContext(r.Context())
		fmt.Fprint(w, p.Organisation, " ", p.Environment)
	}))
	call := func(key string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Authorization", "Bearer "+key)
		w := httptest.NewRecorder()
		api.ServeHTTP(w, r)
		fmt.Println(w.Code, w.Result().Header.Get("Content-Type"))
	}

	admin := storage.Actor{User: "ada", Organisation: "acme", Role: "admin"}
	service, err := manage.New(manage.Config{Scheme: scheme, Keys: store, Directory: store, MaxKeys: 10})
	if err != nil {
		log.Fatal(err)
	}
	created, err := service.Create(ctx, admin, manage.Creation{Name: "CRM Sync", Prefix: "acme_",
		Environment: strikeplate.Test, Access: strikeplate.OrganisationLimited})
	if err != nil {
		log.Fatal(err)
	}
	call(created.Secret.Reveal())
	if _, err := service.Revoke(ctx, admin, created.Key.ID, "no longer used"); err != nil {
		log.Fatal(err)
	}
	call(created.Secret.Reveal())
	// Output:
	// 200 text/plain; charset=utf-8
	// 401 application/problem+json
}

func ExampleFormat() {
	scheme, err := keyauth.NewScheme(keyauth.SchemeConfig{
		Formats: []keyauth.Format{
			{Prefix: "mvo_", Environments: []strikeplate.Environment{strikeplate.Live, strikeplate.Test}}, // mvo_live_…, mvo_test_…
			{Prefix: "mavio_sk_"}, // mavio_sk_…
			{Pair: true},          // CLIENT_KEY:CLIENT_SECRET
		},
		TagKeys: [][]byte{make([]byte, 32)}, // random bytes in earnest
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, prefix := range []string{"mvo_", "mavio_sk_", ""} {
		minted, err := scheme.Mint(context.Background(), prefix, strikeplate.Live)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(len(minted.Secret.Reveal()), minted.Secret)
	}
	// Output:
	// 54 [redacted]
	// 54 [redacted]
	// 46 [redacted]
}
