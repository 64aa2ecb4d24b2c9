package manage_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth/manage"
	"github.com/strikeplate/strikeplate/scope"
	"github.com/strikeplate/strikeplate/storage"
)

func noScopes() *scope.Catalog {
	c, err := scope.NewCatalog()
	if err != nil {
		panic(err)
	}
	return c
}

func TestLifetimes(t *testing.T) {
	terms := func(preset, most time.Duration) func(*manage.Config) {
		return func(c *manage.Config) { c.Terms.DefaultLifetime, c.Terms.MaxLifetime = preset, most }
	}
	for _, c := range []struct {
		preset, most, asked time.Duration // asked 0: nothing, -1: never
		want                time.Duration // 0: never, -1: refused
	}{
		{0, 0, 0, 0}, {0, 0, day, day}, {0, 0, -1, 0},
		{30 * day, 0, 0, 30 * day}, {30 * day, 0, 90 * day, 90 * day}, {30 * day, 0, -1, 0},
		{0, 365 * day, 0, 365 * day}, {0, 365 * day, 365 * day, 365 * day}, {0, 365 * day, 365*day + time.Microsecond, -1},
		{0, 365 * day, -1, -1}, {30 * day, 365 * day, 0, 30 * day},
	} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			w := inMemory(t, avoma, terms(c.preset, c.most))
			now := w.clock.now()
			creation := w.draft()
			switch {
			case c.asked < 0:
				creation.NoExpiry = true
			case c.asked > 0:
				creation.Expires = now.Add(c.asked)
			}
			created, err := w.Create(w.ctx, w.admin, creation)
			if c.want < 0 {
				if e := w.invalid(err, "expires"); !strings.Contains(e.Message, "365 days") {
					t.Errorf("%q doesn't name the maximum", e.Message)
				}
				return
			}
			w.must(err)
			want := now.Add(c.want)
			if c.want == 0 {
				want = time.Time{}
			}
			if !created.Key.Expires.Equal(want) {
				t.Errorf("ends at %v, want %v", created.Key.Expires, want)
			}
		})
	}
	w := inMemory(t, avoma, terms(0, 365*day))
	w.invalid(w.creating(func(c *manage.Creation) { c.NoExpiry, c.Expires = true, w.clock.now().Add(day) }), "expires")
	k := w.create(expiring(w.clock.now().Add(day))).Key
	w.clock.advance(time.Hour)
	latest := k.Created.Add(365 * day) // counted from the creation, not from today
	for _, bad := range []time.Time{{}, latest.Add(time.Microsecond), w.clock.now()} {
		w.invalid(second(w.Update(w.ctx, w.admin, k.ID, manage.Update{Version: 1, Expires: &bad})), "expires")
	}
	w.must(second(w.Update(w.ctx, w.admin, k.ID, manage.Update{Version: 1, Expires: &latest})))
}

// An expired key is not revived, and a rotated one not prolonged.
func TestNothingRevives(t *testing.T) {
	w := inMemory(t, avoma)
	later := w.clock.now().Add(100 * day)
	k := w.create(expiring(w.clock.now().Add(day))).Key
	w.clock.advance(day)
	w.refused(second(w.Update(w.ctx, w.admin, k.ID, manage.Update{Version: 1, Expires: &later})), 409, strikeplate.CodeExpired)
	w.refused(second(w.Update(w.ctx, w.admin, k.ID, manage.Update{Version: 1, Expires: new(time.Time)})), 409, strikeplate.CodeExpired)

	c := w.create()
	r, err := w.Rotate(w.ctx, w.admin, c.Key.ID, 3*day)
	w.must(err)
	for _, end := range []time.Time{later, {}} {
		e := w.refused(second(w.Update(w.ctx, w.admin, c.Key.ID, manage.Update{Version: 2, Expires: &end})), 409, manage.CodeRotated)
		if e.Params["successor"] != r.Key.ID {
			t.Errorf("%v", e.Params)
		}
	}
	sooner := w.clock.now().Add(day)
	w.must(second(w.Update(w.ctx, w.admin, c.Key.ID, manage.Update{Version: 2, Expires: &sooner})))
	w.must(second(w.Update(w.ctx, w.admin, r.Key.ID, manage.Update{Version: 1, Expires: &later})))
}

func TestRotateTwice(t *testing.T) {
	w := inMemory(t, avoma, func(c *manage.Config) { c.Terms.DefaultLifetime = 60 * day })
	c := w.create(expiring(w.clock.now().Add(30 * day)))
	first, err := w.Rotate(w.ctx, w.admin, c.Key.ID, 2*day)
	w.must(err)
	e := w.refused(second(w.Rotate(w.ctx, w.admin, c.Key.ID, day)), 409, manage.CodeRotated)
	if e.Params["successor"] != first.Key.ID || !strings.Contains(e.Message, first.Key.Last4) {
		t.Errorf("%q %v", e.Message, e.Params)
	}
	// The successor may be rotated while its predecessor still overlaps: all three work.
	w.clock.advance(day)
	next, err := w.Rotate(w.ctx, w.admin, first.Key.ID, 7*day)
	w.must(err)
	for _, secret := range []strikeplate.Secret{c.Secret, first.Secret, next.Secret} {
		if p := w.works(secret.Reveal()); p.Lineage != c.Key.ID {
			t.Errorf("lineage %s", p.Lineage)
		}
	}
	w.refused(second(w.Rotate(w.ctx, w.admin, c.Key.ID, day)), 409, manage.CodeRotated)
	// Once no successor is active, the old key can have another while it works.
	for _, k := range []manage.Rotated{first, next} {
		w.must(second(w.Revoke(w.ctx, w.admin, k.Key.ID, "leaked")))
	}
	again, err := w.Rotate(w.ctx, w.admin, c.Key.ID, 7*day)
	w.must(err)
	if !again.Predecessor.Expires.Equal(c.Key.Created.Add(2 * day)) {
		t.Errorf("the old key ends at %v now", again.Predecessor.Expires)
	}
	if got := again.Key.Expires.Sub(again.Key.Created); got != 30*day { // not the two days of the overlap
		t.Errorf("the successor lives %v", got)
	}
	// A key without an end gets the default.
	forever := w.create(func(c *manage.Creation) { c.NoExpiry = true })
	r, err := w.Rotate(w.ctx, w.admin, forever.Key.ID, 0)
	w.must(err)
	if got := r.Key.Expires.Sub(r.Key.Created); got != 60*day {
		t.Errorf("the successor lives %v", got)
	}
}

func TestAllowlists(t *testing.T) {
	got, err := manage.ParseAllow([]string{" 192.0.2.77/24", "192.0.2.0/24", "198.51.100.7", "2001:db8::1", "2001:db8::ff/64", "::ffff:203.0.113.0/120", "::ffff:203.0.113.9"})
	if err != nil {
		t.Fatal(told(err))
	}
	want := "[192.0.2.0/24 198.51.100.7/32 2001:db8::1/128 2001:db8::/64 203.0.113.0/24 203.0.113.9/32]"
	if fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
	w := inMemory(t, avoma)
	for _, bad := range []string{"", "localhost", "192.0.2.0/33", "192.0.2.0-192.0.2.9", "fe80::1%eth0/64", "::ffff:0:0/90"} {
		_, err := manage.ParseAllow([]string{bad})
		w.invalid(err, "allow")
	}
	var many []netip.Prefix
	for i := range 101 {
		many = append(many, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 32))
	}
	allow := func(list []netip.Prefix) error {
		return w.creating(func(c *manage.Creation) { c.Allow = list })
	}
	w.invalid(allow(many), "allow")
	w.must(allow(many[:100]))
	w.invalid(allow([]netip.Prefix{{}}), "allow")
	w.invalid(second(w.Update(w.ctx, w.admin, w.list(manage.Filter{})[0].ID, manage.Update{Version: 1, Allow: &many})), "allow")
}

func TestMetadata(t *testing.T) {
	w := inMemory(t, avoma)
	fill := func(n, size int) map[string]string {
		m := make(map[string]string, n)
		for i := range n {
			m[fmt.Sprintf("%02d", i)] = strings.Repeat("x", size)
		}
		return m
	}
	create := func(m map[string]string) error {
		return w.creating(func(c *manage.Creation) { c.Metadata = m })
	}
	w.must(create(fill(50, 79)))
	w.must(create(fill(1, 4<<10-2)))
	for _, bad := range []map[string]string{fill(51, 1), fill(1, 4<<10-1), {"": "x"}, {"a\x00": "x"}, {"a": "\xff"}} {
		w.invalid(create(bad), "metadata")
		w.invalid(second(w.Update(w.ctx, w.admin, w.list(manage.Filter{})[0].ID, manage.Update{Version: 1, Metadata: &bad})), "metadata")
	}
	mine := map[string]string{"a": "b"}
	w.must(create(mine))
	mine["a"] = "changed by the caller"
	if got := w.list(manage.Filter{})[0].Metadata["a"]; got == mine["a"] {
		t.Error("the caller's map is shared")
	}
}

func TestScopesWithoutCatalog(t *testing.T) {
	w := inMemory(t, avoma)
	w.must(w.creating(scoped("x:read", "x:read")))
	if got := w.list(manage.Filter{})[0].Scopes; !slices.Equal(got, []string{"x:read"}) {
		t.Errorf("%v", got)
	}
	w.invalid(w.creating(scoped("x")), "scopes")
	w.invalid(w.creating(scoped("x:*")), "scopes")
}

func TestPages(t *testing.T) {
	w := inMemory(t, mavera)
	for i := range 120 {
		w.create(named(fmt.Sprint("key ", i)))
	}
	seen := make(map[string]bool)
	f := manage.Filter{Limit: 50}
	for pages := 1; ; pages++ {
		page, err := w.List(w.ctx, w.admin, f)
		w.must(err)
		for _, k := range page.Keys {
			seen[k.ID] = true
		}
		if page.Slots.Used != 120 {
			t.Errorf("%+v", page.Slots)
		}
		if f.Cursor = page.Next; page.Next == "" {
			if pages != 3 || len(seen) != 120 {
				t.Errorf("%d keys on %d pages", len(seen), pages)
			}
			return
		}
	}
}

// The list is there when others are not: it is needed to revoke.
func TestListWithoutOthers(t *testing.T) {
	w := inMemory(t, avoma)
	c := w.create(level(strikeplate.UserFull, w.zoe))
	w.Service = w.service(w.store, func(cfg *manage.Config) {
		cfg.Directory = downDirectory{}
		cfg.LastUsed = func(context.Context, []string) (map[string]time.Time, error) { return nil, errDown }
	})
	page, err := w.List(w.ctx, w.admin, manage.Filter{})
	w.must(err)
	if len(page.Keys) != 1 || !slices.Equal(page.Missing, []string{"owners", "last_used"}) {
		t.Errorf("%+v", page)
	}
	w.must(second(w.Revoke(w.ctx, w.admin, c.Key.ID, "")))
	for _, err := range []error{w.creating(), second(w.Rotate(w.ctx, w.admin, w.anotherKey().ID, 0))} {
		if !errors.Is(err, errDown) || errors.As(err, new(*strikeplate.Error)) {
			t.Errorf("without a directory: %s", told(err))
		}
	}
}

var errDown = errors.New("down")

type downDirectory struct{}

func (downDirectory) Account(context.Context, string) (storage.Account, error) {
	return storage.Account{}, errDown
}
func (downDirectory) User(context.Context, string, string) (storage.User, error) {
	return storage.User{}, errDown
}

// anotherKey makes a key by an instance whose directory works.
func (w *world) anotherKey() manage.Key {
	w.Helper()
	c, err := w.service(w.store).Create(w.ctx, w.admin, w.draft())
	w.must(err)
	return c.Key
}

// withWildcard is the catalog with one wildcard declared, and what is listed besides.
func withWildcard(more ...scope.Entry) *scope.Catalog {
	entries := append(catalog.Entries(), scope.Entry{Scope: "meetings:*", Description: "Everything about meetings"})
	c, err := scope.NewCatalog(append(entries, more...)...)
	if err != nil {
		panic(err)
	}
	return c
}

// A declared wildcard grants what it stands for when the key is made. No later
// component sees one, and scopes that come later are not granted.
func TestDeclaredWildcardsAreResolvedAtCreation(t *testing.T) {
	w := inMemory(t, mavio, func(c *manage.Config) { c.Catalog = withWildcard() })
	c := w.create(scoped("summaries:read", "meetings:*", "meetings:write", "meetings:*"))
	want := []string{"meetings:read", "meetings:write", "summaries:read"}
	if got := c.Key.Scopes; !slices.Equal(got, want) {
		t.Errorf("the key has %q, want %q", got, want)
	}
	if got := w.works(c.Secret.Reveal()).Scopes; !slices.Equal(got, want) {
		t.Errorf("the Principal has %q, want %q", got, want)
	}
	later := w.service(w.store, func(s *manage.Config) {
		s.Catalog = withWildcard(scope.Entry{Scope: "meetings:export", Description: "Export meetings"})
	})
	rotated, err := later.Rotate(w.ctx, w.admin, c.Key.ID, 0)
	w.must(err)
	if got := rotated.Key.Scopes; !slices.Equal(got, want) {
		t.Errorf("the successor has %q, want %q", got, want)
	}
	for _, undeclared := range []string{"summaries:*", "*", "*:read", "meetings:**", "meetings:* "} {
		if e := w.invalid(w.creating(scoped("meetings:*", undeclared)), "scopes"); !strings.Contains(e.Message, strconv.Quote(undeclared)) ||
			strings.Contains(e.Message, `"meetings:*",`) {
			t.Errorf("%q: %s", undeclared, e.Message)
		}
	}
	entries := []scope.Entry{{Scope: "many:*", Description: "Too much"}}
	for i := range 201 {
		entries = append(entries, scope.Entry{Scope: fmt.Sprintf("many:a%d", i), Description: "A part"})
	}
	large := w.service(w.store, func(s *manage.Config) { s.Catalog = withWildcard(entries...) })
	_, err = large.Create(w.ctx, w.admin, w.draft(scoped("many:*")))
	if e := w.invalid(err, "scopes"); !strings.Contains(e.Message, "at most 200") {
		t.Error(e.Message)
	}
	many := slices.Repeat([]string{"meetings:*"}, 300)
	if got := w.create(scoped(many...)).Key.Scopes; !slices.Equal(got, want[:2]) {
		t.Errorf("repeated: the key has %q", got)
	}
}
