package main

import (
	"context"
	"strings"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/examples/internal/catalogs"
	"github.com/strikeplate/strikeplate/examples/internal/demo"
	"github.com/strikeplate/strikeplate/examples/internal/meetings"
	"github.com/strikeplate/strikeplate/keyauth/manage"
	"github.com/strikeplate/strikeplate/oauth/authserver"
	"github.com/strikeplate/strikeplate/storage"
)

// mint makes keys and apps to try, as an administrator makes them.
func mint(ctx context.Context, manager *manage.Service, apps *authserver.Server) (demo.Minted, error) {
	admin := meetings.UserNamed("admin")
	m := minter{ctx: ctx, actor: storage.Actor{User: admin.ID, Organisation: admin.Organisation, Role: admin.Role}, manager: manager, apps: apps}
	all := catalogs.Mavio().Scopes()
	m.key("live_all", strikeplate.Live, "Everything that Acme has, live", all...)
	m.key("test_all", strikeplate.Test, "Everything in Acme's sandbox", all...)
	for _, s := range all {
		m.key("live_"+strings.ReplaceAll(s, ":", "_"), strikeplate.Live, "The scope "+s+" alone", s)
	}
	m.app("confidential", storage.App{
		Name: "Slack integration", RedirectURIs: []string{"http://127.0.0.1/callback", "https://slack.example.com/callback"},
		Scopes: all, InsecureNoPKCE: true, // written before there was PKCE
	})
	m.app("public", storage.App{Name: "Desk app", Public: true, RedirectURIs: []string{"http://127.0.0.1/callback"}, Scopes: all})
	return m.made, m.err
}

// minter keeps the first error.
type minter struct {
	ctx     context.Context //nolint:containedctx // lives as long as mint
	actor   storage.Actor
	manager *manage.Service
	apps    *authserver.Server
	made    demo.Minted
	err     error
}

func (m *minter) key(name string, environment strikeplate.Environment, about string, scopes ...string) {
	if m.err != nil {
		return
	}
	created, err := m.manager.Create(m.ctx, m.actor, manage.Creation{Name: "Demo " + name, Prefix: prefix, Environment: environment, Scopes: scopes})
	m.err = err
	m.made.Keys = append(m.made.Keys, demo.Key{Name: name, ID: created.Key.ID, About: about, Secret: created.Secret})
}

func (m *minter) app(name string, app storage.App) {
	if m.err != nil {
		return
	}
	made, secret, err := m.apps.RegisterApp(m.ctx, m.actor, app)
	m.err = err
	m.made.Clients = append(m.made.Clients, demo.Client{Name: name, ID: made.ClientID, Secret: secret, RedirectURIs: made.RedirectURIs})
}
