package console_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth/manage"
)

// What the four products' pages say of theirs, by the rows' ids: where ours says
// or does it. The tests of the pages have the details.
func TestSentences(t *testing.T) {
	w := newWorld(t, func(s *setting) { s.manage.Reveal.Seal = newSeal(t) })
	c := creation("CRM Sync")
	c.NoExpiry, c.Expires = false, noon.Add(40*day)
	k := w.create("ada", c).Key
	w.use(k, "GET /v1/meetings", "https://shop.example", "192.0.2.7")
	user := creation("Zapier")
	user.Access, user.Owner, user.Environment = strikeplate.UserLimited, "user_ben", strikeplate.Test
	w.create("ada", user)
	path := "/keys/" + k.ID
	secret := w.post("ada", "/keys", createForm("Analytics")).want(t, 200).body
	pages := map[string]string{"secret": secret}
	for name, p := range map[string]string{
		"list": "/", "create": "/keys/new", "key": path, "edit": path + "/edit", "rotate": path + "/rotate", "regenerate": path + "/regenerate",
		"revoke": path + "/revoke", "usage": path + "/usage", "audit": "/audit", "apps": "/apps", "many": "/revoke",
	} {
		pages[name] = w.get("ada", p).want(t, 200).body
	}
	for _, s := range []struct{ id, page, says string }{
		{"000-11a, 001-12, 002-94", "list", "Create API key"},
		{"000-11b, 001-15, 002-95, 003-18", "create", `<label for="name">Name</label>`},
		{"000-11c, 000-13b, 001-16, 000-39, 001-50a", "create", "Only what the integration requires."},
		{"000-11d", "create", `value="mvo_|test" checked`},
		{"000-15, 001-35", "create", "List and retrieve meetings"},
		{"000-37, 001-98, 003-47, 003-57", "secret", "MAVIO_API_KEY=your_key_here"},
		{"000-38a, 001-99b, 003-49", "rotate", "Rotate key"},
		{"000-41b, 001-101", "usage", "A spike, or requests to unusual endpoints or from strange addresses, may mean that the key leaked."},
		{"001-17, 001-99a", "create", "90 days <span class=\"badge good\">Recommended"},
		{"001-22a, 003-23", "secret", `id="secret" value="mvo_test_`},
		{"001-28", "secret", "Authorization: Bearer $MAVIO_API_KEY"},
		{"001-29a", "list", "Treat them like passwords"},
		{"001-29b", "secret", "never in source code, in a web page or an app"},
		{"001-29b", "usage", "This key is in a web page."},
		{"001-50b", "create", "A key with more can always be made later."},
		{"001-71, 003-74, 003-77", "list", "mvo_live_••••" + k.Last4},
		{"001-72", "list", `<code class="chip">meetings:read</code>`},
		{"001-73, 002-107, 003-75", "list", `<time datetime="2026-03-01T12:00:00Z"`},
		{"001-73", "list", `<time datetime="2026-04-10T12:00:00Z"`},
		{"001-74, 003-76", "list", "3 hours ago"},
		{"001-80", "rotate", "Both keys work for the overlap"},
		{"001-81", "rotate", "was last used 3 hours ago"},
		{"001-86a, 003-81", "list", path + "/revoke"},
		{"001-86b, 001-86c, 003-86a, 003-86b", "revoke", "This can't be undone.</strong> Requests with this key are refused with 401 at once, and for ever."},
		{"001-90", "list", path + "/usage"},
		{"001-91", "usage", "Requests over time"},
		{"001-92", "usage", "<code>GET /v1/meetings</code>"},
		{"001-93", "usage", "<dd>25.0%</dd>"},
		{"001-94", "usage", "<dt>Last used</dt>"},
		{"001-100, 002-115, 003-50", "list", "give each integration its own"},
		{"001-102b", "create", "Allowed addresses"},
		{"002-19, 002-96", "create", `value="user-limited" required`},
		{"002-19, 002-96", "create", `value="user-full" required`},
		{"002-19, 002-96", "create", `value="org-limited" required`},
		{"002-19, 002-96", "create", `value="org-full" required`},
		{"002-30, 002-48c, 002-50", "create", "Private meetings are always excluded."},
		{"002-59, 002-64", "list", `Ada Lovelace <span class="hint">creator</span>`},
		{"002-67", "create", "If you are unsure, start with Organisation – limited access."},
		{"002-81, 002-84, 002-126, 002-128a", "key", "Scopes, access and owner are permanent."},
		{"002-81", "create", "It can't be changed later."},
		{"002-84, 002-128a", "create", "It can't be reassigned later"},
		{"002-87a", "list", "<strong>3 of 10</strong> keys used"},
		{"002-101", "create", `<label for="owner">Issued to</label>`},
		{"002-107", "list", "Ben Okafor"},
		{"002-109, 002-136a", "list", "Copy key"},
		{"002-110a", "list", path + "/rename"},
		{"002-110b", "list", "Nothing else changes: integrations go on working."},
		{"002-111", "list", `class="item danger"`},
		{"002-112, 002-120", "regenerate", "The name, scopes and access stay, and no other key is affected."},
		{"002-130a, 002-130b", "create", "answers 401 while that user is deactivated"},
		{"002-136b", "key", path + "/revoke"},
	} {
		t.Run(s.id, func(t *testing.T) {
			if !strings.Contains(pages[s.page], s.says) {
				t.Errorf("the page %q doesn't say %q", s.page, s.says)
			}
		})
	}
	t.Run("001-22b, 003-23", func(t *testing.T) {
		off := newWorld(t)
		key := off.create("ada", creation("CRM"))
		off.post("ada", "/keys/"+key.Key.ID+"/reveal", nil).want(t, 409).wantNone(t, key.Secret.Reveal())
	})
	t.Run("001-82, 001-100", func(t *testing.T) {
		next := made(w.keys.Rotate(t.Context(), people["ada"], k.ID, time.Hour))(t)
		w.post("ada", path+"/revoke", url.Values{"confirm": {k.Last4}}).want(t, 303)
		if got := w.gotten(next.Key.ID); got.Status != "active" {
			t.Errorf("the successor is %s", got.Status)
		}
	})
	t.Run("002-90b", func(t *testing.T) { w.get("ben", "/").want(t, 403) })
	t.Run("003-107, 003-109", func(t *testing.T) { w.post("lena", "/keys", createForm("x")).want(t, 402) })
	t.Run("002-134a, 002-87b", func(t *testing.T) {
		full := newWorld(t, func(s *setting) { s.manage.MaxKeys = 1 })
		only := full.create("ada", creation("only")).Key
		full.post("ada", "/keys", createForm("next")).want(t, 409, "Review the list")
		full.post("ada", "/keys/"+only.ID+"/revoke", url.Values{"confirm": {only.Last4}}).want(t, 303)
		full.post("ada", "/keys", createForm("next")).want(t, 200)
	})
	if len(made(w.keys.List(t.Context(), people["ada"], manage.Filter{}))(t).Keys) == 0 {
		t.Error("nothing is left")
	}
}
