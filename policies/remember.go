package policies

import (
	"bytes"
	"context"
	"hash/maphash"
	"net/netip"
	"sync"

	"github.com/maypok86/otter/v2"
	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/scope"
)

// question is what the entry scopes is asked.
type question struct {
	scope.Request
	client netip.Addr
}

// remembered keeps a revision's decisions on routes under the values of all that
// its rules read. Keys are compared in full: what only shares a hash is not found.
type remembered struct {
	decisions *otter.Cache[uint64, *memory]
	seed      maphash.Seed
	readers   []reader
	// byClient: the rules read the client's address, so it has to be found out.
	byClient bool
	scratch  sync.Pool // of *scratch
	// mask is all ones; tests make hashes collide with less.
	mask uint64
}

// memory is a remembered verdict, never changed.
type memory struct {
	key     []byte
	verdict verdict
}

// newRemembered returns nil where no decision may be remembered.
func newRemembered(size int, r *reads) (*remembered, error) {
	if size < 0 || !r.remembers() {
		return nil, nil
	}
	m := &remembered{seed: maphash.MakeSeed(), mask: ^uint64(0)}
	m.scratch.New = func() any { return &scratch{key: make([]byte, 0, 512)} }
	for _, path := range r.paths {
		read := readerOf(path)
		if read == nil {
			return nil, nil
		}
		m.readers = append(m.readers, read)
		m.byClient = m.byClient || path[1].Value.Compare(ast.String("client")) == 0
	}
	var err error
	m.decisions, err = otter.New(&otter.Options[uint64, *memory]{MaximumSize: size})
	return m, err
}

// scratch is where a question and its key are written, used over and over.
type scratch struct {
	question question
	key      []byte
}

// find returns what is remembered for a question, and else the key to remember
// it by, which is nil if it can't be.
func (m *remembered) find(ctx context.Context, r scope.Request) (v verdict, found bool, key []byte) {
	s := m.scratch.Get().(*scratch) //nolint:forcetypeassert // the pool holds nothing else
	defer m.giveBack(s)
	s.question.Request = r
	if m.byClient {
		s.question.client = clientOf(ctx)
	}
	var ok bool
	if s.key, ok = m.appendKey(s.key[:0], &s.question); !ok {
		return verdict{}, false, nil
	}
	if had, _ := m.decisions.GetIfPresent(m.hash(s.key)); had != nil && bytes.Equal(had.key, s.key) {
		return had.verdict, true, nil
	}
	return verdict{}, false, bytes.Clone(s.key)
}

func (m *remembered) giveBack(s *scratch) {
	s.question = question{} // or a principal outlives its request here
	if cap(s.key) <= maxScratch {
		m.scratch.Put(s)
	}
}

// maxScratch bounds what one oversized key leaves allocated.
const maxScratch = 64 << 10

func (m *remembered) keep(key []byte, v verdict) {
	m.decisions.Set(m.hash(key), &memory{key, v})
}

func (m *remembered) hash(key []byte) uint64 { return maphash.Bytes(m.seed, key) & m.mask }

func (m *remembered) appendKey(b []byte, q *question) (_ []byte, ok bool) {
	for _, read := range m.readers {
		if b, ok = read(b, q); !ok {
			return b, false
		}
	}
	return b, true
}

// reader appends the value at one path of the input. It reports false for a value
// whose text isn't known to tell it from all others.
type reader func(b []byte, q *question) ([]byte, bool)

// readerOf returns nil for a path that the input doesn't have.
func readerOf(path ast.Ref) reader {
	names := make([]string, len(path)-1)
	for i, t := range path[1:] {
		s, ok := t.Value.(ast.String)
		if !ok {
			return nil
		}
		names[i] = string(s)
	}
	switch {
	case len(names) < 2:
		return nil
	case names[0] == "principal" && names[1] == "settings":
		return settingReader(names)
	case names[0] == "principal":
		return principalReader(names[1])
	case names[0] == "route":
		return routeReader(names[1])
	case names[0] == "client" && names[1] == "address":
		return func(b []byte, q *question) ([]byte, bool) { return appendText(b, addressText(q.client)), true }
	}
	return nil
}

func text(get func(*strikeplate.Principal) string) reader {
	return func(b []byte, q *question) ([]byte, bool) { return appendText(b, get(q.Principal)), true }
}

func principalReader(name string) reader {
	switch name {
	case "kind":
		return text(func(p *strikeplate.Principal) string { return string(p.Kind) })
	case "environment":
		return text(func(p *strikeplate.Principal) string { return string(p.Environment) })
	case "access":
		return text(func(p *strikeplate.Principal) string { return string(p.Access) })
	case "credential":
		return text(func(p *strikeplate.Principal) string { return p.Credential })
	case "lineage":
		return text(func(p *strikeplate.Principal) string { return p.Lineage })
	case "client_id":
		return text(func(p *strikeplate.Principal) string { return p.ClientID })
	case "organisation":
		return text(func(p *strikeplate.Principal) string { return p.Organisation })
	case "subject":
		return text(func(p *strikeplate.Principal) string { return p.Subject })
	case "plan":
		return text(func(p *strikeplate.Principal) string { return p.Plan })
	case "expires":
		return text(func(p *strikeplate.Principal) string { return expiry(p.Expires) })
	case "scopes":
		return func(b []byte, q *question) ([]byte, bool) { return appendList(b, q.Principal.Scopes), true }
	}
	return nil
}

func settingReader(names []string) reader {
	if len(names) < 3 {
		return nil
	}
	name := names[2]
	return func(b []byte, q *question) ([]byte, bool) {
		value, present := q.Principal.Settings[name]
		if !present {
			return append(b, isUndefined), true
		}
		return appendValue(b, value, maxNesting)
	}
}

func routeReader(name string) reader {
	switch name {
	case "method":
		return func(b []byte, q *question) ([]byte, bool) { return appendText(b, q.Method), true }
	case "pattern":
		return func(b []byte, q *question) ([]byte, bool) { return appendText(b, q.Route), true }
	case "all_of":
		return func(b []byte, q *question) ([]byte, bool) { return appendList(b, q.Requirement.AllOf), true }
	case "any_of":
		return func(b []byte, q *question) ([]byte, bool) { return appendList(b, q.Requirement.AnyOf), true }
	case "access":
		return func(b []byte, q *question) ([]byte, bool) { return appendList(b, q.Requirement.Access), true }
	case "environment":
		return func(b []byte, q *question) ([]byte, bool) {
			return appendText(b, string(q.Requirement.Environment)), true
		}
	}
	return nil
}
