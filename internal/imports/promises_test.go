package imports_test

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// SECURITY.md says where each attack's answer is tested; a renamed test must not
// leave it promising something that nobody checks.
func TestSecurityNamesTestsThatExist(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(top, "SECURITY.md"))
	if err != nil {
		t.Fatal(err)
	}
	var all bytes.Buffer
	for _, name := range tracked(t) {
		if ok, _ := filepath.Match("*_test.go", filepath.Base(name)); !ok {
			continue
		}
		source, err := os.ReadFile(filepath.Join(top, name))
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		all.Write(source)
	}
	named := regexp.MustCompile(`\b(?:Test|Fuzz)[A-Z]\w+`).FindAllString(string(text), -1)
	if len(named) == 0 {
		t.Fatal("SECURITY.md names no test")
	}
	for _, name := range named {
		if !bytes.Contains(all.Bytes(), []byte("\nfunc "+name+"(")) {
			t.Errorf("SECURITY.md names %s, which is nowhere", name)
		}
	}
}
