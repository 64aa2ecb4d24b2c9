package authserver_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate/internal/processtest"
	"github.com/strikeplate/strikeplate/storage"
)

// Chromium holds what follows a form to the page's form-action, redirects of the app
// included. The answer has to get through, and on to where the app sends people; with
// 'self' alone it doesn't.
func TestChromiumFollowsTheAnswer(t *testing.T) {
	program, err := exec.LookPath("chromium")
	if err != nil {
		processtest.GiveUp(t, "chromium", processtest.MissingError{Text: "Chromium is missing: apt-get install chromium"})
	}
	w := newWorld(t)
	final := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprint(rw, "<p>arrived</p>") }))
	defer final.Close()
	app := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		http.Redirect(rw, r, strings.Replace(final.URL, "127.0.0.1", "localhost", 1)+"/"+r.FormValue("state"), http.StatusFound)
	}))
	defer app.Close()
	client := w.register(func(a *storage.App) { a.RedirectURIs = []string{app.URL + "/cb"} })

	front := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		r.Header.Set("Visitor", "ben")
		rec := httptest.NewRecorder()
		w.server.ServeHTTP(rec, r)
		for field, values := range rec.Header() {
			rw.Header()[field] = values
		}
		// The page has no script that could press the button, so the test lends one.
		rw.Header().Set("Content-Security-Policy", rec.Header().Get("Content-Security-Policy")+"; script-src 'unsafe-inline'")
		rw.WriteHeader(rec.Code)
		fmt.Fprint(rw, rec.Body)
		if strings.Contains(rec.Body.String(), `value="allow"`) {
			fmt.Fprint(rw, `<script>document.querySelector("button.primary").click()</script>`)
		}
	}))
	defer front.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
		"--user-data-dir="+t.TempDir(), "--virtual-time-budget=10000", "--dump-dom",
		front.URL+"/oauth/authorize?"+client.asking("redirect_uri", app.URL+"/cb").Encode()).Output()
	if err != nil || !strings.Contains(string(out), "arrived") {
		t.Errorf("%v\n%s", err, out)
	}
}
