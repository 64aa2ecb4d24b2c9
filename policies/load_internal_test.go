package policies

import (
	"testing"
)

func TestBundledPoliciesLoad(t *testing.T) {
	e, err := New(Config{Resources: []Resource{{Name: "meetings"}}})
	if err != nil {
		t.Fatal(err)
	}
	for n, en := range e.active.Load().entries {
		t.Logf("%s %+v %v %v", n, en.reads, en.rules.refs(), len(en.rules.rules))
	}
}
