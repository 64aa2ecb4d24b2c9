package postgres_test

import (
	"bytes"
	"net"
	"sync"
	"testing"
)

// proxy passes bytes between clients and a server on loopback, until it is told
// to fail as networks do.
type proxy struct {
	listener net.Listener
	target   string

	mu      sync.Mutex
	pairs   []*wire
	trigger []byte // what the client says that makes the proxy fail; nil: never
	arrives bool   // whether the trigger itself still reaches the server
	hole    bool   // whether to swallow from then on, instead of cutting
	holed   chan struct{}
}

// wire is one connection of a client and its other half.
type wire struct {
	client, server net.Conn
	hole           bool // bytes vanish, in both directions
	answered       bool // what the server says next proves that the trigger arrived, and goes no further
}

func newProxy(t *testing.T, db string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, target: mustParse(t, db).Host, holed: make(chan struct{})}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", p.target)
			if err != nil {
				_ = client.Close()
				continue
			}
			w := &wire{client: client, server: server}
			p.mu.Lock()
			p.pairs = append(p.pairs, w)
			p.mu.Unlock()
			all.Go(func() { p.forward(w, client, server, true) })
			all.Go(func() { p.forward(w, server, client, false) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		p.mu.Lock()
		for _, w := range p.pairs {
			w.cut()
		}
		p.mu.Unlock()
		all.Wait()
	})
	return p
}

// url is db's, through the proxy.
func (p *proxy) url(t *testing.T, db string) string {
	u := mustParse(t, db)
	u.Host = p.listener.Addr().String()
	return u.String()
}

// cutAt closes a connection when its client says trigger.
func (p *proxy) cutAt(trigger string, arrives bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.trigger, p.arrives = []byte(trigger), arrives
}

// holeAt makes a connection swallow everything from when its client says trigger.
func (p *proxy) holeAt(trigger string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.trigger, p.hole = []byte(trigger), true
}

// blackHole makes every open connection swallow everything, without an error.
// When it returns, nothing more arrives. New connections work.
func (p *proxy) blackHole() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.pairs {
		w.hole = true
	}
}

func (p *proxy) forward(w *wire, from, to net.Conn, fromClient bool) {
	defer w.cut()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err != nil || !p.pass(w, to, buf[:n], fromClient) {
			return
		}
	}
}

// pass hands on what was read; false: the connection is to be cut. It holds
// the lock, so that blackHole is a sharp line.
func (p *proxy) pass(w *wire, to net.Conn, data []byte, fromClient bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	triggered := fromClient && p.trigger != nil && bytes.Contains(data, p.trigger)
	if triggered {
		p.trigger = nil
		if p.hole {
			w.hole = true
			close(p.holed)
		}
	}
	if w.hole {
		return true
	}
	if triggered && !p.arrives || !fromClient && w.answered {
		return false
	}
	w.answered = w.answered || triggered
	_, err := to.Write(data)
	return err == nil
}

func (w *wire) cut() {
	_ = w.client.Close()
	_ = w.server.Close()
}
