package usage_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/strikeplate/strikeplate/keyauth/usage"
	"github.com/strikeplate/strikeplate/storage"
)

// TestLabelsAreBounded: also when all come at once.
func TestLabelsAreBounded(t *testing.T) {
	labels := usage.NewLabels(10)
	var kept sync.Map
	var all sync.WaitGroup
	for i := range 64 {
		all.Go(func() {
			name := fmt.Sprint("name ", i)
			if first, again := labels.Of(name), labels.Of(name); first != again {
				t.Errorf("%s is %s, and then %s", name, first, again)
			} else if first == name {
				kept.Store(name, true)
			}
		})
	}
	all.Wait()
	n := 0
	kept.Range(func(any, any) bool { n++; return true })
	if n != 10 {
		t.Errorf("%d names are kept, want 10", n)
	}
	for _, bad := range []string{"", "a\x00b", "caf\xe9", strings.Repeat("x", 999)} {
		if got := usage.NewLabels(10).Of(bad); got != storage.UsageOther {
			t.Errorf("%q is kept", bad)
		}
	}
	if got := usage.NewLabels(0).Of("name"); got != storage.UsageOther {
		t.Errorf("without room there is %q", got)
	}
}
