package authserver

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// ours are the parameters that this server adds to a redirect URI.
var ours = []string{"code", "state", "iss", "error", "error_description", "error_uri", "response"}

// checkRedirectURI says what is wrong with a URI to be registered. What is
// registered is compared byte for byte, so there is one way to write each.
func checkRedirectURI(text string) error {
	if strings.ContainsAny(text, "*#\\") || text == "" || len(text) > maxURI || !isASCII(text) {
		return errors.New("it must be an absolute URL in ASCII, without fragment, wildcard and backslash")
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "" || u.String() != text:
		return errors.New("it must be an absolute URL, written plainly")
	case u.User != nil:
		return errors.New("it must not hold a user or a password")
	case u.Scheme == "https":
	case u.Scheme != "http" || !isLoopback(u.Hostname()):
		return errors.New("it must be https; http is for loopback hosts only")
	}
	if slices.ContainsFunc(strings.Split(u.Path, "/"), func(s string) bool { return s == "." || s == ".." }) {
		return errors.New("it must not hold . or .. elements")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return errors.New("its query can't be read")
	}
	for _, name := range ours {
		if query.Has(name) {
			return fmt.Errorf("its query must not hold %s, which the server adds", name)
		}
	}
	return nil
}

func isASCII(text string) bool {
	for _, c := range []byte(text) {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return true
}

// matches says that the URI asked for is the registered one: byte for byte, but for
// the port of a loopback host, which native apps learn when they start (RFC 8252
// 7.3).
func matches(registered, asked string) bool {
	if registered == asked {
		return true
	}
	wantHost, wantRest, ok := loopback(registered)
	if !ok {
		return false
	}
	host, rest, ok := loopback(asked)
	return ok && host == wantHost && rest == wantRest && checkRedirectURI(asked) == nil
}

// loopback takes a loopback URI apart, without its port.
func loopback(text string) (host, rest string, ok bool) {
	after, ok := strings.CutPrefix(text, "http://")
	if !ok {
		return "", "", false
	}
	end := strings.IndexAny(after, "/?")
	if end < 0 {
		end = len(after)
	}
	host, rest = after[:end], after[end:]
	if name, port, err := net.SplitHostPort(host); err == nil {
		if port == "" {
			return "", "", false
		}
		host = name
	}
	host = strings.Trim(host, "[]")
	return host, rest, isLoopback(host)
}

// destination adds parameters to a redirect URI, and keeps the query that it has.
func destination(uri string, add url.Values) string {
	mark := "?"
	if strings.Contains(uri, "?") {
		mark = "&"
		if strings.HasSuffix(uri, "?") || strings.HasSuffix(uri, "&") {
			mark = ""
		}
	}
	return uri + mark + add.Encode()
}

// sendTo answers with a redirect that turns a POST into a GET: 307 would hand the
// form to the app (RFC 9700 4.12).
func sendTo(w http.ResponseWriter, where string) {
	h := w.Header()
	h.Set("Location", where)
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(http.StatusSeeOther)
}

// checkOrigin says what is wrong with an origin to be registered.
func checkOrigin(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || !isASCII(text) || len(text) > maxURI || u.Host == "" || u.Scheme+"://"+u.Host != text || strings.ToLower(text) != text || strings.Contains(text, "*"):
		return errors.New("it must be a scheme, a host and perhaps a port, in lower case, such as https://app.example")
	case u.Scheme == "https" && u.Port() != "443", u.Scheme == "http" && isLoopback(u.Hostname()) && u.Port() != "80":
		return nil
	case u.Scheme == "https" || isLoopback(u.Hostname()):
		return errors.New("browsers leave the scheme's own port out")
	default:
		return errors.New("it must be https; http is for loopback hosts only")
	}
}
