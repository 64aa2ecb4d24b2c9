package docs_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// block is a fenced block of a document: its first line's language, words and
// name="values", and what is in it.
type block struct {
	at         string // document and line, for messages
	language   string
	attributes map[string]string
	text       string
}

var (
	fence     = regexp.MustCompile("^```(\\w*) ?(.*)$")
	attribute = regexp.MustCompile(`(\w+)(?:=("[^"]*"|\S+))?`)
)

func blocks(t *testing.T, document string) []block {
	t.Helper()
	content, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	var all []block
	inside := false
	for i, line := range strings.Split(string(content), "\n") {
		m := fence.FindStringSubmatch(line)
		switch {
		case m == nil && inside:
			all[len(all)-1].text += line + "\n"
		case m == nil:
		case inside:
			inside = false
		default:
			inside = true
			b := block{at: document + ":" + itoa(i+1), language: m[1], attributes: make(map[string]string)}
			for _, a := range attribute.FindAllStringSubmatch(m[2], -1) {
				b.attributes[a[1]] = strings.Trim(a[2], `"`)
			}
			all = append(all, b)
		}
	}
	if inside {
		t.Fatalf("%s: the last block has no end", document)
	}
	return all
}

// like reports whether an output is the expected text, in which … stands for
// anything.
func like(got, want string) bool {
	parts := strings.Split(strings.TrimSpace(want), "…")
	for i, p := range parts {
		parts[i] = regexp.QuoteMeta(p)
	}
	return regexp.MustCompile("^(?s:" + strings.Join(parts, ".*") + ")$").MatchString(strings.TrimSpace(got))
}
