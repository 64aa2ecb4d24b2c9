package authserver

import (
	"net/http"
	"net/netip"
	"time"

	"github.com/strikeplate/strikeplate/scope"
	"github.com/strikeplate/strikeplate/storage"
)

// What tests look at inside.
var (
	CheckRedirectURI = checkRedirectURI
	CheckOrigin      = checkOrigin
	Matches          = matches
	IsDocumentID     = isDocumentID
)

// DescribeDocument makes an app of a document.
func DescribeDocument(id string, text []byte, limit []string, c *scope.Catalog, now time.Time) (storage.App, error) {
	return describeDocument(id, text, limit, c, now)
}

// ParseBasic reads Authorization fields.
func ParseBasic(fields []string) (id, secret string, ok bool) {
	c, ok := parseBasic(fields)
	return c.id, c.secret, ok
}

// ReadCredentials finds a client's credentials in a request.
func ReadCredentials(r *http.Request, form string) (id string, err error) {
	p, err := parseParams(form)
	if err != nil {
		return "", err
	}
	c, err := readCredentials(r, p)
	return c.id, err
}

// Guard counts.
type Guard struct{ *guard }

// NewGuard returns a guard.
func NewGuard(most int) Guard { return Guard{newGuard(most)} }

// Charge counts one.
func (g Guard) Charge(name string, a string) time.Duration { return g.charge(name, mustAddr(a)) }

// Len is how many it remembers.
func (g Guard) Len() int { return len(g.seen) }

func mustAddr(text string) netip.Addr { return netip.MustParseAddr(text) }
