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

const prefix = "mvra_" // and the environment, which is always live

// issuedUntil is when keys that were issued before are no longer accepted.
var issuedUntil = time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC)

// mint makes the keys to try, one for each thing that can be said of a key.
func mint(ctx context.Context, site *demo.Site, scheme *keyauth.Scheme, manager *manage.Service) (demo.Minted, error) {
	m := minter{ctx: ctx, manager: manager}
	m.make("valid", "admin", manage.Creation{}, "Works")
	m.make("revoked", "admin", manage.Creation{}, "401 revoked_api_key")
	if m.err == nil {
		admin := actor("admin")
		_, m.err = manager.Revoke(ctx, admin, m.keys[len(m.keys)-1].ID, "to try what happens")
	}
	m.past(site, scheme)
	lapsed := meetings.OrganisationNamed("lapsed").ID
	m.err = errors.Join(m.err, site.WhilePaid(ctx, lapsed, func() error {
		m.make("lapsed", "lapsed_admin", manage.Creation{}, "402: the subscription of its organisation, Elm, lapsed")
		return m.err
	}))
	m.make("other", "other_admin", manage.Creation{}, "Works; of another organisation, whose requests are counted apart")
	if m.err != nil {
		return demo.Minted{}, m.err
	}
	issued, err := importIssued(ctx, site, scheme)
	return demo.Minted{Keys: append(m.keys, issued)}, err
}

// minter keeps the first error.
type minter struct {
	ctx     context.Context //nolint:containedctx // lives as long as mint
	manager *manage.Service
	keys    []demo.Key
	err     error
}

func (m *minter) make(name, creator string, c manage.Creation, about string) {
	if m.err != nil {
		return
	}
	c.Name, c.Prefix = "Demo "+name, prefix
	created, err := m.manager.Create(m.ctx, actor(creator), c)
	m.err = err
	m.keys = append(m.keys, demo.Key{Name: name, ID: created.Key.ID, About: about, Secret: created.Secret})
}

// past makes the key that has expired: nobody can create one, but 90 days ago
// somebody could create one that lived for 89.
func (m *minter) past(site *demo.Site, scheme *keyauth.Scheme) {
	const day = 24 * time.Hour
	then := func() time.Time { return site.Clock.Now().Add(-90 * day) }
	manager, err := manage.New(manage.Config{Scheme: scheme, Keys: site.Store, Directory: site.Store, MaxKeys: manage.Unlimited,
		Terms: manage.Terms{Access: strikeplate.OrganisationFull}, Now: then})
	if err != nil {
		m.err = errors.Join(m.err, err)
		return
	}
	now := m.manager
	m.manager = manager
	m.make("expired", "admin", manage.Creation{Expires: then().Add(89 * day)}, "401 expired_api_key")
	m.manager = now
}

func actor(name string) storage.Actor {
	u := meetings.UserNamed(name)
	return storage.Actor{User: u.ID, Organisation: u.Organisation, Role: u.Role}
}

// importIssued takes over a key that was issued before keys had ids. The system
// that issued it kept the SHA-256 of the whole key.
func importIssued(ctx context.Context, site *demo.Site, scheme *keyauth.Scheme) (demo.Key, error) {
	operator, err := operate.New(operate.Config{Scheme: scheme, Keys: site.Store, Operator: site.Store, Directory: site.Store, Now: site.Clock.Now})
	if err != nil {
		return demo.Key{}, err
	}
	random := make([]byte, 16)
	rand.Read(random)
	text := prefix + "live_" + hex.EncodeToString(random) // 32 characters, as the page shows
	sum := sha256.Sum256([]byte(text))
	id := "issued-" + rand.Text()
	organisation := meetings.OrganisationNamed("main").ID
	report, err := operator.Import(ctx, operate.Migration{ID: id}, func(yield func(operate.Row, error) bool) {
		yield(operate.Row{
			Organisation: organisation, Name: "Demo issued", Prefix: prefix, Access: strikeplate.OrganisationFull,
			Hash: keyauth.ForeignHash{Kind: keyauth.SHA256, Text: hex.EncodeToString(sum[:])}, Last4: text[len(text)-4:],
			ExternalID: id, Creator: actor("admin").User, Created: time.Date(2024, 3, 1, 9, 0, 0, 0, time.UTC),
		}, nil)
	})
	if err == nil && report.Imported != 1 {
		err = errors.New("the key that was issued before is refused: " + report.Refusals[0].Reason)
	}
	if err != nil {
		return demo.Key{}, err
	}
	key, err := imported(ctx, site.Store, organisation, id)
	return demo.Key{Name: "issued", ID: key, About: "Works; of the shape that was issued before, without id and checksum", Secret: strikeplate.NewSecret(text)}, err
}

// imported finds a record by its id in the system that it came from.
func imported(ctx context.Context, keys storage.Keys, organisation, id string) (string, error) {
	page, _, err := keys.ListKeys(ctx, storage.Query{Organisation: organisation, Limit: 100})
	for _, k := range page {
		if k.Metadata["external_id"] == id {
			return k.ID, err
		}
	}
	return "", errors.Join(err, errors.New("the key that was imported isn't there"))
}
