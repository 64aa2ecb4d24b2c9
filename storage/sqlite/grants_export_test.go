package sqlite

import "strings"

// GrantStatements are the texts that apps and grants prepare.
func GrantStatements() []string {
	var all grantStatements
	var texts []string
	for _, s := range all.texts(&Store{}) {
		texts = append(texts, strings.TrimSpace(s.text))
	}
	return texts
}
