package oauth_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/oauth"
	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/memory"
)

// An API that tells clients where to get tokens, and refuses requests without one.
func Example() {
	ctx := context.Background()
	store := memory.New()
	defer func() { _ = store.Close(ctx) }()
	if err := store.PutAccount(ctx, storage.Account{Organisation: "acme", Plan: "pro"}); err != nil {
		log.Fatal(err)
	}
	api, err := oauth.NewResource(oauth.ResourceConfig{
		Identifier: "https://api.example.com",
		Metadata:   oauth.Metadata{AuthorizationServers: []string{"https://login.example.com"}, Ask: []string{"meetings:read"}},
		Directory:  store, Feed: store,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = api.Close(ctx) }()
	tokens, err := oauth.NewJWT(oauth.JWTConfig{Resource: api, Issuers: []oauth.Issuer{{
		URL:   "https://login.example.com",
		Keys:  []byte(`{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"1","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`),
		Trust: oauth.Trust{Organisations: []string{"acme"}},
	}}})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle(api.MetadataPath(), api.Metadata())
	mux.Handle("/v1/", strikeplate.Require(tokens)(http.NotFoundHandler()))

	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/v1/meetings", nil))
	fmt.Println(w.Code, w.Header().Get("WWW-Authenticate"))
	w = httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/.well-known/oauth-protected-resource", nil))
	fmt.Println(w.Code, w.Header().Get("Content-Type"))
	// Output:
	// 401 Bearer realm="api", scope="meetings:read", resource_metadata="https://api.example.com/.well-known/oauth-protected-resource"
	// 200 application/json
}
