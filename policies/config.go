package policies

import (
	"cmp"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Config is what an [Engine] is made of.
type Config struct {
	// Source is where the embedder's own policies come from. Zero: the bundled
	// rules alone decide.
	Source Source
	// Resources are what [Engine.Visible] and [Engine.Filter] decide about. None:
	// only routes and keys are decided.
	Resources []Resource
	// Remember is how many decisions on routes are remembered; 0 means 10,000, and
	// a negative number none.
	Remember int
	// Deadline bounds one evaluation, beside the request's own context; 0 means
	// 250 ms. One that takes longer is an error, which denies.
	Deadline time.Duration
	// Builtins names functions that policies may call though their results change
	// from call to call, or they reach out of the process, or no deadline reaches
	// into them, such as "time.now_ns", "http.send" and "bits.lsh". Decisions that
	// depend on them are not remembered. None: a policy that calls one is refused.
	Builtins []string
	// AllowNet are the hosts that http.send may reach where Builtins names it.
	// None: no host.
	AllowNet []string
	// MaxBytes bounds the embedder's policies and data together; 0 means 8 MiB.
	// Data takes about 20 times its size in memory, and twice that during a change.
	MaxBytes int64
	// MaxFiles bounds how many files they may be; 0 means 1,000.
	MaxFiles int
	// StartUnready lets New succeed though Source can't be loaded yet: the engine
	// denies, with errors, until it can. False: New fails.
	StartUnready bool
	// Log records decisions. Zero: none are.
	Log Log
	// Logger receives one line for each change of the policies; nil means
	// [slog.Default], as it is when New is called.
	Logger *slog.Logger
	// Now is the clock of the decision log and of time.now_ns; nil means
	// [time.Now].
	Now func() time.Time
}

const (
	defaultRemember = 10_000
	defaultDeadline = 250 * time.Millisecond
	loadDeadline    = 30 * time.Second // for one object of rules, where nothing is known yet
	defaultMaxBytes = 8 << 20
	defaultMaxFiles = 1000
)

func (c *Config) complete() error {
	c.Remember = cmp.Or(c.Remember, defaultRemember)
	c.Deadline = cmp.Or(c.Deadline, defaultDeadline)
	c.MaxBytes = cmp.Or(c.MaxBytes, defaultMaxBytes)
	c.MaxFiles = cmp.Or(c.MaxFiles, defaultMaxFiles)
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	switch {
	case c.Deadline < 0:
		return fmt.Errorf("policies: Deadline is negative: %v", c.Deadline)
	case c.MaxBytes < 0 || c.MaxFiles < 0:
		return fmt.Errorf("policies: MaxBytes and MaxFiles can't be negative: %d, %d", c.MaxBytes, c.MaxFiles)
	}
	for _, name := range c.Builtins {
		if !slices.Contains(restricted(), name) {
			return fmt.Errorf("policies: Builtins: %q is not a restricted function; restricted are %v", name, restricted())
		}
	}
	if err := c.Source.check(); err != nil {
		return fmt.Errorf("policies: Source: %w", err)
	}
	return c.Log.complete()
}

// capabilities are the functions that policies may call.
func (c *Config) capabilities() *ast.Capabilities {
	caps := ast.CapabilitiesForThisVersion()
	barred := restricted()
	caps.Builtins = slices.DeleteFunc(caps.Builtins, func(b *ast.Builtin) bool {
		return slices.Contains(barred, b.Name) && !slices.Contains(c.Builtins, b.Name)
	})
	caps.AllowNet = append([]string{}, c.AllowNet...) // nil would allow every host
	return caps
}

// impure are functions whose results depend on more than their arguments, or
// which fetch what their arguments name, though OPA doesn't mark them.
var impure = []string{
	"io.jwt.decode_verify", "crypto.x509.parse_and_verify_certificates", "crypto.x509.parse_and_verify_certificates_with_options",
	"json.match_schema", "json.verify_schema", "providers.aws.sign_req", "trace",
}

// endless are functions that short arguments keep busy for longer than any
// deadline, and that no deadline reaches into.
var endless = []string{"bits.lsh", "strings.render_template", "graph.reachable_paths", "regex.globs_match"}

// restricted are the functions that are barred unless the Config names them.
func restricted() []string {
	names := slices.Concat(impure, endless)
	for _, b := range ast.Builtins {
		if b.Nondeterministic {
			names = append(names, b.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
