package storagetest

import (
	"os"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate/storage"
)

func TestMain(m *testing.M) {
	everyRound = true
	os.Exit(m.Run())
}

// Many is how many goroutines a race starts.
const Many = many

// SetPatience replaces how long cases wait, until the test ends.
func SetPatience(t *testing.T, d time.Duration) {
	old := patienceNow.Swap(int64(d))
	t.Cleanup(func() { patienceNow.Store(old) })
}

// KeyCase runs the named case of RunKeys.
func KeyCase(t testing.TB, name string, s Store) bool {
	return runNamed(t, keyCases, name, s) || runNamed(t, raceCases, name, pair{s, s}) || runNamed(t, pairCases, name, pair{s, s})
}

// DirectoryCase runs the named case of RunDirectory.
func DirectoryCase(t testing.TB, name string, d storage.EditableDirectory) bool {
	return runNamed(t, directoryCases, name, d)
}

func runNamed[S any](t testing.TB, checks []check[S], name string, s S) bool {
	for _, c := range checks {
		if c.name == name {
			c.run(t, s)
			return true
		}
	}
	return false
}
