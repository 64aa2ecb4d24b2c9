package strikeplate_test

import (
	"bytes"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strikeplate/strikeplate"
)

var made = regexp.MustCompile(`^[A-Z2-7]{26}$`) // crypto/rand.Text

// THREATS: request ids are [A-Za-z0-9_-]{1,64} or replaced.
func TestRequestID(t *testing.T) {
	long := strings.Repeat("a", 64)
	inside := prefixes("192.0.2.0/24") // httptest's peer
	for _, c := range []struct {
		name    string
		trust   bool
		proxies []netip.Prefix
		ids     []string
		kept    bool
	}{
		{"not trusted", false, nil, []string{"abc"}, false},
		{"trusted", true, nil, []string{"abc"}, true},
		{"all that is allowed", true, nil, []string{"azAZ09_-"}, true},
		{"64 long", true, nil, []string{long}, true},
		{"65 long", true, nil, []string{long + "a"}, false},
		{"empty", true, nil, []string{""}, false},
		{"none", true, nil, nil, false},
		{"two", true, nil, []string{"abc", "def"}, false},
		{"a space", true, nil, []string{"a b"}, false},
		{"a line break", true, nil, []string{"a\r\nSet-Cookie: x=1"}, false},
		{"a NUL", true, nil, []string{"a\x00"}, false},
		{"markup", true, nil, []string{"<script>"}, false},
		{"a quote", true, nil, []string{`a"b`}, false},
		{"beyond ASCII", true, nil, []string{"é"}, false},
		{"just before letters", true, nil, []string{"@"}, false},
		{"just after letters", true, nil, []string{"["}, false},
		{"a backquote", true, nil, []string{"`"}, false},
		{"a brace", true, nil, []string{"{"}, false},
		{"a colon", true, nil, []string{"9:"}, false},
		{"bytes that are letters but for a bit", true, nil, []string{"\xc1"}, false},
		{"from a proxy", true, inside, []string{"abc"}, true},
		{"from a proxy, not trusted", false, inside, []string{"abc"}, false},
		{"not from a proxy", true, prefixes("10.0.0.0/8"), []string{"abc"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			seen := newRecorder()
			e := seen.edge()
			e.TrustRequestID, e.TrustedProxies = c.trust, c.proxies
			r := get()
			r.Header["X-Request-Id"] = c.ids
			w := serve(e.Handler(ok), r)
			ids := w.Header().Values("X-Request-Id")
			if len(ids) != 1 || ids[0] != seen.only(t).id {
				t.Fatalf("the field is %q, Done saw another", ids)
			}
			if c.kept && ids[0] != c.ids[0] || !c.kept && !made.MatchString(ids[0]) {
				t.Errorf("id %q, kept should be %v", ids[0], c.kept)
			}
		})
	}
}

func TestRequestIDsDiffer(t *testing.T) {
	h := strikeplate.Edge{}.Handler(ok)
	all := map[string]bool{}
	for range 1000 {
		all[serve(h, get()).Header().Get("X-Request-Id")] = true
	}
	if len(all) != 1000 {
		t.Errorf("%d ids of 1000 requests", len(all))
	}
}

// Writing the header field doesn't write the Exchange.
func TestTheHandlerCannotChangeTheID(t *testing.T) {
	seen := newRecorder()
	w := serve(seen.edge().Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("X-Request-Id", "added")
		w.Header().Set("X-Request-Id", "set")
	})), get())
	if got := seen.only(t).id; !made.MatchString(got) || w.Header().Get("X-Request-Id") != "set" {
		t.Errorf("id %q, field %q", got, w.Header().Get("X-Request-Id"))
	}
}

func TestZeroEdge(t *testing.T) {
	h := strikeplate.Edge{}.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := strikeplate.ExchangeFrom(r.Context())
		if x.Principal() != nil || x.Refusal() != nil || x.Pattern() != "" || x.Status() != 0 || x.Elapsed() != 0 ||
			x.Client() != netip.MustParseAddr("192.0.2.1") || x.Start().IsZero() {
			t.Errorf("%+v is not an Exchange at its beginning", x)
		}
		_, _ = io.WriteString(w, "ok")
	}))
	if w := serve(h, get()); w.Code != 200 || w.Body.String() != "ok" || !made.MatchString(w.Header().Get("X-Request-Id")) {
		t.Errorf("%d %q %v", w.Code, w.Body, w.Header())
	}
	if x := strikeplate.ExchangeFrom(t.Context()); x != nil {
		t.Errorf("an Exchange without a request: %v", x)
	}
}

func TestDoneSeesTheWholeExchange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var order []string
		var elapsed time.Duration
		h := strikeplate.Edge{Done: []func(*strikeplate.Exchange){
			func(x *strikeplate.Exchange) {
				order = append(order, "first")
				elapsed = x.Elapsed()
				if x.Principal() != ada || x.Status() != 201 || x.Pattern() != "POST /things" || x.Refusal() != nil ||
					!x.Start().Equal(time.Now().Add(-3*time.Second)) {
					t.Errorf("%v %v %v %v %v", x.Principal(), x.Status(), x.Pattern(), x.Refusal(), x.Start())
				}
			},
			func(*strikeplate.Exchange) { order = append(order, "second") },
		}}
		mux := http.NewServeMux()
		mux.HandleFunc("POST /things", func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(3 * time.Second) // of the bubble's clock
			w.WriteHeader(http.StatusCreated)
			order = append(order, "handler")
		})
		r := httptest.NewRequest("POST", "/things", nil)
		r.Header.Set("Authorization", "Bearer good")
		serve(h.Handler(strikeplate.Require(keys)(mux)), r)
		if !slices.Equal(order, []string{"handler", "first", "second"}) || elapsed != 3*time.Second {
			t.Errorf("order %v, elapsed %v, want 3s", order, elapsed)
		}
	})
}

func TestDoneSeesRefusals(t *testing.T) {
	seen := newRecorder()
	serve(seen.edge().Handler(strikeplate.Require(keys)(never(t))), get("Bearer bad"))
	if got := seen.only(t); got.principal != nil || got.status != 401 || got.refusal == nil || got.refusal.Code != strikeplate.CodeInvalid {
		t.Errorf("Done saw %+v, want the 401", got)
	}
	// Refused behind Require, as for a missing scope: both are known.
	serve(seen.edge().Handler(strikeplate.Require(keys)(failing(&strikeplate.Error{Status: 403}))), get("Bearer good"))
	if got := seen.only(t); got.principal != ada || got.status != 403 || got.refusal == nil {
		t.Errorf("Done saw %+v, want ada's 403", got)
	}
}

func TestDoneAfterAPanic(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /panic", func(http.ResponseWriter, *http.Request) { panic("broken") })
	mux.HandleFunc("GET /abort", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	mux.HandleFunc("GET /begun", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusAccepted)
		panic(http.ErrAbortHandler)
	})
	mux.HandleFunc("GET /badstatus", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(1000) })
	for path, status := range map[string]int{"/panic": 500, "/abort": 500, "/begun": 202, "/badstatus": 500} {
		t.Run(path, func(t *testing.T) {
			seen := newRecorder()
			h := seen.edge().Handler(copying(strikeplate.Require(keys)(mux)))
			var panicked any
			func() {
				defer func() { panicked = recover() }()
				r := httptest.NewRequest("GET", path, nil)
				r.Header.Set("Authorization", "Bearer good")
				serve(h, r)
			}()
			if panicked == nil {
				t.Error("the panic was swallowed")
			}
			if path == "/abort" && panicked != any(http.ErrAbortHandler) {
				t.Errorf("the panic is %v, which the server would log", panicked)
			}
			if got := seen.only(t); got.status != status || got.principal != ada || got.pattern != "GET "+path {
				t.Errorf("Done saw %+v, want %d of GET %s", got, status, path)
			}
		})
	}
}

// The server sees the panic as it was: it aborts the response, and logs all but
// http.ErrAbortHandler.
func TestPanicReachesTheServer(t *testing.T) {
	seen := newRecorder()
	var serverLog logged
	s := httptest.NewUnstartedServer(seen.edge().Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		panic(http.ErrAbortHandler)
	})))
	s.Config.ErrorLog = log.New(&serverLog, "", 0)
	s.Start()
	defer s.Close()
	if resp, err := s.Client().Do(request(t, "GET", s.URL)); err == nil {
		_ = resp.Body.Close()
		t.Errorf("the client got %v", resp.Status)
	}
	<-seen
	s.Close()
	if serverLog.buf.Len() > 0 {
		t.Errorf("the server logged %s", &serverLog.buf)
	}
}

// copying is a middleware that passes a copy of the request on, as those of
// tracers and routers do: what http.ServeMux notes in the copy is lost outside.
func copying(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(r.Context()))
	})
}

// telling is another router, which knows its own routes.
func telling(pattern string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		strikeplate.ExchangeFrom(r.Context()).SetPattern(pattern)
		next.ServeHTTP(w, r)
	})
}

func mux(pattern string, h http.Handler) http.Handler {
	m := http.NewServeMux()
	m.Handle(pattern, h)
	return m
}

func TestPattern(t *testing.T) {
	require := strikeplate.Require(keys)
	const inner, outer, told = "GET /v1/{id}", "/v1/", "/v1/{name}"
	var edge func(http.Handler) http.Handler
	for _, c := range []struct {
		name  string
		build func() http.Handler
		want  string
	}{
		{"no router", func() http.Handler { return edge(require(ok)) }, ""},
		{"router inside", func() http.Handler { return edge(mux(inner, ok)) }, inner},
		{"router outside", func() http.Handler { return mux(outer, edge(ok)) }, outer},
		{"router inside Require", func() http.Handler { return edge(require(mux(inner, ok))) }, inner},
		{"routers outside and inside", func() http.Handler { return mux(outer, edge(mux(inner, ok))) }, inner},
		{"routers outside and inside, with Require", func() http.Handler { return mux(outer, edge(require(mux(inner, ok)))) }, inner},
		{"a router around a router", func() http.Handler { return edge(mux(outer, require(mux(inner, ok)))) }, inner},
		{"a copy before Require", func() http.Handler { return edge(copying(require(mux(inner, ok)))) }, inner},
		{"a copy before Require, inside a router", func() http.Handler { return mux(outer, edge(copying(require(mux(inner, ok))))) }, inner},
		{"a copy between routers", func() http.Handler { return edge(mux(outer, copying(require(mux(inner, ok))))) }, inner},
		{"a copy between two Requires", func() http.Handler { return edge(require(mux(outer, copying(require(mux(inner, ok)))))) }, inner},
		{"Require inside a router and a copy", func() http.Handler { return edge(copying(mux(inner, require(ok)))) }, inner},
		{"Fail inside a router and a copy", func() http.Handler { return edge(copying(mux(inner, failing(errors.New("x"))))) }, inner},
		{"no Edge at all", func() http.Handler { return require(edge(mux(inner, ok))) }, inner},
		{"two Edges", func() http.Handler { return strikeplate.Edge{}.Handler(copying(edge(mux(inner, ok)))) }, inner},

		// Another router's word stands over http.ServeMux's, on the way in and out.
		{"another router", func() http.Handler { return edge(telling(told, ok)) }, told},
		{"another router inside a mux", func() http.Handler { return edge(mux(outer, telling(told, ok))) }, told},
		{"another router between muxes and Require", func() http.Handler { return mux("/", edge(mux(outer, telling(told, require(ok))))) }, told},
		{"another router inside Require", func() http.Handler { return edge(mux(outer, require(telling(told, ok)))) }, told},
		{"another router, refused", func() http.Handler { return edge(mux(outer, telling(told, failing(errors.New("x"))))) }, told},
		{"another router's routers", func() http.Handler { return edge(telling(outer, telling(told, ok))) }, told},
		{"another router that knows nothing", func() http.Handler { return edge(mux(inner, telling("", ok))) }, inner},
	} {
		t.Run(c.name, func(t *testing.T) {
			seen := newRecorder()
			edge = seen.edge().Handler
			r := httptest.NewRequest("GET", "/v1/7", nil)
			r.Header.Set("Authorization", "Bearer good")
			serve(c.build(), r)
			if got := seen.only(t).pattern; got != c.want {
				t.Errorf("pattern %q, want %q", got, c.want)
			}
		})
	}
}

func TestNestedEdges(t *testing.T) {
	var order []string
	note := func(name string) []func(*strikeplate.Exchange) {
		return []func(*strikeplate.Exchange){func(x *strikeplate.Exchange) { order = append(order, name+" "+x.ID()) }}
	}
	plain := func(text string) strikeplate.Dialect {
		return func(h http.Header, e *strikeplate.Error, id string) []byte { return []byte(text + " " + id) }
	}
	refused := &strikeplate.Error{Status: 403}
	// After the inner handler returned without a word, the outer one refuses.
	outerFails := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r)
			strikeplate.Fail(w, r, refused)
		})
	}
	silent := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	for _, c := range []struct {
		name         string
		outer, inner strikeplate.Dialect
		handler      func(inner func(http.Handler) http.Handler) http.Handler
		want         string
	}{
		{"inwards the inner dialect applies", plain("outer"), plain("inner"),
			func(in func(http.Handler) http.Handler) http.Handler { return in(failing(refused)) }, "inner"},
		{"without one, the outer's", plain("outer"), nil,
			func(in func(http.Handler) http.Handler) http.Handler { return in(failing(refused)) }, "outer"},
		{"outside, the outer's again", plain("outer"), plain("inner"),
			func(in func(http.Handler) http.Handler) http.Handler { return outerFails(in(silent)) }, "outer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			order = nil
			inner := strikeplate.Edge{Dialect: c.inner, Done: note("inner"), TrustRequestID: true}
			outer := strikeplate.Edge{Dialect: c.outer, Done: note("outer")}
			w := serve(outer.Handler(c.handler(inner.Handler)), get())
			id := w.Header().Get("X-Request-Id")
			if got := w.Body.String(); got != c.want+" "+id {
				t.Errorf("body %q, want %q in the outer Edge's Exchange %s", got, c.want, id)
			}
			if want := []string{"outer " + id, "inner " + id}; !slices.Equal(order, want) {
				t.Errorf("Done was called as %q, want %q", order, want)
			}
		})
	}
}

// Two requests at once don't hear each other's callbacks.
func TestNestedDoneIsPerRequest(t *testing.T) {
	outer, inner := newRecorder(), newRecorder()
	done := make([]func(*strikeplate.Exchange), 0, 8) // room that an append might share
	h := strikeplate.Edge{Done: append(done, outer.done)}.Handler(inner.edge().Handler(ok))
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() { serve(h, get()) })
	}
	all.Wait()
	if len(outer) != 100 || len(inner) != 100 {
		t.Errorf("%d outer and %d inner calls, want 100 each", len(outer), len(inner))
	}
}

// Without an Edge, Require begins an Exchange as the zero Edge would.
func TestRequireWithoutAnEdge(t *testing.T) {
	var x *strikeplate.Exchange
	h := strikeplate.Require(keys)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		x = strikeplate.ExchangeFrom(r.Context())
	}))
	w := serve(h, get("Bearer good"))
	if x == nil || x.ID() != w.Header().Get("X-Request-Id") || x.Principal() != ada || x.Status() != 200 {
		t.Errorf("Exchange %v, field %q", x, w.Header().Get("X-Request-Id"))
	}
	w = serve(h, get())
	if got := problemOf(t, w.Body.Bytes()); w.Code != 401 || got.RequestID != w.Header().Get("X-Request-Id") || got.RequestID == "" {
		t.Errorf("%d %+v, want a problem with the request id", w.Code, got)
	}
}

// An Exchange may be read from anywhere at any time.
func TestExchangeIsSafeForConcurrentUse(t *testing.T) {
	var readers sync.WaitGroup
	h := newRecorder().edge().Handler(strikeplate.Require(keys)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := strikeplate.ExchangeFrom(r.Context())
		for range 4 {
			readers.Go(func() {
				for range 100 {
					x.SetPattern("/x")
					_, _, _, _, _, _, _, _ = x.ID(), x.Client(), x.Start(), x.Principal(), x.Refusal(), x.Pattern(), x.Status(), x.Elapsed()
				}
			})
		}
		strikeplate.Fail(w, r, errors.New("store down"))
	})))
	serve(h, get("Bearer good"))
	readers.Wait()
}

// What is written by several means arrives once, whole, and in order.
func TestBodiesOfAllSizes(t *testing.T) {
	body := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	text := string(body[10:5000])
	h := strikeplate.Edge{}.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(body[:10])
		_, _ = io.WriteString(w, text)
		_, _ = io.Copy(w, bytes.NewReader(body[5000:]))
	}))
	protocols(t, h, func(t *testing.T, url string, c *http.Client) {
		if _, got := fetch(t, c, request(t, "GET", url)); got != string(body) {
			t.Errorf("%d bytes came through, want %d the same", len(got), len(body))
		}
	})
}

// http.ServeMux names a CONNECT that it redirects after the client's own path.
func TestThreat25ConnectNamesNoPattern(t *testing.T) {
	for path, want := range map[string]string{"/v1/made-up": "", "/v1/x/": "/v1/{id}/"} {
		var seen []string
		edge := strikeplate.Edge{Done: []func(*strikeplate.Exchange){func(x *strikeplate.Exchange) { seen = append(seen, x.Pattern()) }}}
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Method = http.MethodConnect
		edge.Handler(mux("/v1/{id}/", ok)).ServeHTTP(httptest.NewRecorder(), r)
		if len(seen) != 1 || seen[0] != want {
			t.Errorf("CONNECT %s is counted as %q, want %q", path, seen, want)
		}
	}
}
