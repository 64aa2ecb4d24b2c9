package demo_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/examples/internal/demo"
	"github.com/strikeplate/strikeplate/scope"
)

// site runs a server that has nothing but the demo's own pages, and returns its
// address and its handler, for requests that no client can send.
func site(t *testing.T, o demo.Options) (base string, handler http.Handler) {
	t.Helper()
	o.Credentials = filepath.Join(t.TempDir(), "credentials.json")
	ready := make(chan http.Handler, 1)
	product := demo.Product{Name: "nothing", Title: "Nothing", Run: func(ctx context.Context, s *demo.Site) error {
		err := s.Seed(ctx, func(context.Context) (demo.Minted, error) {
			return demo.Minted{Keys: []demo.Key{{Name: "one", ID: "key_1", Secret: strikeplate.NewSecret("sesame")}}}, nil
		})
		if err != nil {
			return err
		}
		routes := scope.NewRoutes(scope.Plain{}, nil, nil)
		s.Pages(routes, []byte("{}"))
		h := strikeplate.Edge{}.Handler(routes)
		ready <- h
		return s.Serve(ctx, h)
	}}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- demo.Run(ctx, product, o) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	select {
	case handler = <-ready:
	case err := <-ended:
		ended <- nil
		t.Fatal(err)
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		if content, err := os.ReadFile(o.Credentials); err == nil {
			var file struct {
				BaseURL string `json:"base_url"`
			}
			if err := json.Unmarshal(content, &file); err != nil {
				t.Fatal(err)
			}
			base = file.BaseURL
			break
		}
	}
	info, err := os.Stat(o.Credentials)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the credentials' file: %v, mode %v", err, info.Mode())
	}
	return base, handler
}

func TestThreat15OnlyLoopbackIsListenedOn(t *testing.T) {
	never := demo.Product{Name: "never", Run: func(context.Context, *demo.Site) error {
		t.Error("the server runs")
		return nil
	}}
	for _, addr := range []string{":0", "0.0.0.0:0", "[::]:0", "192.0.2.1:0"} {
		err := demo.Run(t.Context(), never, demo.Options{Addr: addr})
		if err == nil || !strings.Contains(err.Error(), "-insecure-demo") {
			t.Errorf("%s: %v", addr, err)
		}
	}
	base, _ := site(t, demo.Options{Addr: "0.0.0.0:0", InsecureDemo: true})
	if !strings.HasPrefix(base, "http://127.0.0.1:") {
		t.Errorf("-insecure-demo: %s", base)
	}
	for _, addr := range []string{"", "localhost:0", "127.0.0.1:0"} {
		site(t, demo.Options{Addr: addr})
	}
}

// What each control does for a program on this machine, it refuses to everybody
// else.
func TestThreat15ControlsRefuseOtherPages(t *testing.T) {
	base, handler := site(t, demo.Options{})
	host := strings.TrimPrefix(base, "http://")
	for path, body := range map[string]string{
		"/demo/login":                  `{"user": "admin"}`,
		"/demo/clock":                  `{"advance": "1h"}`,
		"/demo/runtime":                `{}`,
		"/demo/organisations/org_acme": `{"plan": "free"}`,
		"/demo/users/usr_bo":           `{"active": true}`,
	} {
		ask := func(change func(r *http.Request)) *httptest.ResponseRecorder {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(body))
			r.Host, r.RemoteAddr = host, "127.0.0.1:4711"
			r.Header.Set("Content-Type", "application/json")
			change(r)
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			return w
		}
		set := func(name, value string) func(*http.Request) {
			return func(r *http.Request) { r.Header.Set(name, value) }
		}
		for what, change := range map[string]func(*http.Request){
			"a program":           func(*http.Request) {},
			"its own page":        set("Origin", base),
			"a browser, directly": set("Sec-Fetch-Site", "none"),
			"a charset":           set("Content-Type", "application/json; charset=utf-8"),
		} {
			if w := ask(change); w.Code != http.StatusOK {
				t.Errorf("%s, %s: %d %s", path, what, w.Code, w.Body)
			}
		}
		refused := map[string]func(*http.Request){
			"a form":                  set("Content-Type", "application/x-www-form-urlencoded"),
			"a form that looks alike": set("Content-Type", "text/plain; application/json"),
			"no type":                 func(r *http.Request) { r.Header.Del("Content-Type") },
			"another origin":          set("Origin", "http://evil.example"),
			"another port's page":     set("Origin", "http://127.0.0.1:1"),
			"no origin":               set("Origin", "null"),
			"https":                   set("Origin", "https://"+host),
			"a cross-site fetch":      set("Sec-Fetch-Site", "cross-site"),
			"a same-site fetch":       set("Sec-Fetch-Site", "same-site"),
			"a rebound name":          func(r *http.Request) { r.Host = "evil.example:8080" },
			"a name like ours":        func(r *http.Request) { r.Host = "localhost.evil.example" },
			"an address like ours":    func(r *http.Request) { r.Host = "127.0.0.1.evil.example" },
			"no name":                 func(r *http.Request) { r.Host = "" },
			"too much": func(r *http.Request) {
				r.Body = io.NopCloser(strings.NewReader(`{"user": "` + strings.Repeat("x", 70000) + `"}`))
			},
			"an unknown member": func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(`{"sudo": true}`)) },
			"two values":        func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(body + body)) },
		}
		if path != "/demo/login" { // a person may sign in through a proxy, if the server says so
			refused["another machine"] = func(r *http.Request) { r.RemoteAddr = "192.0.2.7:4711" }
			refused["a socket without an address"] = func(r *http.Request) { r.RemoteAddr = "@" }
			for _, field := range []string{"X-Forwarded-For", "Forwarded", "Via", "X-Real-IP", "X-Forwarded-Host"} {
				refused["a proxy, "+field] = set(field, "127.0.0.1")
			}
		}
		for what, change := range refused {
			w := ask(change)
			if w.Code < 400 || w.Code >= 500 || w.Header().Get("Set-Cookie") != "" {
				t.Errorf("%s, %s: %d %s", path, what, w.Code, w.Body)
			}
		}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
		r.Host, r.RemoteAddr = host, "127.0.0.1:4711"
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code < 400 {
			t.Errorf("GET %s: %d", path, w.Code)
		}
	}
}

// Controls stay closed to others also where the pages are open to them.
func TestThreat15InsecureDemoOpensNoControls(t *testing.T) {
	_, handler := site(t, demo.Options{Addr: "0.0.0.0:0", InsecureDemo: true})
	for path, status := range map[string]int{"/demo/login": 200, "/demo/clock": 403, "/demo/runtime": 403, "/demo/organisations/org_acme": 403, "/demo/users/usr_bo": 403} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(`{"user": "admin"}`))
		r.Host, r.RemoteAddr = "demo.example.com", "192.0.2.7:4711"
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != status {
			t.Errorf("%s: %d, want %d", path, w.Code, status)
		}
	}
}

// The sign-in form is guarded like the controls, and leads nowhere else.
func TestThreat15SignIn(t *testing.T) {
	base, handler := site(t, demo.Options{})
	host := strings.TrimPrefix(base, "http://")
	ask := func(form string, change func(*http.Request)) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/sign-in", strings.NewReader(form))
		r.Host, r.RemoteAddr = host, "127.0.0.1:4711"
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if change != nil {
			change(r)
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w
	}
	for next, location := range map[string]string{
		"%2Fsettings%2Fdeveloper": "/settings/developer", "": "/", "https%3A%2F%2Fevil.example": "/", "%2F%2Fevil.example": "/",
		"%2F%5Cevil.example": "/", "%5C%5Cevil.example": "/", "javascript%3Aalert(1)": "/", "%2F%09%2Fevil.example": "/", "settings": "/",
	} {
		w := ask("user=admin&next="+next, nil)
		if w.Code != http.StatusSeeOther || w.Header().Get("Location") != location {
			t.Errorf("next=%s: %d to %q, want %q", next, w.Code, w.Header().Get("Location"), location)
		}
		cookie := w.Header().Get("Set-Cookie")
		if !strings.Contains(cookie, "HttpOnly") || !strings.Contains(cookie, "SameSite=Lax") {
			t.Errorf("the cookie: %s", cookie)
		}
	}
	for what, w := range map[string]*httptest.ResponseRecorder{
		"a deactivated user": ask("user=deactivated", nil),
		"nobody":             ask("user=", nil),
		"an id":              ask("user=usr_ada", nil),
		"another site":       ask("user=admin", func(r *http.Request) { r.Header.Set("Origin", "http://evil.example") }),
		"a rebound name":     ask("user=admin", func(r *http.Request) { r.Host = "evil.example" }),
	} {
		if w.Code != http.StatusForbidden || w.Header().Get("Set-Cookie") != "" {
			t.Errorf("%s: %d %s", what, w.Code, w.Header().Get("Set-Cookie"))
		}
	}
	if w := ask("user=%3Cscript%3E&next=%22%3E%3Cscript%3E", nil); strings.Contains(w.Body.String(), "<script>") {
		t.Error("the page repeats what it was sent")
	}
}

// No page tells a secret.
func TestThreat15PagesShowNoSecrets(t *testing.T) {
	base, _ := site(t, demo.Options{})
	for _, path := range []string{"/", "/sign-in", "/healthz", "/openapi.json", "/demo/style.css"} {
		res, err := http.Get(base + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || res.StatusCode != http.StatusOK || strings.Contains(string(body), "sesame") {
			t.Errorf("%s: %v %d %s", path, err, res.StatusCode, body)
		}
	}
}
