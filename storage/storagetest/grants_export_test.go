package storagetest

import "testing"

// GrantCase runs the named case of RunGrants or RunGrantsPair.
func GrantCase(t testing.TB, name string, s Granting) bool {
	p := grantPair{s, s}
	return runNamed(t, grantCases(), name, s) || runNamed(t, grantRaces, name, p) || runNamed(t, grantPairCases, name, p)
}
