package sqlite

import "strings"

// UsageStatements are the texts that usage prepares.
func UsageStatements() []string {
	var all usageStatements
	var texts []string
	for _, s := range all.texts(&Store{}) {
		texts = append(texts, strings.TrimSpace(s.text))
	}
	return texts
}
