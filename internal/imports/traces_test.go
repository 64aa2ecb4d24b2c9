package imports_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestNoFileNamesItsMachine(t *testing.T) {
	for _, name := range tracked(t) {
		data, err := os.ReadFile(filepath.Join(top, name))
		if os.IsNotExist(err) {
			continue // deleted, not yet committed
		}
		if err != nil {
			t.Fatal(err)
		}
		if bytes.IndexByte(data, 0) >= 0 {
			continue // not text
		}
		for i, line := range strings.Split(string(data), "\n") {
			if trace := machinePath(line); trace != "" {
				t.Errorf("%s:%d names a path of one machine: %s", name, i+1, trace)
			}
		}
	}
}

func TestMachinePaths(t *testing.T) {
	slashes := strings.NewReplacer("|", "/", "!", `\`) // or this file would not pass
	for line, want := range map[string]string{
		"cd |root|strikeplate":            "|root|strikeplate",
		`dir = "|work|main|keyauth"`:      "|work|main",
		"file:|||home|jo|x.go:12":         "|home|jo",
		"(|Users|jo.doe|src)":             "|Users|jo.doe",
		"at |tmp|go-build12|b001|exe":     "|tmp|go-build12",
		"=|tmp|TestFoo123|001":            "|tmp|TestFoo123",
		"panic: |go|pkg|mod|a@v1|b.go:2":  "|go|pkg|mod|a@v1|b.go:2",
		`"C:!Users!jo!go"`:                "C:!Users!jo",
		"|home|you|keys, or |home|jo":     "|home|jo",
		`sqlite.Open("|tmp|keys.db")`:     "",
		"the directory |home|you|keys":    "",
		"GET https:||example.com|root|x":  "",
		".|work|main and internal|work|x": "",
		"GET |work|{id}":                  "",
		"|usr|lib|postgresql|15|bin":      "",
		"as |root or |work":               "",
	} {
		line, want = slashes.Replace(line), slashes.Replace(want)
		if got := machinePath(line); got != want {
			t.Errorf("machinePath(%q) = %q, want %q", line, got, want)
		}
	}
}

// machinePath returns the first path in a line that only one machine has.
func machinePath(line string) string {
	for _, m := range traces.FindAllStringSubmatch(line, -1) {
		if !anybody.MatchString(m[1]) {
			return m[1]
		}
	}
	return ""
}

// tracked are the files that git keeps, and new ones that it does not ignore.
func tracked(t *testing.T) []string {
	t.Helper()
	if _, err := os.Stat(filepath.Join(top, ".git")); os.IsNotExist(err) {
		t.Skip("not a git checkout")
	}
	out, err := exec.Command("git", "-C", top, "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output()
	if err != nil {
		t.Fatalf("git ls-files: %v", err)
	}
	return strings.FieldsFunc(string(out), func(r rune) bool { return r == 0 })
}
