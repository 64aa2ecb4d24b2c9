package strikeplate_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/strikeplate/strikeplate"
)

func TestFail(t *testing.T) {
	unavailable := problem{"about:blank", "Service Unavailable", "The request could not be checked. Try again shortly.",
		strikeplate.CodeUnavailable, 503, ""}
	for _, c := range []struct {
		name       string
		err        error
		want       problem
		challenge  []string
		retryAfter []string
	}{
		{"401", &strikeplate.Error{Status: 401, Code: "c", Message: "m", Challenge: []string{`Bearer realm="a"`}},
			problem{"about:blank", "Unauthorized", "m", "c", 401, ""}, []string{`Bearer realm="a"`}, nil},
		{"401 without a challenge", &strikeplate.Error{Status: 401, Code: "c"},
			problem{"about:blank", "Unauthorized", "", "c", 401, ""}, []string{"Bearer"}, nil},
		{"401 with one challenge twice", &strikeplate.Error{Status: 401, Challenge: []string{"Bearer", "Basic", "Bearer"}},
			problem{"about:blank", "Unauthorized", "", "", 401, ""}, []string{"Bearer", "Basic"}, nil},
		{"402", &strikeplate.Error{Status: 402, Code: "c", Message: "m", Challenge: []string{"Bearer"}},
			problem{"about:blank", "Payment Required", "m", "c", 402, ""}, nil, nil},
		{"403", &strikeplate.Error{Status: 403, Code: "c", Message: "m", RetryAfter: time.Second},
			problem{"about:blank", "Forbidden", "m", "c", 403, ""}, nil, nil},
		{"403 insufficient_scope", &strikeplate.Error{Status: 403, Challenge: []string{`Bearer error="insufficient_scope", scope="a:b"`}},
			problem{"about:blank", "Forbidden", "", "", 403, ""}, []string{`Bearer error="insufficient_scope", scope="a:b"`}, nil},
		{"404, as a policy may hide", &strikeplate.Error{Status: 404},
			problem{"about:blank", "Not Found", "", "", 404, ""}, nil, nil},
		{"429", &strikeplate.Error{Status: 429, RetryAfter: 90 * time.Second},
			problem{"about:blank", "Too Many Requests", "", "", 429, ""}, nil, []string{"90"}},
		{"429 rounds up", &strikeplate.Error{Status: 429, RetryAfter: time.Second + 1},
			problem{"about:blank", "Too Many Requests", "", "", 429, ""}, nil, []string{"2"}},
		{"429 without a time", &strikeplate.Error{Status: 429},
			problem{"about:blank", "Too Many Requests", "", "", 429, ""}, nil, []string{"1"}},
		{"429 of a moment", &strikeplate.Error{Status: 429, RetryAfter: 1},
			problem{"about:blank", "Too Many Requests", "", "", 429, ""}, nil, []string{"1"}},
		{"429 in the past", &strikeplate.Error{Status: 429, RetryAfter: -time.Hour},
			problem{"about:blank", "Too Many Requests", "", "", 429, ""}, nil, []string{"1"}},
		{"429 for ever", &strikeplate.Error{Status: 429, RetryAfter: math.MaxInt64},
			problem{"about:blank", "Too Many Requests", "", "", 429, ""}, nil, []string{"9223372037"}},
		{"503", &strikeplate.Error{Status: 503, Code: "c", RetryAfter: 1500 * time.Millisecond, Err: errors.New("internal")},
			problem{"about:blank", "Service Unavailable", "", "c", 503, ""}, nil, []string{"2"}},
		{"wrapped", fmt.Errorf("internal: %w", &strikeplate.Error{Status: 402, Code: "c"}),
			problem{"about:blank", "Payment Required", "", "c", 402, ""}, nil, nil},
		{"joined", errors.Join(errors.New("internal"), &strikeplate.Error{Status: 402, Code: "c"}),
			problem{"about:blank", "Payment Required", "", "c", 402, ""}, nil, nil},

		// What isn't a refusal is a check that could not be made.
		{"any error", errors.New("internal"), unavailable, nil, []string{"1"}},
		{"ErrNotMine", strikeplate.ErrNotMine, unavailable, nil, []string{"1"}},
		{"no error", nil, unavailable, nil, []string{"1"}},
		{"nil *Error", (*strikeplate.Error)(nil), unavailable, nil, []string{"1"}},
		{"wrapped nil *Error", fmt.Errorf("internal: %w", (*strikeplate.Error)(nil)), unavailable, nil, []string{"1"}},
		{"zero Error", &strikeplate.Error{}, unavailable, nil, []string{"1"}},
		{"status 200", &strikeplate.Error{Status: 200, Message: "internal"}, unavailable, nil, []string{"1"}},
		{"status 302", &strikeplate.Error{Status: 302}, unavailable, nil, []string{"1"}},
		{"status -1", &strikeplate.Error{Status: -1}, unavailable, nil, []string{"1"}},
		{"status 600", &strikeplate.Error{Status: 600}, unavailable, nil, []string{"1"}},
		{"status 1000", &strikeplate.Error{Status: 1000}, unavailable, nil, []string{"1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			seen := newRecorder()
			w := serve(seen.edge().Handler(failing(c.err)), get())
			id := w.Header().Get("X-Request-Id")
			c.want.RequestID = id
			if w.Code != c.want.Status || id == "" {
				t.Errorf("status %d, id %q, want %d and an id", w.Code, id, c.want.Status)
			}
			if diff := cmp.Diff(c.want, problemOf(t, w.Body.Bytes())); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(http.Header{
				"Cache-Control": {"no-store"}, "Content-Type": {"application/problem+json"},
				"X-Content-Type-Options": {"nosniff"}, "X-Request-Id": {id},
				"Www-Authenticate": c.challenge, "Retry-After": c.retryAfter,
			}, merged(http.Header{"Www-Authenticate": nil, "Retry-After": nil}, w.Header())); diff != "" {
				t.Errorf("header (-want +got):\n%s", diff)
			}
			if strings.Contains(fmt.Sprint(w.Body, w.Header()), "internal") {
				t.Errorf("an internal error's text is shown: %s %v", w.Body, w.Header())
			}
			got := seen.only(t)
			if got.status != w.Code || got.refusal == nil || got.refusal.Status != w.Code {
				t.Errorf("Done saw %+v, want status and refusal %d", got, w.Code)
			}
		})
	}
}

func merged(to, from http.Header) http.Header {
	maps.Copy(to, from)
	return to
}

// What a handler said about another body doesn't stand over the refusal's.
func TestFailReplacesTheEntity(t *testing.T) {
	h := strikeplate.Edge{}.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, field := range []string{"Content-Length", "Content-Encoding", "Content-Range", "Content-Disposition",
			"Content-Language", "Content-Location", "Accept-Ranges", "Etag", "Last-Modified", "Expires", "Content-Type", "Cache-Control"} {
			w.Header().Set(field, "1")
		}
		w.Header().Set("X-Request-Id", "upstream's")
		w.Header().Set("Set-Cookie", "kept=1")
		strikeplate.Fail(w, r, &strikeplate.Error{Status: 403})
	}))
	w := serve(h, get())
	id := w.Header().Get("X-Request-Id")
	if got := problemOf(t, w.Body.Bytes()).RequestID; got != id || id == "upstream's" {
		t.Errorf("the body's request id is %q, the field's %q", got, id)
	}
	if diff := cmp.Diff(http.Header{
		"Cache-Control": {"no-store"}, "Content-Type": {"application/problem+json"},
		"X-Content-Type-Options": {"nosniff"}, "X-Request-Id": {id}, "Set-Cookie": {"kept=1"},
	}, w.Header()); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
}

func TestFailSetsTheRefusalsFields(t *testing.T) {
	e := &strikeplate.Error{Status: 401, Header: http.Header{"Dpop-Nonce": {"n1"}}}
	w := httptest.NewRecorder()
	strikeplate.Edge{}.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		strikeplate.Fail(w, r, e)
		w.Header()["Dpop-Nonce"][0] = "n2"
	})).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if got := w.Result().Header.Get("DPoP-Nonce"); got != "n1" {
		t.Errorf("DPoP-Nonce %q", got)
	}
	if got := e.Header.Get("DPoP-Nonce"); got != "n1" {
		t.Errorf("the refusal, which may be shared, was changed: %q", got)
	}
}

func TestFailAfterTheResponseHasBegun(t *testing.T) {
	seen := newRecorder()
	cut := &strikeplate.Error{Status: 401, Code: "cut", Challenge: []string{"Bearer"}}
	h := seen.edge().Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "begun")
		strikeplate.Fail(w, r, cut)
	}))
	protocols(t, h, func(t *testing.T, url string, c *http.Client) {
		resp, body := fetch(t, c, request(t, "GET", url))
		if resp.StatusCode != 200 || body != "begun" || resp.Header.Get("Www-Authenticate") != "" {
			t.Errorf("%d %q %v, want 200 begun and nothing of the refusal", resp.StatusCode, body, resp.Header)
		}
		if got := <-seen; got.status != 200 || got.refusal != cut {
			t.Errorf("Done saw %+v, want status 200 and the refusal", got)
		}
	})
}

// A handler that goes on after Fail, and fails again, changes neither what the
// client was told nor what is remembered of it.
func TestTheFirstRefusalStands(t *testing.T) {
	seen := newRecorder()
	first := &strikeplate.Error{Status: 403, Code: "first"}
	w := serve(seen.edge().Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		strikeplate.Fail(w, r, first)
		strikeplate.Fail(w, r, errors.New("second"))
	})), get())
	if got := problemOf(t, w.Body.Bytes()); w.Code != 403 || got.Code != "first" {
		t.Errorf("the client got %d %+v", w.Code, got)
	}
	if got := seen.only(t); got.refusal != first {
		t.Errorf("Done saw %v, want %v", got.refusal, first)
	}
}

func TestFailOutsideAnyEdge(t *testing.T) {
	w := serve(failing(&strikeplate.Error{Status: 401, Code: "c"}), get())
	id := w.Header().Get("X-Request-Id")
	if got := problemOf(t, w.Body.Bytes()); w.Code != 401 || id == "" || got.RequestID != id || w.Header().Get("Www-Authenticate") != "Bearer" {
		t.Errorf("%d %v %+v, want a complete 401 with a request id", w.Code, w.Header(), got)
	}
}

func TestFailLogsChecksThatCouldNotBeMade(t *testing.T) {
	gone, leave := context.WithCancel(t.Context())
	leave()
	late, stop := context.WithTimeout(t.Context(), -time.Second)
	defer stop()
	cause := errors.New("store down")
	for _, c := range []struct {
		name string
		ctx  context.Context
		err  error
		want string // "" is nothing
	}{
		{"an error", t.Context(), cause, "store down"},
		{"a 503 with a cause", t.Context(), &strikeplate.Error{Status: 503, Err: cause}, "store down"},
		{"a 500 with a cause", t.Context(), &strikeplate.Error{Status: 500, Err: cause}, "store down"},
		{"a 503 without a cause", t.Context(), &strikeplate.Error{Status: 503}, ""},
		{"no error", t.Context(), nil, "refused without an error"},
		{"a nil *Error", t.Context(), (*strikeplate.Error)(nil), "refused without an error"},
		{"a 401 with a cause", t.Context(), &strikeplate.Error{Status: 401, Err: cause}, ""},
		{"the client left", gone, context.Canceled, ""},
		{"the client left a 503", gone, &strikeplate.Error{Status: 503, Err: fmt.Errorf("query: %w", context.Canceled)}, ""},
		{"the client left, and the store is down", gone, cause, "store down"},
		{"cancelled by the service, the client waits", t.Context(), fmt.Errorf("store: %w", context.Canceled), "store: context canceled"},
		{"too late", late, context.DeadlineExceeded, "context deadline exceeded"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var log logged
			seen := newRecorder()
			e := seen.edge()
			e.Logger = log.logger()
			w := serve(e.Handler(failing(c.err)), get().WithContext(c.ctx))
			lines := log.lines(t)
			if c.want == "" {
				if len(lines) != 0 {
					t.Errorf("logged %v, want nothing", lines)
				}
			} else if len(lines) != 1 || lines[0]["error"] != c.want || lines[0]["level"] != "ERROR" ||
				lines[0]["request_id"] != w.Header().Get("X-Request-Id") {
				t.Errorf("logged %v, want one error %q with the request id", lines, c.want)
			}
			if seen.only(t).refusal == nil {
				t.Error("the refusal is not recorded")
			}
		})
	}
}

func TestFailedChecksAreLoggedOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logged
		h := strikeplate.Edge{Logger: log.logger()}.Handler(failing(errors.New("store down")))
		for range 10 {
			serve(h, get())
		}
		time.Sleep(time.Second) // of the bubble's clock
		serve(h, get())
		lines := log.lines(t)
		if len(lines) != 2 || lines[0]["suppressed"] != 0.0 || lines[1]["suppressed"] != 9.0 {
			t.Errorf("logged %v, want two lines, the second telling of 9 more", lines)
		}
	})
}

// The default logger is the one that is set when there is something to say:
// main sets it long after package variables, and bare Require has its own Edge.
func TestTheDefaultLoggerIsTheCurrentOne(t *testing.T) {
	handlers := map[string]http.Handler{
		"Edge":         strikeplate.Edge{}.Handler(failing(errors.New("store down"))),
		"bare Fail":    failing(errors.New("store down")),
		"bare Require": strikeplate.Require(refusing(errors.New("store down")))(ok),
	}
	before := slog.Default()
	defer slog.SetDefault(before)
	for name, h := range handlers {
		strikeplate.ForgetComplaints()
		var log logged
		slog.SetDefault(log.logger())
		serve(h, get())
		if lines := log.lines(t); len(lines) != 1 || lines[0]["level"] != "ERROR" {
			t.Errorf("%s logged %v, want one error", name, lines)
		}
	}
}

// A dialect sees what the client may, and can't spoil an Error that is shared.
func TestDialectSeesNoCause(t *testing.T) {
	shared := &strikeplate.Error{Status: 503, Code: "c", Message: "m", Credential: "key_1", Rule: "r",
		Params: map[string]string{"prefixes": "a b"}, Err: errors.New("internal")}
	want := *shared
	want.Err = nil
	var saw strikeplate.Error
	h := strikeplate.Edge{Logger: slog.New(slog.DiscardHandler), Dialect: func(h http.Header, e *strikeplate.Error, id string) []byte {
		saw = *e
		e.Code = "spoilt"
		return []byte(e.Error() + " " + id)
	}}.Handler(failing(shared))
	w := serve(h, get())
	if diff := cmp.Diff(want, saw); diff != "" {
		t.Errorf("the dialect saw (-want +got):\n%s", diff)
	}
	if strings.Contains(w.Body.String(), "internal") || shared.Code != "c" || shared.Err == nil {
		t.Errorf("body %q, shared Error %v", w.Body, shared)
	}
}

// A dialect may leave the body out.
func TestDialectWithoutABody(t *testing.T) {
	h := strikeplate.Edge{Dialect: func(http.Header, *strikeplate.Error, string) []byte { return nil }}.
		Handler(failing(&strikeplate.Error{Status: 401}))
	protocols(t, h, func(t *testing.T, url string, c *http.Client) {
		resp, body := fetch(t, c, request(t, "GET", url))
		if resp.StatusCode != 401 || body != "" || resp.Header.Get("Content-Type") != "" {
			t.Errorf("%d %q %v", resp.StatusCode, body, resp.Header)
		}
	})
}

func TestDialects(t *testing.T) {
	for name, dialect := range map[string]strikeplate.Dialect{
		"problem_json": strikeplate.ProblemJSON, "openai": strikeplate.OpenAI,
	} {
		t.Run(name, func(t *testing.T) {
			var got bytes.Buffer
			for _, e := range []*strikeplate.Error{
				{Status: 401, Code: strikeplate.CodeMissing, Message: "No API key was sent."},
				{Status: 402, Code: strikeplate.CodeLapsed, Message: "An active subscription is required."},
				{Status: 403, Code: strikeplate.CodeScope, Message: "The scope meetings:read is missing."},
				{Status: 404, Code: "not_found", Message: "No such meeting."},
				{Status: 429, Code: strikeplate.CodeFailures, Message: "Too many wrong secrets.", RetryAfter: time.Minute},
				{Status: 503, Code: strikeplate.CodeUnavailable, Message: "Try again shortly.", Err: errors.New("internal")},
				{Status: 401, Code: "quoted", Message: "\"<script>&\x00\xff\u2028é"},
				{Status: 401},
				{Status: 400, Code: "missing_required_parameter", Message: "messages is required.", Params: map[string]string{"param": "messages"}},
			} {
				h := http.Header{}
				body := dialect(h, e, "request_1")
				fmt.Fprintf(&got, "%d %v\n%s\n", e.Status, h, body)
			}
			golden(t, name, got.Bytes())
		})
	}
}

// golden compares with testdata/name.golden; UPDATE_GOLDEN=1 writes it anew.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func TestError(t *testing.T) {
	cause := errors.New("cause")
	for _, c := range []struct {
		err  *strikeplate.Error
		text string
		is   bool
	}{
		{&strikeplate.Error{Code: "code", Message: "message", Err: cause}, "code: cause", true},
		{&strikeplate.Error{Code: "code", Message: "message"}, "code", false},
		{&strikeplate.Error{}, "", false},
		{nil, "<nil>", false},
	} {
		if got := c.err.Error(); got != c.text {
			t.Errorf("Error is %q, want %q", got, c.text)
		}
		if got := errors.Is(c.err, cause); got != c.is {
			t.Errorf("%v is its cause: %v, want %v", c.err, got, c.is)
		}
	}
}

// A refusal is told whole through a real server, in both protocols.
func TestRefusalOnTheWire(t *testing.T) {
	h := strikeplate.Edge{}.Handler(strikeplate.Require(keys)(ok))
	protocols(t, h, func(t *testing.T, url string, c *http.Client) {
		resp, body := fetch(t, c, request(t, "GET", url))
		got := problemOf(t, []byte(body))
		if resp.StatusCode != 401 || got.Code != strikeplate.CodeMissing || got.RequestID == "" ||
			got.RequestID != resp.Header.Get("X-Request-Id") || int(resp.ContentLength) != len(body) ||
			!reflect.DeepEqual(resp.Header.Values("Www-Authenticate"), []string{"Bearer"}) {
			t.Errorf("%v %v %s", resp.Status, resp.Header, body)
		}
	})
}

// Fields that an attacker might shape can't split the response.
func TestChallengeCannotSplitTheResponse(t *testing.T) {
	h := strikeplate.Edge{}.Handler(failing(&strikeplate.Error{Status: 401, Challenge: []string{"Bearer\r\nX-Evil: 1"}}))
	s := httptest.NewServer(h)
	defer s.Close()
	if resp, _ := fetch(t, s.Client(), request(t, "GET", s.URL)); resp.Header.Get("X-Evil") != "" {
		t.Errorf("split: %v", resp.Header)
	}
}

// A refusal of a good key tells those who count whose it was, and nobody else.
func TestRefusingOfAProvenCredential(t *testing.T) {
	p := &strikeplate.Principal{Organisation: "org_1"}
	var told *strikeplate.Principal
	dialect := func(h http.Header, e *strikeplate.Error, id string) []byte {
		told = e.Principal
		return strikeplate.ProblemJSON(h, e, id)
	}
	var seen []*strikeplate.Principal
	edge := strikeplate.Edge{Dialect: dialect, Refusing: []func(http.Header, *http.Request, *strikeplate.Principal){
		func(h http.Header, _ *http.Request, p *strikeplate.Principal) {
			seen = append(seen, p)
			h.Set("X-Ratelimit-Limit", "60")
		},
	}}
	for _, c := range []struct {
		name  string
		err   error
		limit string
		want  []*strikeplate.Principal
	}{
		{"proven", &strikeplate.Error{Status: 402, Code: strikeplate.CodeLapsed, Principal: p}, "60", []*strikeplate.Principal{p}},
		{"unproven", &strikeplate.Error{Status: 401, Code: strikeplate.CodeInvalid}, "", nil},
	} {
		seen, told = nil, nil
		w := httptest.NewRecorder()
		edge.Handler(failing(c.err)).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		if d := cmp.Diff(c.want, seen); d != "" || w.Header().Get("X-RateLimit-Limit") != c.limit {
			t.Errorf("%s: X-RateLimit-Limit %q; called with (-want +got):\n%s", c.name, w.Header().Get("X-RateLimit-Limit"), d)
		}
		if told != nil {
			t.Errorf("%s: the dialect was told whose credential it is", c.name)
		}
	}
}
