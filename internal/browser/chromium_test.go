package browser_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/strikeplate/strikeplate/internal/processtest"
)

// programs are made once, for all tests.
var programs struct {
	sync.Mutex
	directory string
	built     map[string]error
}

// chromium is one browser for all tests; each has a profile of its own in it.
var chromium struct {
	once sync.Once
	ctx  context.Context //nolint:containedctx // chromedp keeps the browser in it
	stop func()
	err  error
}

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	directory, err := os.MkdirTemp("", "strikeplate-browser-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(directory) }()
	programs.directory, programs.built = directory, map[string]error{}
	defer func() {
		if chromium.stop != nil {
			chromium.stop()
		}
	}()
	return m.Run()
}

// find returns Chromium's program: what $CHROMIUM names, or one that is in PATH.
func find() (string, error) {
	if path := os.Getenv("CHROMIUM"); path != "" {
		return path, nil
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", processtest.MissingError{Text: "Chromium is missing: apt-get install chromium, or set CHROMIUM to its program"}
}

// start starts Chromium, once.
func start() error {
	chromium.once.Do(func() {
		path, err := find()
		if err != nil {
			chromium.err = err
			return
		}
		options := append([]chromedp.ExecAllocatorOption{}, chromedp.DefaultExecAllocatorOptions[:]...)
		options = append(options,
			chromedp.ExecPath(path),
			chromedp.UserDataDir(filepath.Join(programs.directory, "profile")),
			chromedp.NoSandbox, // CI runs as root, and what is opened is ours
			chromedp.DisableGPU,
			chromedp.Flag("disable-quic", true),
			chromedp.Flag("disable-background-networking", true),
			chromedp.Flag("disable-component-update", true),
			chromedp.Flag("disable-sync", true),
			chromedp.Flag("disable-features", "Translate,OptimizationHints,MediaRouter"),
			chromedp.Flag("no-pings", true),
			chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"), // nothing is fetched from elsewhere
			chromedp.Flag("force-color-profile", "srgb"),
			chromedp.Flag("font-render-hinting", "none"),
		)
		allocator, freed := chromedp.NewExecAllocator(context.Background(), options...)
		ctx, closed := chromedp.NewContext(allocator)
		chromium.ctx, chromium.err = ctx, chromedp.Do(ctx) //nolint:fatcontext // made once
		chromium.stop = func() { closed(); freed() }
	})
	return chromium.err
}

// program builds an example, once, and returns the path of its program.
func program(t testing.TB, name string) string {
	t.Helper()
	programs.Lock()
	defer programs.Unlock()
	path := filepath.Join(programs.directory, name)
	err, done := programs.built[name]
	if !done {
		var out []byte
		build := exec.CommandContext(context.Background(), "go", "build", "-o", path, "./"+name)
		build.Dir = filepath.Join("..", "..", "examples")
		if out, err = build.CombinedOutput(); err != nil {
			err = errors.Join(err, errors.New(string(out)))
		}
		programs.built[name] = err
	}
	if err != nil {
		t.Fatalf("go build %s: %v", name, err)
	}
	return path
}
