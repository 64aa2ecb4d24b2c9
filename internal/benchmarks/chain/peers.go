package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/casbin/casbin/v2"
	"github.com/casbin/casbin/v2/model"
	"github.com/go-chi/httprate"
)

// newByHand is what teams write themselves: a table of SHA-256 digests, then
// httprate by key, then casbin for the right. It has no request id, no revocation
// across instances beyond what the table would hear, no plans and no usage.
//
// Casbin decides by its own RBAC model, in which keys have roles; plain means its
// plainest model, told the role that the table knows, which is the least it costs.
func newByHand(plain bool) (*chain, error) {
	t := &table{keys: make(map[[sha256.Size]byte]*record)}
	c := &chain{close: func() {}}
	var roles [][]string
	for i := range known {
		text := "key_" + rand.Text() + rand.Text()
		k := &record{id: fmt.Sprint("key", i), role: "reader", expires: time.Now().Add(time.Hour)}
		if i == known-1 {
			k.role = "writer"
		}
		t.keys[sha256.Sum256([]byte(text))] = k
		roles = append(roles, []string{k.id, k.role})
		c.take(i, "Bearer "+text)
	}
	if plain {
		roles = nil
	}
	guarded, err := limitedAndAllowed(roles, func(r *http.Request) (id, role string) {
		k := r.Context().Value(recordKey{}).(*record)
		return k.id, k.role
	})
	c.handler = t.guard(guarded)
	return c, err
}

// record is what the table knows of a key.
type record struct {
	id, role string
	expires  time.Time
	revoked  bool
}

type recordKey struct{}

type table struct {
	mu   sync.RWMutex
	keys map[[sha256.Size]byte]*record
}

func (t *table) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok {
			http.Error(w, "unauthorized", http.StatusUnauthorized)
			return
		}
		digest := sha256.Sum256([]byte(text))
		t.mu.RLock()
		k := t.keys[digest]
		t.mu.RUnlock()
		if k == nil || k.revoked || !time.Now().Before(k.expires) {
			http.Error(w, "unauthorized", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), recordKey{}, k)))
	})
}

// limitedAndAllowed is what the peers have behind authentication: httprate,
// casbin, and the route. Casbin knows the roles of ids, or is told them.
func limitedAndAllowed(roles [][]string, who func(*http.Request) (id, role string)) (http.Handler, error) {
	enforcer, err := newEnforcer(roles)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc(pattern, answer)
	allowed := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		subject, role := who(r)
		if roles == nil {
			subject = role
		}
		if ok, err := enforcer.Enforce(subject, "meetings", "read"); err != nil || !ok {
			http.Error(w, "forbidden", http.StatusForbidden)
			return
		}
		mux.ServeHTTP(w, r)
	})
	return httprate.LimitBy(plenty, time.Minute, func(r *http.Request) (string, error) {
		id, _ := who(r)
		return id, nil
	})(allowed), nil
}

// newEnforcer has one of casbin's example models and few rules. Models that match
// paths (keyMatch2) take several times as long.
func newEnforcer(roles [][]string) (*casbin.Enforcer, error) {
	definition, subject := "", "r.sub == p.sub"
	if roles != nil {
		definition, subject = "[role_definition]\ng = _, _", "g(r.sub, p.sub)"
	}
	m, err := model.NewModelFromString(`
[request_definition]
r = sub, obj, act
[policy_definition]
p = sub, obj, act
` + definition + `
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = ` + subject + ` && r.obj == p.obj && r.act == p.act
`)
	if err != nil {
		return nil, err
	}
	e, err := casbin.NewEnforcer(m)
	if err != nil {
		return nil, err
	}
	if roles != nil {
		if _, err := e.AddGroupingPolicies(roles); err != nil {
			return nil, err
		}
	}
	_, err = e.AddPolicies([][]string{
		{"reader", "meetings", "read"}, {"reader", "transcripts", "read"},
		{"writer", "meetings", "write"}, {"writer", "transcripts", "write"},
	})
	return e, err
}

// newBare sets as many header fields as Strikeplate does and lets everybody in:
// what a request costs at least.
func newBare() (*chain, error) {
	c := &chain{close: func() {}}
	mux := http.NewServeMux()
	mux.HandleFunc(pattern, answer)
	c.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Request-Id", "AAAAAAAAAAAAAAAAAAAAAAAAAA")
		h.Set("X-RateLimit-Limit", "900000000")
		h.Set("X-RateLimit-Remaining", "899999999")
		h.Set("X-RateLimit-Reset", "1795837202")
		h.Set("RateLimit-Policy", `"pro";q=900000000;w=60`)
		h.Set("RateLimit", `"pro";r=899999999;t=60`)
		mux.ServeHTTP(w, r)
	})
	// Requests are as long as those with keys.
	text := "Bearer key_" + strings.Repeat("A", 2*len(hex.EncodeToString(make([]byte, 12))))
	for i := range known {
		c.take(i, text)
	}
	return c, nil
}
