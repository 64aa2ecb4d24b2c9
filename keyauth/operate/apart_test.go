package operate_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestThreat21OperatorsCallsAreApart: no package of the library imports this one,
// so that no console, API or tenant's call can come to lead here by accident.
// Programs may: they are the operator's.
func TestThreat21OperatorsCallsAreApart(t *testing.T) {
	const module = "github.com/strikeplate/strikeplate"
	const format = `{{.ImportPath}}{{range .Imports}} {{.}}{{end}}`
	out, err := exec.CommandContext(t.Context(), "go", "list", "-e", "-f", format, module+"/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) < 10 {
		t.Fatalf("only %d packages are listed", len(lines))
	}
	for _, line := range lines {
		fields := strings.Fields(line)
		if slices.Contains(fields[1:], module+"/keyauth/operate") {
			t.Errorf("%s imports keyauth/operate", fields[0])
		}
	}
}
