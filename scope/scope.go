package scope

import (
	"errors"
	"fmt"
	"strings"
)

// maxLength bounds a scope's text.
const maxLength = 100

// ErrGrammar is wrapped by the errors of [Check] and [ParseList].
var ErrGrammar = errors.New("not a scope")

// Check reports whether text is a scope: resource, colon, action, each of
// letters, digits, "_" and "-", at most 100 characters in all.
func Check(text string) error {
	resource, action, found := strings.Cut(text, ":")
	if !found || !isName(resource) || !isName(action) || len(text) > maxLength {
		return fmt.Errorf("%w: %q: it must have the form resource:action", ErrGrammar, text)
	}
	return nil
}

func isName(s string) bool {
	for _, c := range []byte(s) {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return s != ""
}

// ParseList takes OAuth's space-separated list apart (RFC 6749 3.3), dropping
// repetitions and keeping the order. An empty text is an empty list.
func ParseList(text string) ([]string, error) {
	if text == "" {
		return nil, nil
	}
	var list []string
	seen := make(map[string]bool)
	for _, s := range strings.Split(text, " ") {
		if err := Check(s); err != nil {
			return nil, err
		}
		if !seen[s] {
			seen[s] = true
			list = append(list, s)
		}
	}
	return list, nil
}
