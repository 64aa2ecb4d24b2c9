package policies_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate/policies"
)

// denying is a policy that denies under an id of its own.
func denying(id string) string {
	return fmt.Sprintf("package policies.scopes\ndeny[%q] := \"closed\" if input.route.method == \"GET\"\n", id)
}

const harmlessPolicy = "package policies.scopes\ndeny[\"never\"] := \"never\" if input.route.method == \"never\"\n"

func write(t testing.TB, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	// Made elsewhere and moved: whoever watches must not see half of it.
	made := filepath.Join(t.TempDir(), "made")
	if err := os.WriteFile(made, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(made, name); err != nil {
		t.Fatal(err)
	}
}

// decider is the rule that decides on a good request.
func decider(t testing.TB, e *policies.Engine) string {
	t.Helper()
	d, err := e.Authorize(context.Background(), ask(key(nil)))
	if err != nil {
		return err.Error()
	}
	return d.Rule
}

// eventually waits for a state that a change on disk brings about, as long as
// the test may run.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for limit := time.After(30 * time.Second); !holds(); {
		select {
		case <-limit:
			t.Fatal("not within 30 s: " + what)
		case <-tick.C:
		}
	}
}

func becomes(t testing.TB, e *policies.Engine, rule string) {
	t.Helper()
	eventually(t, "the rule "+rule, func() bool { return decider(t, e) == rule })
}

func TestDirectoryIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/a.rego", harmlessPolicy)
	e := engine(t, policies.Config{Source: policies.Source{Dir: dir}})
	becomes(t, e, "scopes.granted")
	write(t, dir+"/a.rego", denying("one"))
	becomes(t, e, "policies.scopes.one")
	write(t, dir+"/below/b.rego", "package policies.scopes\ndeny[\"a\"] := \"in a new directory\" if true")
	becomes(t, e, "policies.scopes.a")
	write(t, dir+"/below/b.rego", "package policies.scopes\ndeny[\"b\"] := \"in a directory that was new\" if true")
	becomes(t, e, "policies.scopes.b")
	if s := e.Stats(); s.Loads != 4 || s.Since.IsZero() || s.Revision == "" {
		t.Errorf("%+v", s)
	}
}

func TestBrokenChangeKeepsTheOldRevision(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/a.rego", denying("one"))
	var log buffer
	e := engine(t, policies.Config{Source: policies.Source{Dir: dir}, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	before := e.Stats().Revision
	for i, broken := range []string{"package policies.scopes\ndeny[", "package strikeplate.scopes\nallow[\"x\"] := \"y\" if true", denying("default")} {
		write(t, dir+"/a.rego", broken)
		eventually(t, "a refusal", func() bool { return e.Stats().Failures > uint64(i) })
		if got := decider(t, e); got != "policies.scopes.one" || e.Stats().Revision != before {
			t.Errorf("%s decides by %s", e.Stats().Revision, got)
		}
		if err := e.Ready(); !errors.Is(err, policies.ErrSource) || errors.Is(err, policies.ErrNotReady) {
			t.Errorf("Ready: %v", err)
		}
	}
	write(t, dir+"/a.rego", denying("two"))
	becomes(t, e, "policies.scopes.two")
	if err := e.Ready(); err != nil {
		t.Errorf("mended, and not ready: %v", err)
	}
	eventually(t, "a line for each change", func() bool { // written after the swap
		return strings.Count(strings.Join(log.lines(), "\n"), "policies changed") == 2
	})
	if lines := log.lines(); len(lines) < 5 {
		t.Errorf("the log has not one line for each change: %q", lines)
	}
}

// The same failure is told once, however often it is met.
func TestRepeatedFailureIsLoggedOnce(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/a.rego", denying("one"))
	var log buffer
	e := engine(t, policies.Config{Source: policies.Source{Dir: dir}, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	write(t, dir+"/a.rego", "package policies.scopes\ndeny[")
	for range 5 {
		if err := e.Reload(context.Background()); !errors.Is(err, policies.ErrSource) {
			t.Fatal(err)
		}
	}
	if n := strings.Count(strings.Join(log.lines(), "\n"), "level=ERROR"); n != 1 {
		t.Errorf("%d lines: %q", n, log.lines())
	}
}

func TestReadiness(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/a.rego", "package policies.scopes\ndeny[")
	if _, err := tryEngine(t, policies.Config{Source: policies.Source{Dir: dir}}); !errors.Is(err, policies.ErrSource) {
		t.Errorf("started with a broken policy: %v", err)
	}
	e := engine(t, policies.Config{Source: policies.Source{Dir: dir}, StartUnready: true})
	ctx := context.Background()
	if err := e.Ready(); !errors.Is(err, policies.ErrNotReady) || !errors.Is(err, policies.ErrSource) {
		t.Errorf("Ready: %v", err)
	}
	if d, err := e.Authorize(ctx, ask(key(nil))); !errors.Is(err, policies.ErrUndecided) || d.Allowed {
		t.Errorf("a route: %+v, %v", d, err)
	}
	if ds, err := e.Visible(ctx, key(nil), "meetings", meeting(nil)); !errors.Is(err, policies.ErrUndecided) || ds != nil {
		t.Errorf("a row: %+v, %v", ds, err)
	}
	if err := e.Manage(ctx, admin(), "key.create", managed()); !errors.Is(err, policies.ErrUndecided) {
		t.Errorf("a key: %v", err)
	}
	write(t, dir+"/a.rego", harmlessPolicy)
	becomes(t, e, "scopes.granted")
	if err := e.Ready(); err != nil {
		t.Error(err)
	}
}

// A directory that is there later than the service starts it.
func TestDirectoryThatIsNotThereYet(t *testing.T) {
	dir := t.TempDir() + "/later"
	if _, err := tryEngine(t, policies.Config{Source: policies.Source{Dir: dir}}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	e := engine(t, policies.Config{Source: policies.Source{Dir: dir}, StartUnready: true})
	staged := dir + ".staged"
	write(t, staged+"/a.rego", denying("one"))
	if err := os.Rename(staged, dir); err != nil {
		t.Fatal(err)
	}
	becomes(t, e, "policies.scopes.one")
}

// THREATS: a reload is atomic. A link that is replaced, as Kubernetes and deploy
// tools do it, brings all files of one generation or none.
func TestThreat22LinksAreSwappedWhole(t *testing.T) {
	for name, dirOf := range map[string]func(root string) (dir, link string){
		"the directory is a link":          func(root string) (string, string) { return root + "/current", root + "/current" },
		"..data in it, as Kubernetes does": func(root string) (string, string) { return root, root + "/..data" },
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			generation := func(n int) string {
				at := fmt.Sprintf("%s/..gen%d", root, n)
				write(t, at+"/a.rego", fmt.Sprintf("package policies.scopes\ndeny[\"g%d\"] := \"closed\" if data.policies.generation == %d", n, n))
				write(t, at+"/data.json", fmt.Sprintf(`{"policies": {"generation": %d}}`, n))
				return at
			}
			dir, link := dirOf(root)
			swap := func(n int) {
				at := generation(n)
				if err := os.Symlink(at, link+".new"); err != nil {
					t.Fatal(err)
				}
				if err := os.Rename(link+".new", link); err != nil {
					t.Fatal(err)
				}
			}
			swap(0)
			// Kubernetes makes the links to the single files later, so they are not what
			// is read, and here there are none.
			e := engine(t, policies.Config{Source: policies.Source{Dir: dir}})
			stop, mixed := make(chan struct{}), atomic.Uint64{}
			var asking sync.WaitGroup
			asking.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						if rule := decider(t, e); !strings.HasPrefix(rule, "policies.scopes.g") {
							mixed.Add(1) // a rule of one generation with the data of another
						}
					}
				}
			})
			for n := 1; n <= 10; n++ {
				swap(n)
				becomes(t, e, fmt.Sprintf("policies.scopes.g%d", n))
			}
			close(stop)
			asking.Wait()
			if mixed.Load() > 0 {
				t.Errorf("%d decisions came from a mixture", mixed.Load())
			}
		})
	}
}

// A file that is gone may be half of a change: a denial must not go with it.
func TestThreat22VanishedFileIsAnError(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/a.rego", denying("one"))
	write(t, dir+"/b.rego", harmlessPolicy)
	e := engine(t, policies.Config{Source: policies.Source{Dir: dir}})
	if err := os.Remove(dir + "/a.rego"); err != nil {
		t.Fatal(err)
	}
	err := e.Reload(context.Background())
	if !errors.Is(err, policies.ErrSource) || !strings.Contains(err.Error(), "a.rego is gone") {
		t.Errorf("got %v", err)
	}
	if got := decider(t, e); got != "policies.scopes.one" {
		t.Errorf("the denial went with its file: %s", got)
	}
	// A list that doesn't name it drops it on purpose.
	list(t, dir, "b.rego")
	becomes(t, e, "scopes.granted")
}

// list writes the list of a directory's files.
func list(t *testing.T, dir string, names ...string) {
	t.Helper()
	var lines strings.Builder
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&lines, "%x  %s\n", sha256.Sum256(text), name)
	}
	write(t, dir+"/SHA256SUMS", lines.String())
}

// With a list, files count only once each has its sum.
func TestThreat22ListedFilesAreTakenTogether(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/a.rego", denying("one"))
	write(t, dir+"/policies/data.json", `{"x": 1}`)
	list(t, dir, "a.rego", "policies/data.json")
	write(t, dir+"/unlisted.rego", "not even Rego")
	e := engine(t, policies.Config{Source: policies.Source{Dir: dir}})
	write(t, dir+"/a.rego", denying("two"))
	err := e.Reload(context.Background())
	if !errors.Is(err, policies.ErrSource) || !strings.Contains(err.Error(), "a.rego is not the file that SHA256SUMS lists") {
		t.Errorf("half a change: %v", err)
	}
	if got := decider(t, e); got != "policies.scopes.one" {
		t.Errorf("decided by %s", got)
	}
	list(t, dir, "a.rego", "policies/data.json")
	becomes(t, e, "policies.scopes.two")
	for _, bad := range []string{"nonsense", "abc  a.rego", strings.Repeat("0", 64) + "  ../a.rego", strings.Repeat("0", 64) + "  /etc/passwd.rego"} {
		write(t, dir+"/SHA256SUMS", bad)
		if err := e.Reload(context.Background()); !errors.Is(err, policies.ErrSource) || !strings.Contains(err.Error(), "SHA256SUMS:1") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	list(t, dir, "a.rego")
	write(t, dir+"/SHA256SUMS", strings.Repeat("0", 64)+"  missing.rego\n")
	if err := e.Reload(context.Background()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a listed file that is missing: %v", err)
	}
}

// A policy that takes too long denies, and so does one whose caller has gone.
func TestThreat22EvaluationsHaveADeadline(t *testing.T) {
	slow := `package policies.scopes
deny["slow"] := "never told" if {
	ns := numbers.range(1, 1000)
	count({[a, b, c] | some a in ns; some b in ns; some c in ns}) == 0
}`
	e := engine(t, policies.Config{Source: policies.Source{FS: files("slow.rego", slow)}, Deadline: 20 * time.Millisecond})
	start := time.Now()
	d, err := e.Authorize(context.Background(), ask(key(nil)))
	if !errors.Is(err, policies.ErrUndecided) || d.Allowed || !strings.Contains(err.Error(), "the deadline of 20ms passed") {
		t.Errorf("%+v, %v", d, err)
	}
	t.Logf("denied after %v", time.Since(start))

	e = engine(t, policies.Config{Source: policies.Source{FS: files("slow.rego", slow)}, Deadline: time.Hour})
	ctx, gone := context.WithCancel(context.Background())
	time.AfterFunc(20*time.Millisecond, gone)
	if d, err := e.Authorize(ctx, ask(key(nil))); !errors.Is(err, context.Canceled) || !errors.Is(err, policies.ErrUndecided) || d.Allowed {
		t.Errorf("%+v, %v", d, err)
	}
	if d, err := e.Authorize(ctx, ask(key(nil))); !errors.Is(err, context.Canceled) || d.Allowed {
		t.Errorf("a context that had ended: %+v, %v", d, err)
	}
}

// Under load, a reload fails no decision.
func TestReloadUnderLoad(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/a.rego", denying("r0"))
	e := engine(t, policies.Config{Source: policies.Source{Dir: dir}})
	stop := make(chan struct{})
	var asking sync.WaitGroup
	var asked atomic.Uint64
	for i := range 4 {
		asking.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				asked.Add(1)
				d, err := e.Authorize(context.Background(), ask(key(nil)))
				if err != nil || d.Allowed || !strings.HasPrefix(d.Rule, "policies.scopes.r") {
					t.Errorf("a route: %+v, %v", d, err)
					return
				}
				if i%2 == 0 {
					ds, err := e.Visible(context.Background(), key(nil), "meetings", meeting(nil))
					if err != nil || !ds[0].Allowed {
						t.Errorf("a row: %+v, %v", ds, err)
						return
					}
				}
			}
		})
	}
	for n := 1; n <= 20; n++ {
		text := denying(fmt.Sprintf("r%d", n))
		if n%5 == 4 {
			text = "package policies.scopes\ndeny[" // and now and then a broken one
		}
		write(t, dir+"/a.rego", text)
		if err := e.Reload(context.Background()); (err != nil) != (n%5 == 4) {
			t.Errorf("reload %d: %v", n, err)
		}
	}
	policies.Reactivate(e, 20_000) // and the swap itself, over and over
	close(stop)
	asking.Wait()
	t.Logf("%d requests during %d reloads", asked.Load(), e.Stats().Loads)
}
