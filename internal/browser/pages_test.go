package browser_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

var screenshots = flag.String("screenshots", "", "write a picture of each page to this `folder`")

// scene is a page that there is to see in console-demo.
type scene struct {
	name, user, path string
	do               func(b *tab) // what to do there; nil: nothing
}

// scenes are all of them, and the states that are worth a look.
func scenes(b *tab) []scene {
	b.Helper()
	b.signIn("user_ada")
	id := func(name string) string {
		return evaluate[string](b, fmt.Sprintf(`[...document.querySelectorAll("td.first a")].find((a) => a.innerText === %q).pathname`, name))
	}
	busy, rotated, user := id("Salesforce sync"), id("BI dashboard, read-only"), id("Zapier – CS team")
	legacy, gone := id("Reporting (2024)"), id("Cleo’s assistant")
	b.open(developer + "/?status=revoked")
	leaked := id("Leaked in a repository")
	in := func(path string) string { return path[len(developer):] }
	submit := func(selector string) func(*tab) {
		return func(b *tab) { b.follow(chromedp.Click(chromedp.CSS(selector))) }
	}
	show := func(selector string) func(*tab) {
		return func(b *tab) { b.run(chromedp.Click(chromedp.CSS(selector))) }
	}
	return []scene{
		{"keys", "user_ada", "/", nil},
		{"keys-menu", "user_ada", "/", show("tbody tr:nth-child(3) .menu summary")},
		{"keys-rename", "user_ada", "/", show("tbody tr:nth-child(3) .rename summary")},
		{"keys-revoked", "user_ada", "/?status=revoked&done=revoked", nil},
		{"keys-full", "user_dora", "/", nil},
		{"keys-empty", "user_fay", "/", nil},
		{"keys-forbidden", "user_ben", "/", nil},
		{"keys-lapsed", "user_eli", "/", nil},
		{"signed-out", "", "/", nil},
		{"create", "user_ada", "/keys/new", nil},
		{"create-user-level", "user_ada", "/keys/new", func(b *tab) {
			b.choose("access", "user-full")
			b.choose("ends", "date")
		}},
		{"create-wrong", "user_ada", "/keys/new", func(b *tab) {
			b.fill("name", "CRM Sync")
			b.choose("access", "org-limited")
			b.choose("scope", "meetings:read")
			b.fill("allow", "not an address")
			submit(".submit .primary")(b)
		}},
		{"create-full", "user_dora", "/keys/new", nil},
		{"create-plan", "user_fay", "/keys/new", func(b *tab) {
			b.fill("name", "CRM Sync")
			b.choose("access", "org-limited")
			b.choose("scope", "meetings:read")
			b.fill("allow", "192.0.2.1")
			submit(".submit .primary")(b)
		}},
		{"create-lapsed", "user_eli", "/keys/new", func(b *tab) {
			b.fill("name", "CRM Sync")
			b.choose("access", "org-limited")
			b.choose("scope", "meetings:read")
			submit(".submit .primary")(b)
		}},
		{"created", "user_fay", "/keys/new", func(b *tab) {
			b.fill("name", "CRM Sync")
			b.choose("access", "org-limited")
			b.choose("scope", "meetings:read")
			submit(".submit .primary")(b)
		}},
		{"key", "user_ada", in(user), nil},
		{"key-legacy", "user_ada", in(legacy), nil},
		{"key-owner-gone", "user_ada", in(gone), nil},
		{"key-rotated", "user_ada", in(rotated), nil},
		{"key-revoked", "user_ada", in(leaked), nil},
		{"edit", "user_ada", in(user) + "/edit", nil},
		{"rotate", "user_ada", in(busy) + "/rotate", nil},
		{"regenerate", "user_ada", in(busy) + "/regenerate", nil},
		{"revoke", "user_ada", in(busy) + "/revoke", nil},
		{"revoke-many", "user_ada", "/revoke", nil},
		{"usage", "user_ada", in(busy) + "/usage", nil},
		{"usage-month-lineage", "user_ada", in(rotated) + "/usage?range=30d&of=lineage", nil},
		{"usage-empty", "user_ada", in(leaked) + "/usage", nil},
		{"audit", "user_ada", "/audit", nil},
		{"audit-details", "user_ada", "/audit", show("tbody tr:nth-child(4) summary")},
		{"apps", "user_ada", "/apps", nil},
		{"apps-empty", "user_eli", "/apps", nil},
		{"app", "user_ada", "/apps/app_crm", nil},
		{"app-other", "user_ada", "/apps/https:%2F%2Fassistant.example%2Fclient.json", nil},
		{"app-register", "user_ada", "/apps/new", show("details.more summary")},
		{"app-wrong", "user_ada", "/apps/new", func(b *tab) {
			b.fill("name", "Sheets")
			b.fill("redirect_uris", "http://sheets.example/back")
			b.choose("scope", "meetings:read")
			submit(".submit .primary")(b)
		}},
		{"app-registered", "user_eli", "/apps/new", func(b *tab) {
			b.fill("name", "Sheets")
			b.fill("redirect_uris", "https://sheets.example/back")
			b.choose("scope", "meetings:read")
			submit(".submit .primary")(b)
		}},
		{"app-secret", "user_ada", "/apps/app_crm/secret", nil},
		{"app-revoke", "user_ada", "/apps/app_crm/revoke", nil},
		{"app-block", "user_ada", "/apps/app_crm/block", nil},
		{"connections", "user_ada", "/connections", nil},
		{"connections-empty", "user_eli", "/connections", nil},
		{"disconnect", "user_ada", "/connections/app_crm/revoke", nil},
		{"not-found", "user_ada", "/nowhere", nil},
	}
}

// visit shows the page to the tab.
func (p scene) visit(b *tab) {
	b.Helper()
	if p.user == "" {
		send(b, network.ClearBrowserCookies, cdp.Empty{})
	} else {
		send(b, network.SetCookie, network.SetCookieParams{Name: "demo_user", Value: p.user, URL: b.BaseURL})
	}
	b.follow(chromedp.Navigate(b.BaseURL + developer + p.path))
	if p.do != nil {
		p.do(b)
	}
}

// TestScreenshots makes pictures of all pages: make screenshots.
func TestScreenshots(t *testing.T) {
	if *screenshots == "" {
		t.Skip("-screenshots names no folder")
	}
	if err := os.MkdirAll(*screenshots, 0o750); err != nil {
		t.Fatal(err)
	}
	for _, l := range []looks{{"light", 1280, 900, false}, {"dark", 1280, 900, true}, {"360", 360, 740, false}} {
		b := newTab(t, serve(t, "console-demo"))
		for _, p := range scenes(b) {
			b.as(l)
			p.visit(b)
			picture, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
			b.check(err)
			if err := os.WriteFile(filepath.Join(*screenshots, p.name+"-"+l.name+".png"), picture, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}
