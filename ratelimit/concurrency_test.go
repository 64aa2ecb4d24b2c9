package ratelimit_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/ratelimit"
)

func capped(most int, gate ratelimit.Gate, h http.Handler) http.Handler {
	c := must(ratelimit.NewConcurrency(ratelimit.ConcurrencyConfig{Name: "chat", Max: most, Gate: gate}))
	return strikeplate.Edge{}.Handler(strikeplate.Require(keys)(c.Handler(h)))
}

func TestGateIsExact(t *testing.T) {
	for range 50 {
		g := ratelimit.NewGate()
		var inside, refused atomic.Int64
		release := make(chan struct{})
		burst(func(int) {
			leave, err := g.Enter(t.Context(), "acme", 10)
			if err != nil {
				if !errors.Is(err, ratelimit.ErrBusy) {
					t.Error(err)
				}
				if refused.Add(1) == 54 {
					close(release)
				}
				return
			}
			inside.Add(1)
			<-release
			leave()
			leave() // no effect
		})
		if inside.Load() != 10 {
			t.Fatalf("%d of 64 entered, want 10", inside.Load())
		}
		for range 10 {
			if _, err := g.Enter(t.Context(), "acme", 10); err != nil {
				t.Fatal("a place was not given back:", err)
			}
		}
		if _, err := g.Enter(t.Context(), "acme", 10); !errors.Is(err, ratelimit.ErrBusy) {
			t.Fatal("a place was given back twice")
		}
		if _, err := g.Enter(t.Context(), "other", 1); err != nil {
			t.Fatal("keys share places:", err)
		}
	}
	if _, err := ratelimit.NewGate().Enter(t.Context(), "acme", 0); !errors.Is(err, ratelimit.ErrPolicy) {
		t.Errorf("no places: %v", err)
	}
}

func TestTooManyAtOnce(t *testing.T) {
	running, release := make(chan struct{}), make(chan struct{})
	h := capped(2, nil, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		running <- struct{}{}
		<-release
		fmt.Fprint(w, "done")
	}))
	done := make(chan int)
	for range 2 {
		go func() { done <- ask(h, "acme-1").StatusCode }()
		<-running
	}
	resp := ask(h, "acme-2")
	body := string(must(io.ReadAll(resp.Body)))
	if resp.StatusCode != 429 || resp.Header.Get("Retry-After") != "1" || !strings.Contains(body, `"too_many_concurrent"`) {
		t.Errorf("%s, %v, %s", resp.Status, resp.Header, body)
	}
	go func() { done <- ask(h, "other").StatusCode }() // another organisation
	<-running
	close(release)
	for range 3 {
		if got := <-done; got != 200 {
			t.Errorf("%d", got)
		}
	}
}

func TestPlacesAreGivenBackAfterPanics(t *testing.T) {
	h := capped(1, nil, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	for range 3 {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("refused, or the panic was swallowed")
				}
			}()
			ask(h, "acme-1")
		}()
	}
}

// A client that leaves ends the request's context; the place is free when the
// handler has heeded it.
func TestPlacesAreGivenBackWhenTheClientLeaves(t *testing.T) {
	running, left := make(chan struct{}), make(chan struct{})
	gate := ratelimit.NewGate()
	server := httptest.NewServer(capped(1, noticing{gate, left}, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		running <- struct{}{}
		<-r.Context().Done()
	})))
	defer server.Close()
	for range 3 {
		conn := must(net.Dial("tcp", server.Listener.Addr().String()))
		fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer acme-1\r\n\r\n")
		<-running
		conn.Close()
		<-left
	}
}

// noticing tells when a place was given back.
type noticing struct {
	ratelimit.Gate
	left chan struct{}
}

func (n noticing) Enter(ctx context.Context, key string, most int) (func(), error) {
	leave, err := n.Gate.Enter(ctx, key, most)
	if err != nil {
		return nil, err
	}
	return func() { leave(); n.left <- struct{}{} }, nil
}

// A connection that was taken over holds its place until it is closed, also when
// the handler has returned long before.
func TestATakenConnectionHoldsItsPlace(t *testing.T) {
	taken := make(chan net.Conn, 1)
	returned := make(chan struct{}, 1)
	left := make(chan struct{}, 1)
	inner := capped(1, noticing{ratelimit.NewGate(), left}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
		}
		taken <- conn
	}))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inner.ServeHTTP(w, r)
		returned <- struct{}{}
	}))
	defer server.Close()
	send := func() net.Conn {
		conn := must(net.Dial("tcp", server.Listener.Addr().String()))
		t.Cleanup(func() { conn.Close() })
		fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer acme-1\r\nConnection: close\r\n\r\n")
		return conn
	}
	send()
	conn := <-taken
	<-returned
	if resp := must(http.ReadResponse(bufio.NewReader(send()), nil)); resp.StatusCode != 429 {
		t.Errorf("while the connection is held: %s", resp.Status)
	}
	<-returned
	conn.Close()
	<-left
	send()
	conn = <-taken
	<-returned
	conn.Close()
	<-left
}

// The writer keeps what the server's own can do.
func TestConcurrencyKeepsTheWriter(t *testing.T) {
	server := httptest.NewServer(capped(1, nil, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, ok := w.(http.Flusher); !ok {
			t.Error("no Flusher")
		}
		if _, ok := w.(io.ReaderFrom); !ok {
			t.Error("no ReaderFrom")
		}
		if err := http.NewResponseController(w).EnableFullDuplex(); err != nil {
			t.Errorf("no Unwrap: %v", err)
		}
		io.WriteString(w, "one ")
		w.(http.Flusher).Flush()
		io.Copy(w, strings.NewReader("two"))
	})))
	defer server.Close()
	r := must(http.NewRequestWithContext(t.Context(), "GET", server.URL, nil))
	r.Header.Set("Authorization", "Bearer acme-1")
	resp := must(http.DefaultClient.Do(r))
	defer resp.Body.Close()
	if body := string(must(io.ReadAll(resp.Body))); body != "one two" {
		t.Errorf("%s: %q", resp.Status, body)
	}
	plain := must(ratelimit.NewConcurrency(ratelimit.ConcurrencyConfig{Name: "a", Max: 1, By: ratelimit.ByAddress})).Handler(
		http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if _, ok := w.(http.Hijacker); ok {
				t.Error("a writer that can't be hijacked says it can")
			}
		}))
	plain.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
}

type noGate struct{}

func (noGate) Enter(context.Context, string, int) (func(), error) { return nil, errors.New("down") }

func TestConcurrencyRefuses(t *testing.T) {
	for name, c := range map[string]ratelimit.ConcurrencyConfig{
		"no name": {Max: 1}, "no places": {Name: "a"}, "a name to escape": {Name: `"`, Max: 1},
	} {
		if _, err := ratelimit.NewConcurrency(c); !errors.Is(err, ratelimit.ErrPolicy) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := ask(capped(1, noGate{}, hello), "acme-1").StatusCode; got != 503 {
		t.Errorf("a gate that fails: %d", got)
	}
	unlimited := must(ratelimit.NewConcurrency(ratelimit.ConcurrencyConfig{Name: "a", Max: 1, By: ratelimit.ByClient, Gate: noGate{}}))
	if got := ask(strikeplate.Require(keys)(unlimited.Handler(hello)), "acme-1").StatusCode; got != 200 {
		t.Errorf("where it doesn't apply: %d", got)
	}
}
