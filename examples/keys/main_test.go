package main_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/keyauth"
	"github.com/strikeplate/strikeplate/keyauth/manage"
	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/sqlite"
)

var binary string // the built command

func TestMain(m *testing.M) { os.Exit(build(m)) }

func build(m *testing.M) int {
	dir, err := os.MkdirTemp("", "keys")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "keys")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		panic(string(out))
	}
	return m.Run()
}

var tagKey = bytes.Repeat([]byte("k"), 32)

// shell runs the command against one new SQLite file.
type shell struct {
	testing.TB
	db, tagKey string
}

func newShell(t testing.TB) *shell {
	t.Helper()
	return &shell{t, filepath.Join(t.TempDir(), "keys.db"), base64.StdEncoding.EncodeToString(tagKey)}
}

// try runs the command and returns its exit code.
func (s *shell) try(args ...string) (out, told string, code int) {
	s.Helper()
	c := exec.CommandContext(s.Context(), binary, args...)
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	c.Env = []string{"STRIKEPLATE_DB=" + s.db, "STRIKEPLATE_TAG_KEY=" + s.tagKey}
	err := c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.Fatal(err)
	}
	return stdout.String(), stderr.String(), c.ProcessState.ExitCode()
}

// do runs the command, which must succeed.
func (s *shell) do(args ...string) (out, told string) {
	s.Helper()
	out, told, code := s.try(args...)
	if code != 0 {
		s.Fatalf("keys %q: exit code %d\n%s", args, code, told)
	}
	return out, told
}

// mint makes a key and returns its secret and its id.
func (s *shell) mint(organisation string, more ...string) (secret, id string) {
	s.Helper()
	out, told := s.do(append([]string{"mint", "-organisation", organisation, "-name", "First key",
		"-prefix", "mvo_", "-environment", "live"}, more...)...)
	if strings.Count(out, "\n") != 1 || strings.Contains(told, strings.TrimSpace(out)) {
		s.Fatalf("standard output %q, standard error %q", out, told)
	}
	return strings.TrimSpace(out), regexp.MustCompile(`key_\w+`).FindString(told)
}

// listed reads a list.
func (s *shell) listed(args ...string) []manage.Key {
	s.Helper()
	out, _ := s.do(append([]string{"list", "-json"}, args...)...)
	var all []manage.Key
	for lines := json.NewDecoder(strings.NewReader(out)); lines.More(); {
		var k manage.Key
		if err := lines.Decode(&k); err != nil {
			s.Fatal(err)
		}
		all = append(all, k)
	}
	return all
}

// service is a running service on the same file.
func (s *shell) service() *keyauth.Authenticator {
	s.Helper()
	store, err := sqlite.Open(s.Context(), sqlite.Config{Path: s.db})
	if err != nil {
		s.Fatal(err)
	}
	scheme, err := keyauth.NewScheme(keyauth.SchemeConfig{TagKeys: [][]byte{tagKey}, Formats: []keyauth.Format{
		{Prefix: "mvo_", Environments: []strikeplate.Environment{strikeplate.Live, strikeplate.Test}}, {Pair: true}}})
	if err != nil {
		s.Fatal(err)
	}
	auth, err := keyauth.New(keyauth.Config{Scheme: scheme, Keys: store, InsecureNoDirectory: true})
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() {
		if err := errors.Join(auth.Close(context.Background()), store.Close(context.Background())); err != nil {
			s.Error(err)
		}
	})
	return auth
}

func code(auth *keyauth.Authenticator, secret string) string {
	_, err := auth.Verify(context.Background(), secret, netip.MustParseAddr("192.0.2.1"))
	var e *strikeplate.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// What is minted works in a service with the same tag key, and what is revoked
// stops working in it.
func TestMintListRevoke(t *testing.T) {
	s := newShell(t)
	secret, id := s.mint("acme", "-scopes", "meetings:read meetings:write", "-expires", "72h")
	other, otherID := s.mint("globex", "-access", "user-full", "-owner", "zoe")
	pair, _ := s.do("mint", "-organisation", "acme", "-name", "Pair", "-pair")

	auth := s.service()
	p, err := auth.Verify(t.Context(), secret, netip.MustParseAddr("192.0.2.1"))
	if err != nil || p.Credential != id || p.Organisation != "acme" || p.Access != strikeplate.OrganisationLimited ||
		strings.Join(p.Scopes, " ") != "meetings:read meetings:write" || time.Until(p.Expires).Round(time.Hour) != 72*time.Hour {
		t.Fatalf("%+v, %v", p, err)
	}
	if code(auth, other) != "" || code(auth, strings.TrimSpace(pair)) != "" {
		t.Error("a minted key does not work")
	}
	if all := s.listed(); len(all) != 3 {
		t.Errorf("%+v", all)
	}
	if of := s.listed("-organisation", "globex"); len(of) != 1 || of[0].ID != otherID || of[0].Owner != "zoe" || of[0].Creator != "operator" {
		t.Errorf("%+v", of)
	}
	if table, _ := s.do("list"); strings.Count(table, "\n") != 4 || !strings.Contains(table, id) || strings.Contains(table, secret) {
		t.Errorf("%s", table)
	}

	if _, told := s.do("revoke", "-reason", "found in a log", id); !strings.Contains(told, "revoked") {
		t.Error(told)
	}
	if got := code(auth, secret); got != strikeplate.CodeRevoked {
		t.Errorf("a revoked key: %q", got)
	}
	s.do("revoke", id) // again: it stays revoked
	if of := s.listed("-status", "revoked"); len(of) != 1 || of[0].RevokedBecause != "found in a log" {
		t.Errorf("%+v", of)
	}
	lookup := strings.TrimPrefix(other, "mvo_live_")[:11] // what a support ticket quotes
	if s.do("revoke", lookup); code(auth, other) != strikeplate.CodeRevoked {
		t.Error("not revoked by its look-up id")
	}
	if code(auth, strings.TrimSpace(pair)) != "" {
		t.Error("another key was revoked")
	}
}

func TestRevokeSelections(t *testing.T) {
	s := newShell(t)
	_, first := s.mint("acme")
	s.do("-by", "ada", "mint", "-organisation", "acme", "-name", "Ada's", "-prefix", "mvo_")
	s.mint("acme")
	s.mint("globex")

	for _, args := range [][]string{
		{"-organisation", "acme", "-before", "2020-01-01"},
		{"-organisation", "acme", "-creator", "nobody"},
		{"-organisation", "initech", "-all"},
	} {
		if _, told := s.do(append([]string{"revoke"}, args...)...); !strings.Contains(told, "revoked 0 keys") {
			t.Errorf("%q: %s", args, told)
		}
	}
	if s.do("revoke", "-organisation", "acme", "-creator", "ada"); len(s.listed("-organisation", "acme")) != 2 {
		t.Errorf("%+v", s.listed())
	}
	if _, _, code := s.try("revoke", "-organisation", "globex", first); code != 1 {
		t.Errorf("another organisation's key: %d", code)
	}
	s.do("revoke", "-organisation", "acme", first)
	s.do("revoke", "-organisation", "acme", "-before", time.Now().Add(time.Hour).Format(time.RFC3339))
	if all := s.listed(); len(all) != 1 || all[0].Organisation != "globex" {
		t.Errorf("%+v", all)
	}
	s.do("revoke", "-organisation", "globex", "-all")
	if all := s.listed(); len(all) != 0 {
		t.Errorf("%+v", all)
	}
	audited(t, s)
}

// audited fails unless the log says that an operator did it.
func audited(t *testing.T, s *shell) {
	t.Helper()
	store, err := sqlite.Open(t.Context(), sqlite.Config{Path: s.db})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close(context.Background())
	entries, _, err := store.Entries(t.Context(), storage.Query{Organisation: "acme"})
	if err != nil {
		t.Fatal(err)
	}
	actions := make(map[string]int)
	for _, e := range entries {
		actions[e.Action]++
		if e.Actor.Role != "operator" || e.Actor.User != "operator" && e.Actor.User != "ada" {
			t.Errorf("%+v", e)
		}
	}
	if actions[manage.ActionCreate] != 3 || actions[manage.ActionRevoke] != 3 {
		t.Errorf("%v", actions)
	}
}

// One wrong id does not save the others, and is told.
func TestRevokeWhatCanBe(t *testing.T) {
	s := newShell(t)
	secret, id := s.mint("acme")
	_, told, exit := s.try("revoke", "key_AAAA", id)
	if exit != 1 || !strings.Contains(told, "key_AAAA") || !strings.Contains(told, "1 of 2") {
		t.Errorf("%d: %s", exit, told)
	}
	if got := code(s.service(), secret); got != strikeplate.CodeRevoked {
		t.Errorf("the other key: %q", got)
	}
}

func TestWrongUse(t *testing.T) {
	s := newShell(t)
	s.mint("acme")
	mint := func(more ...string) []string {
		return append([]string{"mint", "-organisation", "acme", "-name", "n", "-prefix", "mvo_"}, more...)
	}
	for what, test := range map[string]struct {
		args []string
		code int
		tell string
	}{
		"nothing":              {nil, 2, "mint, revoke or list"},
		"an unknown command":   {[]string{"delete"}, 2, "mint, revoke or list"},
		"an unknown flag":      {[]string{"list", "-x"}, 2, "-x"},
		"list with an id":      {[]string{"list", "key_A"}, 2, "flags only"},
		"mint without a name":  {[]string{"mint", "-organisation", "acme", "-prefix", "mvo_"}, 2, "required"},
		"mint without prefix":  {[]string{"mint", "-organisation", "acme", "-name", "n"}, 2, "required"},
		"a wrong time":         {mint("-expires", "soon"), 2, "soon"},
		"a time that is over":  {mint("-expires", "-1h"), 1, "future"},
		"a wrong level":        {mint("-access", "everything"), 1, "access"},
		"a wrong scope":        {mint("-scopes", "everything!"), 1, "scope"},
		"nobody's key":         {mint("-access", "user-full"), 1, "owner"},
		"revoke nothing":       {[]string{"revoke"}, 2, "name keys"},
		"revoke all, perhaps":  {[]string{"revoke", "-organisation", "acme"}, 2, "-all"},
		"ids and a selection":  {[]string{"revoke", "-creator", "ada", "key_A"}, 2, "either"},
		"no such key":          {[]string{"revoke", "key_A"}, 1, "no such key"},
		"no such key of acme":  {[]string{"revoke", "-organisation", "acme", "key_A"}, 1, "not found"},
		"no such status":       {[]string{"list", "-status", "lost"}, 1, "status"},
		"no store":             {[]string{"-db", "", "list"}, 1, "-db"},
		"a file that is not":   {[]string{"-db", s.db + "x", "list"}, 1, "no file"},
		"a server that is not": {[]string{"-db", "postgres://x:sesame@127.0.0.1:1/x", "list"}, 1, "postgres"},
	} {
		t.Run(what, func(t *testing.T) {
			out, told, code := s.try(test.args...)
			if code != test.code || out != "" || !strings.Contains(told, test.tell) || strings.Contains(told, "sesame") {
				t.Errorf("exit code %d, want %d\nout: %s\ntold: %s", code, test.code, out, told)
			}
		})
	}
	if n := len(s.listed()); n != 1 {
		t.Errorf("%d keys", n)
	}
}

func TestTagKey(t *testing.T) {
	s := newShell(t)
	for what, text := range map[string]string{"none": "", "short": "c2hvcnQ=", "not base64": "sesame!"} {
		s.tagKey = text
		out, told, code := s.try("mint", "-organisation", "acme", "-name", "n", "-prefix", "mvo_")
		if code != 1 || out != "" || !strings.Contains(told, "openssl rand -base64 32") || text != "" && strings.Contains(told, text) {
			t.Errorf("%s: exit code %d\n%s", what, code, told)
		}
	}
	if _, err := os.Stat(s.db); err == nil {
		t.Error("a file was made for nothing")
	}
	s.tagKey = base64.StdEncoding.EncodeToString(tagKey)
	_, id := s.mint("acme")
	s.tagKey = "" // an emergency must not wait for the secrets manager
	s.do("revoke", id)
}

func TestHelp(t *testing.T) {
	s := newShell(t)
	for _, args := range [][]string{{"-h"}, {"mint", "-h"}, {"revoke", "-h"}, {"list", "-h"}} {
		if out, told, code := s.try(args...); code != 0 || out != "" || !strings.Contains(told, "Usage") || !strings.Contains(told, "-") {
			t.Errorf("%q: exit code %d\n%s", args, code, told)
		}
	}
}

// A secret that reached nobody belongs to no key that works.
func TestSecretThatCannotBeWritten(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("no device that is always full")
	}
	defer full.Close()
	s := newShell(t)
	c := exec.CommandContext(t.Context(), binary, "mint", "-organisation", "acme", "-name", "n", "-prefix", "mvo_")
	c.Stdout, c.Env = full, []string{"STRIKEPLATE_DB=" + s.db, "STRIKEPLATE_TAG_KEY=" + s.tagKey}
	if err := c.Run(); err == nil || c.ProcessState.ExitCode() != 1 {
		t.Errorf("%v", err)
	}
	if all := s.listed("-status", "all"); len(all) != 1 || all[0].Status != storage.Revoked {
		t.Errorf("%+v", all)
	}
}
