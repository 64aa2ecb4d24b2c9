package policies

import (
	"context"
	"testing"
	"testing/fstest"

	"github.com/strikeplate/strikeplate"
)

func TestBundledPoliciesLoad(t *testing.T) {
	e, err := New(Config{
		Resources: []Resource{{Name: "meetings"}},
		Source: Source{FS: fstest.MapFS{"a.rego": {Data: []byte("package policies.scopes\ndeny[\"x\"] := \"no\" if input.principal.plan == \"none\"\n")}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		d, err := e.Authorize(context.Background(), scopeRequest{Principal: &strikeplate.Principal{Environment: "live", Scopes: []string{"a:b"}}, Requirement: requirement{AllOf: []string{"a:b"}}})
		if err != nil || !d.Allowed {
			t.Error(d, err)
		}
	}
	t.Logf("%+v", e.Stats())
	d, err := e.Authorize(context.Background(), scopeRequest{Principal: &strikeplate.Principal{Environment: "live", Plan: "none", Scopes: []string{"a:b"}}, Requirement: requirement{AllOf: []string{"a:b"}}})
	if err != nil || d.Allowed || d.Rule != "policies.scopes.x" {
		t.Error(d, err)
	}
	p := &strikeplate.Principal{Environment: "live", Organisation: "o", Access: "org-limited"}
	vs, err := e.Visible(context.Background(), p, "meetings", Row{"organisation": "o", "environment": "live", "private": false, "owner": "u", "participants": []string{}}, Row{"organisation": "o", "environment": "live", "private": true, "owner": "u", "participants": []string{}})
	t.Logf("%+v %v", vs, err)
}
