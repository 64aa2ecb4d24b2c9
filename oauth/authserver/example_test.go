package authserver_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/strikeplate/strikeplate/oauth/authserver"
	"github.com/strikeplate/strikeplate/scope"
	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/memory"
)

func Example() {
	ctx := context.Background()
	store := memory.New() // or sqlite.Open, postgres.Open
	_ = store.PutAccount(ctx, storage.Account{Organisation: "acme", Plan: "team"})
	_ = store.PutUser(ctx, storage.User{ID: "ada", Organisation: "acme", Role: "admin", Active: true})
	catalog, err := scope.NewCatalog(scope.Entry{Scope: "meetings:read", Description: "List and retrieve meetings"})
	if err != nil {
		fmt.Println(err)
		return
	}
	ada := storage.Actor{User: "ada", Organisation: "acme", Role: "admin"}
	server, err := authserver.New(authserver.Config{
		Issuer: "https://mavio.example", Store: store, Directory: store, Catalog: catalog,
		SignIn: authserver.SignIn{
			Who: func(*http.Request) (storage.Actor, time.Time, error) { // from the session's cookie
				return ada, time.Now(), nil
			},
			Page: func(back string) string { return "/sign-in?next=" + url.QueryEscape(back) },
		},
		Tokens: authserver.Tokens{Prefix: "mvo_", Keys: [][]byte{random(32)}}, // the same on all instances
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.Handle("/oauth/", server)
	mux.Handle("/.well-known/oauth-authorization-server", server)

	app, secret, err := server.RegisterApp(ctx, ada, storage.App{
		Name: "CRM Sync", RedirectURIs: []string{"https://crm.example/back"}, Scopes: []string{"meetings:read"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(strings.HasPrefix(app.ClientID, "app_"), strings.HasPrefix(secret.Reveal(), "mvo_cs_"))

	_, _, err = server.RegisterApp(ctx, ada, storage.App{
		Name: "Typo", RedirectURIs: []string{"http://crm.example/back"}, Scopes: []string{"meetings:read"},
	})
	fmt.Println(err)
	// Output:
	// true true
	// invalid_request
}
