package browser_test

import (
	"net/http"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// TestAppsWithoutJavaScript is an app's life, and what else there is to decide about
// apps, with scripts switched off.
func TestAppsWithoutJavaScript(t *testing.T) {
	t.Parallel()
	b := newTab(t, serve(t, "console-demo"))
	send(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	b.signIn("user_ada")

	// A refused form keeps what was typed.
	b.open(developer + "/apps/new")
	b.fill("name", "Sheets")
	b.fill("redirect_uris", "http://sheets.example/back")
	b.follow(chromedp.Click(chromedp.CSS("button[value=read]")))
	if status := b.submit(); status != http.StatusBadRequest {
		t.Errorf("a redirect URI without TLS: %d", status)
	}
	if b.value("name") != "Sheets" || evaluate[int](b, `document.querySelectorAll("input[name=scope]:checked").length`) != 6 {
		t.Error("what was typed is gone")
	}
	b.fill("redirect_uris", "https://sheets.example/back")
	b.submit()
	b.says("Copy the secret now.")
	first := b.value("secret")
	b.click(link("View the app"))
	path := evaluate[string](b, `location.pathname`)

	b.click(link("Edit"))
	b.fill("name", "Sheets and slides")
	b.run(chromedp.Click(chromedp.CSS("details.more summary")))
	b.choose("client_credentials", "yes")
	b.submit()
	b.says("The changes are saved.", "Sheets and slides", "Yes, for its own organisation")

	b.click(link("New secret"))
	b.submit()
	b.says("Copy the secret now.")
	if second := b.value("secret"); len(second) < 20 || second == first {
		t.Error("there is no new secret")
	}
	b.open(path)
	if n := evaluate[int](b, `document.querySelectorAll("section[aria-labelledby=secrets] li").length`); n != 2 {
		t.Errorf("%d client secrets work, want the old one and the new one", n)
	}

	b.click(link("Revoke"))
	b.fill("confirm", "no")
	if status := b.submit(); status != http.StatusBadRequest {
		t.Errorf("a wrong confirmation: %d", status)
	}
	b.fill("confirm", "revoke")
	b.submit()
	b.open(path)
	b.says("Revoked", "None works.")

	// Kept out for the whole organisation, and let in again.
	b.open(developer + "/apps")
	b.click(link("Block Assistant"))
	b.fill("reason", "it asks for too much")
	b.submit()
	b.says("The app is blocked", "Assistant blocked by Ada Lovelace", "it asks for too much")
	b.open(developer + "/connections")
	if evaluate[bool](b, `document.body.innerText.includes("Assistant")`) {
		t.Error("what is blocked may still act")
	}
	b.open(developer + "/apps")
	b.click(byText("button", "Unblock Assistant"))
	b.says("no longer blocked")

	b.open(developer + "/connections")
	b.click(link("Disconnect CRM connector"))
	b.submit()
	b.says("The app is disconnected.", "You have let no app in.")
}
