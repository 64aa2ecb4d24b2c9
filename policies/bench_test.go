package policies_test

import (
	"context"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/metrics"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/internal/pairedtest"
	"github.com/strikeplate/strikeplate/policies"
	"github.com/strikeplate/strikeplate/scope"
)

// routed is the request of the benchmarks: one scope of three, some settings, and
// a context that can end, as a request's can.
func routed(b *testing.B) (context.Context, scope.Request) {
	b.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	b.Cleanup(cancel)
	return ctx, ask(key(func(p *strikeplate.Principal) {
		p.Scopes = []string{"meetings:read", "summaries:read", "transcripts:read"}
		p.Settings = map[string]any{"private_via_api": true}
	}))
}

func decide(b *testing.B, c policies.Config) {
	b.Helper()
	e := engine(b, c)
	ctx, q := routed(b)
	b.ReportAllocs()
	for b.Loop() {
		if d, err := e.Authorize(ctx, q); err != nil || !d.Allowed {
			b.Fatal(d, err)
		}
	}
}

// BenchmarkDecideRemembered is a decision on a route that was made before.
func BenchmarkDecideRemembered(b *testing.B) { decide(b, policies.Config{}) }

// BenchmarkDecideFresh is one that is made: compare it with BenchmarkBareOPA.
func BenchmarkDecideFresh(b *testing.B) { decide(b, policies.Config{Remember: -1}) }

// BenchmarkDecideLogged is a remembered one that is recorded as well.
func BenchmarkDecideLogged(b *testing.B) {
	decide(b, policies.Config{Log: policies.Log{Sink: nowhere{}, Buffer: 1 << 16}})
}

type nowhere struct{}

func (nowhere) Write([]policies.Record) error { return nil }

// bareOPA evaluates the same rules by OPA's package rego alone, in its leanest
// way, with an input that was made beforehand.
func bareOPA(b *testing.B) func(int) {
	b.Helper()
	e := engine(b, policies.Config{})
	compiler := policies.CompilerOf(e, "scopes")
	query, err := rego.New(rego.Compiler(compiler), rego.StrictBuiltinErrors(true),
		rego.Query("deny = data.strikeplate.scopes.deny; allow = data.strikeplate.scopes.allow")).PrepareForEval(context.Background())
	if err != nil {
		b.Fatal(err)
	}
	ctx, q := routed(b)
	input := policies.InputOf(b, q)
	asIs := func(t *ast.Term, _ *rego.EvalContext) (any, error) { return t.Value, nil }
	return func(int) {
		cancel := topdown.NewCancel()
		stop := context.AfterFunc(ctx, cancel.Cancel)
		rs, err := query.Eval(ctx, rego.EvalParsedInput(input), rego.EvalMetrics(metrics.NoOp()),
			rego.EvalExternalCancel(cancel), rego.EvalGenerateJSON(asIs))
		stop()
		if err != nil || rs[0].Bindings["allow"].(ast.Object).Len() != 1 {
			b.Fatal(rs, err)
		}
	}
}

func BenchmarkBareOPA(b *testing.B) {
	bare := bareOPA(b)
	b.ReportAllocs()
	for b.Loop() {
		bare(0)
	}
}

// BenchmarkFreshBesideBareOPA takes turns between the two, so that a busy machine
// is as busy for one as for the other.
func BenchmarkFreshBesideBareOPA(b *testing.B) {
	bare := bareOPA(b)
	e := engine(b, policies.Config{Remember: -1})
	ctx, q := routed(b)
	pairedtest.Compare(b, bare, func(int) {
		if d, err := e.Authorize(ctx, q); err != nil || !d.Allowed {
			b.Fatal(d, err)
		}
	})
}

func BenchmarkManage(b *testing.B) {
	e := engine(b, policies.Config{})
	b.ReportAllocs()
	for b.Loop() {
		if err := e.Manage(b.Context(), admin(), "key.create", managed()); err != nil {
			b.Fatal(err)
		}
	}
}

func benchmarkRows(b *testing.B, n int) {
	b.Helper()
	e := engine(b, policies.Config{})
	rows := make([]policies.Row, n)
	for i := range rows {
		rows[i] = meeting(nil)
	}
	p := key(func(p *strikeplate.Principal) { p.Settings = map[string]any{"private_via_api": true} })
	b.ReportAllocs()
	for b.Loop() {
		if ds, err := e.Visible(b.Context(), p, "meetings", rows...); err != nil || !ds[n-1].Allowed {
			b.Fatal(err)
		}
	}
}

func BenchmarkVisibleOne(b *testing.B)     { benchmarkRows(b, 1) }
func BenchmarkVisibleHundred(b *testing.B) { benchmarkRows(b, 100) }

// BenchmarkLoad reads, checks, compiles and prepares everything.
func BenchmarkLoad(b *testing.B) {
	for b.Loop() {
		engine(b, policies.Config{Source: policies.Source{FS: files("a.rego", harmlessPolicy)}})
	}
}
