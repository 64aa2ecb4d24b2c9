package policies

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/bundle"
	"github.com/open-policy-agent/opa/v1/keys"
)

// signatures are the algorithms with public keys.
var signatures = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

func (k VerificationKey) algorithm() string {
	if k.Algorithm == "" {
		return "RS256"
	}
	return k.Algorithm
}

func (k VerificationKey) check() error {
	switch {
	case !slices.Contains(signatures, k.algorithm()):
		return fmt.Errorf("algorithm %q is not one of %s", k.Algorithm, strings.Join(signatures, ", "))
	case !strings.Contains(k.PEM, "PUBLIC KEY"):
		return errors.New("PEM holds no public key")
	}
	return nil
}

// readBundle reads and verifies the bundle.
func (s *Source) readBundle(l limits) (*snapshot, error) {
	packed, err := readBounded(s.Bundle, l)
	if err != nil {
		return nil, err
	}
	if err := l.unpacked(packed); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrSource, s.Bundle, err)
	}
	trusted := make(map[string]*keys.Config, len(s.Keys))
	for id, k := range s.Keys {
		trusted[id] = &keys.Config{Key: k.PEM, Algorithm: k.algorithm()}
	}
	b, err := bundle.NewReader(bytes.NewReader(packed)).
		WithBundleVerificationConfig(bundle.NewVerificationConfig(trusted, "", "", nil)).
		WithSizeLimitBytes(l.bytes).
		WithProcessAnnotations(true).
		WithRegoVersion(ast.RegoV1).
		Read()
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrSource, s.Bundle, err)
	}
	return s.takeBundle(&b)
}

// takeBundle accepts nothing in a bundle but policies and data.
func (s *Source) takeBundle(b *bundle.Bundle) (*snapshot, error) {
	number, err := strconv.ParseUint(b.Manifest.Revision, 10, 64)
	switch {
	case err != nil || number == 0:
		return nil, fmt.Errorf("%w: %s: the manifest's revision must be a whole number above 0, so that it can rise; it is %q", ErrSource, s.Bundle, b.Manifest.Revision)
	case number < s.MinRevision:
		return nil, fmt.Errorf("%w: %s: revision %d is older than MinRevision %d", ErrSource, s.Bundle, number, s.MinRevision)
	case len(b.WasmModules)+len(b.PlanModules)+len(b.Patch.Data) > 0:
		return nil, fmt.Errorf("%w: %s: only policies in Rego and data are taken, no Wasm, plans or patches", ErrSource, s.Bundle)
	}
	read := &snapshot{listed: true, number: number, data: b.Data}
	for _, m := range b.Modules {
		if name := strings.TrimPrefix(m.Path, "/"); isPolicy(name) {
			read.files = append(read.files, file{name, m.Raw})
		}
	}
	return read, nil
}

func readBounded(name string, l limits) ([]byte, error) {
	f, err := os.Open(name) //nolint:gosec // the embedder's configuration names it
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	packed, err := io.ReadAll(io.LimitReader(f, l.bytes+1))
	if err == nil && int64(len(packed)) > l.bytes {
		err = fmt.Errorf("%w: %s has more than %d bytes; see Config.MaxBytes", ErrSource, name, l.bytes)
	}
	return packed, err
}

// unpacked checks what an archive unfolds to, before anything keeps it.
func (l limits) unpacked(packed []byte) error {
	unzipped, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return err
	}
	count := 0
	left := l.bytes
	archive := tar.NewReader(unzipped)
	for {
		_, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if count++; count > l.files {
			return l.tooMany()
		}
		n, err := io.Copy(io.Discard, io.LimitReader(archive, left+1))
		if err != nil {
			return err
		}
		if left -= n; left < 0 {
			return fmt.Errorf("it unfolds to more than %d bytes; see Config.MaxBytes", l.bytes)
		}
	}
}
