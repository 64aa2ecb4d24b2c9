package manage

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/scope"
	"github.com/strikeplate/strikeplate/storage"
)

// The bounds of what a key carries.
const (
	maxName          = 100 // characters
	maxReason        = 500 // characters
	maxScopes        = 200
	maxMetadata      = 50      // entries
	maxMetadataBytes = 4 << 10 // names and values together
)

// checkName expects a trimmed name. Control characters could forge lines where
// names are printed.
func checkName(name string) error {
	switch {
	case name == "":
		return invalid("name", "give the key a name that tells what it is for")
	case utf8.RuneCountInString(name) > maxName:
		return invalid("name", "at most %d characters are allowed", maxName)
	case !storage.ValidText(name) || strings.ContainsFunc(name, unicode.IsControl):
		return invalid("name", "use printable characters only")
	}
	return nil
}

func checkReason(reason string) error {
	switch {
	case utf8.RuneCountInString(reason) > maxReason:
		return invalid("reason", "at most %d characters are allowed", maxReason)
	case !storage.ValidText(reason):
		return invalid("reason", "it contains characters that can't be stored")
	}
	return nil
}

func checkMetadata(metadata map[string]string) error {
	if len(metadata) > maxMetadata {
		return invalid("metadata", "at most %d entries are allowed", maxMetadata)
	}
	size := 0
	for name, value := range metadata {
		size += len(name) + len(value)
		switch {
		case name == "":
			return invalid("metadata", "an entry has no name")
		case !storage.ValidText(name) || !storage.ValidText(value):
			return invalid("metadata", "it contains characters that can't be stored")
		}
	}
	if size > maxMetadataBytes {
		return invalid("metadata", "at most %d bytes are allowed, names and values together", maxMetadataBytes)
	}
	return nil
}

// checkScopes judges a key's own scopes, after settleScopes.
func (s *Service) checkScopes(scopes []string) error {
	switch {
	case len(scopes) > maxScopes:
		return invalid("scopes", "at most %d scopes are allowed", maxScopes)
	case s.c.Catalog == nil:
		for _, text := range scopes {
			if scope.Check(text) != nil {
				return invalid("scopes", "%.100q is no scope; it must have the form resource:action", text)
			}
		}
		return nil
	case len(scopes) == 0:
		return invalid("scopes", "choose at least one: a key without scopes may do nothing")
	}
	if strange := s.c.Catalog.Unknown(scopes); len(strange) > 0 {
		return invalid("scopes", "unknown: %s", quoted(strange))
	}
	return nil
}

// settleScopes returns the scopes that are meant, each once: where there is a
// catalog, what it resolves them to, wildcards included. Unknown ones are left for
// checkScopes to name. No scopes are nil.
func (s *Service) settleScopes(scopes []string) []string {
	if resolved, err := s.c.Catalog.Resolve(scopes); err == nil {
		return resolved
	}
	var distinct []string
	seen := make(map[string]bool, len(scopes))
	for _, text := range scopes {
		if !seen[text] {
			seen[text] = true
			distinct = append(distinct, text)
		}
	}
	return distinct
}

// checkAccess judges a chosen level and the owner that it needs or must not have.
func (s *Service) checkAccess(chosen strikeplate.Access, key storage.Key) error {
	fixed := s.c.Terms.Access
	switch {
	case fixed != "" && chosen != "" && chosen != fixed:
		return invalid("access", "it can't be chosen: every key has the level %q", fixed)
	case key.Access == "":
		return invalid("access", "choose how much of the organisation's data the key reaches")
	case !grantable(key.Access):
		return invalid("access", "%.100q is not a level that new keys can have", key.Access)
	case key.Access.ForUser() && key.Owner == "":
		return invalid("owner", "a key of this level is issued to one member; name one")
	case !key.Access.ForUser() && key.Owner != "":
		return invalid("owner", "a key for the whole organisation is issued to nobody in particular; leave it empty")
	case !storage.ValidText(key.Owner) || len(key.Owner) > maxReason:
		return invalid("owner", "there is no such member")
	}
	return nil
}
