package demo

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/examples/internal/meetings"
	"github.com/strikeplate/strikeplate/storage"
)

// controls let scripts do what time, billing and other people do in real life.
type controls struct {
	site *Site
	mu   sync.Mutex // one change after the other: each reads and writes
}

// control is a handler that reads JSON from this machine.
func control(do func(w http.ResponseWriter, r *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := direct(r)
		if err == nil {
			err = do(w, r)
		}
		if err != nil {
			strikeplate.Fail(w, r, err)
		}
	})
}

// clock answers POST /demo/clock {"advance": "25h"}.
func (c *controls) clock(w http.ResponseWriter, r *http.Request) error {
	var ask struct {
		Advance string `json:"advance"`
	}
	if err := readJSON(w, r, &ask); err != nil {
		return err
	}
	by, err := time.ParseDuration(ask.Advance)
	if err != nil || !c.site.Clock.advance(by) {
		return invalid(`advance is a duration such as "25h"; the clock goes forward only, and at most 20 years.`)
	}
	writeJSON(w, map[string]string{"now": c.site.Clock.Now().UTC().Format(time.RFC3339)})
	return nil
}

// runtime answers POST /demo/runtime {}, for who looks for leaks: what is left after
// collecting garbage.
func (c *controls) runtime(w http.ResponseWriter, r *http.Request) error {
	if err := readJSON(w, r, &struct{}{}); err != nil {
		return err
	}
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	writeJSON(w, map[string]uint64{"goroutines": uint64(runtime.NumGoroutine()), "heap_bytes": m.HeapAlloc})
	return nil
}

// organisation answers POST /demo/organisations/{id}.
func (c *controls) organisation(w http.ResponseWriter, r *http.Request) error {
	var ask struct {
		Plan          *string `json:"plan"`
		Subscription  *string `json:"subscription"`
		PrivateViaAPI *bool   `json:"private_via_api"`
	}
	if err := readJSON(w, r, &ask); err != nil {
		return err
	}
	if ask.Plan != nil && !slices.ContainsFunc(meetings.Organisations, func(o meetings.Organisation) bool { return o.Plan == *ask.Plan }) {
		return invalid("plan is free, pro, team or enterprise.")
	}
	if ask.Subscription != nil && *ask.Subscription != "active" && *ask.Subscription != "lapsed" {
		return invalid("subscription is active or lapsed.")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	account, err := c.site.Store.Account(r.Context(), r.PathValue("id"))
	if err != nil {
		return missing(err)
	}
	if ask.Plan != nil {
		account.Plan = *ask.Plan
	}
	if ask.Subscription != nil {
		account.Lapsed = *ask.Subscription == "lapsed"
	}
	if ask.PrivateViaAPI != nil {
		account.Settings = maps.Clone(account.Settings)
		account.Settings["private_via_api"] = *ask.PrivateViaAPI
	}
	if err := c.site.Store.PutAccount(r.Context(), account); err != nil {
		return err
	}
	private, _ := account.Settings["private_via_api"].(bool)
	writeJSON(w, struct {
		organisationOf
		PrivateViaAPI bool `json:"private_via_api"`
	}{organisationState(account), private})
	return nil
}

func organisationState(a storage.Account) organisationOf {
	state := organisationOf{ID: a.Organisation, Plan: a.Plan, Subscription: "active"}
	if a.Lapsed {
		state.Subscription = "lapsed"
	}
	return state
}

// user answers POST /demo/users/{id} {"active": false}.
func (c *controls) user(w http.ResponseWriter, r *http.Request) error {
	var ask struct {
		Active *bool `json:"active"`
	}
	if err := readJSON(w, r, &ask); err != nil {
		return err
	}
	if ask.Active == nil {
		return invalid("active is true or false.")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	u, err := c.site.userByID(r.Context(), r.PathValue("id"))
	if err != nil {
		return missing(err)
	}
	u.Active = *ask.Active
	if err := c.site.Store.PutUser(r.Context(), u); err != nil {
		return err
	}
	writeJSON(w, userState{ID: u.ID, Organisation: u.Organisation, Role: u.Role, Active: u.Active})
	return nil
}

func (s *Site) userByID(ctx context.Context, id string) (storage.User, error) {
	for _, u := range meetings.Users {
		if u.ID == id {
			return s.Store.User(ctx, u.Organisation, u.ID)
		}
	}
	return storage.User{}, storage.ErrNotFound
}

func missing(err error) error {
	if errors.Is(err, storage.ErrNotFound) {
		return &strikeplate.Error{Status: http.StatusNotFound, Code: strikeplate.CodeNotFound, Message: "The demo has no such organisation or user."}
	}
	return err
}
