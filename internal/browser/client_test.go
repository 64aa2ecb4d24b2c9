package browser_test

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// document fetches the OpenAPI document that the server serves.
func (s *server) document() []byte {
	s.Helper()
	r, err := http.NewRequestWithContext(s.Context(), http.MethodGet, s.BaseURL+developer+"/api/openapi.json", nil)
	if err != nil {
		s.Fatal(err)
	}
	r.AddCookie(&http.Cookie{Name: "demo_user", Value: "user_ada"})
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		s.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		s.Fatalf("the document: %v, %s\n%s", err, res.Status, text)
	}
	return text
}

// TestTypeScriptClient: openapi-typescript makes types of the served document,
// openapi-fetch a client of them, and the compiler accepts what testdata/client.ts
// does with it, which then works against the server.
func TestTypeScriptClient(t *testing.T) {
	t.Parallel()
	module(t, "openapi-typescript/package.json")
	s := serve(t, "console-demo")
	directory, err := os.MkdirTemp(npm, ".client-") //nolint:usetesting // below node_modules' parent, where imports are looked for
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(directory) })
	write := func(name string, text []byte) string {
		path := filepath.Join(directory, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	program, err := os.ReadFile(filepath.Join("testdata", "client.ts"))
	if err != nil {
		t.Fatal(err)
	}
	source, doc := write("client.ts", program), write("openapi.json", s.document())
	write("package.json", []byte(`{"type": "module"}`))
	bin := filepath.Join(npm, "node_modules", ".bin")
	run := func(name string, args ...string) string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
		return string(out)
	}
	run(filepath.Join(bin, "openapi-typescript"), doc, "--output", filepath.Join(directory, "schema.d.ts"))
	run(filepath.Join(bin, "tsc"), "--strict", "--target", "es2022", "--module", "nodenext", "--moduleResolution", "nodenext",
		"--lib", "es2023,dom,dom.iterable", "--skipLibCheck", source)
	if out := run("node", filepath.Join(directory, "client.js"), s.BaseURL, "demo_user=user_ada"); strings.TrimSpace(out) != "done" {
		t.Errorf("the client says %s", out)
	}
}
