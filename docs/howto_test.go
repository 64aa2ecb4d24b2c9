package docs_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestHowTos: every Go file that a how-to shows compiles and passes vet, and the
// policy decides what its page says.
func TestHowTos(t *testing.T) {
	dir := t.TempDir()
	use(t, dir, []byte("module example.com/howto\n\ngo 1.26.0\n"))
	var promised string
	for _, document := range matches(t, "howto/*.md") {
		for _, b := range blocks(t, document) {
			name := b.attributes["file"]
			switch {
			case name != "":
				name = filepath.Join(dir, name)
				if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
					t.Fatal(err)
				}
				if _, err := os.Stat(name); err == nil {
					t.Errorf("%s: another page has this file too", b.at)
				}
				if err := os.WriteFile(name, []byte(b.text), 0o600); err != nil {
					t.Fatal(err)
				}
			case b.language == "go" || b.language == "rego":
				t.Errorf("%s: the block has no file, so nothing checks it", b.at)
			case b.language == "text" && document == filepath.Join("howto", "write-a-policy.md"):
				promised = b.text
			}
		}
	}
	inModule := func(args ...string) string {
		cmd := exec.CommandContext(t.Context(), "go", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	inModule("get", "./...")
	inModule("vet", "./...")
	if out := exec.CommandContext(t.Context(), "gofmt", "-l", dir); out != nil {
		if unformatted, err := out.CombinedOutput(); err != nil || len(unformatted) > 0 {
			t.Errorf("gofmt: %v %s", err, unformatted)
		}
	}
	printed := inModule("run", "./writeapolicy")
	if _, decided, ok := strings.Cut(printed, "true "); !ok || promised == "" || !like("true "+decided, promised) { // a line of the log stands before
		t.Errorf("the policy's program prints\n%s\nand not\n%s", printed, promised)
	}
}

var link = regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)

// TestLinks: links between documents lead somewhere.
func TestLinks(t *testing.T) {
	for _, pattern := range []string{"*.md", "*/*.md"} {
		for _, document := range matches(t, pattern) {
			content, err := os.ReadFile(document)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range link.FindAllStringSubmatch(string(content), -1) {
				if _, err := os.Stat(filepath.Join(filepath.Dir(document), m[1])); err != nil {
					t.Errorf("%s: %v", document, err)
				}
			}
		}
	}
}
