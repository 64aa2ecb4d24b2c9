// Package strikeplate gives a net/http service the access control that a
// serious product's API has. This root package is the part that every other
// package shares: who a request acts for ([Principal]), how that is decided
// ([Authenticator], [Require]), how a refusal is answered ([Error], [Fail],
// [Dialect]), and what is known about a request from edge to edge ([Edge],
// [Exchange]). It imports the standard library only.
//
// The common case, with package keyauth making the Authenticator:
//
//	mux := http.NewServeMux()
//	mux.HandleFunc("GET /v1/whoami", func(w http.ResponseWriter, r *http.Request) {
//		p, _ := strikeplate.FromContext(r.Context())
//		fmt.Fprintln(w, p.Organisation)
//	})
//	edge := strikeplate.Edge{}
//	http.ListenAndServe(addr, edge.Handler(strikeplate.Require(keys)(mux)))
//
// Package strikeplatetest has what tests of such a service need.
//
// # Security notes
//
// A bad credential is answered 401 and a check that could not be made 503,
// never the other way round, and no client sees an internal error's text.
// [Require] lets no request through without a Principal; a CORS preflight is
// answered by it, without reaching the handler: mount CORS middleware outside.
// Client addresses are the socket's unless [Edge] names the trusted proxies.
package strikeplate
