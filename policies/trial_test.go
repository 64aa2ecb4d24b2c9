package policies_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/policies"
)

func candidate(text string) policies.Source {
	return policies.Source{FS: files("candidate.rego", text)}
}

// try starts a trial that ends with the test.
func try(t *testing.T, e *policies.Engine, s policies.Source) *policies.Trial {
	t.Helper()
	trial, err := e.Try(context.Background(), s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(trial.Stop)
	return trial
}

func TestTrialCountsDifferences(t *testing.T) {
	var log buffer
	e := engine(t, policies.Config{Logger: slog.New(slog.NewTextHandler(&log, nil)), Deadline: time.Minute})
	before := e.Stats().Revision
	trial := try(t, e, policies.Source{FS: files(
		"s.rego", "package policies.scopes\ndeny[\"free\"] := \"closed\" if input.principal.plan == \"free\"\ndeny[\"broken\"] := \"x\" if 1 / count(input.principal.plan) > 9",
		"m.rego", "package policies.manage\ndeny[\"freeze\"] := \"closed\" if input.action == \"key.create\"",
		"meetings.rego", "package policies.meetings\nmask[\"m\"] := [\"title\"] if input.resource.owner == \"bob\"\ndeny[\"d\"] := \"x\" if input.resource.owner == \"bob\"",
	)})
	ctx := context.Background()
	free := key(func(p *strikeplate.Principal) { p.Plan = "free" })
	none := key(func(p *strikeplate.Principal) { p.Plan = "" })
	for range 3 { // remembered ones are compared too
		if d, err := e.Authorize(ctx, ask(free)); err != nil || !d.Allowed || d.Revision != before {
			t.Errorf("the active revision decides: %+v, %v", d, err)
		}
	}
	_, _ = e.Authorize(ctx, ask(key(nil)))
	_, _ = e.Authorize(ctx, ask(none))
	if err := e.Manage(ctx, admin(), "key.create", managed()); err != nil {
		t.Error(err)
	}
	member := admin()
	member.Role = "member"
	if err := e.Manage(ctx, member, "key.create", managed()); err == nil { // denied by both, for other reasons
		t.Error("a member created a key")
	}
	row := meeting(func(r policies.Row) { r["owner"] = "bob" })
	_, _ = e.Visible(ctx, key(nil), "meetings", meeting(nil), row)
	row["owner"], row["participants"].([]string)[0] = "eve", "eve" // what the caller does with it afterwards is theirs
	trial.Stop()
	got := trial.Report()
	granted := policies.Outcome{Allowed: true, Rule: "scopes.granted"}
	want := []policies.Counted{
		{Difference: policies.Difference{Entry: "scopes", What: "GET /v1/meetings", Old: granted, New: policies.Outcome{Rule: "policies.scopes.free"}}, Count: 3},
		{Difference: policies.Difference{Entry: "manage", What: "key.create", Old: policies.Outcome{Rule: "manage.default"}, New: policies.Outcome{Rule: "policies.manage.freeze"}}, Count: 1},
		{Difference: policies.Difference{Entry: "manage", What: "key.create", Old: policies.Outcome{Allowed: true, Rule: "manage.keys"}, New: policies.Outcome{Rule: "policies.manage.freeze"}}, Count: 1},
		{Difference: policies.Difference{Entry: "meetings", Old: policies.Outcome{Allowed: true, Rule: "meetings.org-full"}, New: policies.Outcome{Rule: "policies.meetings.d", Masked: true}}, Count: 1},
		{Difference: policies.Difference{Entry: "scopes", What: "GET /v1/meetings", Old: granted, New: policies.Outcome{Rule: "error"}}, Count: 1},
	}
	if diff := cmp.Diff(want, got.Differences); diff != "" {
		t.Error(diff)
	}
	if got.Compared != 9 || got.Dropped != 0 || got.Others != 0 || got.Revision != trial.Revision() || got.Revision == before {
		t.Errorf("%+v", got)
	}
	if n := strings.Count(strings.Join(log.lines(), "\n"), "decides otherwise"); n != 5 {
		t.Errorf("%d lines for 5 differences", n)
	}
	if e.Stats().Revision != before {
		t.Error("a trial that was stopped changed the active revision")
	}
}

func TestTrialIsPromoted(t *testing.T) {
	e := engine(t, policies.Config{})
	trial := try(t, e, candidate(denying("new")))
	if _, err := e.Try(context.Background(), candidate(harmlessPolicy)); !errors.Is(err, policies.ErrTrial) {
		t.Errorf("a second trial: %v", err)
	}
	if got := decider(t, e); got != "scopes.granted" {
		t.Errorf("before: %s", got)
	}
	if err := trial.Promote(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got := decider(t, e); got != "policies.scopes.new" || e.Stats().Revision != trial.Revision() {
		t.Errorf("after: %s", got)
	}
	if err := trial.Promote(context.Background()); !errors.Is(err, policies.ErrTrial) {
		t.Errorf("twice: %v", err)
	}
	dropped := try(t, e, candidate(harmlessPolicy))
	dropped.Stop()
	if err := dropped.Promote(context.Background()); !errors.Is(err, policies.ErrTrial) || decider(t, e) != "policies.scopes.new" {
		t.Errorf("after Stop: %v", err)
	}
}

func TestTrialOfABrokenCandidate(t *testing.T) {
	e := engine(t, policies.Config{})
	for _, s := range []policies.Source{candidate("package strikeplate.scopes"), candidate("deny["), {Bundle: "x"}} {
		if trial, err := e.Try(context.Background(), s); err == nil || trial != nil {
			t.Errorf("%+v: accepted", s)
		}
	}
	try(t, e, candidate(harmlessPolicy)) // none of them is still running
}

// A candidate that is slow delays no decision: what it can't compare is dropped.
func TestTrialDropsWhatItCannotCompare(t *testing.T) {
	e := engine(t, policies.Config{Deadline: 50 * time.Millisecond})
	slow := `package policies.scopes
deny["slow"] := "x" if {
	ns := numbers.range(1, 1000)
	count({[a, b, c] | some a in ns; some b in ns; some c in ns}) == 0
}`
	trial := try(t, e, candidate(slow))
	for range 1500 {
		if d, err := e.Authorize(context.Background(), ask(key(nil))); err != nil || !d.Allowed {
			t.Fatalf("%+v, %v", d, err)
		}
	}
	trial.Stop()
	if r := trial.Report(); r.Dropped == 0 || r.Compared+r.Dropped != 1500 {
		t.Errorf("%+v", r)
	}
}

// The kinds of differences that are kept are bounded, and those beyond counted.
func TestTrialIsBounded(t *testing.T) {
	var log buffer
	e := engine(t, policies.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	trial := try(t, e, candidate(denying("x")))
	const kinds = 1200
	for i := range kinds {
		q := ask(key(nil))
		q.Route = fmt.Sprint("GET /", i)
		if _, err := e.Authorize(context.Background(), q); err != nil {
			t.Fatal(err)
		}
		eventually(t, "a comparison", func() bool { return trial.Report().Compared > uint64(i) })
	}
	if r := trial.Report(); len(r.Differences) != 1000 || r.Others != kinds-1000 {
		t.Errorf("%d kinds, %d others", len(r.Differences), r.Others)
	}
	if n := len(log.lines()); n > 1010 {
		t.Errorf("%d lines", n)
	}
}
