package fleet_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// edit is a change of one file of the repository, for one build. An old text that
// is empty makes a new file.
type edit struct{ file, old, new string }

// Of two organisations one has a limit that is spent all the time, and the other one
// that is never reached.
const (
	spentLimit  = 20
	spentPeriod = 4 * time.Second
)

// asTested are the example's limits, made fit for what is to be shown.
var asTested = []edit{
	{"examples/avoma/main.go", `{Name: "archive", Limit: 12_000, Period: time.Minute}`,
		fmt.Sprintf(`{Name: "archive", Limit: %d, Period: %d * time.Second}`, spentLimit, spentPeriod/time.Second)},
	{"examples/avoma/main.go", `Limit: 6000, Period: time.Minute`, `Limit: 600_000, Period: time.Minute`},
	{"examples/avoma/main.go", `TagKeys: [][]byte{site.Secret("tag key")}`, `TagKeys: site.Secrets("tag key")`},
	{"examples/internal/demo/limits.go", `Secret: s.Secret("proofs")`, `Secret: s.Secrets("proofs")[0]`},
	{"examples/internal/demo/secrets.go", "", secrets},
}

// secrets lets a deployment say which secrets an instance has, as a secrets manager
// does: a file names them, one a line.
const secrets = `package demo

import (
	"os"
	"strings"
)

func (s *Site) Secrets(purpose string) (all [][]byte) {
	names, err := os.ReadFile(purpose)
	if err != nil {
		names = []byte(purpose)
	}
	for name := range strings.Lines(string(names)) {
		all = append(all, s.Secret(strings.TrimSpace(name)))
	}
	return all
}
`

// programs is where what is built lies. Not in t.TempDir: the servers run as another
// user, who can't go there.
var programs string

func TestMain(m *testing.M) {
	code := 1
	defer func() { os.Exit(code) }()
	var err error
	if programs, err = os.MkdirTemp("", "strikeplate-fleet-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	defer func() { _ = os.RemoveAll(programs) }()
	if err := os.Chmod(programs, 0o755); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	code = m.Run()
}

// build makes the example server, with edits (go build -overlay). Without any it is
// made once.
func build(t testing.TB, edits ...edit) string {
	t.Helper()
	name := "avoma"
	if len(edits) > 0 {
		name = fmt.Sprintf("avoma-%x", sha256.Sum256(fmt.Append(nil, edits)))[:14]
	}
	return compile(t, name, filepath.Join("..", "..", "examples"), "./avoma", append(asTested[:len(asTested):len(asTested)], edits...)...)
}

// compile makes a program of the module in dir, unless it is there already.
func compile(t testing.TB, name, dir, pkg string, edits ...edit) string {
	t.Helper()
	program := filepath.Join(programs, name)
	if _, err := os.Stat(program); err == nil {
		return program
	}
	cmd := exec.CommandContext(t.Context(), "go", "build", "-ldflags=-s -w", "-overlay", overlay(t, edits), "-o", program, pkg)
	cmd.Dir = dir
	began := time.Now()
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, text)
	}
	t.Logf("built %s in %v", name, time.Since(began).Round(100*time.Millisecond))
	return program
}

// overlay writes edited copies, and the list that go build reads.
func overlay(t testing.TB, edits []edit) string {
	t.Helper()
	texts := map[string]string{}
	for _, e := range edits {
		file, err := filepath.Abs(filepath.Join("..", "..", filepath.FromSlash(e.file)))
		if err != nil {
			t.Fatal(err)
		}
		if e.old == "" {
			texts[file] = e.new
			continue
		}
		text, edited := texts[file]
		if !edited {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			text = string(content)
		}
		if strings.Count(text, e.old) != 1 {
			t.Fatalf("%s no longer has the one line that a build here changes: %s", e.file, e.old)
		}
		texts[file] = strings.Replace(text, e.old, e.new, 1)
	}
	dir := t.TempDir()
	replace := map[string]string{}
	for file, text := range texts {
		copied := filepath.Join(dir, fmt.Sprint(len(replace))+filepath.Ext(file))
		replace[file] = copied
		if err := os.WriteFile(copied, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	content, err := json.Marshal(struct{ Replace map[string]string }{replace})
	if err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(list, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return list
}
