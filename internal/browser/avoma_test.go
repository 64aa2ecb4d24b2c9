package browser_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// menu opens the menu of the key of that name and clicks an item.
func (b *tab) menu(name, item string) int {
	b.Helper()
	row := fmt.Sprintf(`//tr[.//td[contains(@class, "first")]//a[normalize-space(.)=%s]]`, quoted(name))
	b.run(chromedp.Click(row + `//details[contains(@class, "menu")]/summary`))
	return b.follow(chromedp.Click(row + fmt.Sprintf(`//*[contains(@class, "item")][normalize-space(.)=%s]`, quoted(item))))
}

// TestAvoma is what Avoma's page says of managing keys: they are pairs, without
// scopes, that administrators copy from the list.
func TestAvoma(t *testing.T) {
	t.Parallel()
	s := serve(t, "avoma")
	b := newTab(t, s)
	b.allowClipboard()
	b.signIn("admin")
	b.says("6 of 10 keys used", "Owner deactivated", "Legacy")

	// 002-109: copied from the list, after a fresh sign-in.
	b.menu("Demo user_full", "Copy key")
	if got := b.copied("secret"); got != s.Keys["user_full"].Key {
		t.Errorf("another key is copied, of %d characters", len(got))
	}
	b.open(developer + "/")
	if n := evaluate[int](b, `[...document.querySelectorAll("tr")].filter((r) => r.innerText.includes("Legacy") && r.innerText.includes("Copy key")).length`); n != 0 {
		t.Error("a legacy key can be copied: nobody kept it")
	}

	// 002-96, 002-101: the level, and whom the key is issued to.
	b.click(link("Create API key"))
	if evaluate[bool](b, `document.querySelector("[data-scopes]") !== null || !document.querySelector("[data-owner]").hidden`) {
		t.Error("scopes are offered, or an owner before a user level is chosen")
	}
	b.fill("name", "Zapier – CS Team")
	b.choose("access", "user-limited")
	if people := evaluate[string](b, `[...document.querySelectorAll("#owner option")].map((o) => o.innerText).join()`); strings.Contains(people, "Dee") {
		t.Errorf("a deactivated user is offered: %s", people)
	}
	b.run(chromedp.SendKeys(chromedp.ID("owner"), "Bo"))
	b.submit()
	secret := b.copied("secret")
	if strings.Count(secret, ":") != 1 {
		t.Errorf("the key is no CLIENT_KEY:CLIENT_SECRET, but of %d characters", len(secret))
	}
	b.want("created", secret, http.StatusOK)
	path := b.keyPage()

	// 002-110: renamed in place.
	b.open(developer + "/")
	row := fmt.Sprintf(`//tr[.//a[normalize-space(.)=%s]]`, quoted("Zapier – CS Team"))
	b.run(chromedp.Click(row + `//details[contains(@class, "rename")]/summary`))
	b.until("the old name is selected", `document.activeElement.name === "name" && document.activeElement.selectionEnd > 10`)
	b.run(chromedp.KeyEvent("Zapier"))
	b.follow(chromedp.Click(row + `//form[contains(@class, "renaming")]//button`))
	b.says("The key has a new name. Nothing else changed.")
	b.want("renamed", secret, http.StatusOK)

	// 002-112, 002-120: regenerated.
	b.menu("Zapier", "Regenerate")
	b.says("The old secret stops working at once.")
	b.submit()
	fresh := b.copied("secret")
	b.want("the old secret", secret, http.StatusUnauthorized)
	b.want("the new secret", fresh, http.StatusOK)
	b.want("another key", s.Keys["org_full"].Key, http.StatusOK)
	b.counted(path, 3)

	// After an hour the sign-in is no longer fresh.
	s.control("/demo/clock", `{"advance": "1h"}`)
	b.open(developer + "/")
	if status := b.menu("Zapier", "Copy key"); status != http.StatusForbidden {
		t.Errorf("copying an hour later: %d", status)
	}
	b.says("Sign in again to copy a key")
	b.click(link("Sign in"))
	b.follow(chromedp.Click(chromedp.CSS(`button[value="admin"]`)))
	b.open(developer + "/")
	b.menu("Zapier", "Copy key")
	if b.value("secret") != fresh {
		t.Error("another secret is copied than the one that works")
	}

	// After an incident: many at once.
	b.open(developer + "/")
	b.click(link("revoke many keys at once"))
	b.choose("which", "owner")
	b.run(chromedp.SendKeys(chromedp.ID("member"), "Bo"))
	b.fill("confirm", "revoke")
	b.submit()
	b.says("The selected keys are revoked.", "4 of 10 keys used")
	b.want("issued to Bo", fresh, http.StatusUnauthorized)
	b.want("issued to Bo, too", s.Keys["user_full"].Key, http.StatusUnauthorized)
	b.want("of the organisation", s.Keys["org_limited"].Key, http.StatusOK)

	// 002-71a: legacy keys are viewed and revoked.
	b.click(link("Demo legacy"))
	b.says("This is a legacy key.", "all of your organisation's meetings")
	if evaluate[bool](b, `[...document.querySelectorAll(".actions .button")].some((a) => ["Edit", "Rotate", "Regenerate", "Copy key"].includes(a.innerText))`) {
		t.Error("a legacy key can be changed")
	}
	b.click(link("Revoke"))
	b.fill("confirm", evaluate[string](b, `document.querySelector("label[for=confirm] code").innerText`))
	b.submit()
	b.want("legacy", s.Keys["legacy"].Key, http.StatusUnauthorized)

	b.open(developer + "/audit")
	b.says("Copied the secret of", "Renamed", "Regenerated", "Revoked", "Imported", "Zapier ••••", "127.0.0.1")

	// 002-90: a member has no access to the page.
	member := newTab(t, s)
	member.open("/sign-in?next=" + developer)
	if status := member.follow(chromedp.Click(chromedp.CSS(`button[value="member"]`))); status != http.StatusForbidden {
		t.Errorf("a member: %d", status)
	}
	member.says("You can't manage this")
}
