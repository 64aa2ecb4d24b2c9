package strikeplate_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strikeplate/strikeplate"
)

// protocols starts h under HTTP/1.1 and HTTP/2.
func protocols(t *testing.T, h http.Handler, test func(t *testing.T, url string, c *http.Client)) {
	t.Run("HTTP/1.1", func(t *testing.T) {
		s := httptest.NewServer(h)
		defer s.Close()
		test(t, s.URL, s.Client())
	})
	t.Run("HTTP/2", func(t *testing.T) {
		s := httptest.NewUnstartedServer(h)
		s.EnableHTTP2 = true
		s.StartTLS()
		defer s.Close()
		test(t, s.URL, s.Client())
	})
}

func fetch(t *testing.T, c *http.Client, r *http.Request) (*http.Response, string) {
	t.Helper()
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

func request(t *testing.T, method, url string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Handlers find behind an Edge what they found without one.
func TestWriterOffersWhatTheServerDoes(t *testing.T) {
	var direct, behind []bool
	note := func(to *[]bool) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, flusher := w.(http.Flusher)
			_, hijacker := w.(http.Hijacker)
			_, readerFrom := w.(io.ReaderFrom)
			_, stringWriter := w.(io.StringWriter)
			full := http.NewResponseController(w).EnableFullDuplex() == nil
			deadline := http.NewResponseController(w).SetWriteDeadline(time.Time{}) == nil
			*to = []bool{flusher, hijacker, readerFrom, stringWriter, full, deadline}
		})
	}
	mux := http.NewServeMux()
	mux.Handle("/direct", note(&direct))
	mux.Handle("/behind", strikeplate.Edge{}.Handler(note(&behind)))
	protocols(t, mux, func(t *testing.T, url string, c *http.Client) {
		fetch(t, c, request(t, "GET", url+"/direct"))
		fetch(t, c, request(t, "GET", url+"/behind"))
		for i, name := range []string{"Flusher", "Hijacker", "ReaderFrom", "StringWriter", "full duplex", "deadlines"} {
			if direct[i] != behind[i] {
				t.Errorf("%s: %v, without the Edge %v", name, behind[i], direct[i])
			}
		}
	})
	t.Run("no Flusher in sight", func(t *testing.T) {
		note(&direct).ServeHTTP(bare{http.Header{}}, get())
		strikeplate.Edge{}.Handler(note(&behind)).ServeHTTP(bare{http.Header{}}, get())
		if behind[0] || behind[1] || behind[2] {
			t.Errorf("offers %v, want no more than %v", behind, direct)
		}
	})
}

func TestStatus(t *testing.T) {
	for _, c := range []struct {
		name    string
		handler http.HandlerFunc
		want    int
	}{
		{"nothing written", func(http.ResponseWriter, *http.Request) {}, 200},
		{"WriteHeader", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, 204},
		{"Write", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("x")) }, 200},
		{"an empty Write", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(nil) }, 200},
		{"WriteString", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "x") }, 200},
		{"io.Copy", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.Copy(w, strings.NewReader("x")) }, 200},
		{"early hints, then final", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(404)
		}, 404},
		{"early hints alone", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusEarlyHints) }, 200},
		{"Flush", func(w http.ResponseWriter, _ *http.Request) { w.(http.Flusher).Flush() }, 200},
		{"controller's Flush", func(w http.ResponseWriter, _ *http.Request) { _ = http.NewResponseController(w).Flush() }, 200},
		{"http.Error", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "x", 418) }, 418},
		{"http.Redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/x", 307) }, 307},
		{"copying failed before the first byte", func(w http.ResponseWriter, _ *http.Request) {
			if _, err := io.Copy(w, failingReader{}); err != nil {
				w.WriteHeader(502)
			}
		}, 502},
		{"reading from a failing source", func(w http.ResponseWriter, _ *http.Request) {
			from, ok := w.(io.ReaderFrom)
			if !ok {
				w.WriteHeader(502)
				return
			}
			if n, err := from.ReadFrom(failingReader{}); n == 0 && err != nil {
				w.WriteHeader(502)
			}
		}, 502},
	} {
		t.Run(c.name, func(t *testing.T) {
			seen := newRecorder()
			protocols(t, seen.edge().Handler(c.handler), func(t *testing.T, url string, client *http.Client) {
				client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
				resp, _ := fetch(t, client, request(t, "GET", url))
				if resp.StatusCode != c.want {
					t.Errorf("the client got %d, want %d", resp.StatusCode, c.want)
				}
				if resp.Header.Get("X-Request-Id") == "" {
					t.Error("no request id")
				}
				if got := <-seen; got.status != c.want {
					t.Errorf("Done saw %d, want %d", got.status, c.want)
				}
			})
		})
	}
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, errors.New("broken source") }

// A refusal still reaches the client of a handler that could not even begin to copy.
func TestFailAfterACopyThatWroteNothing(t *testing.T) {
	h := newRecorder().edge().Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(w, failingReader{}); err != nil {
			strikeplate.Fail(w, r, err)
		}
	}))
	protocols(t, h, func(t *testing.T, url string, c *http.Client) {
		if resp, body := fetch(t, c, request(t, "GET", url)); resp.StatusCode != 503 || body == "" {
			t.Errorf("%d %q, want 503 and a problem", resp.StatusCode, body)
		}
	})
}

func TestEarlyHintsReachTheClient(t *testing.T) {
	h := strikeplate.Edge{}.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusCreated)
	}))
	protocols(t, h, func(t *testing.T, url string, c *http.Client) {
		var hints int
		r := request(t, "GET", url)
		r = r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
			Got1xxResponse: func(code int, _ textproto.MIMEHeader) error { hints = code; return nil }}))
		resp, _ := fetch(t, c, r)
		if hints != 103 || resp.StatusCode != 201 {
			t.Errorf("got %d, then %d, want 103, then 201", hints, resp.StatusCode)
		}
	})
}

func TestHead(t *testing.T) {
	h := strikeplate.Edge{}.Handler(strikeplate.Require(keys)(ok))
	protocols(t, h, func(t *testing.T, url string, c *http.Client) {
		resp, body := fetch(t, c, request(t, "HEAD", url))
		if resp.StatusCode != 401 || body != "" || resp.Header.Get("Www-Authenticate") == "" {
			t.Errorf("%v with body %q, want the head of a 401", resp.Status, body)
		}
	})
}

// Each event is with the client before the handler goes on.
func TestServerSentEvents(t *testing.T) {
	next := make(chan struct{})
	h := strikeplate.Edge{}.Handler(strikeplate.Require(keys)(http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			for _, event := range []string{"one", "two", "three"} {
				_, _ = io.WriteString(w, "data: "+event+"\n\n")
				if event == "two" {
					w.(http.Flusher).Flush()
				} else if err := http.NewResponseController(w).Flush(); err != nil {
					t.Error(err)
				}
				select {
				case <-next:
				case <-r.Context().Done():
					return
				}
			}
		})))
	protocols(t, h, func(t *testing.T, url string, c *http.Client) {
		r := request(t, "GET", url)
		r.Header.Set("Authorization", "Bearer good")
		resp, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		events := bufio.NewScanner(resp.Body)
		for _, want := range []string{"data: one", "", "data: two", "", "data: three", ""} {
			if !events.Scan() || events.Text() != want {
				t.Fatalf("got %q (%v), want %q", events.Text(), events.Err(), want)
			}
			if want == "" {
				next <- struct{}{}
			}
		}
	})
}

// flushErrorer can flush only in the way that tells of errors.
type flushErrorer struct {
	bare
	err error
}

func (f flushErrorer) FlushError() error { return f.err }

// A stream learns through the Edge that its client is gone.
func TestFlushErrorIsPassedOn(t *testing.T) {
	gone := errors.New("client is gone")
	for name, w := range map[string]http.ResponseWriter{
		"FlushError only":    flushErrorer{bare{http.Header{}}, gone},
		"Flusher as well":    struct{ flusherToo }{flusherToo{flushErrorer{bare{http.Header{}}, gone}}},
		"behind an Unwrap":   unwrapper{bare{http.Header{}}, flushErrorer{bare{http.Header{}}, gone}},
		"full, as HTTP/1.1s": hijackable{flusherToo{flushErrorer{bare{http.Header{}}, gone}}},
	} {
		t.Run(name, func(t *testing.T) {
			var status int
			strikeplate.Edge{}.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if err := http.NewResponseController(w).Flush(); !errors.Is(err, gone) {
					t.Errorf("Flush returned %v, want %v", err, gone)
				}
				status = strikeplate.ExchangeFrom(r.Context()).Status()
			})).ServeHTTP(w, get())
			if status != 200 {
				t.Errorf("status %d after flushing, want 200: the response has begun", status)
			}
		})
	}
	t.Run("not supported", func(t *testing.T) {
		strikeplate.Edge{}.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err := http.NewResponseController(w).Flush(); !errors.Is(err, http.ErrNotSupported) {
				t.Errorf("Flush returned %v, want %v", err, http.ErrNotSupported)
			}
			if status := strikeplate.ExchangeFrom(r.Context()).Status(); status != 0 {
				t.Errorf("status %d after nothing was flushed, want 0", status)
			}
		})).ServeHTTP(bare{http.Header{}}, get())
	})
}

type flusherToo struct{ flushErrorer }

func (flusherToo) Flush() {}

type hijackable struct{ flusherToo }

func (hijackable) Hijack() (net.Conn, *bufio.ReadWriter, error) { return nil, nil, errors.New("no") }

type unwrapper struct {
	bare
	inner http.ResponseWriter
}

func (u unwrapper) Unwrap() http.ResponseWriter { return u.inner }

// readerFrom counts the copies that it was left to make.
type readerFrom struct {
	hijackable
	copies int
}

func (f *readerFrom) ReadFrom(src io.Reader) (int64, error) {
	f.copies++
	return io.Copy(io.Discard, src)
}

// The server's own ReadFrom is what makes sendfile possible.
func TestCopyUsesReadFrom(t *testing.T) {
	path := filepath.Join(t.TempDir(), "big")
	if err := os.WriteFile(path, bytes.Repeat([]byte("x"), 1<<16), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, handler := range map[string]http.HandlerFunc{
		"io.Copy": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.Copy(w, struct{ io.Reader }{strings.NewReader("x")})
		},
		"http.ServeFile": func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, path) },
	} {
		t.Run(name, func(t *testing.T) {
			w := &readerFrom{hijackable: hijackable{flusherToo{flushErrorer{bare: bare{http.Header{}}}}}}
			strikeplate.Edge{}.Handler(handler).ServeHTTP(w, get())
			if w.copies == 0 {
				t.Error("the server's ReadFrom was not used")
			}
		})
	}
}

func TestHijack(t *testing.T) {
	for name, hijack := range map[string]func(http.ResponseWriter) (net.Conn, *bufio.ReadWriter, error){
		"Hijacker": func(w http.ResponseWriter) (net.Conn, *bufio.ReadWriter, error) { return w.(http.Hijacker).Hijack() },
		"controller": func(w http.ResponseWriter) (net.Conn, *bufio.ReadWriter, error) {
			return http.NewResponseController(w).Hijack()
		},
	} {
		t.Run(name, func(t *testing.T) {
			seen := newRecorder()
			s := httptest.NewServer(seen.edge().Handler(strikeplate.Require(keys)(http.HandlerFunc(
				func(w http.ResponseWriter, r *http.Request) {
					conn, rw, err := hijack(w)
					if err != nil {
						t.Error(err)
						return
					}
					defer func() { _ = conn.Close() }()
					_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhello\n")
					_ = rw.Flush()
					strikeplate.Fail(w, r, errors.New("revoked meanwhile")) // must not disturb the connection
				}))))
			defer s.Close()
			conn, err := net.Dial("tcp", s.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer good\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
			answer, err := io.ReadAll(conn)
			if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 101 ") || !strings.HasSuffix(string(answer), "\r\n\r\nhello\n") {
				t.Errorf("answer %q, %v", answer, err)
			}
			got := <-seen
			if got.status != 101 || got.principal != ada || got.refusal == nil {
				t.Errorf("Done saw %+v, want 101, ada, and the refusal", got)
			}
		})
	}
}

func TestHijackThatFails(t *testing.T) {
	w := hijackable{flusherToo{flushErrorer{bare: bare{http.Header{}}}}}
	strikeplate.Edge{}.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, _, err := w.(http.Hijacker).Hijack(); err == nil {
			t.Error("no error")
		}
		if status := strikeplate.ExchangeFrom(r.Context()).Status(); status != 0 {
			t.Errorf("status %d, want 0", status)
		}
	})).ServeHTTP(w, get())
}

// The handler of a request that timed out may go on: that must not race with
// what is already answered.
func TestTimeoutHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := newRecorder()
		late := make(chan struct{})
		slow := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			x := strikeplate.ExchangeFrom(r.Context())
			x.SetPattern("/slow")
			strikeplate.Fail(w, r, r.Context().Err())
			_, _ = x.Refusal(), x.Status()
			if p, _ := strikeplate.FromContext(r.Context()); p != ada {
				t.Errorf("Principal %v after the time-out, want ada", p)
			}
			close(late)
		})
		h := seen.edge().Handler(http.TimeoutHandler(strikeplate.Require(keys)(slow), time.Second, "too slow"))
		w := serve(h, get("Bearer good"))
		got := seen.only(t)
		if w.Code != 503 || w.Body.String() != "too slow" || got.status != 503 || got.id != w.Header().Get("X-Request-Id") {
			t.Errorf("%d %q, Done saw %+v", w.Code, w.Body, got)
		}
		if d := got.exchange.Elapsed(); d != time.Second {
			t.Errorf("elapsed %v, want 1s", d)
		}
		<-late
		if w.Body.String() != "too slow" {
			t.Errorf("the late handler wrote: %q", w.Body)
		}
	})
}

// As above, with real servers and many requests, for the race detector.
func TestTimeoutHandlerRaces(t *testing.T) {
	seen := newRecorder()
	inner := strikeplate.Edge{Dialect: strikeplate.OpenAI}.Handler(strikeplate.Require(keys)(http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) {
			strikeplate.ExchangeFrom(r.Context()).SetPattern("/x")
			if r.URL.Query().Has("fail") {
				strikeplate.Fail(w, r, errors.New("late"))
				return
			}
			_, _ = io.WriteString(w, "x")
		})))
	h := seen.edge().Handler(http.TimeoutHandler(inner, 50*time.Microsecond, "too slow"))
	protocols(t, h, func(t *testing.T, url string, c *http.Client) {
		for i := range 200 {
			r := request(t, "GET", url+[]string{"", "?fail"}[i%2])
			r.Header.Set("Authorization", "Bearer good")
			if resp, _ := fetch(t, c, r); resp.Header.Get("X-Request-Id") == "" {
				t.Fatal("no request id")
			}
		}
	})
}

// An Edge inside http.TimeoutHandler works too, though it can't see the time-out.
func TestEdgeInsideTimeoutHandler(t *testing.T) {
	seen := newRecorder()
	h := http.TimeoutHandler(seen.edge().Handler(strikeplate.Require(keys)(ok)), time.Minute, "")
	w := serve(h, get("Bearer good"))
	if w.Code != 200 || w.Body.String() != "ok" || w.Header().Get("X-Request-Id") == "" || seen.only(t).status != 200 {
		t.Errorf("%d %q %v", w.Code, w.Body, w.Header())
	}
}

// What a handler leaves running may still read the Exchange and the Principal.
func TestContextAfterTheRequest(t *testing.T) {
	kept := make(chan context.Context, 1)
	s := httptest.NewServer(strikeplate.Edge{}.Handler(strikeplate.Require(keys)(http.HandlerFunc(
		func(_ http.ResponseWriter, r *http.Request) { kept <- context.WithoutCancel(r.Context()) }))))
	defer s.Close()
	r := request(t, "GET", s.URL)
	r.Header.Set("Authorization", "Bearer good")
	resp, _ := fetch(t, s.Client(), r)
	ctx := <-kept
	if p, _ := strikeplate.FromContext(ctx); p != ada {
		t.Errorf("Principal %v, want ada", p)
	}
	if id := strikeplate.ExchangeFrom(ctx).ID(); id != resp.Header.Get("X-Request-Id") {
		t.Errorf("id %q, want %q", id, resp.Header.Get("X-Request-Id"))
	}
}

// The standard library recognises its own cancellation through our context, so
// that deriving from it costs no goroutine.
func TestContextIsTheServers(t *testing.T) {
	type key struct{}
	parent, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "theirs"))
	h := strikeplate.Edge{}.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		child, stop := context.WithCancel(r.Context())
		defer stop()
		if r.Context().Value(key{}) != "theirs" {
			t.Error("the outer context's value is hidden")
		}
		cancel()
		<-child.Done()
	}))
	serve(h, get().WithContext(parent))
}
