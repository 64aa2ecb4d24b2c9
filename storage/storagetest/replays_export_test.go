package storagetest

import (
	"testing"

	"github.com/strikeplate/strikeplate/storage"
)

// ReplayCase runs the named case of RunReplays or RunReplaysPair.
func ReplayCase(t testing.TB, name string, s storage.Replays) bool {
	return runNamed(t, replayCases, name, s) || runNamed(t, replayRaces, name, replayPair{s, s})
}
