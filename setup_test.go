package strikeplate_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"testing"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/strikeplatetest"
)

// authenticator is a function as a [strikeplate.Authenticator].
type authenticator func(*http.Request) (*strikeplate.Principal, error)

func (f authenticator) Authenticate(r *http.Request) (*strikeplate.Principal, error) { return f(r) }

// refusing decides against every request.
func refusing(err error) strikeplate.Authenticator {
	return authenticator(func(*http.Request) (*strikeplate.Principal, error) { return nil, err })
}

var ada = &strikeplate.Principal{Subject: "ada", Organisation: "org_1", Credential: "key_1"}

// keys knows ada by "Bearer good".
var keys = strikeplatetest.Keys{"good": ada}

var ok = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })

// never is a handler that must not be reached.
func never(t *testing.T) http.Handler {
	return http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("the handler was reached")
	})
}

func failing(err error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { strikeplate.Fail(w, r, err) })
}

func get(authorization ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	if len(authorization) > 0 {
		r.Header["Authorization"] = authorization
	}
	return r
}

func serve(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// problem is a body of [strikeplate.ProblemJSON].
type problem struct {
	Type, Title, Detail, Code string
	Status                    int
	RequestID                 string `json:"request_id"`
}

func problemOf(t *testing.T, body []byte) problem {
	t.Helper()
	var p problem
	if err := json.Unmarshal(body, &p); err != nil {
		t.Fatalf("not a problem: %v in %q", err, body)
	}
	return p
}

// record is what a Done callback saw, copied when it saw it.
type record struct {
	id, pattern string
	client      netip.Addr
	status      int
	principal   *strikeplate.Principal
	refusal     *strikeplate.Error
	exchange    *strikeplate.Exchange
}

// recorder collects what Done saw.
type recorder chan record

func newRecorder() recorder { return make(recorder, 1024) }

func (c recorder) done(x *strikeplate.Exchange) {
	c <- record{x.ID(), x.Pattern(), x.Client(), x.Status(), x.Principal(), x.Refusal(), x}
}

func (c recorder) edge() strikeplate.Edge {
	return strikeplate.Edge{Done: []func(*strikeplate.Exchange){c.done}, Logger: slog.New(slog.DiscardHandler)}
}

// only returns the one record of a request that was served.
func (c recorder) only(t *testing.T) record {
	t.Helper()
	if len(c) != 1 {
		t.Fatalf("Done was called %d times, want once", len(c))
	}
	return <-c
}

// logged is a logger with its lines of JSON. It is safe for concurrent use.
type logged struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *logged) logger() *slog.Logger { return slog.New(slog.NewJSONHandler(l, nil)) }

func (l *logged) lines(t *testing.T) []map[string]any {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []map[string]any
	for d := json.NewDecoder(bytes.NewReader(l.buf.Bytes())); d.More(); {
		var line map[string]any
		if err := d.Decode(&line); err != nil {
			t.Fatal(err)
		}
		all = append(all, line)
	}
	return all
}
