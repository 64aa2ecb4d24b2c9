// Package oauth turns OAuth access tokens into the same [strikeplate.Principal]
// that package keyauth makes of API keys, so that scopes, policies, limits and
// usage need not know the difference.
//
// The common case, tokens of an identity provider that signs them:
//
//	api, err := oauth.NewResource(oauth.ResourceConfig{
//		Identifier: "https://api.example.com",
//		Metadata:   oauth.Metadata{AuthorizationServers: []string{"https://login.example.com"}},
//		Catalog:    catalog, Directory: store, Feed: store,
//	})
//	...
//	tokens, err := oauth.NewJWT(oauth.JWTConfig{Resource: api, Issuers: []oauth.Issuer{{
//		URL:   "https://login.example.com",
//		Trust: oauth.Trust{Organisations: []string{"acme"}},
//	}}})
//	...
//	mux.Handle(api.MetadataPath(), api.Metadata())
//	mux.Handle("/", strikeplate.Require(tokens, keys)(service))
//
// [JWT] checks signed tokens (RFC 9068), [Introspection] asks the server that
// issued them (RFC 7662), and [Opaque] asks the store of the service's own server,
// package authserver. All of them share the [Resource], which knows the API's name,
// its metadata (RFC 9728), and what tokens may be bound to: DPoP keys (RFC 9449) and
// TLS certificates (RFC 8705).
//
// # How late a revocation is noticed
//
// Tokens of the own server end with the next request, on other instances within
// Cache.Fresh. Those that an endpoint was asked about are believed for
// IntrospectionConfig.Remember. JWTs of others count until they expire, unless
// Issuer.Revoked says otherwise. A deactivated user or a lapsed account counts at
// once through the feed or [Resource.Invalidate], otherwise within five seconds.
//
// # Security notes
//
// A token is believed only as far as its issuer may speak: each names the
// organisations that it is trusted with, its keys check its tokens alone, and a
// subject is "iss|sub", so that two issuers can't mean the same user. Algorithms
// are a list that the service makes; what a token says of its own keys (jku, x5u,
// x5c, jwk) is ignored. Base64 and JSON are read strictly: one text has one meaning.
//
// Tokens are remembered by their SHA-256, never by their text. An unknown key id
// makes the issuer's keys be fetched, once a second at most; a wrong signature
// doesn't. While keys, endpoint, store or directory can't be asked, the answer is
// 503, never 401.
//
// Requests to issuers go where the configuration and the issuers' metadata say, and
// follow no redirect.
package oauth
