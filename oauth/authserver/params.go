package authserver

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/storage"
)

const (
	maxBody  = 32 << 10
	maxQuery = 8 << 10 // what a pushed request may have, too
	maxURI   = 2000
	maxPairs = 64
)

// params are a request's parameters. Those without a value were not sent (RFC
// 6749 3.1), and only resource (RFC 8707) may be there more than once.
type params map[string][]string

func (p params) get(name string) string {
	if v := p[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// duplicateError names a parameter that was sent twice.
type duplicateError struct{ name string }

func (e *duplicateError) Error() string { return "parameter sent twice: " + e.name }

var errForm = errors.New("the parameters can't be read")

// parseParams takes a form apart. With a duplicateError what was sent once is
// returned too.
func parseParams(text string) (params, error) {
	if strings.Count(text, "&") >= maxPairs {
		return nil, errForm
	}
	values, err := url.ParseQuery(text)
	if err != nil {
		return nil, errForm
	}
	p := make(params, len(values))
	var twice error
	for name, all := range values {
		if !storage.ValidText(name + strings.Join(all, "")) {
			return nil, errForm
		}
		if len(all) > 1 && name != "resource" {
			twice = &duplicateError{name}
			continue // neither counts
		}
		if present := nonEmpty(all); len(present) > 0 {
			p[name] = present
		}
	}
	return p, twice
}

func nonEmpty(all []string) (kept []string) {
	for _, v := range all {
		if v != "" {
			kept = append(kept, v)
		}
	}
	return kept
}

// unreadable turns what parseParams says into a refusal.
func unreadable(err error) error {
	var twice *duplicateError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &twice):
		return bad(CodeRequest, "The parameter %.50s was sent more than once.", twice.name)
	default:
		return bad(CodeRequest, "The parameters can't be read.")
	}
}

// readBody reads what a program posts: a form, and nothing in the URL, which
// servers and proxies log.
func readBody(w http.ResponseWriter, r *http.Request) (params, error) {
	if r.URL.RawQuery != "" || r.URL.ForceQuery {
		return nil, bad(CodeRequest, "Parameters belong into the body, not into the URL.")
	}
	text, err := readText(w, r, "application/x-www-form-urlencoded", maxBody)
	if err != nil {
		return nil, err
	}
	p, err := parseParams(text)
	return p, unreadable(err)
}

func readText(w http.ResponseWriter, r *http.Request, kind string, most int64) (string, error) {
	if got, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || got != kind || len(r.Header["Content-Type"]) > 1 {
		return "", bad(CodeRequest, "The body must be of type %s.", kind)
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return "", refuse(http.StatusRequestEntityTooLarge, CodeRequest, "The body is too large.")
	case err != nil:
		return "", &strikeplate.Error{Status: http.StatusBadRequest, Code: CodeRequest, Message: "The body can't be read.", Err: err}
	}
	return string(body), nil
}
