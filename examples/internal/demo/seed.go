package demo

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/examples/internal/meetings"
	"github.com/strikeplate/strikeplate/storage"
)

// Minted are the credentials that a product makes for its demo.
type Minted struct {
	Keys    []Key
	Clients []Client
}

// Key is an API key to try. Its secret is known where it was made, and nowhere else.
type Key struct {
	Name   string             `json:"name"`
	ID     string             `json:"id"`
	About  string             `json:"about"`
	Secret strikeplate.Secret `json:"-"`
}

// Client is an OAuth client to try.
type Client struct {
	Name         string             `json:"name"`
	ID           string             `json:"client_id"`
	Secret       strikeplate.Secret `json:"-"`
	RedirectURIs []string           `json:"redirect_uris"`
}

// Rows of the table demo_state.
const (
	stateProduct = "product"
	stateSecret  = "secret"
	stateSeed    = "seed" // "ready", or "filling TOKEN UNTIL"
	stateMinted  = "minted"
	ready        = "ready"
)

// lease is how long an instance that fills the database may be silent until
// another one takes it for dead.
const lease = time.Minute

// Seed fills the database, unless it is filled already: accounts, users, meetings,
// then what mint makes. Of several instances that start at the same time one
// does it, and the others wait.
func (s *Site) Seed(ctx context.Context, mint func(ctx context.Context) (Minted, error)) error {
	mine, err := s.claim(ctx)
	if err != nil {
		return fmt.Errorf("fill the database: %w", err)
	}
	if mine == "" {
		text, err := s.state(ctx, stateMinted)
		if err == nil {
			err = json.Unmarshal([]byte(text), &s.minted)
		}
		s.recall()
		return err
	}
	mine, err = s.renewing(ctx, mine, func() error {
		return meetings.Patiently(ctx, func() (err error) { // what was begun is replaced
			if err := s.fill(ctx); err != nil {
				return fmt.Errorf("fill the database: %w", err)
			}
			if s.minted, err = mint(ctx); err != nil {
				return fmt.Errorf("make the demo's keys: %w", err)
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	text, err := json.Marshal(s.minted) // without secrets
	if err != nil {
		return err
	}
	if err := s.setState(ctx, stateMinted, string(text)); err != nil {
		return err
	}
	if swapped, err := s.swapState(ctx, stateSeed, mine, ready); err != nil || !swapped {
		return errors.Join(err, errors.New("filling the database took too long, and another instance took over"))
	}
	return nil
}

// claim returns the mark of the instance that is to fill the database, or "" once
// it is filled. It waits while another one does it.
func (s *Site) claim(ctx context.Context) (string, error) {
	for {
		now := time.Now() // the lease is about real time
		mark := claimed(now)
		before, err := s.state(ctx, stateSeed)
		taken := false
		switch {
		case errors.Is(err, sql.ErrNoRows):
			taken, err = s.addState(ctx, stateSeed, mark)
		case err != nil:
			return "", err
		case before == ready && !s.Reseed:
			return "", nil
		case before == ready || overdue(before, now):
			taken, err = s.swapState(ctx, stateSeed, before, mark)
		}
		if err != nil {
			return "", err
		}
		if taken {
			return mark, nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

func claimed(now time.Time) string {
	return fmt.Sprintf("filling %s %d", rand.Text(), now.Add(lease).UnixMilli())
}

// renewing keeps the claim while do runs, however long a busy machine takes for it,
// and returns the claim's last mark.
func (s *Site) renewing(ctx context.Context, mark string, do func() error) (string, error) {
	done := make(chan error, 1)
	go func() { done <- do() }()
	tick := time.NewTicker(lease / 4)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			return mark, err
		case <-tick.C:
		}
		// If that fails, so does the swap at the end, which tells.
		next := claimed(time.Now())
		if swapped, err := s.swapState(ctx, stateSeed, mark, next); err == nil && swapped {
			mark = next
		}
	}
}

func overdue(mark string, now time.Time) bool {
	until, err := strconv.ParseInt(mark[strings.LastIndexByte(mark, ' ')+1:], 10, 64)
	return err != nil || now.UnixMilli() > until
}

// fill puts fresh data in place of the demo's own, and touches no others.
func (s *Site) fill(ctx context.Context) error {
	for _, o := range meetings.Organisations {
		if err := s.Store.EraseOrganisation(ctx, o.ID); err != nil {
			return err
		}
		err := s.Store.PutAccount(ctx, storage.Account{Organisation: o.ID, Plan: o.Plan, Lapsed: o.Lapsed, Settings: map[string]any{"private_via_api": true}})
		if err != nil {
			return err
		}
	}
	for _, u := range meetings.Users {
		if err := s.Store.PutUser(ctx, user(u, u.Active)); err != nil {
			return err
		}
	}
	return s.Meetings.Refill(ctx, meetings.Generate())
}

func user(u meetings.User, active bool) storage.User {
	return storage.User{ID: u.ID, Organisation: u.Organisation, Name: u.FullName, Role: u.Role, Active: active}
}

// As lets do act for a user who is deactivated, as before that happened: to make
// what a deactivated user leaves behind.
func (s *Site) As(ctx context.Context, u meetings.User, do func() error) error {
	err := s.Store.PutUser(ctx, user(u, true))
	if err == nil {
		err = do()
	}
	return errors.Join(err, s.Store.PutUser(ctx, user(u, u.Active)))
}

// WhilePaid lets do act for an organisation whose subscription lapsed, as before
// that happened.
func (s *Site) WhilePaid(ctx context.Context, organisation string, do func() error) error {
	account, err := s.Store.Account(ctx, organisation)
	if err != nil {
		return err
	}
	paid := account
	paid.Lapsed = false
	if err = s.Store.PutAccount(ctx, paid); err == nil {
		err = do()
	}
	return errors.Join(err, s.Store.PutAccount(ctx, account))
}

// secret is the database's own, made by the first instance.
func (s *Site) secret(ctx context.Context) ([]byte, error) {
	if _, err := s.addState(ctx, stateProduct, s.Name); err != nil {
		return nil, err
	}
	if whose, err := s.state(ctx, stateProduct); err != nil || whose != s.Name {
		return nil, errors.Join(err, fmt.Errorf("-db: this is the database of %q", whose))
	}
	fresh := make([]byte, 32)
	_, _ = rand.Read(fresh)
	if _, err := s.addState(ctx, stateSecret, hex.EncodeToString(fresh)); err != nil {
		return nil, err
	}
	text, err := s.state(ctx, stateSecret)
	if err != nil {
		return nil, err
	}
	return hex.DecodeString(text)
}

func (s *Site) state(ctx context.Context, name string) (value string, err error) {
	err = meetings.Patiently(ctx, func() error {
		return s.Meetings.DB.QueryRowContext(ctx, s.Meetings.Bind("SELECT value FROM demo_state WHERE name = ?"), name).Scan(&value)
	})
	return value, err
}

// addState reports whether the state was not there before.
func (s *Site) addState(ctx context.Context, name, value string) (bool, error) {
	return s.changed(ctx, "INSERT INTO demo_state (name, value) VALUES (?, ?) ON CONFLICT (name) DO NOTHING", name, value)
}

func (s *Site) setState(ctx context.Context, name, value string) error {
	_, err := s.changed(ctx, "INSERT INTO demo_state (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", name, value)
	return err
}

// swapState reports whether the state was the old one.
func (s *Site) swapState(ctx context.Context, name, old, value string) (bool, error) {
	return s.changed(ctx, "UPDATE demo_state SET value = ? WHERE name = ? AND value = ?", value, name, old)
}

func (s *Site) changed(ctx context.Context, text string, args ...any) (bool, error) {
	var n int64
	err := meetings.Patiently(ctx, func() error {
		result, err := s.Meetings.DB.ExecContext(ctx, s.Meetings.Bind(text), args...)
		if err == nil {
			n, err = result.RowsAffected()
		}
		return err
	})
	return n > 0, err
}
