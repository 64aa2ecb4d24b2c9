package policies_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/bundle"

	"github.com/strikeplate/strikeplate/policies"
)

// signer makes signed bundles.
type signer struct{ private, public string }

func newSigner(t testing.TB) signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return signer{
		string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: private})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})),
	}
}

func (s signer) keys() map[string]policies.VerificationKey {
	return map[string]policies.VerificationKey{"k1": {PEM: s.public, Algorithm: "ES256"}}
}

// pack makes a bundle of one policy; signing by nobody leaves it unsigned.
func (s signer) pack(t testing.TB, revision, text string, data map[string]any) []byte {
	t.Helper()
	module, err := ast.ParseModule("/policies/a.rego", text)
	if err != nil {
		t.Fatal(err)
	}
	b := bundle.Bundle{
		Manifest: bundle.Manifest{Revision: revision, Roots: &[]string{"policies"}}, Data: data,
		Modules: []bundle.ModuleFile{{URL: "/policies/a.rego", Path: "/policies/a.rego", Raw: []byte(text), Parsed: module}},
	}
	if b.Data == nil {
		b.Data = map[string]any{}
	}
	if s.private != "" {
		if err := b.GenerateSignature(bundle.NewSigningConfig(s.private, "ES256", ""), "k1", false); err != nil {
			t.Fatal(err)
		}
	}
	var packed bytes.Buffer
	if err := bundle.NewWriter(&packed).Write(b); err != nil {
		t.Fatal(err)
	}
	return packed.Bytes()
}

func TestSignedBundle(t *testing.T) {
	s, name := newSigner(t), t.TempDir()+"/bundle.tar.gz"
	put := func(packed []byte) {
		t.Helper()
		if err := os.WriteFile(name+".new", packed, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(name+".new", name); err != nil {
			t.Fatal(err)
		}
	}
	put(s.pack(t, "1", "package policies.scopes\ndeny[\"one\"] := \"closed\" if input.principal.organisation in data.policies.blocked\n", map[string]any{"policies": map[string]any{"blocked": []any{"acme"}}}))
	e := engine(t, policies.Config{Source: policies.Source{Bundle: name, Keys: s.keys()}})
	if got := decider(t, e); got != "policies.scopes.one" || !strings.HasPrefix(e.Stats().Revision, "1-") {
		t.Errorf("%s, revision %s", got, e.Stats().Revision)
	}
	put(s.pack(t, "2", denying("two"), nil))
	becomes(t, e, "policies.scopes.two") // found by watching; files that are gone were dropped by who signed
}

func TestBundlesThatAreRefused(t *testing.T) {
	s, stranger := newSigner(t), newSigner(t)
	good := s.pack(t, "7", harmlessPolicy, nil)
	for name, c := range map[string]struct {
		packed []byte
		least  uint64
		want   string
	}{
		"unsigned":              {signer{}.pack(t, "7", harmlessPolicy, nil), 0, "missing .signatures.json"},
		"signed by a stranger":  {stranger.pack(t, "7", harmlessPolicy, nil), 0, "verif"},
		"no bundle":             {[]byte("package policies.scopes"), 0, "gzip"},
		"cut short":             {good[:len(good)/2], 0, "unexpected EOF"},
		"without a revision":    {s.pack(t, "", harmlessPolicy, nil), 0, "must be a whole number above 0"},
		"a revision in words":   {s.pack(t, "2026-11-24", harmlessPolicy, nil), 0, "must be a whole number above 0"},
		"below MinRevision":     {good, 8, "revision 7 is older than MinRevision 8"},
		"the library's package": {s.pack(t, "7", "package strikeplate.scopes\nallow[\"x\"] := \"y\" if true", nil), 0, "do not permit 'package strikeplate.scopes'"},
		"beyond MaxBytes":       {s.pack(t, "7", harmlessPolicy, map[string]any{"policies": map[string]any{"x": strings.Repeat("x", 1<<20)}}), 0, "unfolds to more than 100000 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			file := t.TempDir() + "/bundle.tar.gz"
			if err := os.WriteFile(file, c.packed, 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := tryEngine(t, policies.Config{Source: policies.Source{Bundle: file, Keys: s.keys(), MinRevision: c.least}, MaxBytes: 100_000})
			if !errors.Is(err, policies.ErrSource) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// Whoever can write the file, but not sign, can't bring an old bundle back.
func TestThreat22SignedRevisionsOnlyRise(t *testing.T) {
	s, name := newSigner(t), t.TempDir()+"/bundle.tar.gz"
	put := func(revision, id string) {
		t.Helper()
		if err := os.WriteFile(name, s.pack(t, revision, denying(id), nil), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("5", "five")
	e := engine(t, policies.Config{Source: policies.Source{Bundle: name, Keys: s.keys()}})
	for _, c := range []struct{ revision, id string }{{"4", "four"}, {"5", "other"}, {"1", "one"}} {
		put(c.revision, c.id)
		if err := e.Reload(context.Background()); !errors.Is(err, policies.ErrSource) || !strings.Contains(err.Error(), "is not above the active 5") {
			t.Errorf("revision %s: %v", c.revision, err)
		}
		if got := decider(t, e); got != "policies.scopes.five" {
			t.Errorf("decided by %s", got)
		}
	}
	put("5", "five")
	if err := e.Reload(context.Background()); err != nil || e.Ready() != nil {
		t.Errorf("the active one again: %v", err)
	}
	put("6", "six")
	if err := e.Reload(context.Background()); err != nil || decider(t, e) != "policies.scopes.six" {
		t.Errorf("a newer one: %v", err)
	}
	put("5", "five")
	if err := e.Reload(context.Background()); !errors.Is(err, policies.ErrSource) {
		t.Errorf("the one before: %v", err)
	}
	trial, err := e.Try(context.Background(), policies.Source{Bundle: name, Keys: s.keys()})
	if err == nil {
		defer trial.Stop()
		if err := trial.Promote(context.Background()); !errors.Is(err, policies.ErrSource) || decider(t, e) != "policies.scopes.six" {
			t.Errorf("an old one was promoted: %v", err)
		}
	}
}

// An archive that unfolds to far more than it is, and one of very many files.
func TestBundleBombs(t *testing.T) {
	s := newSigner(t)
	file := t.TempDir() + "/bundle.tar.gz"
	if err := os.WriteFile(file, s.pack(t, "1", harmlessPolicy, map[string]any{"policies": map[string]any{"x": strings.Repeat("0", 64<<20)}}), 0o600); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Size() > 1<<20 {
		t.Fatal(info.Size(), err)
	}
	_, err := tryEngine(t, policies.Config{Source: policies.Source{Bundle: file, Keys: s.keys()}})
	if !errors.Is(err, policies.ErrSource) || !strings.Contains(err.Error(), "unfolds to more than 8388608 bytes") {
		t.Errorf("got %v", err)
	}
	_, err = tryEngine(t, policies.Config{Source: policies.Source{Bundle: file, Keys: s.keys()}, MaxBytes: 1 << 30, MaxFiles: 1})
	if !errors.Is(err, policies.ErrSource) || !strings.Contains(err.Error(), "more than 1 files") {
		t.Errorf("got %v", err)
	}
}
