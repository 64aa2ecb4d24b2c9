package storagetest

import (
	"testing"

	"github.com/strikeplate/strikeplate/storage"
)

// UsageCase runs the named case of RunUsage or RunUsagePair.
func UsageCase(t testing.TB, name string, s storage.Usage) bool {
	return runNamed(t, usageCases, name, s) || runNamed(t, usageRaces, name, usagePair{s, s})
}
