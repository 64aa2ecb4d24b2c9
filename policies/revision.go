package policies

import (
	"context"
	"fmt"
	"runtime/debug"
	"strconv"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
)

// revision is one compiled set of policies. It is never changed after build
// returned it.
type revision struct {
	id      string
	number  uint64 // of a signed bundle
	hash    string
	entries map[string]*entry
	user    *snapshot // without its texts: what vanished is told by names
	// remembered are decisions on routes; another revision starts with none. It is
	// nil where nothing may be remembered.
	remembered *remembered
}

// entry is one decision point of a revision, ready to be evaluated.
type entry struct {
	spec     *entrySpec
	compiler *ast.Compiler
	rules    ruleset
	reads    reads
	query    prepared
	shaper   *shaper // of a resource
	noRule   *rule
}

// build makes a revision of what was read.
func (c *Config) build(ctx context.Context, specs []entrySpec, base, user *snapshot) (rev *revision, err error) {
	defer func() {
		// The compiler works on what anybody may have written. Its mistakes are no
		// reason to end the process.
		if v := recover(); v != nil {
			rev, err = nil, fmt.Errorf("%w: compiling them panicked: %v\n%s", ErrSource, v, debug.Stack())
		}
	}()
	m, err := c.parse(ctx, specs, base, user)
	if err != nil {
		return nil, err
	}
	rev = &revision{id: m.hash, hash: m.hash, number: user.number, entries: make(map[string]*entry, len(specs)), user: user.names()}
	if user.number > 0 {
		rev.id = strconv.FormatUint(user.number, 10) + "-" + m.hash
	}
	if err := c.checkHelpers(m); err != nil {
		return nil, err
	}
	store := inmem.NewFromObjectWithOpts(m.data, inmem.OptReturnASTValuesOnRead(true), inmem.OptRoundTripOnWrite(false))
	for i := range specs {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		e, err := c.buildEntry(ctx, &specs[i], m, store)
		if err != nil {
			return nil, err
		}
		rev.entries[e.spec.name] = e
	}
	rev.remembered, err = newRemembered(c.Remember, &rev.entries[scopesName].reads)
	return rev, err
}

// names is a snapshot without its texts.
func (s *snapshot) names() *snapshot {
	bare := &snapshot{listed: s.listed, number: s.number}
	for _, f := range s.files {
		bare.files = append(bare.files, file{name: f.name})
	}
	return bare
}

// checkHelpers compiles the helpers that no entry names, so that a mistake in one
// is told before somebody does.
func (c *Config) checkHelpers(m *material) error {
	var libs []*module
	for _, mod := range m.modules {
		if mod.name == libName {
			libs = append(libs, mod)
		}
	}
	_, err := c.compile(libs, nil, m.data)
	return err
}

func (c *Config) buildEntry(ctx context.Context, s *entrySpec, m *material, store storage.Store) (*entry, error) {
	modules := m.of(s)
	rules, err := rulesetOf(s, modules)
	if err != nil {
		return nil, err
	}
	schema, err := s.schema()
	if err != nil {
		return nil, err
	}
	e := &entry{spec: s, rules: rules, noRule: noRule(s.name)}
	if e.compiler, err = c.compile(modules, schema, m.data); err != nil {
		return nil, fmt.Errorf("%s: %w", s.name, err)
	}
	e.reads = readsOf(e.compiler, rules.refs())
	if e.query, err = prepare(ctx, e.compiler, store, &e.rules); err != nil {
		return nil, fmt.Errorf("%s: %w", s.name, err)
	}
	if s.resource != nil {
		e.shaper, err = newShaper(ctx, shaperConfig{
			compiler: e.compiler, store: store, txn: e.query.txn, resource: s.resource, kind: s.name,
			rules: &e.rules, reads: &e.reads, deadline: c.Deadline, now: c.Now,
		})
	}
	return e, err
}

// schema is what an entry's rules may read.
func (s *entrySpec) schema() (any, error) {
	if s.resource != nil {
		return s.resource.schema(), nil
	}
	return schemaOf(s.name)
}
