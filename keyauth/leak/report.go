package leak

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"unicode"

	"github.com/strikeplate/strikeplate/keyauth"
)

const (
	maxReports = 5000 // in one body
	maxShort   = 100  // bytes of type and source that are kept
	maxURL     = 500
)

// Leak says where a key was found, in the audit entry of [ActionLeaked]. Type,
// Source and URL are the report's, and so may be anybody's words: never follow
// the URL, and show all three as text.
type Leak struct {
	// Reporter is "github" or "scanner".
	Reporter string `json:"reporter"`
	Type     string `json:"type,omitempty"`
	Source   string `json:"source,omitempty"`
	URL      string `json:"url,omitempty"`
	// Places is how often the report names the key; only the first is kept.
	Places int `json:"places"`
}

// origin is who sent a report.
type origin struct {
	reporter string
	client   netip.Addr
}

// report is one element of a body.
type report struct {
	Token  string `json:"token"`
	Type   string `json:"type"`
	URL    string `json:"url"`
	Source string `json:"source"`
}

// parseReports reads a body. Elements without a token say nothing, and are left
// out. It refuses with 400 and 413.
func parseReports(body []byte) ([]report, error) {
	malformed := func() error {
		return refuse(http.StatusBadRequest, CodeReport, "A report is a JSON array of objects with the members token, type, url and source.")
	}
	var reports []report
	lines := json.NewDecoder(bytes.NewReader(body))
	if t, err := lines.Token(); err != nil || t != json.Delim('[') {
		return nil, malformed()
	}
	for lines.More() {
		var one report
		if err := lines.Decode(&one); err != nil {
			return nil, malformed()
		}
		if one.Token == "" {
			continue
		}
		if len(reports) == maxReports {
			return nil, tooLarge()
		}
		reports = append(reports, one)
	}
	if _, err := lines.Token(); err != nil {
		return nil, malformed()
	}
	if len(bytes.TrimSpace(body[lines.InputOffset():])) > 0 {
		return nil, malformed()
	}
	return reports, nil
}

// cleaner makes a report's words fit for the audit log.
type cleaner struct{ keys []*regexp.Regexp }

func newCleaner(s *keyauth.Scheme) cleaner {
	var c cleaner
	for _, p := range s.Patterns() {
		c.keys = append(c.keys, regexp.MustCompile(p.Regexp))
	}
	return c
}

// leak is what the log keeps of a report.
func (c cleaner) leak(from origin, r report, p keyauth.Parsed) Leak {
	return Leak{Reporter: from.reporter, Places: 1,
		Type:   c.clean(r.Type, r.Token, p, maxShort),
		Source: c.clean(r.Source, r.Token, p, maxShort),
		URL:    c.clean(r.URL, r.Token, p, maxURL),
	}
}

const redacted = "[redacted]"

// clean takes the key out of text, and any other key, before it cuts: a file may
// be named after the key that it holds.
func (c cleaner) clean(text, token string, p keyauth.Parsed, most int) string {
	text = strings.ReplaceAll(text, token, redacted)
	text = strings.ReplaceAll(text, p.Secret.Reveal(), redacted)
	for _, key := range c.keys {
		text = key.ReplaceAllLiteralString(text, redacted)
	}
	if c.hides(text, p.Secret.Reveal()) {
		return redacted
	}
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}

// hides reports whether text is a key once it is read as part of a URL.
func (c cleaner) hides(text, secret string) bool {
	for range 3 { // URLs within URLs
		plain, err := url.PathUnescape(text)
		if err != nil || plain == text {
			return false
		}
		if strings.Contains(plain, secret) {
			return true
		}
		for _, key := range c.keys {
			if key.MatchString(plain) {
				return true
			}
		}
		text = plain
	}
	return false
}
