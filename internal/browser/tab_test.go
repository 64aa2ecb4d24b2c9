package browser_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/strikeplate/strikeplate/internal/processtest"
)

// tab is a browser tab in a profile of its own.
type tab struct {
	testing.TB
	*server
	ctx context.Context //nolint:containedctx // chromedp keeps the tab in it

	mu       sync.Mutex
	problems []string // what the browser complained about
}

// patience is how long a single step may take; the machine may be busy.
const patience = 45 * time.Second

// newTab opens one at a server. What the browser complains about (scripts that
// throw, content that the policy forbids) fails the test.
func newTab(t testing.TB, s *server) *tab {
	t.Helper()
	if err := start(); err != nil {
		processtest.GiveUp(t, "Chromium", err)
	}
	ctx, closed := chromedp.NewContext(chromium.ctx, chromedp.WithNewBrowserContext())
	b := &tab{TB: t, server: s, ctx: ctx}
	t.Cleanup(func() {
		b.mu.Lock()
		for _, p := range b.problems {
			t.Errorf("the browser complains: %s", p)
		}
		b.mu.Unlock()
		closed()
	})
	if err := chromedp.Listen(ctx, b.listen); err != nil {
		t.Fatal(err)
	}
	send(b, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{
		Source: `addEventListener("securitypolicyviolation", (e) => console.error("CSP " + e.violatedDirective + " " + e.blockedURI))`,
	})
	send(b, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true})
	b.run(chromedp.EmulateViewport(1280, 900))
	return b
}

// send sends one command of the protocol.
func send[P, R any](b *tab, command cdp.Command[P, R], params P) R {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	r, err := chromedp.Call(ctx, command, params)
	if err != nil {
		b.Fatal(err)
	}
	return r
}

func (b *tab) listen(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		b.problems = append(b.problems, (&chromedp.ExceptionError{ExceptionDetails: e.ExceptionDetails}).Error())
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
			var texts []string
			for _, a := range e.Args {
				texts = append(texts, string(a.Value))
			}
			b.problems = append(b.problems, strings.Join(texts, " "))
		}
	case *cdppage.EventJavascriptDialogOpening:
		b.problems = append(b.problems, "a dialog opened: "+e.Message)
		go func() {
			_, _ = chromedp.Call(b.ctx, cdppage.HandleJavaScriptDialog, cdppage.HandleJavaScriptDialogParams{})
		}()
	}
}

func (b *tab) run(actions ...chromedp.Action[chromedp.Void]) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	b.check(chromedp.Do(ctx, actions...))
}

// follow does what leads to another page, waits for that, and returns its status.
func (b *tab) follow(actions ...chromedp.Action[chromedp.Void]) int {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	res, err := chromedp.RunResponse(ctx, actions...)
	b.check(err)
	if res == nil {
		return 0
	}
	return int(res.Status)
}

// check ends the test with what the page looks like.
func (b *tab) check(err error) {
	b.Helper()
	if err == nil {
		return
	}
	ctx, cancel := context.WithTimeout(b.ctx, 5*time.Second)
	defer cancel()
	where, _ := chromedp.Run(ctx, chromedp.Location())
	text, _ := chromedp.Run(ctx, chromedp.Evaluate[string](`document.body?.innerText`))
	b.Fatalf("%v at %s\n%s", err, where, text)
}

// open opens a page of the server, which must be there.
func (b *tab) open(path string) {
	b.Helper()
	if status := b.follow(chromedp.Navigate(b.BaseURL + path)); status != http.StatusOK {
		b.Fatalf("%s: %d", path, status)
	}
}

// signIn signs in with the example's own page.
func (b *tab) signIn(user string) {
	b.Helper()
	if strings.HasPrefix(user, "user_") { // console-demo
		b.open("/")
		b.follow(chromedp.Click(css(`button[value=%q]`, user)))
		return
	}
	b.open("/sign-in?next=" + developer)
	b.follow(chromedp.Click(css(`button[value=%q]`, user)))
}

// link finds by text, as people do.
func link(text string) string { return byText("a", text) }

func byText(name, text string) string {
	return fmt.Sprintf(`//%s[normalize-space(.)=%s][not(contains(@class, "hidden-submit"))]`, name, quoted(text))
}

// quoted writes a text as XPath does.
func quoted(text string) string {
	if !strings.Contains(text, `"`) {
		return `"` + text + `"`
	}
	return `concat("` + strings.ReplaceAll(text, `"`, `", '"', "`) + `")`
}

// click clicks what XPath finds first, and waits for the page that it leads to.
func (b *tab) click(xpath string) int {
	b.Helper()
	return b.follow(chromedp.Click(xpath))
}

// choose ticks a radio button or box of that name and value, without a script's help.
func (b *tab) choose(name, value string) {
	b.Helper()
	b.run(chromedp.Click(css(`input[name=%q][value=%q]`, name, value)))
}

// fill puts a text into a field, as typing does.
func (b *tab) fill(id, text string) {
	b.Helper()
	b.run(chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`document.getElementById(%q).select()`, id)), chromedp.SendKeys(chromedp.ID(id), text))
}

func css(format string, values ...any) chromedp.CSS {
	return chromedp.CSS(fmt.Sprintf(format, values...))
}

// evaluate returns what an expression is, as JSON carries it.
func evaluate[T any](b *tab, expression string) T {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	b.check(err)
	return v
}

func (b *tab) text() string { return evaluate[string](b, `document.body.innerText`) }

// says checks that the page says each of the texts.
func (b *tab) says(texts ...string) {
	b.Helper()
	page := b.text()
	for _, text := range texts {
		if !strings.Contains(page, text) {
			b.Errorf("the page doesn't say %q:\n%s", text, page)
		}
	}
}

// value is what is in a field.
func (b *tab) value(id string) string {
	return evaluate[string](b, fmt.Sprintf(`document.getElementById(%q).value`, id))
}

// looks are how a page is looked at.
type looks struct {
	name          string
	width, height int64
	dark          bool
}

func (b *tab) as(l looks) {
	b.Helper()
	scheme := "light"
	if l.dark {
		scheme = "dark"
	}
	b.run(chromedp.EmulateViewport(l.width, l.height))
	send(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
	}})
}

// decode reads what an expression evaluated to.
func decode(t testing.TB, o *runtime.RemoteObject, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(o.Value), v); err != nil {
		t.Fatalf("%v in %s", err, o.Value)
	}
}
