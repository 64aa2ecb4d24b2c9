package leak_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/strikeplate/strikeplate/keyauth/leak"
)

// signer signs by openssl's command line, which shares no code with this module.
type signer struct {
	testing.TB
	id, dir string
}

func newSigner(t testing.TB, id string) *signer {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		if os.Getenv("STRIKEPLATE_REQUIRE_SERVICES") == "1" {
			t.Fatal("openssl is missing: apt-get install openssl")
		}
		t.Skip("openssl is missing: apt-get install openssl")
	}
	s := &signer{t, id, t.TempDir()}
	s.openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", s.path("private.pem"))
	s.openssl("ec", "-in", s.path("private.pem"), "-pubout", "-out", s.path("public.pem"))
	return s
}

func (s *signer) path(name string) string { return filepath.Join(s.dir, name) }

func (s *signer) openssl(args ...string) []byte {
	s.Helper()
	var out, complaint bytes.Buffer
	c := exec.CommandContext(s.Context(), "openssl", args...)
	c.Stdout, c.Stderr = &out, &complaint
	if err := c.Run(); err != nil {
		s.Fatalf("openssl %s: %v\n%s", args[0], err, &complaint)
	}
	return out.Bytes()
}

// public is the public key, as PEM.
func (s *signer) public() string {
	s.Helper()
	text, err := os.ReadFile(s.path("public.pem"))
	if err != nil {
		s.Fatal(err)
	}
	return string(text)
}

// sign returns the header fields of a body.
func (s *signer) sign(body []byte) map[string]string {
	s.Helper()
	if err := os.WriteFile(s.path("body"), body, 0o600); err != nil {
		s.Fatal(err)
	}
	signature := s.openssl("dgst", "-sha256", "-sign", s.path("private.pem"), s.path("body"))
	return map[string]string{
		"Github-Public-Key-Identifier": s.id,
		"Github-Public-Key-Signature":  base64.StdEncoding.EncodeToString(signature),
	}
}

// keyServer publishes public keys as GitHub does.
type keyServer struct {
	*httptest.Server
	asked atomic.Int64
	reply atomic.Pointer[http.HandlerFunc] // nil: the keys
}

func newKeyServer(t testing.TB, signers ...*signer) *keyServer {
	t.Helper()
	type key struct {
		KeyIdentifier string `json:"key_identifier"`
		Key           string `json:"key"`
		IsCurrent     bool   `json:"is_current"`
	}
	list := map[string][]key{"public_keys": {{KeyIdentifier: "no-key", Key: "-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----\n"}}}
	for _, s := range signers {
		list["public_keys"] = append(list["public_keys"], key{s.id, s.public(), true})
	}
	text, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	k := &keyServer{}
	k.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		k.asked.Add(1)
		if reply := k.reply.Load(); reply != nil {
			(*reply)(w, r)
			return
		}
		_, _ = w.Write(text)
	}))
	t.Cleanup(k.Close)
	return k
}

// used points an intake to the key server.
func (k *keyServer) used(c *leak.Config) {
	c.KeysURL, c.Client = k.URL+"/meta/public_keys/secret_scanning", k.Client()
}
