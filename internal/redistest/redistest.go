// Package redistest starts real, throw-away Redis servers for tests, from the
// redis-server that is installed.
//
//	func TestStore(t *testing.T) {
//		server := redistest.Start(t)
//		options, err := redis.ParseURL(server.URL())
//		…
//	}
//
// A server starts in a few hundredths of a second, so every test has one of its
// own; none is shared.
//
// Where Redis is not installed the test is skipped, and says how to install it;
// with STRIKEPLATE_REQUIRE_SERVICES=1 in the environment it fails instead.
//
// # Security notes
//
// A server listens on 127.0.0.1 only, has no Unix socket, and wants a password
// that is made anew for each and stands in no command line. It keeps nothing on
// disk, so it is empty after a kill. Under root it runs as the user redis, or
// nobody.
package redistest

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate/internal/processtest"
)

// Server is one Redis server, with the methods of [processtest.Server] that kill,
// restart, pause and stop it. They are for one goroutine.
type Server struct {
	*processtest.Server
	password string
}

// Start starts a server, stopped when tb ends. Settings are written as in
// redis.conf, such as "maxmemory 100mb", and come after those of this package.
func Start(tb testing.TB, settings ...string) *Server {
	tb.Helper()
	s, err := Open(settings...)
	if err != nil {
		processtest.GiveUp(tb, "redistest", err)
	}
	tb.Cleanup(s.Stop)
	return s
}

// Addr is the server's address, host and port.
func (s *Server) Addr() string { return address(s.Server) }

// Password is what AUTH wants, for the user "default".
func (s *Server) Password() string { return s.password }

// URL returns the server's address and password as redis.ParseURL reads them. It
// names database 0.
func (s *Server) URL() string {
	u := url.URL{Scheme: "redis", User: url.UserPassword("", s.password), Host: s.Addr(), Path: "/0"}
	return u.String()
}

// Open is [Start] for a program that is no test: it stops the server itself. The
// error is a [processtest.MissingError] where Redis is not installed.
func Open(settings ...string) (*Server, error) {
	bin, ok := processtest.Find(processtest.Path("/usr/bin", "/usr/sbin"), "redis-server")
	if !ok {
		return nil, processtest.MissingError{Text: "redis-server is not in PATH; to run this test install it (Debian: apt-get install redis-server)"}
	}
	s := &Server{password: rand.Text()}
	config := ""
	var err error
	s.Server, err = processtest.Start(processtest.Config{
		Name:    "redis",
		Account: "redis",
		Prepare: func(p *processtest.Server) error {
			config, err = p.WriteFile("redis.conf", strings.Join(append([]string{
				"bind 127.0.0.1", "unixsocket \"\"", "requirepass " + s.password, "dir " + p.Dir(),
				// Nothing on disk; the database number stays Redis's default.
				"save \"\"", "appendonly no", "daemonize no", "loglevel warning",
			}, settings...), "\n")+"\n")
			return err
		},
		Command: func(p *processtest.Server) []string {
			return []string{filepath.Join(bin, "redis-server"), config, "--port", strconv.Itoa(p.Port())}
		},
		Ready: func(p *processtest.Server) error { return ping(address(p), s.password) },
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

func address(p *processtest.Server) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(p.Port()))
}

// ping asks a server whether it answers, and whether it is ours.
func ping(address, password string) error {
	dialer := net.Dialer{Timeout: time.Second}
	conn, err := dialer.DialContext(context.Background(), "tcp", address)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(conn, "AUTH %s\r\nPING\r\n", password); err != nil {
		return err
	}
	answers := bufio.NewReader(conn)
	for _, want := range []string{"+OK\r\n", "+PONG\r\n"} {
		got, err := answers.ReadString('\n')
		if err != nil {
			return err
		}
		if got != want {
			return errors.New("redis answers " + got)
		}
	}
	return nil
}
