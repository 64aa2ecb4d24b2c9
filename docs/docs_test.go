package docs_test

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

func itoa(n int) string { return strconv.Itoa(n) }

// TestTutorial does what the tutorial says, from top to bottom: writes its files,
// runs its commands, and compares what they print. The library is this checkout,
// and the port one that is free.
func TestTutorial(t *testing.T) {
	for _, program := range []string{"bash", "curl", "openssl"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("STRIKEPLATE_REQUIRE_SERVICES") == "1" {
				t.Fatal(err)
			}
			t.Skipf("%s is missing: apt-get install bash curl openssl", program)
		}
	}
	r := newReader(t)
	printed := ""
	for _, b := range blocks(t, "tutorial.md") {
		b.text = strings.ReplaceAll(b.text, "127.0.0.1:8080", r.address)
		_, server := b.attributes["server"]
		switch {
		case b.language == "go" && b.attributes["file"] != "":
			r.stop()
			r.write(b.attributes["file"], b.text)
		case b.language == "go":
			r.stop()
			r.edit(b)
		case b.language == "sh" && server:
			r.stop()
			r.serve(b)
		case b.language == "sh":
			printed = r.run(b)
		case b.language == "text":
			if !like(printed, b.text) {
				t.Fatalf("%s: the command prints\n%s\nand not\n%s", b.at, printed, b.text)
			}
		default:
			t.Errorf("%s: nobody knows what to do with a block of %q", b.at, b.language)
		}
	}
}

// reader is who follows a document.
type reader struct {
	t       *testing.T
	home    string // where the reader begins
	state   string // where the shell's directory and variables are kept from block to block
	address string // of the reader's server
	server  *exec.Cmd
}

func newReader(t *testing.T) *reader {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &reader{t: t, home: t.TempDir(), state: t.TempDir(), address: l.Addr().String()}
	_ = l.Close()
	t.Cleanup(r.stop)
	return r
}

func (r *reader) write(name, text string) {
	r.t.Helper()
	if err := os.WriteFile(filepath.Join(r.home, name), []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// edit puts the block in place of a part of a file: from the line that begins so, to
// the first after it that matches.
func (r *reader) edit(b block) {
	r.t.Helper()
	name := filepath.Join(r.home, b.attributes["edit"])
	content, err := os.ReadFile(name)
	if err != nil {
		r.t.Fatalf("%s: %v", b.at, err)
	}
	before, rest, found := strings.Cut(string(content), "\n"+b.attributes["from"])
	end := regexp.MustCompile("(?m)" + b.attributes["to"]).FindStringIndex(rest)
	if !found || end == nil {
		r.t.Fatalf("%s: %s has no such part", b.at, name)
	}
	r.write(b.attributes["edit"], before+"\n"+strings.TrimSuffix(b.text, "\n")+rest[end[1]:])
}

// script is a block as the shell of the block before would run it.
func (r *reader) script(b block) *exec.Cmd {
	text := `set -eo pipefail
cd "$HOME"
if [ -e "$STATE/shell" ]; then . "$STATE/shell"; cd "$(cat "$STATE/dir")"; fi
` + b.text
	cmd := exec.CommandContext(r.t.Context(), "bash", "-c", text)
	cmd.Env = append(os.Environ(), "STATE="+r.state, "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off", "GOCACHE="+goEnv(r.t, "GOCACHE"), "GOMODCACHE="+goEnv(r.t, "GOMODCACHE"), "GOPATH="+goEnv(r.t, "GOPATH"), "HOME="+r.home)
	return cmd
}

func (r *reader) run(b block) string {
	r.t.Helper()
	b.text += `export -p | grep -v -E '^declare -x (HOME|STATE|PWD|OLDPWD|SHLVL|_)=' > "$STATE/shell"
pwd > "$STATE/dir"
`
	cmd := r.script(b)
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil {
		r.t.Fatalf("%s: %v\n%s%s\n%s", b.at, err, &out, &complaints, b.text)
	}
	r.replace()
	return out.String()
}

// replace has a module that was begun use this checkout: nothing else here is not
// as the reader has it.
func (r *reader) replace() {
	r.t.Helper()
	for _, mod := range matches(r.t, filepath.Join(r.home, "*", "go.mod")) {
		content, err := os.ReadFile(mod)
		if err != nil {
			r.t.Fatal(err)
		}
		if bytes.Contains(content, []byte("replace ")) {
			continue
		}
		use(r.t, filepath.Dir(mod), content)
	}
}

// use makes the module in dir use this checkout, with its checksums.
func use(t *testing.T, dir string, mod []byte) {
	t.Helper()
	top, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	// The tests ask no proxy for modules, or it would be asked for this one. So what
	// the go command wants to know of others has to be there.
	graph := exec.CommandContext(t.Context(), "go", "mod", "graph")
	graph.Dir = top
	_ = graph.Run()
	sums, err := os.ReadFile(filepath.Join(top, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	mod = append(mod, "\nreplace github.com/strikeplate/strikeplate => "+top+"\n"...)
	for name, content := range map[string][]byte{"go.mod": mod, "go.sum": sums} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func matches(t *testing.T, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// serve starts a server and waits until it listens.
func (r *reader) serve(b block) {
	r.t.Helper()
	cmd := r.script(b)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	ownGroup(cmd)
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.server = cmd
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(5 * time.Minute); time.Now().Before(deadline); <-tick.C {
		conn, err := net.Dial("tcp", r.address)
		if err == nil {
			_ = conn.Close()
			return
		}
	}
	r.stop()
	r.t.Fatalf("%s: the server doesn't listen:\n%s", b.at, &said)
}

// stop is Ctrl-C.
func (r *reader) stop() {
	if r.server != nil {
		endGroup(r.server)
		_ = r.server.Wait()
		r.server = nil
	}
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.Command("go", "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}
