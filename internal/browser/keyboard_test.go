package browser_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// press presses keys, one after the other.
func (b *tab) press(keys ...string) {
	b.Helper()
	for _, key := range keys {
		b.run(chromedp.KeyEvent(key))
	}
}

// focus is where the keyboard is: what it is called, and whether people see that.
type focus struct {
	Name    string
	Visible bool // an outline is drawn
	Inside  bool // the window
}

const whereFocusIs = `(() => {
	const e = document.activeElement, shown = e.closest(".choice") || e, r = shown.getBoundingClientRect(), s = getComputedStyle(shown);
	const label = e.labels && e.labels.length ? e.labels[0].innerText : e.innerText;
	return {
		Name: [e.tagName.toLowerCase(), e.name || "", e.value && (e.type === "radio" || e.type === "checkbox") ? e.value : "", (label || "").trim()].join("|"),
		Visible: s.outlineStyle === "auto" || s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 2,
		Inside: r.width > 0 && r.bottom > 0 && r.top < innerHeight && r.right > 0 && r.left < innerWidth,
	};
})()`

// tabTo presses Tab until the focus is on what has the text in its name. Each stop
// on the way has to be one that people see.
func (b *tab) tabTo(text string) {
	b.Helper()
	var way []string
	for range 120 {
		b.press(kb.Tab)
		f := evaluate[focus](b, whereFocusIs)
		if strings.HasPrefix(f.Name, "body") {
			continue
		}
		way = append(way, f.Name)
		if !f.Visible || !f.Inside {
			b.Errorf("the focus is on %q, and nobody sees it: %+v", f.Name, f)
		}
		if strings.Contains(f.Name, text) {
			return
		}
	}
	b.Fatalf("Tab doesn't lead to %q, but to %s", text, strings.Join(way, "\n"))
}

// enter presses Enter, which leads to another page, and returns its status.
func (b *tab) enter() int {
	b.Helper()
	return b.follow(chromedp.KeyEvent(kb.Enter))
}

// TestByKeyboard is a key's life with no mouse.
func TestByKeyboard(t *testing.T) {
	t.Parallel()
	b := newTab(t, serve(t, "console-demo"))
	b.allowClipboard()
	b.open("/")
	b.tabTo("Ada Lovelace")
	b.enter()
	b.press(kb.Tab)
	if f := evaluate[focus](b, whereFocusIs); !strings.Contains(f.Name, "Skip to content") || !f.Visible || !f.Inside {
		t.Errorf("the first stop is %+v, want the link that skips the navigation", f)
	}
	b.press(kb.Enter)
	b.tabTo("Create API key") // past the navigation
	b.enter()

	// Without scopes it is refused, and what is wrong has the focus.
	b.tabTo("|Name")
	b.press("K")
	b.tabTo("input|access|user-limited")
	b.press(kb.ArrowDown, kb.ArrowDown)
	if level := evaluate[string](b, `document.querySelector("input[name=access]:checked").value`); level != "org-limited" {
		t.Errorf("two arrows down the level is %q", level)
	}
	b.tabTo("Create key")
	if status := b.enter(); status != http.StatusBadRequest {
		t.Errorf("without scopes: %d", status)
	}
	if on := evaluate[string](b, `document.activeElement.id`); on != "problem" {
		t.Errorf("after a refusal the focus is on %q", on)
	}
	b.tabTo("Scopes")
	b.press(kb.Enter)
	if on := evaluate[string](b, `document.activeElement.id`); on != "scopes" {
		t.Errorf("the refusal's link leads to %q", on)
	}
	b.tabTo("scope|meetings:read")
	b.press(" ")
	b.tabTo("Create key")
	if status := b.enter(); status != http.StatusOK {
		t.Fatalf("creating: %d\n%s", status, b.text())
	}
	first := b.value("secret")
	b.tabTo("Copy")
	b.press(kb.Enter)
	b.until("copied", `document.querySelector("[data-said]").innerText.startsWith("Copied")`)
	if got := evaluate[string](b, `navigator.clipboard.readText()`); got != first {
		t.Errorf("the clipboard has %d characters", len(got))
	}
	b.want("created", first, http.StatusOK)

	// Rename in the list: the pencil opens with the name selected.
	b.tabTo("Done")
	b.enter()
	b.tabTo("Rename K")
	b.press(kb.Enter)
	b.until("the name is to be typed", `document.activeElement.name === "name"`)
	b.press("C", "R", "M")
	b.enter()
	b.says("The key has a new name.", "CRM")

	// The menu: arrows walk, Escape closes and goes back, Enter chooses.
	b.tabTo("Actions for CRM")
	b.press(kb.Enter, kb.ArrowDown)
	b.until("an item has the focus", `document.activeElement.classList.contains("item")`)
	b.press(kb.Escape)
	if f := evaluate[focus](b, whereFocusIs); !strings.Contains(f.Name, "Actions for CRM") || evaluate[bool](b, `document.querySelector(".menu[open]") !== null`) {
		t.Errorf("Escape leads to %+v", f)
	}
	b.press(kb.Enter)
	b.tabTo("a|||Rotate")
	b.enter()
	b.tabTo("Rotate key")
	b.enter()
	second := b.value("secret")
	b.want("the old key", first, http.StatusOK)
	b.want("the new key", second, http.StatusOK)

	b.tabTo("View the key")
	b.enter()
	b.tabTo("a|||Revoke")
	b.enter()
	b.tabTo("to confirm")
	for _, r := range second[len(second)-4:] {
		b.press(string(r))
	}
	b.enter() // in the field
	b.says("The key is revoked.")
	b.want("revoked", second, http.StatusUnauthorized)
	b.want("the other one", first, http.StatusOK)
}

// What is told to screen readers after a copy is told once, and a button that
// can't do anything yet says so.
func TestAnnouncements(t *testing.T) {
	t.Parallel()
	b := newTab(t, serve(t, "console-demo"))
	b.signIn("user_ada")
	b.open(developer + "/keys/imported_reporting/revoke")
	state := func() string {
		return evaluate[string](b, `document.querySelector(".submit button").getAttribute("aria-disabled")`)
	}
	if got := state(); got != "true" {
		t.Errorf("before the confirmation aria-disabled is %q", got)
	}
	b.run(chromedp.Click(chromedp.CSS(".submit button")))
	if on := evaluate[string](b, `document.activeElement.id`); on != "confirm" {
		t.Errorf("a button that waits leads to %q", on)
	}
	b.fill("confirm", evaluate[string](b, `document.querySelector("label[for=confirm] code").innerText`))
	if got := state(); got != "false" {
		t.Errorf("after the confirmation aria-disabled is %q", got)
	}
	title := evaluate[string](b, `document.title`)
	if want := "Revoke Reporting (2024) – Mavio"; title != want {
		t.Errorf("the title is %q, want %q", title, want)
	}
	// Without the clipboard's permission, the text is selected.
	b.create("Locked", "meetings:read")
	b.run(chromedp.Evaluate[chromedp.Void](`navigator.clipboard.writeText = () => Promise.reject(new Error("no"))`),
		chromedp.Click(chromedp.CSS("button[data-copy=secret]")))
	b.until("it says how", `document.querySelector("button[data-copy=secret]").innerText === "Press Ctrl+C"`)
	selected := evaluate[string](b, `(() => { const f = document.getElementById("secret"); return f.value.slice(f.selectionStart, f.selectionEnd) })()`)
	if selected != b.value("secret") {
		t.Errorf("%s is selected", fmt.Sprint(len(selected)))
	}
}
