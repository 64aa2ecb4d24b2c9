package hooks_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/strikeplate/strikeplate/examples/internal/hooks"
)

func ExampleVerify() {
	body := []byte(`{"type": "note.created"}`)
	now := time.Unix(1767225600, 0)
	signature := hooks.Sign("whsec_example", now, body)
	fmt.Println(signature[:20], hooks.Verify("whsec_example", signature, body, now.Add(time.Minute)))
	fmt.Println(hooks.Verify("whsec_example", signature, body, now.Add(time.Hour)))
	// Output:
	// t=1767225600,v1=c50b <nil>
	// hooks: bad signature
}

func TestForgedSignatures(t *testing.T) {
	now := time.Unix(1767225600, 0)
	body := []byte("body")
	good := hooks.Sign("secret", now, body)
	if err := hooks.Verify("secret", good, body, now); err != nil {
		t.Fatal(err)
	}
	for what, verify := range map[string]func() error{
		"another secret": func() error { return hooks.Verify("other", good, body, now) },
		"another body":   func() error { return hooks.Verify("secret", good, []byte("bodY"), now) },
		"another time": func() error {
			return hooks.Verify("secret", strings.Replace(good, "t=1767225600", "t=1767225601", 1), body, now)
		},
		"too early": func() error { return hooks.Verify("secret", good, body, now.Add(-6*time.Minute)) },
		"too late":  func() error { return hooks.Verify("secret", good, body, now.Add(6*time.Minute)) },
		"nothing":   func() error { return hooks.Verify("secret", "", body, now) },
		"no sum":    func() error { return hooks.Verify("secret", "t=1767225600,v1=", body, now) },
		"no time":   func() error { return hooks.Verify("secret", good[2:], body, now) },
		"cut":       func() error { return hooks.Verify("secret", good[:len(good)-2], body, now) },
	} {
		if err := verify(); !errors.Is(err, hooks.ErrSignature) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func FuzzVerify(f *testing.F) {
	now := time.Unix(1767225600, 0)
	f.Add(hooks.Sign("secret", now, []byte("body")))
	f.Add("t=1,v1=00")
	f.Add(",v1=")
	f.Fuzz(func(t *testing.T, signature string) {
		if hooks.Verify("secret", signature, []byte("another body"), now) == nil {
			t.Errorf("%q signs a body that nobody signed", signature)
		}
	})
}
