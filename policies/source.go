package policies

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
)

// Source is where the embedder's policies are: at most one of FS, Dir and
// Bundle. Policies are the files that end in .rego, but not in _test.rego; data
// are files named data.json, data.yaml or data.yml, each at the path of its
// directory, and all of it below "policies".
type Source struct {
	// FS is read by [New] and by [Engine.Reload].
	FS fs.FS
	// Dir is a directory that is read again when it changes. A change is taken
	// whole where the directory (or "..data" in it, as Kubernetes does) is a
	// symbolic link that is replaced, or where a file SHA256SUMS, as sha256sum
	// writes it, lists the files: then those are loaded, and only once each has
	// its sum. Without such a list, a file that was loaded before and is gone is an
	// error, for it may be half of a change.
	Dir string
	// Bundle is a signed bundle's file, as "opa build" and "opa sign" make it; it is
	// read again when it changes. Its manifest's revision is a whole number, and
	// one that is not above the active bundle's is refused.
	Bundle string
	// Keys verify the bundle's signature, by key id. Required with Bundle.
	Keys map[string]VerificationKey
	// MinRevision is the least revision of a bundle that is accepted: it keeps old
	// signed bundles out across restarts. 0: any.
	MinRevision uint64
}

// VerificationKey is the public half of a key that signs bundles.
type VerificationKey struct {
	// PEM is the public key.
	PEM string
	// Algorithm is a JWS algorithm (RFC 7518 3.1) with a public key, such as ES256;
	// empty means RS256. Those with shared secrets are refused: who can verify
	// should not be able to sign.
	Algorithm string
}

// ErrSource is wrapped by errors of policies that were found but refused.
var ErrSource = errors.New("policies refused")

// file is one of a snapshot's.
type file struct {
	name string
	text []byte
}

// snapshot is what one reading of a source found, whole.
type snapshot struct {
	files []file
	data  map[string]any // of a bundle, which brings it parsed
	// listed: a list said which files there should be, so others were dropped on
	// purpose.
	listed bool
	number uint64 // a bundle's revision
}

func (s *Source) check() error {
	var set int
	for _, is := range []bool{s.FS != nil, s.Dir != "", s.Bundle != ""} {
		if is {
			set++
		}
	}
	switch {
	case set > 1:
		return errors.New("at most one of FS, Dir and Bundle may be set")
	case s.Bundle != "" && len(s.Keys) == 0:
		return errors.New("a Bundle needs Keys: unsigned ones are refused")
	case s.Bundle == "" && (len(s.Keys) > 0 || s.MinRevision > 0):
		return errors.New("Keys and MinRevision are for a Bundle")
	}
	for id, k := range s.Keys {
		if err := k.check(); err != nil {
			return fmt.Errorf("Keys[%q]: %w", id, err)
		}
	}
	return nil
}

// read takes a snapshot of the source.
func (s *Source) read(ctx context.Context, l limits) (*snapshot, error) {
	switch {
	case s.FS != nil:
		return readFS(ctx, s.FS, l)
	case s.Dir != "":
		return readDirectory(ctx, s.Dir, l)
	case s.Bundle != "":
		return s.readBundle(l)
	}
	return &snapshot{listed: true}, nil
}

// vanished names a file of the snapshot before that this one lacks though no
// list dropped it.
func (s *snapshot) vanished(before *snapshot) string {
	if before == nil || s.listed {
		return ""
	}
	have := make(map[string]bool, len(s.files))
	for _, f := range s.files {
		have[f.name] = true
	}
	for _, f := range before.files {
		if !have[f.name] {
			return f.name
		}
	}
	return ""
}
