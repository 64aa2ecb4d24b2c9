package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/keyauth/manage"
	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/memory"
)

// demonstration is what stands in for a real gateway's store of keys.
type demonstration struct {
	base    string
	store   *memory.Store
	scheme  *keyauth.Scheme
	manager *manage.Service
	keys    []demoKey
}

type demoKey struct {
	name, about string
	created     manage.Created
}

var (
	admin = storage.Actor{User: "usr_ada", Organisation: "org_acme", Role: "admin"}
	other = storage.Actor{User: "usr_jo", Organisation: "org_elm", Role: "admin"}
)

// mint makes three keys, fresh at each start.
func mint(ctx context.Context, base string) (*demonstration, error) {
	d := &demonstration{base: base, store: memory.New()}
	for _, a := range []storage.Actor{admin, other} {
		if err := d.store.PutAccount(ctx, storage.Account{Organisation: a.Organisation, Plan: "team"}); err != nil {
			return nil, err
		}
		if err := d.store.PutUser(ctx, storage.User{ID: a.User, Organisation: a.Organisation, Role: a.Role, Active: true}); err != nil {
			return nil, err
		}
	}
	tagKey := make([]byte, 32)
	rand.Read(tagKey)
	var err error
	if d.scheme, err = keyauth.NewScheme(keyauth.SchemeConfig{Formats: []keyauth.Format{{Prefix: "demo_"}}, TagKeys: [][]byte{tagKey}}); err != nil {
		return nil, err
	}
	if d.manager, err = manage.New(manage.Config{Scheme: d.scheme, Keys: d.store, Directory: d.store, MaxKeys: 10}); err != nil {
		return nil, err
	}
	for _, k := range []struct {
		name, about string
		by          storage.Actor
		scopes      []string
	}{
		{"reader", "may read meetings", admin, []string{"meetings:read"}},
		{"writer", "may change them, too", admin, []string{"meetings:read", "meetings:write", "transcripts:read", "files:read"}},
		{"lapsed", "402: its organisation's subscription lapsed", other, []string{"meetings:read"}},
	} {
		created, err := d.manager.Create(ctx, k.by, manage.Creation{Name: "Demo " + k.name, Prefix: "demo_", Access: strikeplate.OrganisationFull, Scopes: k.scopes})
		if err != nil {
			return nil, err
		}
		d.keys = append(d.keys, demoKey{k.name, k.about, created})
	}
	return d, d.store.PutAccount(ctx, storage.Account{Organisation: other.Organisation, Plan: "team", Lapsed: true})
}

// listen refuses addresses that others reach: the demo's keys are on the screen.
func listen(ctx context.Context, addr string) (net.Listener, error) {
	resolved, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("-addr: %w", err)
	}
	if !resolved.IP.IsLoopback() {
		return nil, fmt.Errorf("-addr %s can be reached by others: this is a demo, use 127.0.0.1", addr)
	}
	return (&net.ListenConfig{}).Listen(ctx, "tcp", resolved.String())
}

// service is what stands behind the gateway: the one that was named, or one that
// answers with what it was sent.
func (o options) service(ctx context.Context) (upstream *url.URL, end func(), err error) {
	if o.upstream != "" {
		upstream, err = url.Parse(o.upstream)
		if err != nil || upstream.Scheme != "http" && upstream.Scheme != "https" || upstream.Host == "" {
			return nil, nil, fmt.Errorf("-upstream: %q is no URL such as http://127.0.0.1:3000", o.upstream)
		}
		return upstream, func() {}, nil
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	server := &http.Server{Handler: http.HandlerFunc(mirror), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }()
	return &url.URL{Scheme: "http", Host: listener.Addr().String()}, func() { _ = server.Close() }, nil
}

func mirror(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	_ = e.Encode(map[string]any{"method": r.Method, "url": r.RequestURI, "fields": r.Header})
}

// announce says what to try, and writes the file when the gateway is ready.
func (d *demonstration) announce(file, upstream string, say func(string)) error {
	type fileKey struct {
		Key   string `json:"key"`
		ID    string `json:"id"`
		About string `json:"about"`
	}
	keys := make(map[string]fileKey)
	var b strings.Builder
	fmt.Fprintf(&b, "Gateway demo on %s, in front of %s\n\n", d.base, upstream)
	for _, k := range d.keys {
		secret := k.created.Secret.Reveal()
		keys[k.name] = fileKey{secret, k.created.Key.ID, k.about}
		if file == "" {
			fmt.Fprintf(&b, "  export %s=%s   # %s\n", strings.ToUpper(k.name), secret, k.about)
		} else {
			fmt.Fprintf(&b, "  export %s=$(jq -r .keys.%s.key %s)   # %s\n", strings.ToUpper(k.name), k.name, file, k.about)
		}
	}
	for _, e := range [][2]string{
		{"What the service is sent: who calls, and no key", `-H "Authorization: Bearer $READER" BASE/v1/meetings/mtg_1`},
		{"Nobody makes up an identity", `-H "Authorization: Bearer $READER" -H "X-Auth-Organisation: org_evil" -H "X_Auth_Subject: root" BASE/v1/me`},
		{"403: the key lacks meetings:write", `-X DELETE -H "Authorization: Bearer $READER" BASE/v1/meetings/mtg_1`},
		{"and another one has it", `-X DELETE -H "Authorization: Bearer $WRITER" BASE/v1/meetings/mtg_1`},
		{"401: no key", `BASE/v1/me`},
		{"402: the key is good, its organisation's subscription isn't", `-H "Authorization: Bearer $LAPSED" BASE/v1/me`},
		{"No key is needed here", `BASE/status`},
		{"404: the service may have it, but the file of routes doesn't", `-H "Authorization: Bearer $WRITER" BASE/admin`},
		{"400: is this /v1/meetings/mtg_1, or /v1/meetings/x%2f..%2fmtg_1?", `-H "Authorization: Bearer $READER" BASE/v1/meetings/x%2f..%2fmtg_1`},
		{"How another proxy asks; start with -proxies 127.0.0.1 for that", `-H "Authorization: Bearer $READER" -H "X-Forwarded-Method: GET" -H "X-Forwarded-Uri: /v1/meetings" BASE/-/auth`},
	} {
		fmt.Fprintf(&b, "\n  # %s\n  curl -i %s\n", e[0], strings.ReplaceAll(e[1], "BASE", d.base))
	}
	b.WriteString("\nThe routes are in examples/gateway/routes.txt; -routes takes others, and -upstream another service.\n")
	if file != "" {
		content, err := json.MarshalIndent(map[string]any{"base_url": d.base, "upstream": upstream, "keys": keys}, "", "  ")
		if err == nil {
			err = replace(file, append(content, '\n'))
		}
		if err != nil {
			return fmt.Errorf("-credentials: %w", err)
		}
	}
	say(b.String())
	return nil
}

// replace writes a file for its owner only, and then puts it in place.
func replace(name string, content []byte) error {
	temporary, err := os.CreateTemp(filepath.Dir(name), ".credentials-*") // created 0600
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name())
	if _, err := temporary.Write(content); err != nil {
		return err
	}
	if err := temporary.Close(); err != nil {
		return err
	}
	return os.Rename(temporary.Name(), name)
}
