package main

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/strikeplate/strikeplate"
)

// The gateway's own paths, for proxies to ask at.
const (
	ownPaths  = "/-/"
	askPath   = "/-/auth"
	envoyPath = "/-/envoy" // and the path of the request
)

// forwardAuth answers whether a request that another proxy holds may pass: 200 with
// the identity, or a refusal to relay. Only proxies in the named networks may ask.
func forwardAuth(proxies []netip.Prefix, routes http.Handler) http.Handler {
	asked := strikeplate.Edge{Dialect: inFields}.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		held, err := heldRequest(r)
		if err != nil {
			strikeplate.Fail(w, r, err)
			return
		}
		routes.ServeHTTP(w, held)
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !named(proxies, r.RemoteAddr) {
			strikeplate.Fail(w, r, &strikeplate.Error{Status: http.StatusForbidden, Code: "unnamed_proxy",
				Message: "Only proxies that the gateway was told of, by -proxies, may ask here."})
			return
		}
		asked.ServeHTTP(w, r)
	})
}

func named(proxies []netip.Prefix, remote string) bool {
	peer, err := netip.ParseAddrPort(remote)
	if err != nil {
		return false
	}
	for _, p := range proxies {
		if p.Contains(peer.Addr().Unmap().WithZone("")) {
			return true
		}
	}
	return false
}

// heldRequest is the request that the proxy holds, as far as it decides anything.
func heldRequest(r *http.Request) (*http.Request, error) {
	for name := range r.Header {
		if ours(name) || overrides(name) {
			return nil, &strikeplate.Error{Status: http.StatusBadRequest, Code: "field_not_allowed",
				Message: "The request has the field " + printable(name) + ", which clients may not send."}
		}
	}
	method, target, err := askedFor(r)
	if err != nil {
		return nil, err
	}
	held := r.Clone(r.Context())
	held.Method, held.URL, held.RequestURI = method, target, target.RequestURI()
	held.Host = r.Header.Get("X-Forwarded-Host")
	held.Pattern = ""
	// A preflight would be answered without a key, and that answer let it pass.
	held.Header.Del("Access-Control-Request-Method")
	return held, nil
}

// askedFor reads what the proxy says of the request: in two fields, each there once,
// or as Envoy does.
func askedFor(r *http.Request) (method string, target *url.URL, err error) {
	if rest, found := strings.CutPrefix(r.RequestURI, envoyPath); found && strings.HasPrefix(rest, "/") {
		target, err = parseTarget(rest)
		return r.Method, target, err
	}
	path, _, _ := strings.Cut(r.RequestURI, "?")
	if path != askPath {
		return "", nil, &strikeplate.Error{Status: http.StatusNotFound, Code: strikeplate.CodeNotFound,
			Message: "Proxies ask at " + askPath + ", and Envoy at " + envoyPath + "/."}
	}
	methods, targets := r.Header["X-Forwarded-Method"], r.Header["X-Forwarded-Uri"]
	if len(methods) != 1 || len(targets) != 1 || !methodForm.MatchString(methods[0]) {
		return "", nil, &strikeplate.Error{Status: http.StatusBadRequest, Code: "not_told",
			Message: "The proxy has to send X-Forwarded-Method and X-Forwarded-Uri, once each."}
	}
	target, err = parseTarget(targets[0])
	return methods[0], target, err
}

// allow says yes, and who it is.
func allow(w http.ResponseWriter, r *http.Request) {
	identify(w.Header(), r)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
}

// inFields also puts a refusal's body into a field, for nginx, which throws away
// the body of what it asks.
func inFields(h http.Header, e *strikeplate.Error, requestID string) []byte {
	body := strikeplate.ProblemJSON(h, e, requestID)
	h.Set("X-Auth-Refusal", printable(strings.TrimSpace(string(body))))
	return body
}
