package main

import (
	"context"
	"fmt"
	"math"
	"net/netip"
	"sync"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/keyauth/manage"
	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/memory"
)

// clock is set back while the past is made up.
type clock struct {
	mu   sync.Mutex
	back time.Duration
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(-c.back)
}

func (c *clock) set(back time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.back = back
}

const day = 24 * time.Hour

// past is what has been done in Acme, the oldest first.
var past = []struct {
	daysAgo int
	key     manage.Creation
}{
	{160, manage.Creation{Name: "BI dashboard, read-only", Environment: strikeplate.Live, Access: strikeplate.OrganisationLimited, Scopes: []string{"meetings:read"}, NoExpiry: true}},
	{100, manage.Creation{Name: "Salesforce sync", Environment: strikeplate.Live, Access: strikeplate.OrganisationFull, Scopes: []string{"meetings:read", "meetings:write", "notes:read", "notes:write", "action-items:read"}, Expires: time.Now().Add(9 * day)}},
	{80, manage.Creation{Name: "Cleo’s assistant", Environment: strikeplate.Live, Access: strikeplate.UserFull, Owner: "user_cleo", Scopes: []string{"meetings:read", "transcripts:read"}, Expires: time.Now().Add(100 * day)}},
	{40, manage.Creation{Name: "Migration script", Environment: strikeplate.Live, Access: strikeplate.OrganisationFull, Scopes: []string{"meetings:read", "meetings:write"}, Expires: time.Now().Add(-3 * day)}},
	{30, manage.Creation{Name: "Zapier – CS team", Environment: strikeplate.Live, Access: strikeplate.UserLimited, Owner: "user_ben", Scopes: []string{"meetings:read", "webhooks:manage"}, Expires: time.Now().Add(60 * day), Allow: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::7/128")}, Metadata: map[string]string{"team": "customer success", "ticket": "OPS-1182"}}},
	{2, manage.Creation{Name: "Local development", Environment: strikeplate.Test, Access: strikeplate.OrganisationFull, Scopes: []string{"meetings:read"}, Expires: time.Now().Add(28 * day)}},
}

func seed(ctx context.Context, store *memory.Store, scheme *keyauth.Scheme, keys *manage.Service, c *clock) error {
	for _, o := range []storage.Account{
		{Organisation: "org_acme", Plan: "enterprise"}, {Organisation: "org_full", Plan: "team"},
		{Organisation: "org_lapsed", Plan: "team"}, {Organisation: "org_new", Plan: "free"},
	} {
		if err := store.PutAccount(ctx, o); err != nil {
			return err
		}
	}
	for _, p := range people {
		p.Active = true // so that keys can be issued
		if err := store.PutUser(ctx, p.User); err != nil {
			return err
		}
	}
	if err := seedKeys(ctx, store, scheme, keys, c); err != nil {
		return err
	}
	for _, p := range people {
		if err := store.PutUser(ctx, p.User); err != nil {
			return err
		}
	}
	return store.PutAccount(ctx, storage.Account{Organisation: "org_lapsed", Plan: "team", Lapsed: true})
}

func seedKeys(ctx context.Context, store *memory.Store, scheme *keyauth.Scheme, keys *manage.Service, c *clock) error {
	defer c.set(0)
	ada := storage.Actor{User: "user_ada", Organisation: "org_acme", Role: "admin", Client: netip.MustParseAddr("198.51.100.7")}
	if err := legacyKey(ctx, store, scheme); err != nil {
		return err
	}
	var rotated string
	for i, p := range past {
		c.set(time.Duration(p.daysAgo) * day)
		p.key.Prefix = "mvo_"
		created, err := keys.Create(ctx, ada, p.key)
		if err != nil {
			return err
		}
		if err := use(ctx, store, created.Key, i); err != nil {
			return err
		}
		if i == 0 {
			rotated = created.Key.ID
		}
	}
	old, err := keys.Create(ctx, ada, manage.Creation{Name: "Leaked in a repository", Prefix: "mvo_", Access: strikeplate.OrganisationFull, Scopes: []string{"meetings:read"}, NoExpiry: true})
	if err == nil {
		_, err = keys.Revoke(ctx, ada, old.Key.ID, "found by secret scanning")
	}
	if err != nil {
		return err
	}
	c.set(2 * time.Hour)
	next, err := keys.Rotate(ctx, ada, rotated, 3*day)
	if err == nil {
		err = use(ctx, store, next.Key, 7)
	}
	for i := range 10 {
		dora := storage.Actor{User: "user_dora", Organisation: "org_full", Role: "admin"}
		if err == nil {
			_, err = keys.Create(ctx, dora, manage.Creation{Name: fmt.Sprintf("Integration %d", i+1), Prefix: "mvo_", Access: strikeplate.OrganisationLimited, Scopes: []string{"meetings:read"}, NoExpiry: true})
		}
	}
	eli := storage.Actor{User: "user_eli", Organisation: "org_lapsed", Role: "admin"}
	if err == nil {
		_, err = keys.Create(ctx, eli, manage.Creation{Name: "Warehouse export", Prefix: "mvo_", Access: strikeplate.OrganisationLimited, Scopes: []string{"meetings:read"}, NoExpiry: true})
	}
	return err
}

// legacyKey stores a key from before access levels existed, as an import does.
func legacyKey(ctx context.Context, store *memory.Store, scheme *keyauth.Scheme) error {
	minted, err := scheme.Mint(ctx, "mvo_", strikeplate.Live)
	if err != nil {
		return err
	}
	then := time.Now().AddDate(-1, 0, 0)
	k := storage.Key{
		ID: "imported_reporting", Lookup: minted.Lookup, Lineage: "imported_reporting", Organisation: "org_acme", Name: "Reporting (2024)",
		Last4: minted.Last4, Format: minted.Format, Environment: strikeplate.Live, Access: strikeplate.Legacy, Creator: "user_ada",
		Hash: minted.Hash, SecretVersion: 1, Created: then,
	}
	return store.Commit(ctx, storage.Mutation{Now: then, Put: []storage.Key{k}, Audit: []storage.Entry{{
		Organisation: "org_acme", Actor: storage.Actor{User: "import", Organisation: "org_acme"}, Action: "key.import", Target: k.ID, At: then,
	}}})
}

// use makes up what a key was used for in the last 30 days.
func use(ctx context.Context, store *memory.Store, k manage.Key, n int) error {
	if k.Name == "Migration script" {
		return nil
	}
	name := storage.UsageKey{Organisation: k.Organisation, Credential: k.ID, Lineage: k.Lineage, Environment: k.Environment}
	now := time.Now()
	b := storage.UsageBatch{Instance: "seed-" + k.ID, Sequence: 1, Now: now, Every: time.Minute, Until: now, Final: true}
	for hour := range 30 * 24 {
		at := now.Add(-time.Duration(hour) * time.Hour)
		if at.Before(k.Created) {
			break
		}
		busy := math.Max(0, math.Sin(float64(at.Hour()-5)/24*2*math.Pi)) + 0.15
		for i, pattern := range []string{"GET /v1/meetings", "GET /v1/meetings/{id}", "GET /v1/meetings/{id}/transcript"} {
			count := int64(busy * float64(40*(n%4+1)/(i+1)))
			row := storage.UsageRow{UsageKey: name, Pattern: pattern, Minute: at}
			row.Class[2], row.Latency[1], row.Nanoseconds = count, count, count*int64(23*time.Millisecond)
			if hour%9 == 0 {
				row.Class[4], row.Latency[0] = count/7, count/7
			}
			if len(b.Rows) < storage.MaxUsageRows && count > 0 {
				b.Rows = append(b.Rows, row)
			}
		}
	}
	b.Seen = []storage.UsageSeen{{UsageKey: name, First: k.Created, Succeeded: now.Add(-time.Duration(n*n) * 7 * time.Minute), Presented: now}}
	if k.Name == "Salesforce sync" {
		b.Seen[0].Browser, b.Seen[0].BrowserAt, b.Seen[0].Origin = 3, now, "https://shop.example"
	}
	for i, a := range []string{"192.0.2.17", "2001:db8::7", "203.0.113.80"} {
		b.Addresses = append(b.Addresses, storage.UsageAddress{UsageKey: name, Address: netip.MustParseAddr(a), Count: int64(9000 / (i*i*40 + 1)), First: k.Created, Last: now.Add(-time.Duration(i) * 5 * time.Hour)})
	}
	b.Refusals = []storage.UsageRefusal{
		{UsageKey: name, Code: strikeplate.CodeScope, Proven: true, Hour: now, Count: 41, Last: now},
		{UsageKey: name, Code: strikeplate.CodeLimited, Proven: true, Hour: now, Count: 12, Last: now},
		{UsageKey: name, Code: strikeplate.CodeInvalid, Hour: now, Count: 3, Last: now},
	}
	return store.AddUsage(ctx, b)
}
