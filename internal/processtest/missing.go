package processtest

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// MissingError says that a server isn't installed, and how to install it.
type MissingError struct {
	Text string
}

// Error returns the text.
func (e MissingError) Error() string { return e.Text }

// GiveUp skips tb if err is a [MissingError] and no environment variable
// STRIKEPLATE_REQUIRE_SERVICES=1 forbids it, and fails tb otherwise.
func GiveUp(tb testing.TB, name string, err error) {
	tb.Helper()
	var missing MissingError
	if errors.As(err, &missing) && os.Getenv("STRIKEPLATE_REQUIRE_SERVICES") != "1" {
		tb.Skip(missing)
	}
	tb.Fatalf("%s: %v", name, err)
}

// Find returns the first of the directories that holds all of the programs.
func Find(directories []string, programs ...string) (string, bool) {
	for _, dir := range directories {
		all := true
		for _, program := range programs {
			all = all && executable(filepath.Join(dir, program))
		}
		if all {
			return dir, true
		}
	}
	return "", false
}

// Path lists the directories of PATH, and then more.
func Path(more ...string) []string {
	return append(filepath.SplitList(os.Getenv("PATH")), more...)
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}
