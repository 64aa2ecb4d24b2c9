package console_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/keyauth/console"
	"github.com/strikeplate/strikeplate/keyauth/manage"
	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/memory"
)

// The page, mounted behind a service's own sign-in.
func Example() {
	store := memory.New()
	defer store.Close(context.Background())
	_ = store.PutAccount(context.Background(), storage.Account{Organisation: "org", Plan: "team"})
	scheme, err := keyauth.NewScheme(keyauth.SchemeConfig{
		Formats: []keyauth.Format{{Prefix: "mavio_sk_"}},
		TagKeys: [][]byte{[]byte("from your secrets manager: 32 B!")},
	})
	if err != nil {
		panic(err)
	}
	keys, err := manage.New(manage.Config{Scheme: scheme, Keys: store, Directory: store, MaxKeys: 25, LastUsed: store.LastUsed})
	if err != nil {
		panic(err)
	}
	page, err := console.New(console.Config{
		Manage: keys, Scheme: scheme, Replays: store,
		SignedIn: func(*http.Request) (storage.Actor, error) { // your session
			return storage.Actor{User: "user_ada", Organisation: "org", Role: "admin"}, nil
		},
		Product: console.Product{Name: "Mavio", Base: "/settings/developer"},
	})
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/settings/developer/", page)
	handler := strikeplate.Edge{}.Handler(mux)

	res := httptest.NewRecorder()
	handler.ServeHTTP(res, httptest.NewRequest(http.MethodGet, "/settings/developer/", nil))
	fmt.Println(res.Code, strings.Contains(res.Body.String(), "<strong>0 of 25</strong> keys used"))
	// Output: 200 true
}
