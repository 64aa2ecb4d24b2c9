package fleet_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate/internal/processtest"
)

// member is one instance: its process, and its ways to the servers it shares.
type member struct {
	*processtest.Server
	name            string
	program         string // what is started the next time
	broken          string // the promise that it breaks, if its build can
	postgres, redis *line
	client          *http.Client
	ahead           time.Duration // of its clock
}

func startMember(t testing.TB, started member, postgres, redis string, jar http.CookieJar, more ...string) *member {
	t.Helper()
	m := &started
	m.client = &http.Client{Timeout: 10 * time.Second, Jar: jar, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	arguments := append([]string{"-credentials", "credentials.json"}, more...)
	var through string
	if postgres != "" {
		m.postgres, through = newLine(t, m.name+"-postgres", postgres)
		arguments = append(arguments, "-db", through)
	}
	if redis != "" {
		m.redis, through = newLine(t, m.name+"-redis", redis)
		arguments = append(arguments, "-redis", through)
	}
	var err error
	m.Server, err = processtest.Start(processtest.Config{
		Name: "fleet",
		Prepare: func(p *processtest.Server) error {
			_, err := p.WriteFile("broken", m.broken)
			return err
		},
		Command: func(p *processtest.Server) []string {
			return append([]string{m.program, "-addr", fmt.Sprintf("127.0.0.1:%d", p.Port())}, arguments...)
		},
		Ready: ready,
		Quit:  syscall.SIGTERM,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Stop)
	return m
}

// ready asks as a load balancer does.
func ready(p *processtest.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/healthz", p.Port()), nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("answered %d", answer.StatusCode)
	}
	return nil
}

func (m *member) url(path string) string { return fmt.Sprintf("http://127.0.0.1:%d%s", m.Port(), path) }

// answer is what came of one request with a key.
type answer struct {
	sent, received time.Time
	status         int
	counted        bool // the limit's fields are there
	err            error
}

// ask presents a key.
func (m *member) ask(ctx context.Context, key string) answer {
	a := answer{sent: time.Now()}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, m.url("/v1/whoami"), nil)
	if err != nil {
		a.err = err
		return a
	}
	id, secret, _ := strings.Cut(key, ":")
	r.SetBasicAuth(id, secret)
	a.sent = time.Now()
	response, err := m.client.Do(r)
	if err != nil {
		a.err = err
		return a
	}
	_, _ = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
	a.received, a.status = time.Now(), response.StatusCode
	a.counted = response.Header.Get("X-RateLimit-Remaining") != ""
	return a
}

// created is a new key, as its creator is told.
type created struct {
	Key    struct{ ID string }
	Secret string
}

var errRefused = errors.New("refused")

// manage asks the Developer page's API as somebody who is signed in.
func (m *member) manage(ctx context.Context, method, path string, body, into any) error {
	content, err := json.Marshal(body)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, method, m.url(path), bytes.NewReader(content))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	if method == http.MethodPatch {
		r.Header.Set("If-Match", "*")
	}
	response, err := m.client.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode > 299 {
		return fmt.Errorf("%w: %s %s: %d %s", errRefused, method, path, response.StatusCode, text)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(text, into)
}

const developer = "/settings/developer/api"

func (m *member) signIn(ctx context.Context, user string) error {
	return m.manage(ctx, http.MethodPost, "/demo/login", map[string]string{"user": user}, nil)
}

// create makes a key that expires, or never if that is zero.
func (m *member) create(ctx context.Context, name string, expires time.Time) (c created, err error) {
	wanted := map[string]any{"name": name, "access": "org-limited"}
	if expires.IsZero() {
		wanted["no_expiry"] = true
	} else {
		wanted["expires"] = expires
	}
	err = m.manage(ctx, http.MethodPost, developer+"/keys", wanted, &c)
	return c, err
}

func (m *member) rename(ctx context.Context, id, name string) error {
	return m.manage(ctx, http.MethodPatch, developer+"/keys/"+id, map[string]string{"name": name}, nil)
}

func (m *member) revoke(ctx context.Context, id string) error {
	return m.manage(ctx, http.MethodPost, developer+"/keys/"+id+"/revoke", struct{}{}, nil)
}

func newJar(t testing.TB) http.CookieJar {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return jar
}

// credentials are the keys that the first instance made.
func (m *member) credentials(t testing.TB) map[string]struct{ Key, ID string } {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(m.Dir(), "credentials.json"))
	if err != nil {
		t.Fatal(err)
	}
	var f struct {
		Keys map[string]struct{ Key, ID string }
	}
	if err := json.Unmarshal(content, &f); err != nil {
		t.Fatal(err)
	}
	return f.Keys
}
