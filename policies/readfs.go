package policies

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// sums is the name of the file that lists what belongs to a directory of
// policies.
const sums = "SHA256SUMS"

// limits bound what is read.
type limits struct {
	bytes int64
	files int
}

// readDirectory resolves symbolic links first, so that a link that is replaced
// meanwhile doesn't mix two generations of files.
func readDirectory(ctx context.Context, dir string, l limits) (*snapshot, error) {
	root, err := resolve(dir)
	if err != nil {
		return nil, err
	}
	return readFS(ctx, os.DirFS(root), l)
}

// resolve finds the directory that holds the files: Kubernetes keeps them behind
// the link "..data".
func resolve(dir string) (string, error) {
	if info, err := os.Lstat(filepath.Join(dir, "..data")); err == nil && info.Mode()&fs.ModeSymlink != 0 {
		dir = filepath.Join(dir, "..data")
	}
	return filepath.EvalSymlinks(dir)
}

// readFS takes a snapshot of a file system.
func readFS(ctx context.Context, from fs.FS, l limits) (*snapshot, error) {
	list, err := readSums(from)
	if err != nil {
		return nil, err
	}
	names := slices.Sorted(keysOf(list))
	if list == nil {
		if names, err = find(ctx, from, l); err != nil {
			return nil, err
		}
	}
	if len(names) > l.files {
		return nil, l.tooMany()
	}
	s := &snapshot{listed: list != nil}
	left := l.bytes
	for _, name := range names {
		text, err := readFile(from, name, left)
		if errors.Is(err, errTooBig) {
			return nil, fmt.Errorf("%w: %s: the policies and their data have more than %d bytes; see Config.MaxBytes", ErrSource, name, l.bytes)
		}
		if err != nil {
			return nil, err
		}
		if want, sum := list[name], sha256.Sum256(text); list != nil && want != hex.EncodeToString(sum[:]) {
			return nil, fmt.Errorf("%w: %s is not the file that %s lists: the change may be half done", ErrSource, name, sums)
		}
		left -= int64(len(text))
		s.files = append(s.files, file{name, text})
	}
	return s, nil
}

func (l limits) tooMany() error {
	return fmt.Errorf("%w: more than %d files; see Config.MaxFiles", ErrSource, l.files)
}

func keysOf(m map[string]string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// find lists the files of policies and data. What is hidden is left out.
func find(ctx context.Context, from fs.FS, l limits) ([]string, error) {
	var names []string
	seen := 0
	err := fs.WalkDir(from, ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if seen++; seen > 10*l.files {
			return l.tooMany()
		}
		switch {
		case err != nil:
			return err
		case name != "." && strings.HasPrefix(d.Name(), "."):
			if d.IsDir() {
				return fs.SkipDir
			}
		case !d.IsDir() && (isPolicy(name) || isData(name)):
			names = append(names, name)
		}
		return nil
	})
	return names, err
}

// isPolicy counts tests in: that they hold no rules has to be looked at.
func isPolicy(name string) bool { return strings.HasSuffix(name, ".rego") }

func isTest(name string) bool { return strings.HasSuffix(name, "_test.rego") }

func isData(name string) bool {
	return slices.Contains([]string{"data.json", "data.yaml", "data.yml"}, path.Base(name))
}

var errTooBig = errors.New("too big")

func readFile(from fs.FS, name string, limit int64) ([]byte, error) {
	f, err := from.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = errTooBig
	}
	return text, err
}

// readSums reads the list of files, nil if there is none.
func readSums(from fs.FS) (map[string]string, error) {
	text, err := readFile(from, sums, 1<<20)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", sums, err)
	}
	list := make(map[string]string)
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		sum, name, ok := strings.Cut(lines.Text(), " ")
		name = path.Clean(strings.TrimLeft(name, " *"))
		if _, err := hex.DecodeString(sum); !ok || err != nil || len(sum) != 64 || !fs.ValidPath(name) {
			return nil, fmt.Errorf("%w: %s:%d: not a line as sha256sum writes it", ErrSource, sums, n)
		}
		if isPolicy(name) || isData(name) {
			list[name] = strings.ToLower(sum)
		}
	}
	return list, lines.Err()
}
