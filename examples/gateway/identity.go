package main

import (
	"net/http"
	"strings"

	"github.com/strikeplate/strikeplate"
)

// identity are the fields that tell the service who calls.
var identity = map[string]func(p *strikeplate.Principal) string{
	"X-Auth-Kind":         func(p *strikeplate.Principal) string { return string(p.Kind) },
	"X-Auth-Credential":   func(p *strikeplate.Principal) string { return p.Credential },
	"X-Auth-Organisation": func(p *strikeplate.Principal) string { return p.Organisation },
	"X-Auth-Subject":      func(p *strikeplate.Principal) string { return p.Subject },
	"X-Auth-Access":       func(p *strikeplate.Principal) string { return string(p.Access) },
	"X-Auth-Environment":  func(p *strikeplate.Principal) string { return string(p.Environment) },
	"X-Auth-Scopes":       func(p *strikeplate.Principal) string { return strings.Join(p.Scopes, " ") },
	"X-Auth-Plan":         func(p *strikeplate.Principal) string { return p.Plan },
	"X-Auth-Client-Id":    func(p *strikeplate.Principal) string { return p.ClientID },
}

// identify sets all of the fields, those with nothing to tell as well, so that none
// of them is ever a client's.
func identify(h http.Header, r *http.Request) {
	p, known := strikeplate.FromContext(r.Context())
	for name, of := range identity {
		value := ""
		if known {
			value = printable(of(p))
		}
		h[name] = []string{value}
	}
	h["X-Request-Id"] = []string{strikeplate.ExchangeFrom(r.Context()).ID()}
}

// printable keeps what ids and names contain from becoming another field.
func printable(value string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' {
			return '?'
		}
		return c
	}, value)
}

// normal is a field's name as the loosest reader sees it: CGI and its heirs (WSGI,
// Rack, PHP) can't tell one separator from another.
func normal(name string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
			return c
		case 'A' <= c && c <= 'Z':
			return c + 'a' - 'A'
		}
		return '-'
	}, name)
}

// ours says that a field is, or could be read as, one of the gateway's.
func ours(name string) bool { return strings.HasPrefix(normal(name), "x-auth-") }

// overrides say that a field has frameworks believe in another method or path than
// the request's.
func overrides(name string) bool {
	switch normal(name) {
	case "x-http-method-override", "x-http-method", "x-method-override", "x-original-url", "x-rewrite-url", "x-original-uri", "x-original-method":
		return true
	}
	return false
}

// unread are fields that are none of the service's business: the credential, and
// what a client may have made up about its own address.
func unread(name string) bool {
	switch normal(name) {
	case "authorization", "proxy-authorization", "x-api-key", "x-real-ip", "forwarded", "x-request-id":
		return true
	}
	return strings.HasPrefix(normal(name), "x-forwarded-")
}

// strip removes what may not reach the service.
func strip(h http.Header) {
	for name := range h {
		odd := strings.ContainsFunc(name, func(c rune) bool { return c != '-' && normal(string(c)) == "-" })
		if odd || ours(name) || overrides(name) || unread(name) {
			delete(h, name)
		}
	}
}
