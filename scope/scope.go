package scope

import (
	"errors"
	"fmt"
	"strings"
)

// maxLength bounds a scope's text.
const maxLength = 100

// ErrGrammar is wrapped by the errors of [Check], [ParseList] and
// [Catalog.Parse] for a text that can't be a scope.
var ErrGrammar = errors.New("not a scope")

// Check reports whether text is a scope: resource, colon, action, each of
// letters, digits, "_" and "-", at most 100 characters in all. A wildcard such as
// "meetings:*" is none: it stands for scopes where a [Catalog] declares it.
func Check(text string) error {
	if isWildcard(text) {
		return fmt.Errorf("%w: %q: a wildcard stands for scopes only where a catalog declares it and resolves it", ErrGrammar, text)
	}
	resource, action, found := strings.Cut(text, ":")
	if !found || !isName(resource) || !isName(action) || len(text) > maxLength {
		return fmt.Errorf("%w: %.100q: it must have the form resource:action", ErrGrammar, text)
	}
	return nil
}

// isWildcard says that text has the form resource:*.
func isWildcard(text string) bool {
	resource, found := strings.CutSuffix(text, ":*")
	return found && isName(resource) && len(text) <= maxLength
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
// repetitions and keeping the order. An empty text is an empty list, which grants
// nothing. Where scopes are granted use [Catalog.Parse].
func ParseList(text string) ([]string, error) {
	return parseList(text, Check)
}

func parseList(text string, check func(string) error) ([]string, error) {
	if text == "" {
		return nil, nil
	}
	var list []string
	seen := make(map[string]bool)
	for s := range strings.SplitSeq(text, " ") {
		if err := check(s); err != nil {
			return nil, err
		}
		if !seen[s] {
			seen[s] = true
			list = append(list, s)
		}
	}
	return list, nil
}
