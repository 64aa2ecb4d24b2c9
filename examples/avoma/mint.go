package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/examples/internal/demo"
	"github.com/strikeplate/strikeplate/examples/internal/meetings"
	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/keyauth/manage"
	"github.com/strikeplate/strikeplate/keyauth/operate"
	"github.com/strikeplate/strikeplate/storage"
)

// mint makes the keys to try: as an administrator makes them, but for the legacy
// key, which an operator imports.
func mint(ctx context.Context, site *demo.Site, scheme *keyauth.Scheme, manager *manage.Service) (demo.Minted, error) {
	legacy, err := importLegacy(ctx, site, scheme)
	if err != nil {
		return demo.Minted{}, err
	}
	m := minter{ctx: ctx, manager: manager}
	m.make("org_full", "admin", strikeplate.OrganisationFull, "", "All meetings of Acme that its settings open to API keys, private ones too")
	m.make("org_limited", "admin", strikeplate.OrganisationLimited, "", "Meetings of Acme that are not private")
	m.make("user_full", "admin", strikeplate.UserFull, "member", "What Bo sees: his own meetings, private ones too, and Acme's that are not private")
	m.make("user_limited", "admin", strikeplate.UserLimited, "member", "Bo's own meetings that are not private")
	m.keys = append(m.keys, legacy)
	dee := meetings.UserNamed("deactivated")
	m.err = errors.Join(m.err, site.As(ctx, dee, func() error { // Dee's key is from before she left
		m.make("deactivated_owner", "admin", strikeplate.UserFull, dee.Name, "401: its owner, Dee, is deactivated")
		return m.err
	}))
	m.make("other_org_full", "other_admin", strikeplate.OrganisationFull, "", "All meetings of Fjord, another organisation")
	return demo.Minted{Keys: m.keys}, m.err
}

// minter keeps the first error.
type minter struct {
	ctx     context.Context //nolint:containedctx // lives as long as mint
	manager *manage.Service
	keys    []demo.Key
	err     error
}

func (m *minter) make(name, creator string, level strikeplate.Access, owner, about string) {
	if m.err != nil {
		return
	}
	admin := meetings.UserNamed(creator)
	c := manage.Creation{Name: "Demo " + name, Access: level}
	if owner != "" {
		c.Owner = meetings.UserNamed(owner).ID
	}
	created, err := m.manager.Create(m.ctx, storage.Actor{User: admin.ID, Organisation: admin.Organisation, Role: admin.Role}, c)
	m.err = err
	m.keys = append(m.keys, demo.Key{Name: name, ID: created.Key.ID, About: about, Secret: created.Secret})
}

// Legacy keys: a public part of 24 characters, a colon, and a secret of 36. The
// system that issued them kept the secret's SHA-256.
const (
	legacyPublic = 24
	legacySecret = 36
	legacyLength = legacyPublic + 1 + legacySecret
)

func importLegacy(ctx context.Context, site *demo.Site, scheme *keyauth.Scheme) (demo.Key, error) {
	operator, err := operate.New(operate.Config{Scheme: scheme, Keys: site.Store, Operator: site.Store, Directory: site.Store, Now: site.Clock.Now})
	if err != nil {
		return demo.Key{}, err
	}
	public, secret := (rand.Text())[:legacyPublic], (rand.Text() + rand.Text())[:legacySecret]
	sum := sha256.Sum256([]byte(secret))
	row := operate.Row{
		Organisation: meetings.OrganisationNamed("main").ID, Name: "Demo legacy", Access: strikeplate.Legacy,
		Lookup: public, Hash: keyauth.ForeignHash{Kind: keyauth.SHA256, Text: hex.EncodeToString(sum[:])}, Last4: secret[legacySecret-4:],
		Creator: meetings.UserNamed("admin").ID, Created: time.Date(2024, 3, 1, 9, 0, 0, 0, time.UTC),
	}
	report, err := operator.Import(ctx, operate.Migration{ID: "before-levels-" + public}, func(yield func(operate.Row, error) bool) { yield(row, nil) })
	if err == nil && report.Imported != 1 {
		err = errors.New("the legacy key was refused")
	}
	if err != nil {
		return demo.Key{}, err
	}
	id, err := idOf(ctx, site, public)
	return demo.Key{Name: "legacy", ID: id, About: "A key from before levels: all meetings of Acme, whatever the settings", Secret: strikeplate.NewSecret(public + ":" + secret)}, err
}

// idOf finds the record's id by the key's public part.
func idOf(ctx context.Context, site *demo.Site, public string) (string, error) {
	k, err := site.Store.KeyByLookup(ctx, public)
	return k.ID, err
}
