package storagetest

import "testing"

// OperatorCase runs the named case of RunOperator or RunOperatorPair.
func OperatorCase(t testing.TB, name string, s Operated) bool {
	p := operatedPair{s, s}
	return runNamed(t, operatorCases, name, s) || runNamed(t, operatorRaces, name, p) || runNamed(t, operatorPairCases, name, p)
}
