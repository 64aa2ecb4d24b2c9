package policies

import (
	"bytes"
	"context"
	"hash/maphash"
	"sync"

	"github.com/maypok86/otter/v2"
	"github.com/open-policy-agent/opa/v1/ast"
)

// maxShapes bounds the bytes of the keys under which one resource's shapes are
// kept, with an allowance for each shape; those used least are dropped and made
// again, in about a millisecond.
const (
	maxShapes     = 16 << 20
	shapeOverhead = 4 << 10
)

// shapes keeps a resource's shapes under the values of everything known that its
// rules may read. Nothing else reaches the partial evaluation that makes one, so
// what one organisation's settings made can't serve another.
type shapes struct {
	kept    *otter.Cache[uint64, *shape] // nil: nothing may be kept
	seed    maphash.Seed
	readers []reader
	paths   []ast.Ref
	buffers sync.Pool // of *asked
	// mask is all ones; tests make hashes collide with less.
	mask uint64
}

// asked is a question and its key, written over and over.
type asked struct {
	question question
	key      []byte
}

func (k *shapes) open(s *shaper) error {
	k.seed, k.mask = maphash.MakeSeed(), ^uint64(0)
	k.buffers.New = func() any { return &asked{key: make([]byte, 0, 512)} }
	keep := s.reads.remembers()
	for _, path := range s.reads.paths {
		if s.binds(path) || path.HasPrefix(resourceRef) {
			continue
		}
		k.paths = append(k.paths, path)
		if len(path) == 2 && path[1].Equal(keyKind) {
			continue // the same in all of them
		}
		read := readerOf(path)
		keep = keep && read != nil
		k.readers = append(k.readers, read)
	}
	if !keep {
		return nil
	}
	var err error
	k.kept, err = otter.New(&otter.Options[uint64, *shape]{
		MaximumWeight: maxShapes,
		Weigher:       func(_ uint64, s *shape) uint32 { return uint32(min(len(s.key)+shapeOverhead, maxShapes)) },
	})
	return err
}

// binds reports whether a path is one of the arguments.
func (s *shaper) binds(path ast.Ref) bool {
	for i := range s.fields {
		if path.Equal(principalPath(s.fields[i].name)) {
			return true
		}
	}
	return false
}

// shape returns the shape for who asks, kept or new.
func (s *shaper) shape(ctx context.Context, q question) (*shape, error) {
	if s.shapes.kept == nil {
		return s.newShape(ctx, q, nil)
	}
	a := s.shapes.buffers.Get().(*asked) //nolint:forcetypeassert // the pool holds nothing else
	defer s.shapes.giveBack(a)
	a.question = q
	var ok bool
	if a.key, ok = s.shapes.appendKey(a.key[:0], &a.question); !ok {
		return s.newShape(ctx, q, nil)
	}
	hash := maphash.Bytes(s.shapes.seed, a.key) & s.shapes.mask
	if had, _ := s.shapes.kept.GetIfPresent(hash); had != nil && bytes.Equal(had.key, a.key) {
		return had, nil
	}
	made, err := s.newShape(ctx, q, bytes.Clone(a.key))
	if err == nil {
		s.shapes.kept.Set(hash, made)
	}
	return made, err
}

func (k *shapes) giveBack(a *asked) {
	a.question = question{} // or a principal outlives its request here
	if cap(a.key) <= maxScratch {
		k.buffers.Put(a)
	}
}

func (k *shapes) appendKey(b []byte, q *question) (_ []byte, ok bool) {
	for _, read := range k.readers {
		if b, ok = read(b, q); !ok {
			return b, false
		}
	}
	return b, true
}

// known is the input as far as it is known and the rules may read it.
func (s *shaper) known(q question) (ast.Value, error) {
	all, err := resourceInput(q.Principal, s.kind, q.client)
	if err != nil || s.reads.whole {
		return all, err
	}
	pruned := ast.NewObject()
	for _, path := range s.shapes.paths {
		v, err := all.Find(path[1:])
		if err != nil {
			continue // undefined, as it is in the key
		}
		pruned = put(pruned, path[1:], v)
	}
	return pruned, nil
}

// put adds a value at a path.
func put(into ast.Object, path ast.Ref, v ast.Value) ast.Object {
	if len(path) == 1 {
		into.Insert(path[0], ast.NewTerm(v))
		return into
	}
	below := ast.NewObject()
	if had := into.Get(path[0]); had != nil {
		object, ok := had.Value.(ast.Object)
		if !ok {
			return into // what is above was put there
		}
		below = object
	}
	into.Insert(path[0], ast.NewTerm(put(below, path[1:], v)))
	return into
}
