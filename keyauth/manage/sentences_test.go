package manage_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth/manage"
	"github.com/strikeplate/strikeplate/storage"
)

// sentences are what the four products' pages state about managing keys, by the
// ids of those statements.
var sentences = []struct {
	ids     string
	product product
	run     func(w *world)
}{
	{"000-11b 001-15 002-95 003-18", mavio, nameIsRequired},
	{"000-11c 001-16 001-33 000-13a", mavio, scopesAreChosen},
	{"000-11d 000-5a 000-6a 003-50", mavio, environmentIsChosen},
	{"000-13b 000-39 001-50a", mavio, grantsOnlyWhatWasChosen},
	{"000-5c", mavio, levelIsTheProducts},
	{"001-50b", mavio, broaderKeyLater},
	{"000-38a 001-99b 003-49", mavio, rotationIsRecommended},
	{"000-38b 002-136b 003-51", mavio, replacedAtOnce},
	{"001-12 002-94", mavioDeveloper, createIsAudited},
	{"001-17 001-99a 003-94", mavioDeveloper, expiryIsOptional},
	{"001-22a 001-22b 003-23", mavioDeveloper, shownOnce},
	{"001-70", mavioDeveloper, listShowsUnrevoked},
	{"001-71 001-72 001-73 001-74 003-74 003-75 003-76 003-77 002-107", mavioDeveloper, listTells},
	{"001-79 001-80 001-81", mavioDeveloper, rotateOverlaps},
	{"001-82", mavioDeveloper, revokeThePredecessor},
	{"001-86a 001-86b 001-86c 002-111 003-81 003-86a 003-86b 003-93", mavioDeveloper, revokeIsFinal},
	{"001-100 002-115", mavioDeveloper, oneKeyPerIntegration},
	{"001-102a", mavioDeveloper, allowlistNeedsThePlan},
	{"001-102b", mavioDeveloper, updateChangesWhatItMay},
	{"002-4 002-19 002-96", avoma, levelIsRequired},
	{"002-27 002-32 002-48a 002-49 002-54 002-101", avoma, ownerIsRequired},
	{"002-37 002-42 002-58a 002-58b", avoma, organisationKeysHaveNoOwner},
	{"002-59 002-64", avoma, creatorIsRecorded},
	{"002-9a 002-69 002-113", avoma, legacyIsMarked},
	{"002-9b 002-70 002-72 002-132", avoma, legacyWorks},
	{"002-9c 002-71a 002-71b 002-73a", avoma, legacyIsReadOnly},
	{"002-73b", avoma, legacyIsReplaced},
	{"002-81 002-84 002-126 002-128a 002-128b", avoma, permanent},
	{"002-87a 002-134a", avoma, limitOfTen},
	{"002-87b", avoma, revokingFreesASlot},
	{"002-134b", avoma, limitMayBeRaised},
	{"002-90a", avoma, administratorsOnly},
	{"002-90b", avoma, othersSeeNothing},
	{"002-103", avoma, pairIsShown},
	{"002-109 002-136a", avoma, secretIsRevealed},
	{"002-110a 002-110b 002-116", avoma, renameTouchesNothing},
	{"002-112 002-120 002-123 002-124", avoma, regenerate},
	{"002-130a 002-130b", avoma, deactivatedOwner},
	{"002-141", avoma, storedSecurely},
	{"003-29 003-30", mavera, shapeOfMaveraKeys},
	{"003-107 003-109", mavera, lapsedMakesNoKeys},
	{"003-108 003-110", mavera, lapsedKeepsKeys},
}

func TestSentences(t *testing.T) {
	each(t, func(t *testing.T, s, _ store) {
		p := newPlace(t, s)
		for _, sentence := range sentences {
			for _, id := range strings.Fields(sentence.ids) {
				t.Run(id, func(t *testing.T) { sentence.run(p.world(t, sentence.product)) })
			}
		}
	})
}

func nameIsRequired(w *world) {
	for _, bad := range []string{"", " \t ", strings.Repeat("x", 101), "a\nb", "a\x00b", "a\xffb"} {
		w.invalid(w.creating(named(bad)), "name")
	}
	long := strings.Repeat("ü", 100)
	if got := w.create(named(" " + long + "\n")).Key.Name; got != long {
		w.Errorf("the name is %q", got)
	}
	if got := w.create(named("CRM Sync")).Key; got.Name != "CRM Sync" || w.get(got.ID).Name != "CRM Sync" {
		w.Errorf("the name is %q", got.Name)
	}
}

func scopesAreChosen(w *world) {
	w.invalid(w.creating(scoped()), "scopes")
	e := w.invalid(w.creating(scoped("meetings:read", "meetings:raed", "all:*", "meetings:raed")), "scopes")
	if !strings.Contains(e.Message, `"meetings:raed", "all:*"`) || strings.Contains(e.Message, `"meetings:read"`) {
		w.Errorf("%q doesn't name the unknown ones, and them alone", e.Message)
	}
	many := make([]string, 300)
	for i := range many {
		many[i] = fmt.Sprintf("s%d:read", i)
	}
	if e := w.invalid(w.creating(scoped(many[:150]...)), "scopes"); !strings.Contains(e.Message, "and 140 more") {
		w.Errorf("%q", e.Message)
	}
	w.invalid(w.creating(scoped(many...)), "scopes")
	k := w.create(scoped("summaries:read", "meetings:read", "summaries:read")).Key
	if want := []string{"meetings:read", "summaries:read"}; !slices.Equal(k.Scopes, want) || !slices.Equal(w.get(k.ID).Scopes, want) {
		w.Errorf("scopes %v, want %v", k.Scopes, want)
	}
}

func environmentIsChosen(w *world) {
	for env, prefix := range map[strikeplate.Environment]string{"live": "mvo_live_", "test": "mvo_test_"} {
		c := w.create(func(c *manage.Creation) { c.Environment = env })
		if got := w.works(c.Secret.Reveal()).Environment; got != env || c.Key.Environment != env || !strings.HasPrefix(c.Secret.Reveal(), prefix) {
			w.Errorf("%s: the key is of %s", env, got)
		}
	}
	w.invalid(w.creating(func(c *manage.Creation) { c.Environment = "staging" }), "format")
	w.invalid(w.creating(func(c *manage.Creation) { c.Prefix = "evil_" }), "format")
}

func grantsOnlyWhatWasChosen(w *world) {
	p := w.works(w.create(scoped("summaries:read")).Secret.Reveal())
	if !slices.Equal(p.Scopes, []string{"summaries:read"}) {
		w.Errorf("the key may %v", p.Scopes)
	}
}

func levelIsTheProducts(w *world) {
	if got := w.works(w.create().Secret.Reveal()).Access; got != strikeplate.OrganisationFull {
		w.Errorf("the level is %q", got)
	}
	w.create(level(strikeplate.OrganisationFull, "")) // the same, spelt out
	w.invalid(w.creating(level(strikeplate.UserLimited, w.zoe)), "access")
	w.invalid(w.creating(level("", w.zoe)), "owner")
}

func broaderKeyLater(w *world) {
	narrow := w.create()
	broad := w.create(scoped("meetings:read", "meetings:write"))
	if got := w.works(narrow.Secret.Reveal()).Scopes; len(got) != 1 {
		w.Errorf("the first key may %v now", got)
	}
	if got := w.works(broad.Secret.Reveal()).Scopes; len(got) != 2 {
		w.Errorf("the second key may %v", got)
	}
}

func rotationIsRecommended(w *world) {
	c := w.create()
	w.clock.advance(90 * day)
	if w.get(c.Key.ID).RotateRecommended {
		w.Error("recommended at 90 days")
	}
	w.clock.advance(time.Microsecond)
	if !w.get(c.Key.ID).RotateRecommended || !w.list(manage.Filter{})[0].RotateRecommended {
		w.Error("not recommended after 90 days")
	}
	r, err := w.Rotate(w.ctx, w.admin, c.Key.ID, 0)
	w.must(err)
	if w.get(r.Key.ID).RotateRecommended || w.get(c.Key.ID).RotateRecommended {
		w.Error("recommended after rotation")
	}
	w.clock.advance(91 * day)
	if !w.get(r.Key.ID).RotateRecommended {
		w.Error("the successor is not recommended after 91 days")
	}
	again, err := w.Regenerate(w.ctx, w.admin, r.Key.ID)
	w.must(err)
	if k := w.get(r.Key.ID); k.RotateRecommended || !k.Regenerated.Equal(again.Key.Regenerated) || k.Regenerated.IsZero() {
		w.Errorf("a new secret under the old id is recommended to be rotated: %+v", k)
	}
}

func replacedAtOnce(w *world) {
	c := w.create()
	w.works(c.Secret.Reveal())
	r, err := w.Rotate(w.ctx, w.admin, c.Key.ID, 0)
	w.must(err)
	w.fails(c.Secret.Reveal(), strikeplate.CodeExpired)
	w.works(r.Secret.Reveal())
	k, err := w.Revoke(w.ctx, w.admin, c.Key.ID, "leaked in a screenshot")
	w.must(err)
	if k.RevokedBecause != "leaked in a screenshot" || w.get(k.ID).RevokedBecause != k.RevokedBecause {
		w.Errorf("the reason is %q", k.RevokedBecause)
	}
	w.fails(c.Secret.Reveal(), strikeplate.CodeRevoked)
}

func createIsAudited(w *world) {
	k := w.create().Key
	log := w.entries()
	if len(log) != 1 {
		w.Fatalf("%d entries", len(log))
	}
	e := log[0]
	if e.Action != manage.ActionCreate || e.Target != k.ID || e.Before != nil || e.Actor.User != w.admin.User ||
		e.Actor.Client != w.admin.Client || !e.At.Equal(k.Created) {
		w.Errorf("%+v", e)
	}
}

func expiryIsOptional(w *world) {
	now := w.clock.now()
	if got := w.create().Key.Expires; !got.IsZero() {
		w.Errorf("a key without an expiry ends at %v", got)
	}
	w.invalid(w.creating(expiring(now)), "expires")
	w.invalid(w.creating(expiring(now.Add(-time.Hour))), "expires")
	w.invalid(w.creating(expiring(now.AddDate(9000, 0, 0))), "expires")
	c := w.create(expiring(now.Add(time.Hour).In(time.FixedZone("", 3600))))
	w.clock.advance(time.Hour - time.Microsecond)
	w.works(c.Secret.Reveal())
	w.clock.advance(time.Microsecond)
	w.fails(c.Secret.Reveal(), strikeplate.CodeExpired)
	if got := w.get(c.Key.ID).Status; got != storage.Expired {
		w.Errorf("the status is %s", got)
	}
}

func shownOnce(w *world) {
	c := w.create()
	secret := c.Secret.Reveal()
	w.works(secret)
	_, err := w.Rename(w.ctx, w.admin, c.Key.ID, "renamed")
	w.must(err)
	var log strings.Builder
	_, err = w.ExportAudit(w.ctx, w.admin, &log, "")
	w.must(err)
	created, err := json.Marshal(c)
	w.must(err)
	listed, err := json.Marshal(w.list(manage.Filter{}))
	w.must(err)
	stored := w.stored(c.Key.ID)
	for what, text := range map[string]string{
		"%v": fmt.Sprintf("%v %+v %#v", c, c, c), "json": string(created), "list": string(listed),
		"log": log.String(), "record": fmt.Sprintf("%+v", stored),
	} {
		for part, forbidden := range map[string]string{"secret": secret, "secret part": secret[len("mavio_sk_")+11 : len(secret)-7]} {
			if strings.Contains(text, forbidden) {
				w.Errorf("%s shows the %s: %s", what, part, text)
			}
		}
		if what != "record" && (strings.Contains(text, stored.Hash) || strings.Contains(text, stored.Lookup) && what != "%v") {
			w.Errorf("%s shows hash or look-up id: %s", what, text)
		}
	}
	_, err = w.Reveal(w.ctx, w.admin, c.Key.ID, w.clock.now())
	w.refused(err, 409, manage.CodeNoSecret)
}

func listShowsUnrevoked(w *world) {
	active := w.create(named("active")).Key
	ends := w.create(named("expired"), expiring(w.clock.now().Add(time.Hour))).Key
	gone := w.create(named("revoked")).Key
	_, err := w.Revoke(w.ctx, w.admin, gone.ID, "")
	w.must(err)
	w.clock.advance(time.Hour)
	for status, want := range map[storage.Status][]string{
		"":             {active.ID, ends.ID},
		"unrevoked":    {active.ID, ends.ID},
		"active":       {active.ID},
		"expired":      {ends.ID},
		"revoked":      {gone.ID},
		manage.AllKeys: {active.ID, ends.ID, gone.ID},
	} {
		var got []string
		for _, k := range w.list(manage.Filter{Status: status}) {
			got = append(got, k.ID)
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			w.Errorf("status %q lists %v, want %v", status, got, want)
		}
	}
	_, err = w.List(w.ctx, w.admin, manage.Filter{Status: "all'--"})
	w.invalid(err, "status")
	_, err = w.List(w.ctx, w.admin, manage.Filter{Cursor: "nonsense"})
	w.invalid(err, "cursor")
}

func listTells(w *world) {
	expires := w.clock.now().Add(30 * day)
	c := w.create(named("Sync"), expiring(expires), scoped("meetings:read", "summaries:read"))
	w.used[c.Key.ID] = w.clock.now().Add(time.Minute)
	page, err := w.List(w.ctx, w.admin, manage.Filter{})
	w.must(err)
	k := page.Keys[0]
	secret := c.Secret.Reveal()
	if k.Name != "Sync" || k.Last4 != secret[len(secret)-4:] || !slices.Equal(k.Scopes, []string{"meetings:read", "summaries:read"}) ||
		!k.Created.Equal(w.clock.now()) || !k.Expires.Equal(expires) || !k.LastUsed.Equal(w.used[k.ID]) ||
		k.Access != strikeplate.OrganisationFull || k.Creator != w.admin.User || k.Owner != "" || k.Environment != strikeplate.Live ||
		k.Status != storage.Active || k.Legacy || k.OwnerInactive || k.RotateRecommended || k.Revealable {
		w.Errorf("%+v", k)
	}
	if page.Slots != (manage.Slots{Used: 1, Max: 25}) || page.Missing != nil || page.Next != "" {
		w.Errorf("%+v", page)
	}
	if got := w.get(k.ID); !reflect.DeepEqual(got, k) {
		w.Errorf("Get tells %+v, List %+v", got, k)
	}
}

func rotateOverlaps(w *world) {
	c := w.create(expiring(w.clock.now().Add(30*day)), func(c *manage.Creation) {
		c.Metadata = map[string]string{"team": "ops"}
	})
	w.clock.advance(10 * day)
	now := w.clock.now()
	for _, bad := range []time.Duration{-1, 7*day + 1} {
		_, err := w.Rotate(w.ctx, w.admin, c.Key.ID, bad)
		w.invalid(err, "overlap")
	}
	r, err := w.Rotate(w.ctx, w.admin, c.Key.ID, 7*day)
	w.must(err)
	old, next := w.get(c.Key.ID), w.get(r.Key.ID)
	if old.Lineage != next.Lineage || next.ID == old.ID || next.Name != old.Name || !slices.Equal(next.Scopes, old.Scopes) ||
		next.Access != old.Access || next.Owner != old.Owner || next.Environment != old.Environment || next.Format != old.Format ||
		!reflect.DeepEqual(next.Metadata, old.Metadata) || next.SecretVersion != 1 || next.Version != 1 {
		w.Errorf("the successor of %+v is %+v", old, next)
	}
	if !old.Expires.Equal(now.Add(7*day)) || !next.Expires.Equal(now.Add(30*day)) {
		w.Errorf("the old ends at %v, its successor at %v", old.Expires, next.Expires)
	}
	w.works(c.Secret.Reveal())
	if p := w.works(r.Secret.Reveal()); p.Lineage != c.Key.ID || p.Credential != r.Key.ID {
		w.Errorf("%+v", p)
	}
	w.used[r.Key.ID] = now // told for each key apart: the dialog shows whether the new one is in use
	if w.get(r.Key.ID).LastUsed.IsZero() || !w.get(c.Key.ID).LastUsed.IsZero() {
		w.Error("last used is not the key's own")
	}
	w.clock.advance(7 * day)
	w.fails(c.Secret.Reveal(), strikeplate.CodeExpired)
	w.works(r.Secret.Reveal())
	if w.logged(manage.ActionRotate) != 1 || w.logged(manage.ActionCreate) != 2 {
		w.Errorf("the log is %+v", w.entries())
	}
}

func revokeThePredecessor(w *world) {
	c := w.create()
	r, err := w.Rotate(w.ctx, w.admin, c.Key.ID, day)
	w.must(err)
	_, err = w.Revoke(w.ctx, w.admin, c.Key.ID, "rotated")
	w.must(err)
	w.fails(c.Secret.Reveal(), strikeplate.CodeRevoked)
	w.works(r.Secret.Reveal())
}

func revokeIsFinal(w *world) {
	c := w.create()
	w.works(c.Secret.Reveal())
	id := c.Key.ID
	_, err := w.Revoke(w.ctx, w.admin, id, strings.Repeat("x", 501))
	w.invalid(err, "reason")
	_, err = w.Revoke(w.ctx, w.admin, id, "a\x00")
	w.invalid(err, "reason")
	first, err := w.Revoke(w.ctx, w.admin, id, "no longer used")
	w.must(err)
	w.fails(c.Secret.Reveal(), strikeplate.CodeRevoked)
	w.clock.advance(time.Hour)
	again, err := w.Revoke(w.ctx, w.admin, id, "another reason")
	w.must(err)
	if !reflect.DeepEqual(first, again) {
		w.Errorf("revoking again made %+v of %+v", again, first)
	}
	if w.logged(manage.ActionRevoke) != 1 {
		w.Error("revoking again left an entry")
	}
	_, err = w.Rename(w.ctx, w.admin, id, "alive")
	w.refused(err, 409, strikeplate.CodeRevoked)
	_, err = w.Update(w.ctx, w.admin, id, manage.Update{Version: again.Version, Metadata: &map[string]string{}})
	w.refused(err, 409, strikeplate.CodeRevoked)
	_, err = w.Rotate(w.ctx, w.admin, id, 0)
	w.refused(err, 409, strikeplate.CodeRevoked)
	_, err = w.Regenerate(w.ctx, w.admin, id)
	w.refused(err, 409, strikeplate.CodeRevoked)
	w.fails(c.Secret.Reveal(), strikeplate.CodeRevoked)
}

func oneKeyPerIntegration(w *world) {
	crm, etl := w.create(named("CRM")), w.create(named("ETL"))
	_, err := w.Revoke(w.ctx, w.admin, crm.Key.ID, "")
	w.must(err)
	w.fails(crm.Secret.Reveal(), strikeplate.CodeRevoked)
	w.works(etl.Secret.Reveal())
}

func allowlistNeedsThePlan(w *world) {
	e := w.refused(w.creating(allowing("192.0.2.0/24")), 403, manage.CodePlan)
	if e.Params["plans"] != "enterprise" || !strings.Contains(e.Message, "enterprise") {
		w.Errorf("%q doesn't name the plan", e.Message)
	}
	plain := w.create().Key
	_, err := w.Update(w.ctx, w.admin, plain.ID, manage.Update{Version: plain.Version, Allow: &[]netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}})
	w.refused(err, 403, manage.CodePlan)

	w.account(storage.Account{Plan: "enterprise"})
	near, far := w.create(allowing("192.0.2.0/24")), w.create(allowing("198.51.100.7"))
	w.works(near.Secret.Reveal())
	w.fails(far.Secret.Reveal(), strikeplate.CodeAddress)

	w.account(storage.Account{Plan: "free"}) // a downgrade widens nothing
	w.works(near.Secret.Reveal())
	w.fails(far.Secret.Reveal(), strikeplate.CodeAddress)
	r, err := w.Rotate(w.ctx, w.admin, far.Key.ID, 0)
	w.must(err)
	w.fails(r.Secret.Reveal(), strikeplate.CodeAddress)
	_, err = w.Update(w.ctx, w.admin, r.Key.ID, manage.Update{Version: r.Key.Version, Allow: &[]netip.Prefix{}})
	w.must(err)
	w.works(r.Secret.Reveal())
}

func updateChangesWhatItMay(w *world) {
	w.account(storage.Account{Plan: "enterprise"})
	c := w.create()
	list, err := manage.ParseAllow([]string{"198.51.100.0/24"})
	w.must(err)
	k, err := w.Update(w.ctx, w.admin, c.Key.ID, manage.Update{Version: 1, Allow: &list})
	w.must(err)
	w.fails(c.Secret.Reveal(), strikeplate.CodeAddress)
	_, err = w.Update(w.ctx, w.admin, k.ID, manage.Update{Version: 1, Allow: &[]netip.Prefix{}})
	w.refused(err, 409, manage.CodeConflict)
	if got := w.get(k.ID); !slices.Equal(got.Allow, list) || got.Version != 2 {
		w.Errorf("%+v", got)
	}
	end := w.clock.now().Add(day)
	k, err = w.Update(w.ctx, w.admin, k.ID, manage.Update{Version: 2, Expires: &end, Metadata: &map[string]string{"a": "b"}})
	w.must(err)
	if got := w.get(k.ID); !got.Expires.Equal(end) || got.Metadata["a"] != "b" || !slices.Equal(got.Allow, list) {
		w.Errorf("%+v", got)
	}
	k, err = w.Update(w.ctx, w.admin, k.ID, manage.Update{Version: 3, Expires: new(time.Time), Metadata: &map[string]string{}, Allow: &[]netip.Prefix{}})
	w.must(err)
	if got := w.get(k.ID); !got.Expires.IsZero() || got.Metadata != nil || got.Allow != nil {
		w.Errorf("%+v", got)
	}
	same, err := w.Update(w.ctx, w.admin, k.ID, manage.Update{Version: k.Version})
	w.must(err)
	if same.Version != k.Version || w.logged(manage.ActionUpdate) != 3 {
		w.Error("an update of nothing wrote something")
	}
	w.works(c.Secret.Reveal())
}

func levelIsRequired(w *world) {
	w.invalid(w.creating(level("", "")), "access")
	w.invalid(w.creating(level("", w.zoe)), "access")
	w.invalid(w.creating(level(strikeplate.Legacy, "")), "access")
	w.invalid(w.creating(level("root", "")), "access")
	for a, owner := range map[strikeplate.Access]string{strikeplate.UserLimited: w.zoe, strikeplate.UserFull: w.bob,
		strikeplate.OrganisationLimited: "", strikeplate.OrganisationFull: ""} {
		c := w.create(level(a, owner))
		if p := w.works(c.Secret.Reveal()); p.Access != a || p.Subject != owner || c.Key.Access != a {
			w.Errorf("%s: %+v", a, p)
		}
	}
}

func ownerIsRequired(w *world) {
	w.user(storage.User{ID: w.org + "-gone", Active: false})
	stranger := w.world(w.TB, avoma)
	for _, a := range []strikeplate.Access{strikeplate.UserLimited, strikeplate.UserFull} {
		for _, bad := range []string{"", w.org + "-gone", w.org + "-nobody", stranger.zoe, "a\x00b", strings.Repeat("x", 2000)} {
			w.invalid(w.creating(level(a, bad)), "owner")
		}
		if k := w.create(level(a, w.zoe)).Key; k.Owner != w.zoe || w.get(k.ID).Owner != w.zoe {
			w.Errorf("issued to %q", k.Owner)
		}
	}
}

func organisationKeysHaveNoOwner(w *world) {
	for _, a := range []strikeplate.Access{strikeplate.OrganisationLimited, strikeplate.OrganisationFull} {
		w.invalid(w.creating(level(a, w.zoe)), "owner")
		c := w.create(level(a, ""))
		w.user(storage.User{ID: w.admin.User, Active: false}) // the creator leaves
		if p := w.works(c.Secret.Reveal()); p.Subject != "" {
			w.Errorf("acts as %q", p.Subject)
		}
		if w.get(c.Key.ID).OwnerInactive {
			w.Error("marked for its creator")
		}
	}
}

func creatorIsRecorded(w *world) {
	c := w.create(level(strikeplate.OrganisationFull, ""))
	if c.Key.Creator != w.admin.User || w.list(manage.Filter{})[0].Creator != w.admin.User || c.Key.Owner != "" {
		w.Errorf("%+v", c.Key)
	}
	w.user(storage.User{ID: w.admin.User, Active: true, Scopes: []string{}}) // it carries no rights
	w.works(c.Secret.Reveal())
}

func legacyIsMarked(w *world) {
	old, _ := w.legacy()
	if !w.get(old.ID).Legacy || !w.list(manage.Filter{})[0].Legacy || w.create().Key.Legacy {
		w.Error("marked wrongly")
	}
}

func legacyWorks(w *world) {
	_, secret := w.legacy()
	if p := w.works(secret); p.Access != strikeplate.Legacy || p.Subject != "" {
		w.Errorf("%+v", p)
	}
}

func legacyIsReadOnly(w *world) {
	old, secret := w.legacy()
	before := w.stored(old.ID)
	_, err := w.Rename(w.ctx, w.admin, old.ID, "new")
	w.refused(err, 409, manage.CodeLegacy)
	_, err = w.Update(w.ctx, w.admin, old.ID, manage.Update{Version: 1, Metadata: &map[string]string{"a": "b"}})
	w.refused(err, 409, manage.CodeLegacy)
	_, err = w.Rotate(w.ctx, w.admin, old.ID, day)
	w.refused(err, 409, manage.CodeLegacy)
	_, err = w.Regenerate(w.ctx, w.admin, old.ID)
	w.refused(err, 409, manage.CodeLegacy)
	_, err = w.Reveal(w.ctx, w.admin, old.ID, w.clock.now())
	w.refused(err, 409, manage.CodeNoSecret)
	if after := w.stored(old.ID); !reflect.DeepEqual(before, after) {
		w.Errorf("changed to %+v", after)
	}
	w.works(secret)
	_, err = w.Revoke(w.ctx, w.admin, old.ID, "replaced")
	w.must(err)
	w.fails(secret, strikeplate.CodeRevoked)
}

func legacyIsReplaced(w *world) {
	for range 12 { // import may exceed the limit
		w.legacy()
	}
	w.refused(w.creating(), 409, manage.CodeLimit)
	for i, k := range w.list(manage.Filter{})[:3] {
		_, err := w.Revoke(w.ctx, w.admin, k.ID, "")
		w.must(err)
		if i < 2 {
			w.refused(w.creating(), 409, manage.CodeLimit)
		}
	}
	w.create()
}

func permanent(w *world) {
	fields := reflect.VisibleFields(reflect.TypeFor[manage.Update]())
	var names []string
	for _, f := range fields {
		names = append(names, f.Name)
	}
	if got := strings.Join(names, " "); got != "Version Allow Expires Metadata" {
		w.Errorf("Update can change %s", got)
	}
	c := w.create(level(strikeplate.UserLimited, w.zoe))
	for _, change := range []func(*storage.Key){
		func(k *storage.Key) { k.Access = strikeplate.OrganisationFull },
		func(k *storage.Key) { k.Owner = w.bob },
		func(k *storage.Key) { k.Scopes = []string{"x:y"} },
		func(k *storage.Key) { k.Environment = strikeplate.Test },
	} {
		k := w.stored(c.Key.ID)
		change(&k)
		err := w.store.Commit(w.ctx, storage.Mutation{Now: w.clock.now(), Put: []storage.Key{k},
			Audit: []storage.Entry{{Organisation: w.org, Action: "test"}}})
		if !errors.Is(err, storage.ErrPermanent) {
			w.Errorf("the store says %v", err)
		}
	}
	if p := w.works(w.create(level(strikeplate.UserLimited, w.bob)).Secret.Reveal()); p.Subject != w.bob {
		w.Errorf("the new user key acts as %q", p.Subject)
	}
}

func limitOfTen(w *world) {
	for i := range 10 {
		w.create(named(fmt.Sprint("key ", i)))
	}
	if e := w.refused(w.creating(), 409, manage.CodeLimit); !strings.Contains(e.Message, "10") || !strings.Contains(e.Message, "Revoke") {
		w.Errorf("%q", e.Message)
	}
	k := w.list(manage.Filter{})[0]
	_, err := w.Rotate(w.ctx, w.admin, k.ID, day)
	if e := w.refused(err, 409, manage.CodeLimit); !strings.Contains(e.Message, "Regenerate") {
		w.Errorf("%q", e.Message)
	}
	_, err = w.Rotate(w.ctx, w.admin, k.ID, 0) // the old one's slot is free at once
	w.must(err)
	_, err = w.Regenerate(w.ctx, w.admin, w.list(manage.Filter{})[0].ID)
	w.must(err)
	if slots := w.slots(); slots != (manage.Slots{Used: 10, Max: 10}) {
		w.Errorf("%+v", slots)
	}
	other := w.world(w.TB, avoma) // counts its own
	other.create()
	for _, bad := range []int{0, -2} {
		c := w.config
		c.Scheme, c.Keys, c.Directory, c.MaxKeys = w.scheme, w.store, w.store, bad
		if _, err := manage.New(c); err == nil {
			w.Errorf("MaxKeys %d is accepted", bad)
		}
	}
}

func (w *world) slots() manage.Slots {
	w.Helper()
	page, err := w.List(w.ctx, w.admin, manage.Filter{Limit: 1})
	w.must(err)
	return page.Slots
}

func revokingFreesASlot(w *world) {
	var last manage.Key
	for range 9 {
		last = w.create().Key
	}
	w.create(expiring(w.clock.now().Add(time.Hour)))
	w.refused(w.creating(), 409, manage.CodeLimit)
	_, err := w.Revoke(w.ctx, w.admin, last.ID, "")
	w.must(err)
	w.create()
	w.refused(w.creating(), 409, manage.CodeLimit)
	w.clock.advance(time.Hour) // so does expiring
	w.create()
	w.refused(w.creating(), 409, manage.CodeLimit)
}

func limitMayBeRaised(w *world) {
	raised := 0
	w.Service = w.service(w.store, func(c *manage.Config) {
		c.MaxKeysOf = func(_ context.Context, organisation string) (int, error) {
			if organisation != w.org {
				return 0, nil
			}
			return raised, nil
		}
	})
	for range 10 {
		w.create()
	}
	w.refused(w.creating(), 409, manage.CodeLimit)
	raised = 12
	w.create()
	w.create()
	w.refused(w.creating(), 409, manage.CodeLimit)
	raised = manage.Unlimited
	w.create()
	if slots := w.slots(); slots != (manage.Slots{Used: 13, Max: manage.Unlimited}) {
		w.Errorf("%+v", slots)
	}
}

func administratorsOnly(w *world) {
	c := w.create(level(strikeplate.UserFull, w.zoe)) // any level, any active member
	w.works(c.Secret.Reveal())
	w.get(c.Key.ID)
	for _, role := range []string{"", "member", "Admin", "admin ", "administrator"} {
		w.deniedEverything(storage.Actor{User: w.zoe, Organisation: w.org, Role: role}, c.Key.ID)
	}
	w.works(c.Secret.Reveal())
}

func othersSeeNothing(w *world) {
	c := w.create()
	stranger := w.world(w.TB, avoma)
	for what, do := range w.calls(stranger.admin, c.Key.ID) {
		if what == "List" || what == "Create" || what == "Audit" || what == "ExportAudit" || what == "RevokeAll" {
			continue // in the stranger's own organisation
		}
		if err := do(); !refusedWith(err, 404, manage.CodeNotFound) {
			w.Errorf("%s of another organisation's key: %s", what, told(err))
		}
	}
	if keys := stranger.list(manage.Filter{}); len(keys) != 0 {
		w.Errorf("another organisation sees %+v", keys)
	}
	member := storage.Actor{User: w.zoe, Organisation: w.org, Role: "member"}
	w.deniedEverything(member, c.Key.ID)
	w.deniedEverything(member, "no such key") // existence is not told either
	w.works(c.Secret.Reveal())
}

// calls are everything that an actor can ask for about a key.
func (w *world) calls(a storage.Actor, id string) map[string]func() error {
	return map[string]func() error{
		"Create":      func() error { _, err := w.Create(w.ctx, a, w.draft()); return err },
		"List":        func() error { _, err := w.List(w.ctx, a, manage.Filter{}); return err },
		"Get":         func() error { _, err := w.Get(w.ctx, a, id); return err },
		"Rename":      func() error { _, err := w.Rename(w.ctx, a, id, "mine"); return err },
		"Update":      func() error { _, err := w.Update(w.ctx, a, id, manage.Update{Version: 1}); return err },
		"Rotate":      func() error { _, err := w.Rotate(w.ctx, a, id, 0); return err },
		"Regenerate":  func() error { _, err := w.Regenerate(w.ctx, a, id); return err },
		"Revoke":      func() error { _, err := w.Revoke(w.ctx, a, id, ""); return err },
		"RevokeAll":   func() error { _, err := w.RevokeAll(w.ctx, a, manage.Selection{All: true}, "", nil); return err },
		"Reveal":      func() error { _, err := w.Reveal(w.ctx, a, id, w.clock.now()); return err },
		"Audit":       func() error { _, err := w.Audit(w.ctx, a, "", 0); return err },
		"ExportAudit": func() error { _, err := w.ExportAudit(w.ctx, a, &strings.Builder{}, ""); return err },
	}
}

func (w *world) deniedEverything(a storage.Actor, id string) {
	w.Helper()
	for what, do := range w.calls(a, id) {
		if err := do(); !refusedWith(err, 403, manage.CodeForbidden) {
			w.Errorf("%s by %+v: %s", what, a, told(err))
		}
	}
}

func pairIsShown(w *world) {
	secret := w.create().Secret.Reveal()
	id, rest, found := strings.Cut(secret, ":")
	if !found || len(id) < 11 || len(rest) < 27 {
		w.Errorf("the key has %d + %d characters", len(id), len(rest))
	}
	w.works(secret)
}

func secretIsRevealed(w *world) {
	w.Service = w.service(w.store, keepSecrets)
	c := w.create()
	if !w.list(manage.Filter{})[0].Revealable {
		w.Error("not marked as revealable")
	}
	secret, err := w.Reveal(w.ctx, w.admin, c.Key.ID, w.clock.now())
	w.must(err)
	w.works(secret.Reveal())
	if secret.Reveal() != c.Secret.Reveal() || w.logged(manage.ActionReveal) != 1 {
		w.Error("another secret, or no entry")
	}
	another := storage.Actor{User: w.bob, Organisation: w.org, Role: "admin"}
	_, err = w.Reveal(w.ctx, another, c.Key.ID, w.clock.now()) // any administrator
	w.must(err)
}

func renameTouchesNothing(w *world) {
	c := w.create()
	w.works(c.Secret.Reveal())
	before := w.stored(c.Key.ID)
	hashes := w.auth.Stats().Hashes
	w.invalid(second(w.Rename(w.ctx, w.admin, c.Key.ID, " ")), "name")
	k, err := w.Rename(w.ctx, w.admin, c.Key.ID, " ETL ")
	w.must(err)
	if k.Name != "ETL" || w.get(k.ID).Name != "ETL" {
		w.Errorf("the name is %q", k.Name)
	}
	w.works(c.Secret.Reveal())
	if n := w.auth.Stats().Hashes - hashes; n != 0 {
		w.Errorf("%d hashes", n)
	}
	after := w.stored(k.ID)
	before.Name, before.Version = after.Name, after.Version
	if !reflect.DeepEqual(before, after) {
		w.Errorf("more than the name changed: %+v", after)
	}
	_, err = w.Rename(w.ctx, w.admin, c.Key.ID, "ETL")
	w.must(err)
	if w.logged(manage.ActionRename) != 1 {
		w.Error("renaming to the same name left an entry")
	}
	ends := w.create(expiring(w.clock.now().Add(time.Hour))).Key
	w.clock.advance(time.Hour)
	_, err = w.Rename(w.ctx, w.admin, ends.ID, "expired, and still renamed")
	w.must(err)
}

func second[T any](_ T, err error) error { return err }

func regenerate(w *world) {
	c, other := w.create(level(strikeplate.UserLimited, w.zoe)), w.create()
	w.works(c.Secret.Reveal())
	before := w.stored(c.Key.ID)
	r, err := w.Regenerate(w.ctx, w.admin, c.Key.ID)
	w.must(err)
	w.fails(c.Secret.Reveal(), strikeplate.CodeInvalid)
	w.works(r.Secret.Reveal())
	w.works(other.Secret.Reveal())
	after := w.stored(c.Key.ID)
	if after.SecretVersion != 2 || after.Lookup == before.Lookup || after.Hash == before.Hash || r.Key.Last4 != after.Last4 ||
		!after.Regenerated.Equal(w.clock.now()) {
		w.Errorf("%+v", r.Key)
	}
	after.Lookup, after.Hash, after.Last4, after.SecretVersion, after.Version = before.Lookup, before.Hash, before.Last4, 1, 1
	after.Regenerated = time.Time{}
	if !reflect.DeepEqual(before, after) {
		w.Errorf("more than the secret changed: %+v", after)
	}
	ends := w.create(expiring(w.clock.now().Add(time.Hour))).Key
	w.clock.advance(time.Hour)
	_, err = w.Regenerate(w.ctx, w.admin, ends.ID)
	w.refused(err, 409, strikeplate.CodeExpired)
	_, err = w.Rotate(w.ctx, w.admin, ends.ID, day)
	w.refused(err, 409, strikeplate.CodeExpired)
}

func deactivatedOwner(w *world) {
	c := w.create(level(strikeplate.UserFull, w.zoe))
	w.works(c.Secret.Reveal())
	w.user(storage.User{ID: w.zoe, Active: false})
	w.fails(c.Secret.Reveal(), strikeplate.CodeInactive)
	if k := w.list(manage.Filter{})[0]; !k.OwnerInactive || k.Status != storage.Active || k.ID != c.Key.ID {
		w.Errorf("%+v", k)
	}
	if w.slots().Used != 1 {
		w.Error("it takes no slot")
	}
	_, err := w.Rotate(w.ctx, w.admin, c.Key.ID, day)
	w.invalid(err, "owner")
	w.user(storage.User{ID: w.zoe, Active: true})
	w.works(c.Secret.Reveal())
	if w.get(c.Key.ID).OwnerInactive {
		w.Error("still marked")
	}
}

func storedSecurely(w *world) {
	c := w.create()
	k := w.stored(c.Key.ID)
	if !strings.HasPrefix(k.Hash, "$argon2id$") || k.Sealed != nil {
		w.Errorf("stored as %q", k.Hash)
	}
	_, rest, _ := strings.Cut(c.Secret.Reveal(), ":")
	text := fmt.Sprintf("%+v", k)
	if strings.Contains(text, rest) || strings.Contains(text, rest[:27]) {
		w.Error("the record holds the secret")
	}
}

func shapeOfMaveraKeys(w *world) {
	secret := w.create().Secret.Reveal()
	if !strings.HasPrefix(secret, "mvra_live_") || utf8.RuneCountInString(secret) < 32 {
		w.Errorf("a key of %d characters", len(secret))
	}
	for range 30 { // Unlimited
		w.create()
	}
	if slots := w.slots(); slots.Max != manage.Unlimited || slots.Used != 31 {
		w.Errorf("%+v", slots)
	}
}

func lapsedMakesNoKeys(w *world) {
	c := w.create()
	w.account(storage.Account{Plan: "pro", Lapsed: true})
	w.refused(w.creating(), 402, strikeplate.CodeLapsed)
	_, err := w.Rotate(w.ctx, w.admin, c.Key.ID, day)
	w.refused(err, 402, strikeplate.CodeLapsed)
	_, err = w.Regenerate(w.ctx, w.admin, c.Key.ID)
	w.must(err)
	_, err = w.Rename(w.ctx, w.admin, c.Key.ID, "still mine")
	w.must(err)
	_, err = w.Revoke(w.ctx, w.admin, c.Key.ID, "")
	w.must(err)
}

func lapsedKeepsKeys(w *world) {
	c := w.create()
	w.works(c.Secret.Reveal())
	w.account(storage.Account{Plan: "pro", Lapsed: true})
	w.fails(c.Secret.Reveal(), strikeplate.CodeLapsed)
	if k := w.get(c.Key.ID); k.Status != storage.Active {
		w.Errorf("%+v", k)
	}
	w.account(storage.Account{Plan: "pro"})
	w.works(c.Secret.Reveal())
	w.create()
}

// The sentences are told apart, and each once.
func TestSentencesAreListedOnce(t *testing.T) {
	seen := make(map[string]bool)
	for _, s := range sentences {
		for _, id := range strings.Fields(s.ids) {
			if seen[id] {
				t.Errorf("%s twice", id)
			}
			seen[id] = true
		}
	}
	if len(seen) < 90 {
		t.Errorf("only %d sentences", len(seen))
	}
}
