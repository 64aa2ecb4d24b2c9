package conformance_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Avoma's page: four access levels, legacy keys, and who manages them.
var avoma = product{
	name: "avoma", page: "002", base: "/v1", console: "/settings/developer", variable: "AVOMA_API_KEY",
	key: "org_full", admin: "admin", list: "/meetings", code: codeInHeader,
	creation: map[string]any{"access": "org-limited"}, form: url.Values{"access": {"org-limited"}},
	cases: append(avomaAccess, avomaManagement...),
}

type meeting struct {
	ID           string
	Organisation string  `json:"organisation_id"`
	Owner        *string `json:"owner_id"`
	Participants []string
	Private      bool
	Title        string
}

// everything is all of Acme's meetings: what its org-full key shows while the
// organisation's settings open private ones to the API.
func everything(p *probe) []meeting {
	p.Helper()
	return list[meeting](p, p.secret("org_full"), "/meetings")
}

func concerns(user string) func(m meeting) bool {
	return func(m meeting) bool {
		return m.Owner != nil && *m.Owner == user || slices.Contains(m.Participants, user)
	}
}

func open(m meeting) bool { return !m.Private }

// sees checks that a key reaches the meetings that it should, and no others: by
// the list, its count and each part of some meetings.
func sees(p *probe, text string, truth []meeting, should func(m meeting) bool) {
	p.Helper()
	var want, got []string
	shown, hidden := 0, 0
	for _, m := range truth {
		visible := should(m)
		if visible {
			want = append(want, m.ID)
		}
		if n := &hidden; visible || *n < 3 {
			if visible {
				n = &shown
			}
			if *n++; *n > 3 {
				continue
			}
			for _, part := range []string{"", "/transcription", "/notes", "/recording"} {
				a := p.call(http.MethodGet, text, "/meetings/"+m.ID+part, nil)
				switch {
				case !visible:
					a.refused(http.StatusNotFound, "meeting_not_found")
				case part == "/recording": // not every meeting has one
					a.want(http.StatusOK, http.StatusNotFound)
				default:
					a.want(http.StatusOK)
				}
			}
		}
	}
	for _, m := range list[meeting](p, text, "/meetings") {
		got = append(got, m.ID)
	}
	if !slices.Equal(got, want) {
		p.Errorf("it lists %d meetings, want %d", len(got), len(want))
	}
	if shown == 0 || hidden == 0 && len(want) < len(truth) {
		p.Error("the demo's meetings show nothing")
	}
	if total := p.call(http.MethodGet, text, "/meetings", nil).number("X-Total-Count"); int(total) != len(want) {
		p.Errorf("it counts %d meetings, want %d", total, len(want))
	}
}

var avomaAccess = []check{
	{"002-3,002-6,002-27,002-29,002-30,002-48a,002-48b,002-48c", func(p *probe) { // user-limited
		bo := p.Users["member"].ID
		p.whoami(p.secret("user_limited")).has("access", "user-limited").has("subject", bo)
		sees(p, p.secret("user_limited"), everything(p), func(m meeting) bool { return open(m) && concerns(bo)(m) })
	}},
	{"002-32,002-34,002-53,002-55", func(p *probe) { // user-full
		bo := p.Users["member"].ID
		p.whoami(p.secret("user_full")).has("access", "user-full").has("subject", bo)
		sees(p, p.secret("user_full"), everything(p), func(m meeting) bool { return open(m) || concerns(bo)(m) })
	}},
	{"002-37,002-39,002-58a,002-60", func(p *probe) { // org-limited
		p.whoami(p.secret("org_limited")).has("access", "org-limited").has("subject", "")
		sees(p, p.secret("org_limited"), everything(p), open)
	}},
	{"002-42,002-44,002-63,002-65", func(p *probe) { // org-full: what the settings allow
		all := everything(p)
		p.whoami(p.secret("org_full")).has("access", "org-full")
		if !slices.ContainsFunc(all, func(m meeting) bool { return m.Private }) {
			p.Error("no private meeting is shown")
		}
		for _, m := range all {
			if m.Organisation != p.Organisations["main"].ID {
				p.Errorf("%s is another organisation's", m.ID)
			}
		}
		p.organisation("main", `{"private_via_api": false}`, `{"private_via_api": true}`)
		sees(p, p.secret("org_full"), all, open)
		other := list[meeting](p, p.secret("other_org_full"), "/meetings")
		if !slices.ContainsFunc(other, func(m meeting) bool { return m.Private }) {
			p.Error("another organisation's setting hides private meetings too")
		}
	}},
	{"002-7,002-50", func(p *probe) { // private recordings
		recorded := 0
		for _, m := range everything(p) {
			if path := "/meetings/" + m.ID + "/recording"; m.Private && recorded < 5 && p.get("org_full", path).status == http.StatusOK {
				recorded++
				p.get("user_limited", path).refused(http.StatusNotFound, "meeting_not_found")
				p.get("org_limited", path).refused(http.StatusNotFound, "meeting_not_found")
			}
		}
		if recorded == 0 {
			p.Error("no private meeting has a recording")
		}
	}},
	{"002-9b,002-69,002-70,002-72,002-132", func(p *probe) { // legacy keys go on
		all := everything(p)
		p.whoami(p.secret("legacy")).want(http.StatusOK).has("access", "legacy")
		p.organisation("main", `{"private_via_api": false}`, `{"private_via_api": true}`) // which legacy keys ignore
		sees(p, p.secret("legacy"), all, func(meeting) bool { return true })
	}},
	{"002-70,002-132", func(p *probe) {
		p = p.alone()
		p.clock("43800h") // five years
		p.with(p.secret("legacy")).want(http.StatusOK)
	}},
	{"002-72b", func(p *probe) {
		document := read[struct {
			Paths map[string]map[string]struct {
				Access []string `json:"x-access"`
			}
		}](p.send(plain(), http.MethodGet, "/openapi.json", ""))
		for path, methods := range document.Paths {
			for method, operation := range methods {
				if !strings.HasSuffix(path, "/whoami") && len(operation.Access) != 5 {
					p.Errorf("%s %s requires %q", method, path, operation.Access)
				}
			}
		}
		p.admin().api(http.MethodGet, "/options", nil).has("scopes", "[]")
		p.whoami(p.secret("org_full")).has("scopes", "null")
	}},
	{"002-130a,002-130b", func(p *probe) { // an owner who is deactivated
		p.with(p.secret("deactivated_owner")).refused(http.StatusUnauthorized, "inactive_owner")
		k := p.admin().key(p.Keys["deactivated_owner"].ID)
		if !k.OwnerInactive || k.Status != "active" {
			p.Errorf("the key is told as %+v", k)
		}
		returns := p.leaves("member")
		for _, name := range []string{"user_full", "user_limited"} {
			p.with(p.secret(name)).refused(http.StatusUnauthorized, "inactive_owner")
			p.get(name, "/meetings/none").refused(http.StatusUnauthorized, "inactive_owner")
		}
		if row := p.admin().page("").row(p.Keys["user_full"].ID); !strings.Contains(row, "Owner deactivated") {
			p.Errorf("the list says %q", row)
		}
		returns()
		p.with(p.secret("user_full")).want(http.StatusOK)
	}},
	{"002-58b", func(p *probe) { // the creator of an organisation's key leaves
		p.leaves("admin")
		for _, name := range []string{"org_limited", "org_full", "legacy", "user_full"} {
			p.with(p.secret(name)).want(http.StatusOK)
		}
	}},
	{"002-117", func(p *probe) { // a spike is accommodated for a time
		p = p.alone()
		usual, more := p.whoami(p.secret("org_full")).number("X-RateLimit-Limit"), p.whoami(p.secret("other_org_full")).number("X-RateLimit-Limit")
		if more <= usual {
			p.Errorf("the limit is %d, and %d elsewhere", more, usual)
		}
		p.clock("49h")
		if after := p.whoami(p.secret("other_org_full")).number("X-RateLimit-Limit"); after != usual {
			p.Errorf("after its end the limit is %d, want %d", after, usual)
		}
	}},
}

var avomaManagement = []check{
	{"002-93,002-94,002-107", func(p *probe) {
		front := p.visit("").page("/")
		front.one("a", "href", "/settings/developer")
		g := p.admin().page("").want(http.StatusOK).says("API keys", "Create API key")
		for name, texts := range map[string][]string{
			"user_limited": {"User – limited", "Bo Lindqvist"},
			"org_full":     {"Organisation – full", "Ada Quist creator"}, // 002-59
			"legacy":       {"Legacy"},
		} {
			row := g.row(p.Keys[name].ID)
			for _, text := range texts {
				if !strings.Contains(row, text) {
					p.Errorf("the row of %s doesn't say %q: %s", name, text, row)
				}
			}
		}
		if len(g.find("time")) < 6 {
			p.Error("creation dates are missing")
		}
		for id, k := range p.admin().keys("") {
			if k.Access == "" || k.Creator == "" || k.Created == "" {
				p.Errorf("%s is told as %+v", id, k)
			}
		}
	}},
	{"002-59,002-64", func(p *probe) {
		for _, name := range []string{"org_limited", "org_full"} {
			k := p.admin().key(p.Keys[name].ID)
			if k.Creator != p.Users["admin"].ID || k.Owner != "" {
				p.Errorf("%s: creator %q, owner %q", name, k.Creator, k.Owner)
			}
			p.whoami(p.secret(name)).has("subject", "") // it carries no rights
		}
		if row := p.admin().page("").row(p.Keys["org_full"].ID); !strings.Contains(row, "Ada Quist creator") {
			p.Errorf("the list's owner: %s", row)
		}
	}},
	{"002-8,002-19,002-67,002-96", func(p *probe) { // one of four, none for granted
		all, chosen := p.admin().page("keys/new").choices("access")
		slices.Sort(all)
		if !slices.Equal(all, []string{"org-full", "org-limited", "user-full", "user-limited"}) || len(chosen) > 0 {
			p.Errorf("to choose from are %q, chosen %q", all, chosen)
		}
		p.admin().page("keys/new").says("Pick the level that grants the least that the integration needs", "If you are unsure, start with Organisation – limited access")
		admin := p.admin()
		for _, access := range []string{"org-full", "org-limited"} {
			k := admin.create(map[string]any{"access": access})
			p.whoami(k.secret).has("access", access)
		}
	}},
	{"002-4,002-49,002-54,002-95,002-101", func(p *probe) {
		admin := p.admin()
		for _, wrong := range []map[string]any{
			{"name": "no level"},
			{"name": "two levels", "access": []string{"user-full", "org-full"}},
			{"name": "not one of them", "access": "everything"},
			{"name": "by import alone", "access": "legacy"},
			{"name": " ", "access": "org-limited"},
			{"access": "org-limited"},
			{"name": "no owner", "access": "user-limited"},
			{"name": "no owner", "access": "user-full"},
			{"name": "not of here", "access": "user-full", "owner": p.Users["other_member"].ID},
			{"name": "not active", "access": "user-full", "owner": p.Users["deactivated"].ID},
			{"name": "nobody's", "access": "org-limited", "owner": p.Users["member"].ID},
		} {
			admin.api(http.MethodPost, "/keys", wrong).want(http.StatusBadRequest, http.StatusUnprocessableEntity)
		}
		admin.page("keys/new").says("Name", "Issued to", "Bo Lindqvist")
		k := admin.create(map[string]any{"name": "Zapier – CS Team", "access": "user-limited", "owner": p.Users["member"].ID})
		if k.Name != "Zapier – CS Team" || k.Owner != p.Users["member"].ID {
			p.Errorf("made is %+v", k)
		}
		p.whoami(k.secret).has("access", "user-limited").has("subject", p.Users["member"].ID)
	}},
	{"002-103", func(p *probe) {
		admin := p.admin()
		_, text := admin.byHand("By hand")
		pair := strings.Split(text, ":")
		if len(pair) != 2 || len(pair[0]) < 10 || len(pair[1]) < 32 {
			p.Errorf("the full key has %d parts; the first is %d long", len(pair), len(pair[0]))
		}
		p.with(text).want(http.StatusOK)
		p.with(pair[0]).refused(http.StatusUnauthorized, "invalid_api_key")
		p.with(pair[1]).refused(http.StatusUnauthorized, "invalid_api_key")
	}},
	{"002-90a,002-90b", func(p *probe) {
		member, id := p.visit("member"), p.Keys["user_full"].ID
		member.page("").want(http.StatusForbidden)
		member.page("keys/new").want(http.StatusForbidden)
		member.api(http.MethodGet, "/keys", nil).refusedBy(http.StatusForbidden, "forbidden")
		member.api(http.MethodPost, "/keys", map[string]any{"name": "Mine", "access": "user-limited", "owner": p.Users["member"].ID}).refusedBy(http.StatusForbidden, "forbidden")
		member.revoke(id).refusedBy(http.StatusForbidden, "forbidden")
		p.visit("other_admin").revoke(id).refusedBy(http.StatusNotFound, "key_not_found")
		p.visit("").api(http.MethodGet, "/keys", nil).refusedBy(http.StatusUnauthorized, "signed_out")
		p.visit("").page("").says("Sign in")
		p.with(p.secret("user_full")).want(http.StatusOK)
	}},
	{"002-9a,002-9c,002-71a,002-71b,002-73a,002-113", func(p *probe) { // legacy keys in the page
		admin, id := p.admin(), p.Keys["legacy"].ID
		if k := admin.key(id); !k.Legacy || k.Access != "legacy" || k.Owner != "" {
			p.Errorf("it is told as %+v", k)
		}
		admin.page("keys/"+id).says("This is a legacy key", "create a new key")
		for _, change := range []map[string]any{{"name": "New"}, {"allow": []string{"127.0.0.1"}}} {
			admin.change(id, change).refusedBy(http.StatusConflict, "legacy_key")
		}
		for _, change := range []map[string]any{{"access": "org-full"}, {"owner": p.Users["member"].ID}} {
			admin.change(id, change).want(http.StatusUnprocessableEntity, http.StatusConflict)
		}
		admin.rotate(id, 60).refusedBy(http.StatusConflict, "legacy_key")
		admin.regenerate(id).refusedBy(http.StatusConflict, "legacy_key")
		if k := admin.key(id); k.Name != "Demo legacy" || k.Access != "legacy" {
			p.Errorf("and now as %+v", k)
		}
	}},
	{"002-71a,002-73b", func(p *probe) { // create new, update, revoke legacy
		p = p.alone()
		admin := p.admin()
		if used := admin.api(http.MethodGet, "/keys", nil).at("slots.used"); used != "6" {
			p.Errorf("%s keys are counted, the legacy one should be among 6", used)
		}
		k := admin.create(nil)
		p.with(k.secret).want(http.StatusOK)
		p.with(p.secret("legacy")).want(http.StatusOK)
		admin.revoke(p.Keys["legacy"].ID).want(http.StatusOK)
		p.with(p.secret("legacy")).refused(http.StatusUnauthorized, "revoked_api_key")
		p.with(k.secret).want(http.StatusOK)
	}},
	{"002-81,002-84,002-126,002-128a,002-128b", func(p *probe) { // permanent
		admin := p.admin()
		k := admin.create(map[string]any{"access": "user-limited", "owner": p.Users["member"].ID})
		for _, change := range []map[string]any{{"access": "org-full"}, {"owner": p.Users["colleague"].ID}, {"environment": "test"}, {"scopes": []string{"all"}}} {
			admin.change(k.ID, change).want(http.StatusUnprocessableEntity)
		}
		if now := admin.key(k.ID); now.Access != "user-limited" || now.Owner != p.Users["member"].ID || now.Version != k.Version {
			p.Errorf("it is now %+v", now)
		}
		admin.page("keys/" + k.ID).says("Scopes, access and owner are permanent. For others, create a new key and revoke this one.")
		next := admin.create(map[string]any{"access": "user-limited", "owner": p.Users["colleague"].ID})
		p.whoami(next.secret).has("subject", p.Users["colleague"].ID)
	}},
	{"002-87a,002-87b,002-134a,002-134b", func(p *probe) { // ten keys
		p = p.alone()
		admin := p.admin()
		a := admin.api(http.MethodGet, "/keys", nil).has("slots.max", "10") // told, so that nobody need know it
		var last key
		for range 10 - len(read[struct{ Data []key }](a).Data) {
			last = admin.create(nil)
		}
		more := map[string]any{"name": "One more", "access": "org-limited"}
		admin.api(http.MethodPost, "/keys", more).refusedBy(http.StatusConflict, "key_limit_reached")
		admin.page("").says("10 of 10 keys used", "Revoke one that is no longer needed")
		admin.revoke(last.ID).want(http.StatusOK)
		admin.api(http.MethodPost, "/keys", more).want(http.StatusCreated)
		admin.api(http.MethodPost, "/keys", more).refusedBy(http.StatusConflict, "key_limit_reached")
		p.visit("other_admin").create(nil) // another organisation has ten of its own
	}},
	{"002-109,002-136a", func(p *probe) { // copy an existing key
		second, k := p.visit("second_admin"), p.Keys["user_limited"]
		second.api(http.MethodPost, "/keys/"+k.ID+"/reveal", nil).want(http.StatusOK).has("secret", k.Key)
		a := second.api(http.MethodPost, "/keys/"+k.ID+"/reveal", nil)
		if a.header.Get("Cache-Control") != "no-store" {
			p.Errorf("it may be stored: %q", a.header.Get("Cache-Control"))
		}
		form, _ := second.page("").form("/keys/" + k.ID + "/reveal")
		if shown := second.post(form, nil); !strings.Contains(string(shown.body), strings.SplitN(k.Key, ":", 2)[1]) {
			p.Errorf("Copy key shows something else: %d", shown.status)
		}
		second.api(http.MethodPost, "/keys/"+p.Keys["legacy"].ID+"/reveal", nil).refusedBy(http.StatusConflict, "secret_not_kept")
		p.visit("member").api(http.MethodPost, "/keys/"+k.ID+"/reveal", nil).refusedBy(http.StatusForbidden, "forbidden")
		if log := string(second.api(http.MethodGet, "/audit?limit=1000", nil).body); !strings.Contains(log, "key.reveal") {
			p.Error("the audit log doesn't tell it")
		}
		p = p.alone()
		admin := p.admin()
		p.clock("1h")
		admin.api(http.MethodPost, "/keys/"+p.Keys["user_limited"].ID+"/reveal", nil).refusedBy(http.StatusForbidden, "fresh_sign_in_required")
	}},
	{"002-110a,002-110b", func(p *probe) {
		admin := p.admin()
		k := admin.create(nil)
		other := admin.create(nil)
		p.with(k.secret).want(http.StatusOK)
		admin.change(k.ID, map[string]any{"name": "BI dashboard"}).want(http.StatusOK).has("name", "BI dashboard").has("last4", k.Last4)
		p.with(k.secret).want(http.StatusOK)
		admin.submit(admin.page(""), "/keys/"+k.ID+"/rename", url.Values{"name": {"BI dashboard, read-only"}}).want(http.StatusSeeOther)
		if now := admin.key(k.ID).Name; now != "BI dashboard, read-only" {
			p.Errorf("the pencil makes it %q", now)
		}
		p.with(k.secret).want(http.StatusOK)
		p.with(other.secret).want(http.StatusOK)
	}},
	{"002-111,002-124,002-136b", func(p *probe) { // delete, and create anew
		admin := p.admin()
		k := admin.create(nil)
		p.with(k.secret).want(http.StatusOK)
		admin.revoke(k.ID).want(http.StatusOK)
		p.with(k.secret).refused(http.StatusUnauthorized, "revoked_api_key")
		admin.regenerate(k.ID).refusedBy(http.StatusConflict, "revoked_api_key")
		again := admin.create(map[string]any{"name": k.Name})
		p.with(again.secret).want(http.StatusOK)
		p.with(k.secret).refused(http.StatusUnauthorized, "revoked_api_key")
	}},
	{"002-112,002-120,002-123", func(p *probe) { // regenerate
		admin := p.admin()
		k, other := admin.create(map[string]any{"name": "Compromised"}), admin.create(nil)
		p.with(k.secret).want(http.StatusOK)
		a := admin.regenerate(k.ID).want(http.StatusOK).has("key.id", k.ID).has("key.name", "Compromised")
		p.with(k.secret).refused(http.StatusUnauthorized, "invalid_api_key")
		p.with(a.at("secret")).want(http.StatusOK)
		p.with(other.secret).want(http.StatusOK)
	}},
	{"002-115,002-116", func(p *probe) {
		admin := p.admin()
		admin.page("").says("give each integration its own")
		admin.page("keys/new").says("What it is for, such as")
		a, b := admin.create(map[string]any{"name": "Zapier"}), admin.create(map[string]any{"name": "Looker"})
		admin.revoke(a.ID).want(http.StatusOK)
		p.with(b.secret).want(http.StatusOK)
	}},
	{"002-141", func(p *probe) {
		k := p.admin().create(nil)
		if half := strings.SplitN(k.secret, ":", 2)[1]; p.stores(p.T, half) || p.stores(p.T, strings.SplitN(p.secret("legacy"), ":", 2)[1]) {
			p.Error("the database has the text of a secret")
		}
		if !p.stores(p.T, k.ID) {
			p.Error("the key isn't found where its secret was looked for")
		}
	}},
}
