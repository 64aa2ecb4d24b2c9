package console_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/keyauth/manage"
	"github.com/strikeplate/strikeplate/keyauth/usage"
	"github.com/strikeplate/strikeplate/storage"
)

// 001-71..001-74, 002-59, 002-107, 003-74..003-77: what the list shows of a key.
func TestListShowsKeys(t *testing.T) {
	w := newWorld(t)
	c := creation("BI dashboard")
	c.Scopes, c.Expires, c.NoExpiry = []string{"meetings:read", "webhooks:read"}, noon.Add(40*day), false
	org := w.create("ada", c)
	user := creation("Zapier")
	user.Access, user.Owner, user.Environment = strikeplate.UserLimited, "user_ben", strikeplate.Test
	made := w.create("alan", user)
	w.use(org.Key, "GET /v1/meetings", "")
	page := w.get("ada", "/").want(t, 200,
		"BI dashboard", "mvo_live_••••"+org.Key.Last4, "Organisation – limited", "meetings:read", "webhooks:read",
		"Ada Lovelace", "creator", ">1 Mar 2026</time>", ">10 Apr 2026</time>", "3 hours ago", "Active",
		"Zapier", "mvo_test_••••"+made.Key.Last4, "Ben Okafor", "User – limited", ">Test</span>", "<strong>2 of 10</strong> keys used", "Create API key")
	page.wantNone(t, "Legacy", "Copy key", org.Secret.Reveal())
}

// 001-70, 002-130b: all keys that are not revoked; expired ones and those of a
// deactivated owner are marked. Revoked ones by filter.
func TestListFilters(t *testing.T) {
	w := newWorld(t)
	c := creation("old")
	c.NoExpiry, c.Expires = false, noon.Add(time.Hour)
	w.create("ada", c)
	c = creation("orphan")
	c.Access, c.Owner = strikeplate.UserFull, "user_ben"
	w.create("ada", c)
	gone := w.create("ada", creation("gone"))
	if _, err := w.keys.Revoke(t.Context(), people["ada"], gone.Key.ID, "leaked"); err != nil {
		t.Fatal(err)
	}
	if err := w.store.PutUser(t.Context(), storage.User{ID: "user_ben", Organisation: "org", Name: "Ben"}); err != nil {
		t.Fatal(err)
	}
	w.pass(2 * time.Hour)
	w.get("ada", "/").want(t, 200, "old", "Expired", "orphan", "Owner deactivated").wantNone(t, "gone")
	w.get("ada", "/?status=revoked").want(t, 200, "gone", "Revoked").wantNone(t, "orphan")
	w.get("ada", "/?status=expired").want(t, 200, ">old<").wantNone(t, "orphan", "gone")
	w.get("ada", "/?status=active").want(t, 200, "orphan").wantNone(t, ">old<")
	w.get("ada", "/?status=all").want(t, 200, "orphan", "gone", ">old<")
	w.get("ada", "/keys/"+gone.Key.ID).want(t, 200, "leaked").wantNone(t, "/rotate", "/revoke")
	none := newWorld(t)
	none.get("ada", "/").want(t, 200, "no API keys yet", "Create your first API key")
	none.get("ada", "/?status=revoked").want(t, 200, "No key was revoked.").wantNone(t, "first API key")
}

func TestListPages(t *testing.T) {
	w := newWorld(t, func(s *setting) { s.manage.MaxKeys = manage.Unlimited })
	for i := range 60 {
		w.pass(time.Second)
		w.create("ada", creation(fmt.Sprintf("key number %d.", i)))
	}
	first := w.get("ada", "/").want(t, 200, "number 59.", "Older keys", "<strong>60</strong> keys used").wantNone(t, "number 9.")
	next := "cursor=" + html.UnescapeString(between(first.body, `href="`+base+`/?cursor=`, `"`))
	w.get("ada", "/?"+next).want(t, 200, "number 9.", "First page").wantNone(t, "number 59.", "Older keys")
	w.get("ada", "/?cursor=nonsense").want(t, 400)
}

// 002-9a, 002-9c, 002-71a, 002-113: legacy keys are tagged, and can be viewed and
// revoked only.
func TestLegacyKeys(t *testing.T) {
	w := newWorld(t)
	minted, err := w.scheme.Mint(t.Context(), "mvo_", strikeplate.Live)
	if err != nil {
		t.Fatal(err)
	}
	k := storage.Key{
		ID: "imported 1/2", Lookup: minted.Lookup, Lineage: "imported 1/2", Organisation: "org", Name: "Reporting", Last4: minted.Last4,
		Format: minted.Format, Environment: strikeplate.Live, Access: strikeplate.Legacy, Creator: "user_ada", Hash: minted.Hash, SecretVersion: 1, Created: noon,
	}
	if err := w.store.Commit(t.Context(), storage.Mutation{Now: noon, Put: []storage.Key{k}, Audit: []storage.Entry{{Organisation: "org", Action: "key.import", Target: k.ID, At: noon}}}); err != nil {
		t.Fatal(err)
	}
	path := "/keys/imported%201%2F2"
	w.get("ada", "/").want(t, 200, ">Legacy</span>", path+"/revoke").wantNone(t, path+"/rotate", path+"/rename", path+"/edit", path+"/regenerate", path+"/reveal")
	w.get("ada", path).want(t, 200, "This is a legacy key.").wantNone(t, path+"/rotate", path+"/rename")
	w.post("ada", path+"/rename", url.Values{"name": {"x"}}).want(t, 409, "Legacy keys can only be viewed and revoked")
	w.post("ada", path+"/revoke", url.Values{"confirm": {k.Last4}}).want(t, 303)
	w.get("ada", "/?status=revoked").want(t, 200, "Reporting")
}

// 000-11a..000-11d, 000-13a, 001-12..001-17, 002-94..002-96, 002-101, 003-18: the
// form offers what the service has, test chosen, no scope chosen, an end
// recommended.
func TestCreateForm(t *testing.T) {
	w := newWorld(t)
	page := w.get("ada", "/keys/new").want(t, 200, "mvo_live_…", "mvo_test_…", "List and retrieve meetings", "Delete meetings", "webhooks",
		"User – limited access", "User – full access", "Organisation – limited access", "Organisation – full access",
		"Private meetings are always excluded", "The highest privilege", "Issued to", "Ben Okafor", "Recommended", "Your address is", "127.0.0.1")
	page.wantNone(t, "Cleo") // deactivated
	chosen := inputs(page.document(t))
	if got := chosen["kind"]; !slices.Equal(got, []string{"mvo_|test"}) {
		t.Errorf("environment %q is chosen beforehand", got)
	}
	if len(chosen["scope"]) != 0 || len(chosen["access"]) != 0 || chosen.Get("ends") != "90d" {
		t.Errorf("chosen beforehand: %v", chosen)
	}
	w.get("ada", "/keys/new").want(t, 200).wantNone(t, chosen.Get("once"))
}

// Formats without environments offer no picker; services with one level or
// without scopes don't ask for them; terms bound the end.
func TestCreateFormOfOtherServices(t *testing.T) {
	w := newWorld(t, func(s *setting) {
		s.formats = []keyauth.Format{{Pair: true}}
		s.catalog = nil
		terms := manage.Terms{Access: strikeplate.OrganisationFull, MaxLifetime: 60 * day}
		s.manage.Terms, s.console.Terms = terms, terms
		s.console.Members = nil
		s.console.Product.TryURL = ""
	})
	page := w.get("ada", "/keys/new").want(t, 200, "30 days", "60 days", "Recommended").wantNone(t, "Environment", "Scopes", "Issued to", "Never", "90 days", "1 year")
	form := inputs(page.document(t))
	form.Del("preset")
	form.Set("name", "Sync")
	if form.Get("kind") != "|" || form.Get("ends") != "longest" {
		t.Errorf("the form has %v", form)
	}
	secret := secretOn(t, w.post("ada", "/keys", form).wantNone(t, "curl"))
	k := made(w.keys.List(t.Context(), people["ada"], manage.Filter{}))(t).Keys[0]
	if !strings.Contains(secret, ":") || !k.Expires.Equal(noon.Add(60*day)) || k.Access != strikeplate.OrganisationFull {
		t.Errorf("made %+v", k)
	}
	w.get("ada", "/").want(t, 200, "<code>••••"+k.Last4+"</code>") // pairs are recorded without a prefix
	two := newWorld(t, func(s *setting) {
		s.formats = []keyauth.Format{{Prefix: "mavio_sk_"}, {Prefix: "mvo_", Environments: []strikeplate.Environment{"live", "eu"}}}
	})
	two.get("ada", "/keys/new").want(t, 200, "mavio_sk_…", "mvo_live_…", "mvo_eu_…", ">Eu<")
	typed := newWorld(t, func(s *setting) { s.console.Members = nil })
	typed.get("ada", "/keys/new").want(t, 200, `placeholder="The member&#39;s id"`)
}

// 001-22a, 000-37, 001-98, 002-103, 003-57: the secret once, with lines that
// read it from the environment and don't hold it.
func TestCreate(t *testing.T) {
	w := newWorld(t)
	form := createForm("  CRM Sync ")
	form.Set("kind", "mvo_|live")
	form.Set("access", "user-full")
	form.Set("owner", "user_ben")
	form["scope"] = []string{"meetings:read", "webhooks:read"}
	form.Set("ends", "date")
	form.Set("date", "2026-07-14")
	form.Set("allow", "192.0.2.0/24, 2001:db8::1\n198.51.100.7")
	res := w.post("ada", "/keys", form).want(t, 200, "Copy it now.", `MAVIO_API_KEY=your_key_here`,
		`curl -H &#34;Authorization: Bearer $MAVIO_API_KEY&#34; &#39;https://api.mavio.example/v1/whoami&#39;`)
	if !strings.Contains(html.UnescapeString(res.body), `curl -H "Authorization: Bearer $MAVIO_API_KEY" 'https://api.mavio.example/v1/whoami'`) {
		t.Error("no curl line")
	}
	k := made(w.keys.List(t.Context(), people["ada"], manage.Filter{}))(t).Keys[0]
	if k.Name != "CRM Sync" || k.Environment != strikeplate.Live || k.Access != strikeplate.UserFull || k.Owner != "user_ben" || len(k.Scopes) != 2 ||
		!k.Expires.Equal(time.Date(2026, 7, 14, 0, 0, 0, 0, time.UTC)) || len(k.Allow) != 3 {
		t.Errorf("made %+v", k)
	}
	if !strings.HasSuffix(secretOn(t, res), k.Last4) {
		t.Error("the page shows another secret")
	}
	w.get("ada", "/keys/"+k.ID).want(t, 200, "192.0.2.0/24", "198.51.100.7", "Ben Okafor", "14 Jul 2026")
}

// An owner that a browser without scripts sends along with an organisation's
// level is left out: the field says that it is for user levels.
func TestCreateIgnoresTheOwnerOfOrganisationLevels(t *testing.T) {
	w := newWorld(t)
	form := createForm("x")
	form.Set("owner", "user_ben")
	w.post("ada", "/keys", form).want(t, 200)
}

// Each choice of an end.
func TestCreateEnds(t *testing.T) {
	w := newWorld(t)
	for choice, want := range map[string]time.Time{"30d": noon.Add(30 * day), "90d": noon.Add(90 * day), "180d": noon.Add(180 * day), "365d": noon.Add(365 * day), "never": {}} {
		form := createForm(choice)
		form.Set("ends", choice)
		w.post("ada", "/keys", form).want(t, 200)
		k := made(w.keys.List(t.Context(), people["ada"], manage.Filter{}))(t).Keys
		i := slices.IndexFunc(k, func(k manage.Key) bool { return k.Name == choice })
		if i < 0 || !k[i].Expires.Equal(want) {
			t.Errorf("%s: made %+v", choice, k)
		}
	}
}

// The form comes back as it was sent, and says what is wrong where it is wrong.
func TestCreateRefused(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		about, field, value string
		texts               []string
	}{
		{"no name", "name", "  ", []string{`<a href="#name">Name</a>: Give the key a name`}},
		{"no scope", "scope", "", []string{`<a href="#scopes">Scopes</a>`}},
		{"a bad network", "allow", "192.0.2.300", []string{"Allowed addresses</a>", "192.0.2.300"}},
		{"no owner", "access", "user-full", []string{"Issued to</a>"}},
		{"no level", "access", "", []string{"Access</a>"}},
		{"no date", "ends", "date", []string{"Expires</a>: Choose a date"}},
		{"no end", "ends", "", []string{"Expires</a>"}},
		{"no format", "kind", "other_|live", []string{"Environment</a>"}},
	} {
		t.Run(c.about, func(t *testing.T) {
			form := createForm("CRM Sync")
			form.Set(c.field, c.value)
			if c.value == "" {
				form.Del(c.field)
			}
			page := w.post("ada", "/keys", form).want(t, 400, append(c.texts, `role="alert"`, `aria-invalid="true"`)...)
			back := inputs(page.document(t))
			if c.field != "name" && back.Get("name") != "CRM Sync" || back.Get("once") != form.Get("once") {
				t.Errorf("the form came back with %v", back)
			}
		})
	}
	if n := w.count("ada"); n != 0 {
		t.Errorf("%d keys", n)
	}
	w.post("lena", "/keys", createForm("x")).want(t, 402, "Your subscription has ended", "answer 402 until the subscription is renewed") // 003-109
	w.post("ada", "/keys", url.Values{"name": {strings.Repeat("x", 70<<10)}}).want(t, 413)
}

// 002-87a, 002-134a: all slots are taken.
func TestCreateAtTheLimit(t *testing.T) {
	w := newWorld(t, func(s *setting) { s.manage.MaxKeys = 1 })
	k := w.create("ada", creation("only")).Key
	w.get("ada", "/").want(t, 200, "<strong>1 of 1</strong> keys used", "All 1 keys are in use")
	w.get("ada", "/keys/new").want(t, 200, "All 1 keys are in use.", "Review the keys")
	w.get("ada", "/keys/"+k.ID+"/rotate").want(t, 200, "a successor takes a slot of its own")
	w.post("ada", "/keys", createForm("another")).want(t, 409, "All keys are in use", "Review the list", `value="another"`)
	turn := inputs(w.get("ada", "/keys/"+k.ID+"/rotate").document(t))
	w.post("ada", "/keys/"+k.ID+"/rotate", turn).want(t, 409, "egenerate") // 001-79
	w.post("ada", "/keys/"+k.ID+"/revoke", url.Values{"confirm": {k.Last4}}).want(t, 303)
	w.post("ada", "/keys", createForm("another")).want(t, 200) // 002-87b
}

// The presets fill scopes in without a script, and create nothing.
func TestCreatePresets(t *testing.T) {
	w := newWorld(t)
	for preset, want := range map[string]string{"read": "[meetings:read webhooks:read]", "all": "[meetings:read meetings:write webhooks:read]", "none": "[]"} {
		form := createForm("CRM Sync")
		form.Set("preset", preset)
		back := inputs(w.post("ada", "/keys", form).want(t, 200).document(t))
		if got := fmt.Sprint(back["scope"]); got != want || back.Get("name") != "CRM Sync" {
			t.Errorf("%s: %s of %v", preset, got, back)
		}
	}
	if n := w.count("ada"); n != 0 {
		t.Errorf("%d keys", n)
	}
}

// 002-110a, 002-110b: renamed in place, from the list and from the key's page.
func TestRename(t *testing.T) {
	w := newWorld(t)
	k := w.create("ada", creation("CRM")).Key
	path := "/keys/" + k.ID
	for back, want := range map[string]string{"list": base + "/?done=renamed", "key": base + path + "?done=renamed", "//evil.example": base + "/?done=renamed"} {
		res := w.post("ada", path+"/rename", url.Values{"name": {"CRM " + back}, "back": {back}}).want(t, 303)
		if got := res.Header.Get("Location"); got != want {
			t.Errorf("back to %q, want %q", got, want)
		}
	}
	w.get("ada", "/?done=renamed").want(t, 200, "The key has a new name.", `role="status"`)
	w.get("ada", "/?done=<b>strange").want(t, 200).wantNone(t, "strange")
	w.post("ada", path+"/rename", url.Values{"name": {" "}, "back": {"key"}}).want(t, 400, "Give the key a name")
	if got := w.gotten(k.ID); got.SecretVersion != 1 {
		t.Errorf("renaming replaced the secret: %+v", got)
	}
}

// 001-102b: allowlist, end and metadata change; scopes, access, owner and
// environment have no fields.
func TestEdit(t *testing.T) {
	w := newWorld(t)
	c := creation("CRM")
	c.Allow, c.Metadata = []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}, map[string]string{"team": "crm"}
	k := w.create("ada", c).Key
	path := "/keys/" + k.ID
	w.get("ada", path+"/edit").want(t, 200, ">192.0.2.1</textarea>", "team=crm", "As it is: never")
	form := url.Values{"version": {"1"}, "allow": {"198.51.100.0/24"}, "ends": {"date"}, "date": {"2026-12-01"}, "metadata": {"team = sales\r\nticket=OPS=1\r\n"}, "scope": {"meetings:write"}}
	w.post("ada", path+"/edit", form).want(t, 303)
	got := w.gotten(k.ID)
	if fmt.Sprint(got.Allow) != "[198.51.100.0/24]" || got.Metadata["team"] != "sales" || got.Metadata["ticket"] != "OPS=1" || !got.Expires.Equal(time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)) || len(got.Scopes) != 1 {
		t.Errorf("changed to %+v", got)
	}
	form.Set("allow", "203.0.113.1")
	w.post("alan", path+"/edit", form).want(t, 409, "Somebody else changed the key", "203.0.113.1", `name="version" value="2"`)
	form.Set("version", "2")
	form.Set("ends", "never")
	form.Set("allow", "")
	form.Set("metadata", "")
	w.post("alan", path+"/edit", form).want(t, 303)
	if got := w.gotten(k.ID); len(got.Allow) != 0 || len(got.Metadata) != 0 || !got.Expires.IsZero() {
		t.Errorf("changed to %+v", got)
	}
	for field, value := range map[string]string{"metadata": "no equals", "allow": "here", "version": "x"} {
		bad := url.Values{"version": {"3"}, "ends": {"keep"}}
		bad.Set(field, value)
		w.post("ada", path+"/edit", bad).want(t, 400)
	}
	w.post("ada", path+"/edit", url.Values{"version": {"3"}, "ends": {"date"}, "date": {"2020-01-01"}}).want(t, 400, "Expires</a>")
}

// 001-79..001-82: the overlap is chosen, each key's last use is shown, both work.
func TestRotate(t *testing.T) {
	w := newWorld(t)
	k := w.create("ada", creation("CRM"))
	w.use(k.Key, "GET /v1/meetings", "")
	path := "/keys/" + k.Key.ID
	page := w.get("ada", path+"/rotate").want(t, 200, "was last used 3 hours ago", "1 hour", "7 days", "End it at once")
	form := inputs(page.document(t))
	if form.Get("overlap") != "24h0m0s" {
		t.Errorf("chosen beforehand: %v", form)
	}
	form.Set("overlap", "1h0m0s")
	w.post("ada", path+"/rotate", form).want(t, 200, "Copy it now.", "goes on working and ends in 1 hour", "••••"+k.Key.Last4)
	if old := w.gotten(k.Key.ID); !old.Expires.Equal(noon.Add(time.Hour)) {
		t.Errorf("the old key is %+v", old)
	}
	w.get("ada", path).want(t, 200, "Rotated from and to", "Rotated: ends in 1 hour")
	again := inputs(w.get("ada", path+"/rotate").want(t, 200, "was never used").document(t))
	w.post("ada", path+"/rotate", again).want(t, 409, "That was not done")
	again.Set("overlap", "a while")
	w.post("ada", path+"/rotate", again).want(t, 400, "Overlap</a>")
	next := made(w.keys.List(t.Context(), people["ada"], manage.Filter{}))(t).Keys[0]
	form = inputs(w.get("ada", "/keys/"+next.ID+"/rotate").document(t))
	form.Set("overlap", "0s")
	w.post("ada", "/keys/"+next.ID+"/rotate", form).want(t, 200, "no longer works")
}

// 002-112, 002-120, 002-123: a new secret under the same name; the old is dead.
func TestRegenerate(t *testing.T) {
	w := newWorld(t)
	k := w.create("ada", creation("CRM"))
	other := w.create("ada", creation("other")).Key
	path := "/keys/" + k.Key.ID
	form := inputs(w.get("ada", path+"/regenerate").want(t, 200, "The old secret stops working at once.").document(t))
	if secret := secretOn(t, w.post("ada", path+"/regenerate", form)); secret == k.Secret.Reveal() {
		t.Error("the secret is the old one")
	}
	if got := w.gotten(k.Key.ID); got.Name != "CRM" || got.SecretVersion != 2 {
		t.Errorf("the key is %+v", got)
	}
	if got := w.gotten(other.ID); got.Version != 1 {
		t.Errorf("another key changed: %+v", got)
	}
	if _, err := w.keys.Revoke(t.Context(), people["ada"], other.ID, ""); err != nil {
		t.Fatal(err)
	}
	w.post("ada", "/keys/"+other.ID+"/regenerate", url.Values{"secret_version": {"1"}}).want(t, 409, "revoked keys never change")
}

// 001-86a..001-86c, 002-111, 003-81, 003-86a: what was typed must be right.
func TestRevoke(t *testing.T) {
	w := newWorld(t)
	k := w.create("ada", creation("CRM")).Key
	path := "/keys/" + k.ID
	w.get("ada", path+"/revoke").want(t, 200, "This can&#39;t be undone.", k.Last4)
	for _, typed := range []string{"", "CRM", "revoke"} {
		w.post("ada", path+"/revoke", url.Values{"confirm": {typed}, "reason": {"because"}}).want(t, 400, "Confirmation</a>", `value="because"`)
	}
	if got := w.gotten(k.ID); got.Status != storage.Active {
		t.Fatal("revoked without the confirmation")
	}
	res := w.post("ada", path+"/revoke", url.Values{"confirm": {" " + k.Last4 + " "}, "reason": {"leaked"}}).want(t, 303)
	if res.Header.Get("Location") != base+"/?done=revoked" {
		t.Errorf("sent to %q", res.Header.Get("Location"))
	}
	if got := w.gotten(k.ID); got.Status != storage.Revoked || got.RevokedBecause != "leaked" {
		t.Errorf("the key is %+v", got)
	}
	w.post("ada", path+"/revoke", url.Values{"confirm": {k.Last4}, "reason": {strings.Repeat("x", 501)}}).want(t, 400, "Reason</a>")
}

func TestRevokeMany(t *testing.T) {
	for _, c := range []struct {
		about string
		form  url.Values
		left  string
	}{
		{"a creator's", url.Values{"which": {"creator"}, "member": {"user_ada"}}, "[alan's]"},
		{"an owner's", url.Values{"which": {"owner"}, "member": {"user_ben"}}, "[ada's alan's]"},
		{"before a date", url.Values{"which": {"before"}, "before": {"2026-03-02"}}, "[alan's]"},
		{"all", url.Values{"which": {"all"}}, "[]"},
	} {
		t.Run(c.about, func(t *testing.T) {
			w := newWorld(t)
			w.create("ada", creation("ada's"))
			ben := creation("ben's")
			ben.Access, ben.Owner = strikeplate.UserFull, "user_ben"
			w.create("ada", ben)
			w.pass(day)
			w.create("alan", creation("alan's"))
			w.get("ada", "/revoke").want(t, 200, "3 keys are active now", "Cleo Martín (deactivated)")
			w.post("ada", "/revoke", c.form).want(t, 400, "Confirmation</a>")
			c.form.Set("confirm", "Revoke ")
			w.post("ada", "/revoke", c.form).want(t, 303)
			var left []string
			for _, k := range made(w.keys.List(t.Context(), people["ada"], manage.Filter{}))(t).Keys {
				left = append(left, k.Name)
			}
			slices.Sort(left)
			if fmt.Sprint(left) != c.left {
				t.Errorf("left are %v, want %s", left, c.left)
			}
		})
	}
	w := newWorld(t)
	for _, form := range []url.Values{{}, {"which": {"creator"}}, {"which": {"before"}, "before": {"soon"}}} {
		form.Set("confirm", "revoke")
		w.post("ada", "/revoke", form).want(t, 400)
	}
}

// 002-109, 002-136a: Copy key on each row where secrets are kept, with a fresh
// sign-in, by POST, and audited.
func TestReveal(t *testing.T) {
	w := newWorld(t, func(s *setting) { s.manage.Reveal.Seal = newSeal(t) })
	k := w.create("ada", creation("CRM"))
	path := "/keys/" + k.Key.ID
	w.get("alan", "/").want(t, 200, "Copy key", `action="`+base+path+`/reveal"`)
	w.get("alan", path+"/reveal").want(t, 404)
	if got := secretOn(t, w.post("alan", path+"/reveal", nil)); got != k.Secret.Reveal() {
		t.Errorf("copied %q", got)
	}
	w.get("ada", "/audit").want(t, 200, "Copied the secret of", "Alan Turing")
	w.pass(time.Hour)
	w.post("alan", path+"/reveal", nil).want(t, 403, "Sign in again to copy a key", `href="/sign-in"`).wantNone(t, k.Secret.Reveal())
	off := newWorld(t, func(s *setting) { s.manage.Reveal.Seal = newSeal(t); s.console.FreshSignIn = nil })
	other := off.create("ada", creation("CRM"))
	off.get("ada", "/").want(t, 200).wantNone(t, "Copy key")
	off.post("ada", "/keys/"+other.Key.ID+"/reveal", nil).want(t, 403)
	down := newWorld(t, func(s *setting) {
		s.console.FreshSignIn = func(*http.Request) (time.Time, error) { return time.Time{}, errors.New("no sessions") }
	})
	third := down.create("ada", creation("CRM"))
	down.post("ada", "/keys/"+third.Key.ID+"/reveal", nil).want(t, 503)
}

// 001-90..001-94, 001-101, 001-29b: what a key was used for.
func TestUsagePage(t *testing.T) {
	w := newWorld(t)
	k := w.create("ada", creation("CRM"))
	path := "/keys/" + k.Key.ID + "/usage"
	w.get("ada", path).want(t, 200, "No requests in this time.", "None yet.", "Never").wantNone(t, "in a web page")
	w.use(k.Key, "GET /v1/meetings", "https://shop.example", "192.0.2.7")
	page := w.get("ada", path+"?range=24h").want(t, 200, "<dd>40</dd>", "<dd>10</dd>", "<dd>25.0%</dd>", "3 hours ago",
		"GET /v1/meetings", "<code>192.0.2.7</code>", "insufficient_scope", "With a wrong secret", "invalid_api_key",
		"This key is in a web page.", "https://shop.example", `aria-current="page">Last 24 hours`)
	bars := 0
	for n := range page.document(t).Descendants() {
		if n.Data == "rect" && attributes(n)["class"] == "bar" && attributes(n)["x"] != "" {
			bars++
		}
	}
	if bars != 2 {
		t.Errorf("%d bars, want one for each of two hours with requests", bars)
	}
	for _, span := range []string{"1h", "7d", "30d", "90d", "odd"} {
		w.get("ada", path+"?range="+span).want(t, 200)
	}
	next := made(w.keys.Rotate(t.Context(), people["ada"], k.Key.ID, time.Hour))(t)
	w.get("ada", "/keys/"+next.Key.ID+"/usage").want(t, 200, "<dd>0</dd>", "With those it was rotated from and to")
	w.get("ada", "/keys/"+next.Key.ID+"/usage?of=lineage").want(t, 200, "<dd>40</dd>")
}

func TestUsagePageWithoutUsage(t *testing.T) {
	none := newWorld(t, func(s *setting) { s.console.Usage = nil; s.manage.LastUsed = nil })
	k := none.create("ada", creation("CRM")).Key
	none.get("ada", "/keys/"+k.ID+"/usage").want(t, 200, "Usage isn&#39;t counted here.")
	down := newWorld(t, func(s *setting) {
		s.console.Usage = brokenUsage{}
		s.manage.LastUsed = func(context.Context, []string) (map[string]time.Time, error) { return nil, errors.New("wires are cut") }
	})
	k = down.create("ada", creation("CRM")).Key
	down.get("ada", "/keys/"+k.ID+"/usage").want(t, 200, "Part of the usage can&#39;t be told right now", "The endpoints can&#39;t be told", "The addresses can&#39;t be told").wantNone(t, "wires are cut")
	down.get("ada", "/").want(t, 200, "CRM", "When keys were last used can&#39;t be told right now").wantNone(t, "wires are cut")
	down.call("ada", "GET", "/keys/"+k.ID+"/usage", "").want(t, 200, `"missing":["series","endpoints","addresses","refusals","unusual","last_used"]`)
}

type brokenUsage struct{}

var errCut = errors.New("wires are cut")

func (brokenUsage) Series(context.Context, storage.UsageQuery) (usage.Series, error) {
	return usage.Series{}, errCut
}

func (brokenUsage) Endpoints(context.Context, storage.UsageQuery) ([]storage.UsageEndpoint, error) {
	return nil, errCut
}

func (brokenUsage) Refusals(context.Context, storage.UsageQuery) ([]storage.UsageRefusal, error) {
	return nil, errCut
}

func (brokenUsage) Addresses(context.Context, string, string, string) ([]storage.UsageAddress, error) {
	return nil, errCut
}

func (brokenUsage) Unusual(context.Context, string, string) ([]usage.Event, error) {
	return nil, errCut
}

func (brokenUsage) Credentials(context.Context, string, []string) (map[string]storage.UsageSeen, error) {
	return nil, errCut
}

func TestAuditPage(t *testing.T) {
	w := newWorld(t)
	w.get("ada", "/audit").want(t, 200, "Nothing has happened yet.")
	k := w.create("ada", creation("CRM")).Key
	for i := range 60 {
		if _, err := w.keys.Rename(t.Context(), people["alan"], k.ID, fmt.Sprintf("CRM %d", i)); err != nil {
			t.Fatal(err)
		}
	}
	first := w.get("ada", "/audit").want(t, 200, "Renamed", "Alan Turing", "CRM 59", "Older entries").wantNone(t, "Created", "Newest entries")
	next := html.UnescapeString(between(first.body, `href="`+base+`/audit?`, `"`))
	w.get("ada", "/audit?"+next).want(t, 200, "Created", "Ada Lovelace", `name: &#34;CRM&#34; → &#34;CRM 0&#34;`, "Newest entries").wantNone(t, "Older entries", "CRM 59")
	res := w.get("ada", "/audit/export").want(t, 200)
	if n := strings.Count(res.body, "\n"); n != 61 || !strings.HasPrefix(res.Header.Get("Content-Disposition"), "attachment") {
		t.Errorf("exported %d lines, %v", n, res.Header)
	}
}

// Labels, headings and landmarks: each field is named, there is one h1, tables
// have headers, and nothing has an id twice.
func TestPagesAreSound(t *testing.T) {
	w := newWorld(t, func(s *setting) { s.manage.Reveal.Seal = newSeal(t) })
	k := w.create("ada", creation("CRM")).Key
	w.create("ada", creation("BI"))
	w.use(k, "GET /v1/meetings", "", "192.0.2.1")
	path := "/keys/" + k.ID
	for _, p := range []string{"/", "/keys/new", path, path + "/edit", path + "/rotate", path + "/regenerate", path + "/revoke", path + "/usage", "/revoke", "/audit", "/apps", "/apps/new", "/apps/app_1", "/apps/app_1/edit", "/apps/app_1/secret", "/apps/app_1/revoke", "/apps/app_1/block", "/connections", "/nowhere"} {
		doc := w.get("ada", p).document(t)
		for _, fault := range unsound(doc) {
			t.Errorf("%s: %s", p, fault)
		}
	}
	for _, fault := range unsound(w.post("ada", "/keys", createForm("x")).want(t, 200).document(t)) {
		t.Errorf("the new secret: %s", fault)
	}
}

func unsound(doc *html.Node) (faults []string) {
	count, ids, labelled := map[string]int{}, map[string]int{}, map[string]bool{}
	for n := range doc.Descendants() {
		if n.Type == html.ElementNode {
			count[n.Data]++
			a := attributes(n)
			if a["id"] != "" {
				ids[a["id"]]++
			}
			if n.Data == "label" {
				labelled[a["for"]] = true
			}
		}
	}
	for id, n := range ids {
		if n > 1 {
			faults = append(faults, "id "+id+" twice")
		}
	}
	if count["h1"] != 1 || count["main"] != 1 || count["title"] < 1 {
		faults = append(faults, fmt.Sprintf("h1 %d, main %d", count["h1"], count["main"]))
	}
	for n := range doc.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		a := attributes(n)
		named := labelled[a["id"]] && a["id"] != "" || n.Parent != nil && (n.Parent.Data == "label")
		switch n.Data {
		case "input", "select", "textarea":
			if a["type"] != "hidden" && !named {
				faults = append(faults, fmt.Sprintf("%s %s has no label", n.Data, a["name"]))
			}
		case "th":
			if a["scope"] == "" {
				faults = append(faults, "a table header without a scope")
			}
		case "form":
			if a["method"] != "post" {
				faults = append(faults, "a form that isn't posted: "+a["action"])
			}
		case "html":
			if a["lang"] == "" {
				faults = append(faults, "no language")
			}
		}
	}
	return faults
}
