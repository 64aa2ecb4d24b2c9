package main

import (
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/strikeplate/strikeplate"
)

// errAmbiguous is told for a path that the gateway and the service could read in
// different ways.
var errAmbiguous = &strikeplate.Error{Status: http.StatusBadRequest, Code: "ambiguous_path",
	Message: `The path can be read in more than one way. Send it without "//", ".", "..", ";", "\" and without encoded slashes, dots and percent signs.`}

// unambiguous refuses such paths before anybody looks at them.
func unambiguous(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := parseTarget(r.RequestURI); err != nil {
			strikeplate.Fail(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// parseTarget reads a request's target as a client wrote it: a path and perhaps a
// query. Nothing is cleaned: what isn't clean is refused.
func parseTarget(target string) (*url.URL, error) {
	path, _, _ := strings.Cut(target, "?")
	if !strings.HasPrefix(path, "/") || !plainPath(path) || strings.ContainsFunc(target, func(c rune) bool { return c <= ' ' || c == 0x7f || c == '#' }) {
		return nil, errAmbiguous
	}
	u, err := url.ParseRequestURI(target)
	if err != nil || u.Host != "" || u.Scheme != "" || u.User != nil || !utf8.ValidString(u.Path) {
		return nil, errAmbiguous
	}
	return u, nil
}

func plainPath(path string) bool {
	if strings.ContainsAny(path, `;\`) || strings.Contains(path, "//") {
		return false
	}
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "." || segment == ".." {
			return false
		}
	}
	return plainEscapes(path)
}

// plainEscapes reports whether all that is escaped is what nobody splits paths by.
func plainEscapes(path string) bool {
	for rest := path; ; {
		_, after, found := strings.Cut(rest, "%")
		if !found {
			return true
		}
		if len(after) < 2 {
			return false
		}
		decoded, err := url.PathUnescape("%" + after[:2])
		if err != nil || decoded[0] <= ' ' && decoded[0] != ' ' || decoded[0] == 0x7f || strings.ContainsAny(decoded, `/\.%;?#`) {
			return false
		}
		rest = after[2:]
	}
}
