package manage_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/keyauth/manage"
	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/memory"
)

// TestRandomLives drives two instances over one store with random operations,
// some of them at the same time, and checks after each step what must always
// hold. STRIKEPLATE_SEED draws the same operations again.
func TestRandomLives(t *testing.T) {
	seed := rand.Uint64()
	if text := os.Getenv("STRIKEPLATE_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("STRIKEPLATE_SEED=%d", seed)
	each(t, func(t *testing.T, here, there store) {
		lives, steps := 2, 60
		if here == there { // in memory
			lives, steps = 3, 150
		}
		p := newPlace(t, here)
		for i := range lives {
			l := newLives(t, p, there, rand.New(rand.NewPCG(seed, uint64(i))))
			if err := l.run(steps); err != nil {
				t.Fatalf("life %d: %v", i, err)
			}
			t.Logf("life %d: %v", i, l.counts)
		}
	})
}

// The same drives catch stores that don't keep their promises.
func TestRandomLivesCatch(t *testing.T) {
	for fault, change := range map[string]func(*storage.Mutation){
		"the successor's entry is lost": func(m *storage.Mutation) { m.Audit = m.Audit[:1] },
		"revocations are lost": func(m *storage.Mutation) {
			for i := range m.Put {
				m.Put[i].Revoked = time.Time{}
			}
		},
		"ends are lost": func(m *storage.Mutation) {
			for i := range m.Put {
				m.Put[i].Expires = time.Time{}
			}
		},
		"sealed secrets stay": func(m *storage.Mutation) {
			for i := range m.Put {
				m.Put[i].Sealed = []byte("sealed")
			}
		},
		"names are logged wrongly": func(m *storage.Mutation) {
			m.Audit[0].After = []byte(strings.Replace(string(m.Audit[0].After), "name", "eman", 1))
		},
	} {
		t.Run(strings.ReplaceAll(fault, " ", "_"), func(t *testing.T) {
			s := &faulty{closing(t, memory.New()), change}
			p := newPlace(t, s)
			caught := 0
			for i := range uint64(5) {
				if l := newLives(t, p, s, rand.New(rand.NewPCG(1, i))); l.run(100) != nil {
					caught++
				}
			}
			if caught < 5 {
				t.Errorf("caught in %d of 5 lives", caught)
			}
		})
	}
}

// faulty changes what is committed.
type faulty struct {
	store
	change func(*storage.Mutation)
}

func (f *faulty) Commit(ctx context.Context, m storage.Mutation) error {
	f.change(&m)
	return f.store.Commit(ctx, m)
}

const slotsOfLives = 6

// lives is what is known of an organisation's keys.
type lives struct {
	*world
	dice      *rand.Rand
	instances []*manage.Service
	auths     []*keyauth.Authenticator
	last      []string       // what the last step did
	counts    map[string]int // operations that succeeded

	mu   sync.Mutex // operations run at the same time
	keys map[string]*life
}

// life is what is known of one key.
type life struct {
	number  int              // of its creation, so that a seed draws the same
	first   storage.Key      // as it was first stored: what is permanent stays
	secrets map[int64]string // by secret version: the highest is good
	revoked bool
	ended   bool      // was seen expired
	ends    time.Time // the end that a rotation set; zero: none
}

func newLives(t *testing.T, p *place, there store, dice *rand.Rand) *lives {
	t.Helper()
	rules := func(c *manage.Config) {
		c.MaxKeys = slotsOfLives
		c.Terms.MaxLifetime = 400 * day
		c.Terms.DefaultLifetime = 100 * day
		c.Reveal.Seal = plain{}
	}
	w := p.world(t, avoma, rules)
	l := &lives{world: w, dice: dice, keys: make(map[string]*life), counts: make(map[string]int),
		instances: []*manage.Service{w.Service, w.service(there, rules)},
	}
	for _, s := range []store{p.store, there} {
		c := keyauth.Config{Scheme: newScheme(t), Keys: s, Directory: s, Now: p.clock.now}
		if p.store == there {
			c.Feed = s // tells before a change returns; between processes it has two seconds, so they ask the store here
		}
		l.auths = append(l.auths, authenticator(t, c))
	}
	return l
}

// plain is an AEAD for where secrecy doesn't matter.
type plain struct{}

func (plain) Encrypt(text, data []byte) ([]byte, error) {
	return append(slices.Clone(text), data...), nil
}
func (plain) Decrypt(text, data []byte) ([]byte, error) { return text[:len(text)-len(data)], nil }

// run returns what went wrong in so many steps, and in the log of them all.
func (l *lives) run(steps int) error {
	for step := range steps {
		l.step()
		if err := l.check(); err != nil {
			return fmt.Errorf("step %d (%v): %w", step, l.last, err)
		}
	}
	return l.replay()
}

// step does one to three operations at the same time, after which the clock may
// go on.
func (l *lives) step() {
	l.last = nil
	var drawn []func()
	for range 1 + l.dice.IntN(3) {
		name, do := l.operation()
		s := l.instances[l.dice.IntN(2)]
		l.last = append(l.last, name)
		drawn = append(drawn, func() { l.count(name, do(s)) })
	}
	var together sync.WaitGroup
	for _, do := range drawn {
		together.Go(do)
	}
	together.Wait()
	switch l.dice.IntN(10) {
	case 0:
		l.clock.advance(time.Duration(l.dice.Int64N(int64(20 * day))))
	case 1:
		l.clock.advance(time.Microsecond)
	}
}

func (l *lives) count(name string, err error) {
	var e *strikeplate.Error
	switch {
	case err == nil:
		l.mu.Lock()
		defer l.mu.Unlock()
		l.counts[name]++
	case !errors.As(err, &e) || e.Status >= 500:
		l.Errorf("%s: %s", name, told(err))
	}
}

// operation draws what to do next. All dice are thrown before it runs.
func (l *lives) operation() (name string, do func(*manage.Service) error) {
	id := l.anyKey()
	span := time.Duration(l.dice.Int64N(int64(8 * day)))
	switch n := l.dice.IntN(100); {
	case n < 30:
		return "create", l.creates(span * 20)
	case n < 46:
		return "rotate", func(s *manage.Service) error {
			r, err := s.Rotate(l.ctx, l.admin, id, span)
			l.born(r.Created, err)
			if err == nil {
				l.know(id, func(k *life) { k.ends = r.Predecessor.Expires })
			}
			return err
		}
	case n < 56:
		return "regenerate", func(s *manage.Service) error {
			c, err := s.Regenerate(l.ctx, l.admin, id)
			if err == nil {
				l.know(id, func(k *life) { k.secrets[c.Key.SecretVersion] = c.Secret.Reveal() })
			}
			return err
		}
	case n < 66:
		return "revoke", func(s *manage.Service) error {
			_, err := s.Revoke(l.ctx, l.admin, id, "drawn")
			if err == nil {
				l.know(id, func(k *life) { k.revoked = true })
			}
			return err
		}
	case n < 74:
		name := fmt.Sprint("name ", n, span)
		return "rename", func(s *manage.Service) error { return second(s.Rename(l.ctx, l.admin, id, name)) }
	case n < 88:
		return "update", l.updates(id, n, span)
	case n < 90:
		return "revoke all", l.revokesAll
	case n < 94:
		return "account", l.changesAccount()
	default:
		return "member", l.changesMember()
	}
}

func (l *lives) creates(lifetime time.Duration) func(*manage.Service) error {
	c := l.draft()
	c.Access = []strikeplate.Access{strikeplate.UserLimited, strikeplate.UserFull, strikeplate.OrganisationLimited,
		strikeplate.OrganisationFull, strikeplate.Legacy}[l.dice.IntN(5)]
	if c.Access.ForUser() {
		c.Owner = []string{l.zoe, l.bob}[l.dice.IntN(2)]
	}
	c.Scopes = []string{"a:read", "b:read", "c:read"}[l.dice.IntN(3):]
	if l.dice.IntN(2) == 0 {
		c.Expires = l.clock.now().Add(lifetime + time.Microsecond)
	}
	return func(s *manage.Service) error {
		created, err := s.Create(l.ctx, l.admin, c)
		l.born(created, err)
		return err
	}
}

func (l *lives) updates(id string, n int, span time.Duration) func(*manage.Service) error {
	return func(s *manage.Service) error {
		k, err := s.Get(l.ctx, l.admin, id)
		if err != nil {
			return err
		}
		u := manage.Update{Version: k.Version}
		switch n % 3 {
		case 0:
			u.Expires = new(l.clock.now().Add(span * 30))
		case 1:
			u.Allow = &[]netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
		default:
			u.Metadata = &map[string]string{"span": span.String()}
		}
		return second(s.Update(l.ctx, l.admin, id, u))
	}
}

// revokesAll selects by owner. What was created meanwhile may be revoked or not,
// so the store is asked.
func (l *lives) revokesAll(s *manage.Service) error {
	_, err := s.RevokeAll(l.ctx, l.admin, manage.Selection{Owner: l.zoe}, "drawn", nil)
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, k := range l.keys {
		k.revoked = k.revoked || k.first.Owner == l.zoe && !l.stored(id).Revoked.IsZero()
	}
	return err
}

func (l *lives) changesAccount() func(*manage.Service) error {
	a := storage.Account{Organisation: l.org, Plan: "pro", Lapsed: l.dice.IntN(5) == 0}
	return func(*manage.Service) error { return l.directoryChange(l.store.PutAccount(l.ctx, a)) }
}

func (l *lives) changesMember() func(*manage.Service) error {
	id := []string{l.zoe, l.bob}[l.dice.IntN(2)]
	u := storage.User{ID: id, Organisation: l.org, Active: l.dice.IntN(4) > 0}
	return func(*manage.Service) error { return l.directoryChange(l.store.PutUser(l.ctx, u)) }
}

func (l *lives) directoryChange(err error) error {
	for _, a := range l.auths {
		a.Invalidate(l.org, "")
	}
	return err
}

func (l *lives) anyKey() string {
	var ids []string
	for id, k := range l.keys {
		if !k.revoked && !k.ended || k.number%5 == 0 {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b string) int { return l.keys[a].number - l.keys[b].number })
	if len(ids) == 0 {
		return "none"
	}
	return ids[l.dice.IntN(len(ids))]
}

func (l *lives) know(id string, change func(*life)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(l.keys[id])
}

func (l *lives) born(c manage.Created, err error) {
	if err != nil {
		return
	}
	first := l.stored(c.Key.ID)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.keys[first.ID] = &life{number: len(l.keys), first: first, secrets: map[int64]string{1: c.Secret.Reveal()}}
}

// check returns what doesn't hold though it must always.
func (l *lives) check() error {
	now := l.clock.now()
	keys, _, err := l.store.ListKeys(l.ctx, storage.Query{Organisation: l.org, Now: now, Limit: 1000})
	if err != nil {
		return err
	}
	if len(keys) != len(l.keys) {
		return fmt.Errorf("%d keys are stored, %d were made", len(keys), len(l.keys))
	}
	active := 0
	for _, k := range keys {
		known := l.keys[k.ID]
		if known == nil {
			return fmt.Errorf("nobody made %s", k.ID)
		}
		if k.Status(now) == storage.Active {
			active++
		}
		if err := known.check(k, now); err != nil {
			return fmt.Errorf("%s: %w", k.ID, err)
		}
		if err := l.checkAccepted(known, k, now); err != nil {
			return fmt.Errorf("%s: %w", k.ID, err)
		}
	}
	if active > slotsOfLives {
		return fmt.Errorf("%d active keys", active)
	}
	return nil
}

func (k *life) check(stored storage.Key, now time.Time) error {
	status := stored.Status(now)
	switch {
	case !reflect.DeepEqual(permanentFields(stored), permanentFields(k.first)):
		return fmt.Errorf("a permanent field changed: %+v", stored)
	case k.revoked && status != storage.Revoked:
		return errors.New("revoked, and not any more")
	case k.ended && status == storage.Active:
		return errors.New("revived")
	case !k.ends.IsZero() && (stored.Expires.IsZero() || stored.Expires.After(k.ends)):
		return fmt.Errorf("rotated to end at %v, and ends at %v", k.ends, stored.Expires)
	case !stored.Expires.IsZero() && stored.Expires.Sub(stored.Created) > 400*day:
		return fmt.Errorf("lives from %v to %v", stored.Created, stored.Expires)
	case status == storage.Revoked && stored.Sealed != nil:
		return errors.New("revoked, and its secret is kept")
	}
	k.ended = k.ended || status == storage.Expired
	return nil
}

func permanentFields(k storage.Key) []any {
	return []any{k.ID, k.Organisation, k.Lineage, k.Format, k.Environment, k.Access, k.Owner, k.Creator, k.Scopes, k.Created}
}

// checkAccepted presents each secret that the key ever had to both instances.
// Of old ones only the last, so that a long life stays cheap.
func (l *lives) checkAccepted(known *life, k storage.Key, now time.Time) error {
	versions := slices.Sorted(maps.Keys(known.secrets))
	good := k.Status(now) == storage.Active && l.inGoodStanding(k.Owner)
	for i, version := range versions[max(0, len(versions)-2):] {
		newest := version == slices.Max(versions)
		for instance, auth := range l.auths {
			_, err := auth.Verify(l.ctx, known.secrets[version], netip.MustParseAddr("192.0.2.7"))
			if e := new(strikeplate.Error); err != nil && (!errors.As(err, &e) || e.Status >= 500) {
				return fmt.Errorf("could not be checked: %s", told(err))
			}
			if accepted := err == nil; accepted != (good && newest) {
				return fmt.Errorf("secret %d, newest %v, key good %v, accepted by instance %d: %v (%s)",
					i, newest, good, instance, accepted, told(err))
			}
		}
	}
	return nil
}

func (l *lives) inGoodStanding(owner string) bool {
	a, err := l.store.Account(l.ctx, l.org)
	l.must(err)
	if owner == "" {
		return !a.Lapsed
	}
	u, err := l.store.User(l.ctx, l.org, owner)
	l.must(err)
	return !a.Lapsed && u.Active
}

// replay builds the keys from the audit log alone and compares.
func (l *lives) replay() error {
	state := make(map[string]manage.Key)
	for _, e := range l.entries() {
		if e.After == nil || e.Action == manage.ActionDenied {
			continue
		}
		var before, after manage.Key
		if err := json.Unmarshal(e.After, &after); err != nil {
			return err
		}
		if e.Before != nil {
			if err := json.Unmarshal(e.Before, &before); err != nil {
				return err
			}
			was := state[e.Target]
			was.Status = before.Status // judged at another time
			if !reflect.DeepEqual(was, before) {
				return fmt.Errorf("%s of %s began from %+v, the log had %+v", e.Action, e.Target, before, was)
			}
		} else if _, there := state[e.Target]; there {
			return fmt.Errorf("%s appears twice", e.Target)
		}
		state[e.Target] = after
	}
	if len(state) != len(l.keys) {
		return fmt.Errorf("the log knows %d keys of %d", len(state), len(l.keys))
	}
	for id, logged := range state {
		k := l.get(id)
		logged.Status = k.Status
		k.OwnerInactive, k.Revealable, k.RotateRecommended = false, false, false
		if !reflect.DeepEqual(logged, k) {
			return fmt.Errorf("the log says %+v, the store %+v", logged, k)
		}
	}
	return nil
}
