package keyauth_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/storage"
)

// TestExpiring: who calls with a key that is about to expire is told when.
func TestExpiring(t *testing.T) {
	now := time.Date(2026, 3, 31, 12, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	s := newService(t, func(c *keyauth.Config) { c.Now = clock })
	api := func(e keyauth.Expiring) http.Handler {
		e.Now = clock
		return strikeplate.Require(s.auth)(e.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	}
	const day = 24 * time.Hour
	for _, c := range []struct {
		name     string
		expires  time.Time
		expiring keyauth.Expiring
		field    string
		want     string
	}{
		{"within", now.Add(14 * day), keyauth.Expiring{}, "X-API-Key-Expires", "Tue, 14 Apr 2026 12:00:00 GMT"},
		{"not yet", now.Add(14*day + time.Second), keyauth.Expiring{}, "X-API-Key-Expires", ""},
		{"never", time.Time{}, keyauth.Expiring{}, "X-API-Key-Expires", ""},
		{"as configured", now.Add(30 * day), keyauth.Expiring{Within: 31 * day, Header: "Acme-Key-Expires"}, "Acme-Key-Expires", "Thu, 30 Apr 2026 12:00:00 GMT"},
	} {
		t.Run(c.name, func(t *testing.T) {
			key := s.mint(t, strikeplate.Live, func(k *storage.Key) { k.Created, k.Expires = now.Add(-time.Hour), c.expires })
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Header.Set("Authorization", "Bearer "+key)
			w := httptest.NewRecorder()
			api(c.expiring).ServeHTTP(w, r)
			if got := w.Header().Get(c.field); w.Code != http.StatusOK || got != c.want {
				t.Errorf("got %d, %q", w.Code, got)
			}
		})
	}
	w := httptest.NewRecorder()
	keyauth.Expiring{}.Handler(http.NotFoundHandler()).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if len(w.Header()["X-Api-Key-Expires"]) > 0 {
		t.Error("told without a key")
	}
}
