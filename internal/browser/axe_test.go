package browser_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/strikeplate/strikeplate/internal/processtest"
)

// npm is where the packages of others lie: npm ci --prefix internal/npm.
const npm = "../npm"

// module reads a file of an npm package.
func module(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(npm, "node_modules", filepath.FromSlash(path)))
	if os.IsNotExist(err) {
		processtest.GiveUp(t, path, processtest.MissingError{Text: "npm packages are missing: npm ci --prefix internal/npm"})
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// isolated evaluates in a world of its own, which sees the page's document and
// none of its scripts. So the page's content security policy stays as it is.
func isolated[T any](b *tab, expression string) (v T) {
	b.Helper()
	tree := send(b, page.GetFrameTree, cdp.Empty{})
	world := send(b, page.CreateIsolatedWorld, page.CreateIsolatedWorldParams{FrameID: tree.FrameTree.Frame.ID, WorldName: "axe"})
	wait, by := true, true
	res := send(b, runtime.Evaluate, runtime.EvaluateParams{Expression: expression, ContextID: world.ExecutionContextID, AwaitPromise: &wait, ReturnByValue: &by})
	if res.ExceptionDetails != nil {
		b.Fatal(&chromedp.ExceptionError{ExceptionDetails: res.ExceptionDetails})
	}
	decode(b, res.Result, &v)
	return v
}

// finding is what axe-core has to say against a page.
type finding struct {
	ID, Impact, Help string
	Nodes            []struct {
		HTML           string
		FailureSummary string
	}
}

// TestAxe holds every page to what axe-core knows of WCAG 2.2 AA and of good
// practice, and its colours in the dark too. Findings that are serious or worse
// fail the test. So does a page that scrolls sideways at 360 pixels.
func TestAxe(t *testing.T) {
	t.Parallel()
	axe := module(t, "axe-core/axe.min.js")
	b := newTab(t, serve(t, "console-demo"))
	light := looks{"light", 1280, 900, false}
	b.as(light)
	for _, p := range scenes(b) {
		p.visit(b)
		b.faultless(p.name, axe, `["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]`)
		b.as(looks{"dark", 1280, 900, true})
		b.faultless(p.name+", dark", axe, `{type: "rule", values: ["color-contrast", "link-in-text-block"]}`)
		b.as(looks{"360", 360, 740, false})
		if width := evaluate[int](b, `document.documentElement.scrollWidth`); width > 360 {
			t.Errorf("%s is %d pixels wide on a telephone of 360", p.name, width)
		}
		b.as(light)
	}
}

// faultless asks axe-core about the page; where something is open above it, about
// that.
func (b *tab) faultless(name, axe, rules string) {
	b.Helper()
	found := isolated[[]finding](b, `window.axe || (() => {`+axe+`})();
		axe.run(document.querySelector("details.menu[open]") || document, {runOnly: `+rules+`, resultTypes: ["violations"]})
			.then((r) => r.violations.map((v) => ({ID: v.id, Impact: v.impact, Help: v.help,
				Nodes: v.nodes.map((n) => ({HTML: n.html, FailureSummary: n.failureSummary}))})))`)
	for _, f := range found {
		report := b.Logf
		if f.Impact == "serious" || f.Impact == "critical" {
			report = b.Errorf
		}
		report("%s: %s", name, f)
	}
}

func (f finding) String() string {
	text := fmt.Sprintf("%s (%s): %s", f.ID, f.Impact, f.Help)
	for _, n := range f.Nodes {
		text += fmt.Sprintf("\n  %.300s\n    %s", n.HTML, strings.ReplaceAll(n.FailureSummary, "\n", "\n    "))
	}
	return text
}
