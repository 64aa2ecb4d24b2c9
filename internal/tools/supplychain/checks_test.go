package supplychain_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestApidiff: what the check says of a module that changed since its tag.
func TestApidiff(t *testing.T) {
	apidiff := filepath.Join(t.TempDir(), "apidiff")
	must(t, ".", "go", "build", "-o", apidiff, "golang.org/x/exp/cmd/apidiff")
	const before, more, less = "package api\n\nfunc Old() {}\n", "package api\n\nfunc Old() {}\n\nfunc New() {}\n", "package api\n\nfunc New() {}\n"
	for _, c := range []struct {
		name, tag, now string
		fails          bool
		says           string
	}{
		{"no tag yet", "", less, false, "there is no tag v* yet"},
		{"nothing changed", "v1.2.0", before, false, "nothing changed"},
		{"something more", "v1.2.0", more, false, "New: added"},
		{"something less", "v1.2.0", less, true, "Old: removed"},
		{"something less, before v1", "v0.9.0", less, false, "CHANGELOG.md has to name them"},
		{"something less, before a release", "v2.0.0-rc.1", less, false, "CHANGELOG.md has to name them"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := module(t, map[string]string{"api.go": "package api\n\nfunc Older() {}\n"})
			if c.tag != "" {
				must(t, dir, "git", "tag", "v0.1.0") // which is not the newest
			}
			write(t, dir, "api.go", before)
			must(t, dir, "git", "commit", "-qam", "second")
			if c.tag != "" {
				must(t, dir, "git", "tag", c.tag)
				must(t, dir, "git", "tag", "-f", "not-a-version")
			}
			write(t, dir, "api.go", c.now)
			judge(t, dir, c.fails, c.says, "apidiff.sh", apidiff)
			if trees := must(t, dir, "git", "worktree", "list"); strings.Count(trees, "\n") != 1 {
				t.Errorf("it leaves a worktree behind:\n%s", trees)
			}
		})
	}
}

// TestReproducible: a build that names its directory is not.
func TestReproducible(t *testing.T) {
	files := map[string]string{"tool/main.go": "package main\n\nfunc main() { println(1) }\n"}
	for _, c := range []struct {
		name, flags string
		fails       bool
		says        string
	}{
		{"as it should be", "-trimpath -buildvcs=false", false, "each of 1 programs is the same"},
		{"paths in it", "-buildvcs=false", true, "tool"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := module(t, files)
			judge(t, dir, c.fails, c.says, "env", "FLAGS="+c.flags, script(t, "reproducible.sh"), ".")
		})
	}
}

// TestSBOM: a list that lacks what a package is built of is refused.
func TestSBOM(t *testing.T) {
	root, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	tools := strings.TrimSpace(must(t, ".", "go", "list", "-m", "-f", "{{.Version}}", "golang.org/x/tools"))
	dir := t.TempDir()
	for name, body := range map[string]struct {
		text  string
		fails bool
		says  string
	}{
		"nothing": {"#!/bin/sh\nwhile [ \"$1\" != -output ]; do shift; done\necho '{}' >\"$2\"\n", true, "lacks golang.org/x/tools@"},
		"failing": {"#!/bin/sh\nexit 1\n", true, ""},
	} {
		gomod := filepath.Join(dir, name)
		if err := os.WriteFile(gomod, []byte(body.text), 0o700); err != nil {
			t.Fatal(err)
		}
		judge(t, root, body.fails, body.says, "sbom.sh", gomod, dir, module(t, map[string]string{
			"go.mod": "module example.com/api\n\ngo 1.26.0\n\nrequire golang.org/x/tools " + tools + "\n",
			"api.go": "package api\n\nimport _ \"golang.org/x/tools/go/ast/astutil\"\n",
			"go.sum": sums(t),
		}))
	}
}

// sums are this module's own.
func sums(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("go.sum")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// module is a repository with one commit, whose module is example.com/api.
func module(t *testing.T, files map[string]string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	write(t, dir, "go.mod", "module example.com/api\n\ngo 1.26.0\n")
	for name, text := range files {
		write(t, dir, name, text)
	}
	must(t, dir, "git", "init", "-q", ".")
	must(t, dir, "git", "config", "user.email", "nobody@example.com")
	must(t, dir, "git", "config", "user.name", "nobody")
	must(t, dir, "git", "config", "commit.gpgsign", "false")
	must(t, dir, "git", "add", "-A")
	must(t, dir, "git", "commit", "-qm", "first")
	return dir
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	name = filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func must(t *testing.T, dir string, args ...string) string {
	t.Helper()
	out, err := command(t, dir, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func script(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func command(t *testing.T, dir string, args ...string) *exec.Cmd {
	t.Helper()
	name := args[0]
	if strings.HasSuffix(name, ".sh") {
		name = script(t, name)
	}
	cmd := exec.CommandContext(t.Context(), name, args[1:]...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
	return cmd
}

// judge runs one of the checks, and looks at its verdict and at what it says.
func judge(t *testing.T, dir string, fails bool, says string, args ...string) {
	t.Helper()
	out, err := command(t, dir, args...).CombinedOutput()
	if (err != nil) != fails || !strings.Contains(string(out), says) {
		t.Errorf("it ended with %v, and said\n%s\nwant a failure: %v, and %q", err, out, fails, says)
	}
}
