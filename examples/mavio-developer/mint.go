package main

import (
	"context"
	"net/netip"
	"strings"
	"time"

	"github.com/strikeplate/strikeplate/examples/internal/catalogs"
	"github.com/strikeplate/strikeplate/examples/internal/demo"
	"github.com/strikeplate/strikeplate/examples/internal/meetings"
	"github.com/strikeplate/strikeplate/keyauth/manage"
	"github.com/strikeplate/strikeplate/storage"
)

// mint makes the keys to try, as administrators make them. The expired one is
// made three days ago, by a manager whose clock says so.
func mint(ctx context.Context, now, before *manage.Service, then time.Time) (demo.Minted, error) {
	m := minter{ctx: ctx, manager: now}
	all := catalogs.MavioDeveloper().Scopes()
	m.make("team", "admin", "Everything, on the Team plan: 1,000 requests a minute", manage.Creation{Scopes: all})
	m.make("free", "free_admin", "Everything, on the Free plan: 60 requests a minute", manage.Creation{Scopes: all})
	m.make("pro", "pro_admin", "Everything, on the Pro plan: 300 requests a minute", manage.Creation{Scopes: all})
	m.make("enterprise", "enterprise_admin", "Everything, on the Enterprise plan, from this machine alone: 5,000 requests a minute by contract", manage.Creation{
		Scopes: all, Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
	})
	m.make("enterprise_restricted", "enterprise_admin", "403: its allowlist is another network's, 192.0.2.0/24", manage.Creation{
		Scopes: all, Allow: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
	})
	for _, s := range all {
		m.make("scope_"+strings.ReplaceAll(s, ":", "_"), "admin", "The scope "+s+" alone", manage.Creation{Scopes: []string{s}})
	}
	m.manager = before
	m.make("expired", "admin", "401: it has expired", manage.Creation{Scopes: all, Expires: then.Add(24 * time.Hour)})
	return demo.Minted{Keys: m.keys}, m.err
}

// minter keeps the first error.
type minter struct {
	ctx     context.Context //nolint:containedctx // lives as long as mint
	manager *manage.Service
	keys    []demo.Key
	err     error
}

func (m *minter) make(name, creator, about string, c manage.Creation) {
	if m.err != nil {
		return
	}
	admin := meetings.UserNamed(creator)
	c.Name, c.Prefix = "Demo "+name, prefix
	created, err := m.manager.Create(m.ctx, storage.Actor{User: admin.ID, Organisation: admin.Organisation, Role: admin.Role}, c)
	m.err = err
	m.keys = append(m.keys, demo.Key{Name: name, ID: created.Key.ID, About: about, Secret: created.Secret})
}
