package manage_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth/manage"
	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/memory"
)

// inMemory is a world where the backend doesn't matter.
func inMemory(t *testing.T, pr product, change ...func(*manage.Config)) *world {
	t.Helper()
	return newPlace(t, closing(t, memory.New())).world(t, pr, change...)
}

// THREATS 21: the zero Actor and API keys are denied, whatever the rule says.
func TestThreat21NobodyAndKeysAreDenied(t *testing.T) {
	everybody := func(c *manage.Config) {
		c.Authorize = func(context.Context, storage.Actor, string, storage.Key) error { return nil }
	}
	w := inMemory(t, avoma, everybody)
	c := w.create(level(strikeplate.UserFull, w.zoe))
	for _, a := range []storage.Actor{
		{}, {User: w.zoe}, {Organisation: w.org}, {Organisation: w.org, Role: "admin"},
		{User: "a\x00", Organisation: w.org, Role: "admin"},
		{User: c.Key.ID, Organisation: w.org, Role: "admin"}, // a key's id in a user's place
	} {
		w.deniedEverything(a, c.Key.ID)
	}
	called := *w
	called.ctx = strikeplate.NewContext(w.ctx, w.works(c.Secret.Reveal()))
	called.deniedEverything(w.admin, c.Key.ID)
	called.ctx = strikeplate.NewContext(w.ctx, &strikeplate.Principal{Kind: strikeplate.KindToken})
	called.get(c.Key.ID) // a user's own token is the rule's to judge
}

// The tenant check stands outside the rule.
func TestThreat21ReplacedRuleStaysInTheOrganisation(t *testing.T) {
	everybody := func(c *manage.Config) {
		c.Authorize = func(context.Context, storage.Actor, string, storage.Key) error { return nil }
	}
	w := inMemory(t, avoma, everybody)
	c := w.create()
	stranger := w.world(t, avoma, everybody)
	for what, do := range stranger.calls(stranger.admin, c.Key.ID) {
		switch what {
		case "Create", "List", "Audit", "ExportAudit", "RevokeAll":
			w.must(do())
		default:
			stranger.refused(do(), 404, manage.CodeNotFound)
		}
	}
	w.works(c.Secret.Reveal())
}

// Whom a replaced rule admits besides administrators gets no secret beyond
// themselves.
func TestThreat21OthersGrantNothingBeyondThemselves(t *testing.T) {
	members := func(c *manage.Config) {
		c.Catalog = withWildcard()
		c.Reveal.Seal = newGCM()
		c.Authorize = func(_ context.Context, a storage.Actor, action string, k storage.Key) error {
			if a.Role == "admin" || action == manage.ActionList || k.Owner == a.User {
				return nil
			}
			return &strikeplate.Error{Status: 403, Code: manage.CodeForbidden, Message: "Not your key."}
		}
	}
	w := inMemory(t, avoma, members)
	w.user(storage.User{ID: w.zoe, Active: true, Scopes: []string{"meetings:read"}})
	zoe := storage.Actor{User: w.zoe, Organisation: w.org, Role: "member", Scopes: []string{"meetings:read", "summaries:read"}}
	creating := func(scopes []string, change func(*manage.Creation)) error {
		_, err := w.Create(w.ctx, zoe, w.draft(scoped(scopes...), change))
		return err
	}
	mine := []string{"meetings:read"}
	own, err := w.Create(w.ctx, zoe, w.draft(scoped(mine...), level(strikeplate.UserFull, w.zoe)))
	w.must(err)
	for _, err := range []error{
		creating(mine, level(strikeplate.UserFull, w.bob)),
		creating(mine, level(strikeplate.OrganisationLimited, "")),
		creating(mine, level(strikeplate.OrganisationFull, w.zoe)),
		creating([]string{"meetings:write"}, level(strikeplate.UserFull, w.zoe)), // beyond the session
		creating([]string{"meetings:*"}, level(strikeplate.UserFull, w.zoe)),     // likewise: it has meetings:write
		creating([]string{"summaries:read"}, level(strikeplate.UserFull, w.zoe)), // beyond the directory
	} {
		w.refused(err, 403, manage.CodeForbidden)
	}
	w.user(storage.User{ID: w.zoe, Active: false, Scopes: mine})
	w.refused(creating(mine, level(strikeplate.UserFull, w.zoe)), 403, manage.CodeForbidden)
	w.user(storage.User{ID: w.zoe, Active: true, Scopes: mine})

	// What an administrator gave zoe is hers to see, and not to copy where it
	// reaches beyond her.
	strong := w.create(scoped("meetings:write"), level(strikeplate.UserFull, w.zoe))
	w.create(scoped("meetings:write"), level(strikeplate.UserFull, w.bob))
	page, err := w.List(w.ctx, zoe, manage.Filter{})
	w.must(err)
	if len(page.Keys) != 2 || page.Slots.Used != 3 {
		t.Errorf("zoe sees %d keys, %+v", len(page.Keys), page.Slots)
	}
	for _, do := range []func() error{
		func() error { return second(w.Rotate(w.ctx, zoe, strong.Key.ID, 0)) },
		func() error { return second(w.Regenerate(w.ctx, zoe, strong.Key.ID)) },
		func() error { return second(w.Reveal(w.ctx, zoe, strong.Key.ID, w.clock.now())) },
	} {
		w.refused(do(), 403, manage.CodeForbidden)
	}
	w.works(strong.Secret.Reveal())
	w.must(second(w.Regenerate(w.ctx, zoe, own.Key.ID)))
	w.must(second(w.Revoke(w.ctx, zoe, strong.Key.ID, "too strong for me")))
}

// A rule that can't decide is no refusal.
func TestRuleThatFails(t *testing.T) {
	down := errors.New("policy store is down")
	w := inMemory(t, avoma, func(c *manage.Config) {
		c.Authorize = func(context.Context, storage.Actor, string, storage.Key) error { return down }
	})
	for what, do := range w.calls(w.admin, "key") {
		if err := do(); !errors.Is(err, down) || errors.As(err, new(*strikeplate.Error)) {
			t.Errorf("%s: %s", what, told(err))
		}
	}
}

// THREATS 21: denials are audited, and a script can't fill the log with them.
func TestThreat21DenialsAreAuditedWithinBounds(t *testing.T) {
	w := inMemory(t, avoma)
	c := w.create()
	eve := storage.Actor{User: w.bob, Organisation: w.org, Role: "member", Client: netip.MustParseAddr("203.0.113.9")}
	for range 100 {
		w.refused(second(w.Revoke(w.ctx, eve, c.Key.ID, "")), 403, manage.CodeForbidden)
	}
	w.refused(second(w.Get(w.ctx, eve, "no such key")), 403, manage.CodeForbidden)
	if n := w.logged(manage.ActionDenied); n != 2 {
		t.Fatalf("%d entries of denials, want one for each action", n)
	}
	for _, e := range w.entries() {
		if e.Action == manage.ActionDenied && strings.Contains(string(e.After), manage.ActionRevoke) &&
			(e.Target != c.Key.ID || e.Actor.User != eve.User || e.Actor.Client != eve.Client) {
			t.Errorf("%+v", e)
		}
	}
	w.clock.advance(time.Minute)
	w.refused(second(w.Revoke(w.ctx, eve, c.Key.ID, "")), 403, manage.CodeForbidden)
	log := w.entries()
	if last := string(log[len(log)-1].After); !strings.Contains(last, `"suppressed":99`) {
		t.Errorf("the next entry says %s", last)
	}

	// Many actors: bounded too, and it says how many were left out.
	before := w.logged(manage.ActionDenied)
	for i := range 5000 {
		eve.User = fmt.Sprint("eve", i)
		w.refused(second(w.List(w.ctx, eve, manage.Filter{})), 403, manage.CodeForbidden)
	}
	if n := w.logged(manage.ActionDenied) - before; n < 4000 || n > 4096 {
		t.Errorf("%d entries of 5000 actors", n)
	}
	w.clock.advance(time.Minute)
	w.refused(second(w.List(w.ctx, eve, manage.Filter{})), 403, manage.CodeForbidden)
	log = w.entries()
	if last := string(log[len(log)-1].After); !strings.Contains(last, `"dropped":`) {
		t.Errorf("the next entry says %s", last)
	}
}

func TestConfig(t *testing.T) {
	s := closing(t, memory.New())
	good := manage.Config{Scheme: newScheme(t), Keys: s, Directory: s, MaxKeys: 10}
	if _, err := manage.New(good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*manage.Config){
		"no scheme":         func(c *manage.Config) { c.Scheme = nil },
		"no store":          func(c *manage.Config) { c.Keys = nil },
		"no log":            func(c *manage.Config) { c.Keys = struct{ storage.Keys }{s} },
		"no directory":      func(c *manage.Config) { c.Directory = nil },
		"both directories":  func(c *manage.Config) { c.InsecureNoDirectory = true },
		"no limit":          func(c *manage.Config) { c.MaxKeys = 0 },
		"negative limit":    func(c *manage.Config) { c.MaxKeys = -2 },
		"empty catalog":     func(c *manage.Config) { c.Catalog = noScopes() },
		"legacy":            func(c *manage.Config) { c.Terms.Access = strikeplate.Legacy },
		"level":             func(c *manage.Config) { c.Terms.Access = "root" },
		"lifetime":          func(c *manage.Config) { c.Terms.DefaultLifetime = -1 },
		"default above max": func(c *manage.Config) { c.Terms.DefaultLifetime, c.Terms.MaxLifetime = 2, 1 },
		"overlap":           func(c *manage.Config) { c.Terms.MaxOverlap = -1 },
		"sign-in":           func(c *manage.Config) { c.Reveal.FreshSignIn = 2 * time.Hour },
		"plans unknown": func(c *manage.Config) {
			c.Directory, c.InsecureNoDirectory, c.Terms.AllowlistPlans = nil, true, []string{"x"}
		},
	} {
		c := good
		change(&c)
		if _, err := manage.New(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
