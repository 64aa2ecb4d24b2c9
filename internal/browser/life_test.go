package browser_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// allowClipboard lets the server's pages use the clipboard without asking.
func (b *tab) allowClipboard() {
	b.Helper()
	for _, name := range []string{"clipboard-read", "clipboard-write"} {
		_, err := chromedp.CallBrowser(b.ctx, browser.SetPermission, browser.SetPermissionParams{
			Permission: &browser.PermissionDescriptor{Name: name}, Setting: browser.PermissionSettingGranted,
			Origin: b.BaseURL, BrowserContextID: chromedp.FromContext(b.ctx).BrowserContextID,
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// copied clicks a Copy button and returns what is in the clipboard then.
func (b *tab) copied(id string) string {
	b.Helper()
	b.run(chromedp.Click(css("button[data-copy=%s]", id)))
	b.until(`the button says that it copied`, fmt.Sprintf(`document.querySelector("button[data-copy=%s]").innerText === "Copied"`, id))
	return evaluate[string](b, `navigator.clipboard.readText()`)
}

// until waits for an expression to be true.
func (b *tab) until(what, expression string) {
	b.Helper()
	patience := time.After(20 * time.Second)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !evaluate[bool](b, expression) {
		select {
		case <-tick.C:
		case <-patience:
			b.Fatalf("%s: not within 20 s\n%s", what, b.text())
		}
	}
}

// create makes a key through the form and returns the secret that it shows.
func (b *tab) create(name string, scopes ...string) string {
	b.Helper()
	b.open(developer + "/keys/new")
	b.fill("name", name)
	b.choose("access", "org-limited")
	for _, scope := range scopes {
		b.choose("scope", scope)
	}
	if status := b.submit(); status != http.StatusOK {
		b.Fatalf("creating %q: %d\n%s", name, status, b.text())
	}
	return b.value("secret")
}

// submit clicks the form's button.
func (b *tab) submit() int {
	b.Helper()
	return b.follow(chromedp.Click(chromedp.CSS("form[data-form] .submit button")))
}

// counted waits until the usage page of a key tells a number of requests.
func (b *tab) counted(path string, requests int) {
	b.Helper()
	want := fmt.Sprint(requests)
	patience := time.After(20 * time.Second)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		b.open(path + "/usage?range=1h")
		if evaluate[string](b, `document.querySelector(".figures dd").innerText`) == want {
			return
		}
		select {
		case <-tick.C:
		case <-patience:
			b.Fatalf("want %s requests\n%s", want, b.text())
		}
	}
}

// keyPage opens the page of the key that was just shown, and returns its path.
func (b *tab) keyPage() string {
	b.Helper()
	b.click(link("View the key"))
	return evaluate[string](b, `location.pathname`)
}

// TestLifeOfAKey is a key's life with the mouse: created, copied, used, seen to be
// used, rotated, both in use, revoked, refused.
func TestLifeOfAKey(t *testing.T) {
	t.Parallel()
	b := newTab(t, serve(t, "console-demo"))
	b.allowClipboard()
	b.signIn("user_ada")
	b.says("7 of 10 keys used")
	b.click(link("Create API key"))
	if checked := evaluate[string](b, `[...document.querySelectorAll("input:checked")].map((i) => i.value).join()`); checked != "mvo_|test,90d" {
		t.Errorf("chosen beforehand: %s, want the test environment and 90 days", checked)
	}
	b.fill("name", "CRM Sync")
	b.choose("access", "org-limited")
	b.choose("scope", "meetings:read")
	b.submit()
	b.says("CRM Sync", "Put it to use")
	first := b.copied("secret")
	if first != b.value("secret") || !strings.HasPrefix(first, "mvo_test_") {
		t.Fatalf("the clipboard has %d characters", len(first))
	}
	for _, id := range []string{"env", "curl"} {
		if line := b.copied(id); strings.Contains(line, first) || !strings.Contains(line, "MAVIO_API_KEY") {
			t.Errorf("the line is %q", line)
		}
	}
	b.want("the copied key", first, http.StatusOK)
	if status, _ := b.call(first, "/v1/meetings"); status != http.StatusOK {
		t.Errorf("its scope: %d", status)
	}
	path := b.keyPage()
	b.counted(path, 2)
	b.says("GET /v1/meetings", "GET /v1/whoami", "127.0.0.1", "0%", "just now")

	// Rotate: both work, and the page tells which one is in use.
	b.open(path)
	b.click(link("Rotate"))
	b.says("1 day", "Recommended", "was last used just now")
	b.submit()
	second := b.copied("secret")
	b.says("The old key", "goes on working")
	b.want("the old key in the overlap", first, http.StatusOK)
	b.want("its successor", second, http.StatusOK)
	successor := b.keyPage()
	b.counted(successor, 1)
	b.click(link("With those it was rotated from and to"))
	b.until("both are counted together", `document.querySelector(".figures dd").innerText === "4"`)

	// Revoke the old one: typed confirmation first.
	b.open(path)
	b.click(link("Revoke"))
	b.run(chromedp.Click(chromedp.CSS(".submit button")))
	if !strings.HasSuffix(evaluate[string](b, `location.pathname`), "/revoke") {
		t.Error("it was revoked without a confirmation")
	}
	b.want("not yet revoked", first, http.StatusOK)
	b.fill("confirm", first[len(first)-4:])
	b.fill("reason", "rotated")
	b.submit()
	b.says("The key is revoked. It stopped working at once.", "8 of 10 keys used")
	b.want("revoked", first, http.StatusUnauthorized)
	b.want("the successor doesn't notice", second, http.StatusOK)
	b.open(path)
	b.says("Revoked", "rotated")
	b.open(developer + "/audit")
	b.says("Created", "Rotated", "Revoked", "CRM Sync ••••")
}

func TestKeyLimit(t *testing.T) {
	t.Parallel()
	b := newTab(t, serve(t, "console-demo"))
	b.signIn("user_dora")
	b.says("10 of 10 keys used", "All 10 keys are in use.")
	b.click(link("Create API key"))
	b.says("All 10 keys are in use.")
	b.fill("name", "One more")
	b.choose("access", "org-limited")
	b.choose("scope", "meetings:read")
	if status := b.submit(); status != http.StatusConflict {
		t.Errorf("the eleventh: %d", status)
	}
	b.says("All keys are in use", "frees a slot at once")
	if b.value("name") != "One more" {
		t.Error("what was typed is lost")
	}
	b.open(developer + "/")
	b.run(chromedp.Click(chromedp.CSS("tbody tr .menu summary")))
	b.follow(chromedp.Click(chromedp.CSS("tbody tr .popup .danger")))
	b.fill("confirm", evaluate[string](b, `document.querySelector("label[for=confirm] code").innerText`))
	b.submit()
	b.says("9 of 10 keys used")
	b.create("One more", "meetings:read")
	b.open(developer + "/")
	b.says("10 of 10 keys used", "One more")
}

func TestLapsedSubscription(t *testing.T) {
	t.Parallel()
	b := newTab(t, serve(t, "console-demo"))
	b.signIn("user_eli")
	b.says("Warehouse export")
	b.click(link("Create API key"))
	b.fill("name", "New")
	b.choose("access", "org-limited")
	b.choose("scope", "meetings:read")
	if status := b.submit(); status != http.StatusPaymentRequired {
		t.Errorf("creating: %d", status)
	}
	b.says("Your subscription has ended", "You can still revoke and regenerate keys.")
	b.open(developer + "/")
	b.click(link("Warehouse export"))
	path := evaluate[string](b, `location.pathname`)
	b.click(link("Rotate"))
	if status := b.submit(); status != http.StatusPaymentRequired {
		t.Errorf("rotating: %d", status)
	}
	b.open(path)
	b.click(link("Regenerate"))
	if status := b.submit(); status != http.StatusOK {
		t.Errorf("regenerating: %d", status)
	}
	b.want("a good key of theirs", b.value("secret"), http.StatusPaymentRequired)
}

func TestMembersSeeNothing(t *testing.T) {
	t.Parallel()
	b := newTab(t, serve(t, "console-demo"))
	b.signIn("user_ben")
	b.says("You can't manage this", "Your organisation's administrators: Ada Lovelace.")
	for _, path := range []string{"/", "/keys/new", "/audit", "/apps", "/revoke", "/keys/imported_reporting", "/keys/imported_reporting/usage"} {
		if status := b.follow(chromedp.Navigate(b.BaseURL + developer + path)); status != http.StatusForbidden {
			t.Errorf("%s: %d", path, status)
		}
		if text := b.text(); strings.Contains(text, "Salesforce") || strings.Contains(text, "Reporting (2024)") {
			t.Errorf("%s tells of keys:\n%s", path, text)
		}
	}
	b.click(link("See your apps"))
	b.says("CRM connector", "Notes for telephones")
	b.click(link("Disconnect CRM connector"))
	b.submit()
	b.says("The app is disconnected.", "Notes for telephones")
}

// hostile is what somebody would call a key who wants a page to do something.
const hostile = `"><script>window.pwned=1</script><img src=x onerror=window.pwned=2>'{{7*7}}`

// TestHostileTexts: names, metadata, reasons and addresses are shown as texts,
// wherever they are shown. What the browser forbids fails the test by itself.
func TestHostileTexts(t *testing.T) {
	t.Parallel()
	b := newTab(t, serve(t, "console-demo"))
	b.signIn("user_ada")
	rtl := "مفتاح " + hostile
	b.create(rtl, "meetings:read")
	b.says(rtl)
	path := b.keyPage()
	b.click(link("Edit"))
	b.fill("metadata", "team="+hostile)
	b.submit()
	b.says(hostile, "team")
	paths := []string{path, path + "/edit", path + "/rotate", path + "/regenerate", path + "/revoke", path + "/usage", developer + "/", developer + "/audit"}
	for _, p := range paths {
		b.open(p)
		if p != developer+"/audit" && !strings.Contains(b.text(), hostile) {
			t.Errorf("%s doesn't show the text:\n%s", p, b.text())
		}
		if found := evaluate[string](b, `String(window.pwned) + document.querySelectorAll("img:not(.brand img), body script").length`); found != "undefined0" {
			t.Errorf("%s: %s", p, found)
		}
	}
	b.open(path)
	b.click(link("Revoke"))
	b.fill("confirm", evaluate[string](b, `document.querySelector("label[for=confirm] code").innerText`))
	b.fill("reason", hostile)
	b.submit()
	b.open(path)
	b.says(hostile)
	b.open(developer + "/apps/new")
	b.fill("name", rtl)
	b.fill("redirect_uris", `https://a.example/"><script>window.pwned=1</script>`)
	b.choose("scope", "meetings:read")
	b.submit()
	b.open(developer + "/apps")
	b.says(rtl)
	if found := evaluate[bool](b, `window.pwned === undefined`); !found {
		t.Error("a script ran")
	}
}

// TestWithoutJavaScript does everything with scripts switched off.
func TestWithoutJavaScript(t *testing.T) {
	t.Parallel()
	b := newTab(t, serve(t, "console-demo"))
	send(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	b.signIn("user_ada")
	b.open(developer + "/keys/new")
	if evaluate[bool](b, `document.querySelector("[data-owner]").hidden || document.querySelector("[data-date]").hidden`) {
		t.Fatal("a script ran, or a field can't be reached without one")
	}
	// A preset comes from the server, and keeps what was typed.
	b.fill("name", "Without")
	b.choose("access", "user-full")
	b.run(chromedp.SendKeys(chromedp.ID("owner"), "Ada"))
	b.follow(chromedp.Click(chromedp.CSS("button[value=read]")))
	if n := evaluate[int](b, `document.querySelectorAll("input[name=scope]:checked").length`); n != 6 || b.value("name") != "Without" {
		t.Errorf("the preset chose %d scopes, the name is %q", n, b.value("name"))
	}
	b.submit()
	secret := b.value("secret")
	b.want("created", secret, http.StatusOK)
	if evaluate[bool](b, `[...document.querySelectorAll("[data-copy]")].some((e) => e.offsetParent)`) {
		t.Error("a button is shown that does nothing")
	}
	path := b.keyPage()

	b.run(chromedp.Click(chromedp.CSS(".rename summary"))) // details open by themselves
	b.run(chromedp.Evaluate[chromedp.Void](`document.querySelector(".rename + form input[name=name]").select()`),
		chromedp.SendKeys(chromedp.CSS(".rename + form input[name=name]"), "Renamed"))
	b.follow(chromedp.Click(chromedp.CSS(".rename + form button")))
	b.says("The key has a new name.", "Renamed")

	b.click(link("Edit"))
	b.fill("allow", "127.0.0.1")
	b.submit()
	b.says("The changes are saved.", "127.0.0.1")

	b.follow(chromedp.Click(chromedp.CSS("form[action$=reveal] button")))
	if b.value("secret") != secret {
		t.Error("another secret is revealed")
	}
	b.open(path)
	b.click(link("Rotate"))
	b.submit()
	second := b.value("secret")
	b.want("rotated, the old one", secret, http.StatusOK)
	b.want("rotated, the new one", second, http.StatusOK)
	next := b.keyPage()
	b.click(link("Regenerate"))
	b.submit()
	third := b.value("secret")
	b.want("regenerated, before", second, http.StatusUnauthorized)
	b.want("regenerated, now", third, http.StatusOK)
	b.counted(next, 2) // the refused one is nobody's

	b.open(path + "/revoke")
	b.fill("confirm", "nope")
	if status := b.submit(); status != http.StatusBadRequest {
		t.Errorf("a wrong confirmation: %d", status)
	}
	b.fill("confirm", secret[len(secret)-4:])
	b.submit()
	b.want("revoked", secret, http.StatusUnauthorized)

	b.open(developer + "/revoke")
	b.choose("which", "all")
	b.fill("confirm", "revoke")
	b.submit()
	b.says("The selected keys are revoked.")
	b.want("all are revoked", third, http.StatusUnauthorized)
}
