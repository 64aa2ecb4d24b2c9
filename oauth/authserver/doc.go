// Package authserver lets other people's apps act for a service's users: it is an
// OAuth 2.1 authorization server, mounted in the service itself.
//
//	server, err := authserver.New(authserver.Config{
//		Issuer: "https://mavio.example", Store: store, Directory: store, Catalog: catalog,
//		SignIn: authserver.SignIn{Who: signedIn, Page: signInPage},
//		Tokens: authserver.Tokens{Prefix: "mvo_", Keys: [][]byte{secret}},
//	})
//	...
//	mux.Handle("/oauth/", server)
//	mux.Handle("/.well-known/oauth-authorization-server", server)
//
// People register apps with [Server.RegisterApp]; the console of package
// keyauth/console has pages for that. An app sends people to /oauth/authorize;
// they are asked whether to let it in, and come back with a code that the app
// exchanges at /oauth/token. There are also /oauth/revoke (RFC 7009),
// /oauth/introspect (RFC 7662), /oauth/par (RFC 9126), metadata (RFC 8414) and, by
// option, /oauth/register (RFC 7591), client ID metadata documents and signed
// access tokens (RFC 9068) with their keys at /oauth/jwks.json. Package oauth checks
// the tokens that are issued here.
//
// # Rotation
//
// A refresh token is exchanged once, for a new access token and its successor.
// Using it again ends the grant with all of its tokens, since either use may be a
// thief's (RFC 9700 4.14.2). A client whose answer was lost repeats its request: for
// [Tokens].Grace after the first exchange, and while the successor is unused, it
// gets the same two tokens again. They are derived from the old one under
// Tokens.Keys, so that nobody has to keep them.
//
// Of any number that exchange one code at the same time, one gets tokens; the
// others end the grant, tokens included (RFC 9700 4.5). Of any number that refresh
// with one token at the same time, all get the same pair, once stored.
//
// # Upkeep
//
// Call [Server.Prune] now and then: it removes what ended long ago.
//
// # Security notes
//
// Authorization codes need PKCE with S256. A confidential app can be registered to
// do without ([storage.App].InsecureNoPKCE), for clients that never heard of it; it
// must then send state, and redirect_uri to the token endpoint, and fails OWASP
// ASVS 5.0 10.4.6. Public apps never can.
//
// Tokens, codes and secrets are 256 random bits, and the store has only their
// SHA-256. Nothing is consumed or revoked before the client and its right to the
// code or token are checked; after that any mistake burns the code. Errors are told
// by redirect only when the app and its redirect URI are known to belong together.
//
// Public apps ask each time: nobody can tell whether it is they who come back. The
// consent page runs no script, can't be framed, and its form counts for the person
// and the sign-in that it was shown to.
package authserver
