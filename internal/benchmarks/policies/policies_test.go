// Package policies compares what it costs to decide whether a credential may call
// a route: with Strikeplate's policies, with casbin and with cedar-go.
//
// The job is the same for all: among twenty routes, each of which demands a scope
// and the environment live, one is asked for by a credential with three scopes.
// What the others leave out: the reason and the rule that decided, and what is
// missing where a scope is.
package policies_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/casbin/casbin/v2"
	"github.com/casbin/casbin/v2/model"
	"github.com/cedar-policy/cedar-go"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/policies"
	"github.com/strikeplate/strikeplate/scope"
)

const routes = 20

var scopes = []string{"summaries:read", "transcripts:read", "meetings:read"}

func pattern(i int) string { return fmt.Sprintf("GET /v1/things%d", i) }

func demanded(i int) string {
	if i == 7 {
		return "meetings:read"
	}
	return fmt.Sprintf("things%d:read", i)
}

func strikeplates(b *testing.B, remember int) {
	b.Helper()
	e, err := policies.New(policies.Config{Remember: remember, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = e.Close(context.Background()) })
	ctx, cancel := context.WithCancel(context.Background())
	b.Cleanup(cancel)
	q := scope.Request{
		Principal:   &strikeplate.Principal{Environment: strikeplate.Live, Organisation: "acme", Credential: "key_1", Scopes: scopes},
		Requirement: scope.Requirement{AllOf: []string{demanded(7)}, Environment: strikeplate.Live}, Method: "GET", Route: pattern(7),
	}
	b.ReportAllocs()
	for b.Loop() {
		if d, err := e.Authorize(ctx, q); err != nil || !d.Allowed {
			b.Fatal(d, err)
		}
	}
}

// BenchmarkStrikeplateRemembered is what most requests pay: somebody asked the
// same before.
func BenchmarkStrikeplateRemembered(b *testing.B) { strikeplates(b, 0) }

// BenchmarkStrikeplateFresh runs the rules each time.
func BenchmarkStrikeplateFresh(b *testing.B) { strikeplates(b, -1) }

// BenchmarkPlain is a comparison of lists in Go, for services without policies.
func BenchmarkPlain(b *testing.B) {
	q := scope.Request{Principal: &strikeplate.Principal{Environment: strikeplate.Live, Scopes: scopes}, Requirement: scope.Requirement{AllOf: []string{demanded(7)}}}
	b.ReportAllocs()
	for b.Loop() {
		if d, err := (scope.Plain{}).Authorize(b.Context(), q); err != nil || !d.Allowed {
			b.Fatal(d, err)
		}
	}
}

// BenchmarkCasbin has one policy for each route; its matcher asks a function for
// the scope.
func BenchmarkCasbin(b *testing.B) {
	m, err := model.NewModelFromString(`
[request_definition]
r = sub, route
[policy_definition]
p = scope, route
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = r.route == p.route && r.sub.Environment == "live" && holds(r.sub.Scopes, p.scope)
`)
	if err != nil {
		b.Fatal(err)
	}
	e, err := casbin.NewEnforcer(m)
	if err != nil {
		b.Fatal(err)
	}
	e.AddFunction("holds", func(args ...any) (any, error) {
		have, _ := args[0].([]string)
		want, _ := args[1].(string)
		return slices.Contains(have, want), nil
	})
	for i := range routes {
		if _, err := e.AddPolicy(demanded(i), pattern(i)); err != nil {
			b.Fatal(err)
		}
	}
	type subject struct {
		Environment string
		Scopes      []string
	}
	b.ReportAllocs()
	for b.Loop() {
		if ok, err := e.Enforce(subject{"live", scopes}, pattern(7)); err != nil || !ok {
			b.Fatal(ok, err)
		}
	}
}

// BenchmarkCedar has one policy for each route; the credential is an entity.
func BenchmarkCedar(b *testing.B) {
	var text strings.Builder
	for i := range routes {
		fmt.Fprintf(&text, "permit(principal, action == Action::%q, resource) when { principal.environment == \"live\" && principal.scopes.contains(%q) };\n", pattern(i), demanded(i))
	}
	set, err := cedar.NewPolicySetFromBytes("routes.cedar", []byte(text.String()))
	if err != nil {
		b.Fatal(err)
	}
	ask := func() cedar.Request {
		return cedar.Request{
			Principal: cedar.NewEntityUID("Key", "key_1"), Action: cedar.NewEntityUID("Action", cedar.String(pattern(7))),
			Resource: cedar.NewEntityUID("Service", "api"), Context: cedar.NewRecord(nil),
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		held := make([]cedar.Value, len(scopes))
		for i, s := range scopes {
			held[i] = cedar.String(s)
		}
		uid := cedar.NewEntityUID("Key", "key_1")
		entities := cedar.EntityMap{uid: {UID: uid, Attributes: cedar.NewRecord(cedar.RecordMap{
			"environment": cedar.String("live"), "scopes": cedar.NewSet(held...),
		})}}
		if ok, _ := cedar.Authorize(set, entities, ask()); !ok {
			b.Fatal("denied")
		}
	}
}
