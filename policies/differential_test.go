package policies_test

import (
	"database/sql"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/internal/pgtest"
	"github.com/strikeplate/strikeplate/policies"
)

var (
	differentialPairs = flag.Int("pairs", 6_000, "pairs of principal and row that TestDifferential compares")
	differentialSeed  = flag.Uint64("seed", 0, "its seed; 0: of the clock")
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// oddTexts differ by case, accents, trailing spaces, composition and width, by the
// order of bytes against that of a language or of UTF-16, or by what SQL does
// with them.
var oddTexts = []string{
	"u1", "u1", "U1", "u1 ", "u2", "U2", "", " ", "draft", "Draft", "draft ", "é", "e\u0301", "É", "ß", "ss", "SS", "ﬀ", "İ", "i", "ı", "a", "A", "z", "Z",
	"' OR 1=1 --", `\' OR 1=1 -- `, `x" OR "1"="1`, "`", "$1", "?", "%", "u_", "\\", "\\u0031", "\n", "\r", "\t", "{table}", "😀", "😁", "\uffff", "\ufffe", "\U0010ffff",
	"\u200du1", "u1\u200d", "\ufeffu1", "日本", "10", "9", "1e1", "TRUE", "NULL", "ﾃ", "テ", "Å", "A\u030a", strings.Repeat("long ", 80), strings.Repeat("long ", 80) + " ",
}

var oddNumbers = []int64{0, 1, 2, 3, 10, -1, 1<<53 + 1, 1<<63 - 1, -1 << 63}

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

// mostly is one of the usual, at times any.
func mostly(r *rand.Rand, usual ...string) string {
	if r.IntN(4) == 0 {
		return pick(r, oddTexts)
	}
	return pick(r, usual)
}

// nearly is one text, at times any or one that a collation takes for it.
func nearly(r *rand.Rand, usual string) string {
	switch r.IntN(10) {
	case 0:
		return pick(r, oddTexts)
	case 1:
		return pick(r, []string{strings.ToUpper(usual), usual + " ", usual + "\u0301", "test"})
	}
	return usual
}

func oddList(r *rand.Rand) []string {
	list := make([]string, r.IntN(4))
	if r.IntN(30) == 0 {
		list = make([]string, 40) // more than partial evaluation writes out
	}
	for i := range list {
		list[i] = mostly(r, "u1", "u2", "U1")
	}
	return list
}

func oddRow(r *rand.Rand) policies.Row {
	orNull := func(v any) any {
		if r.IntN(4) == 0 {
			return nil
		}
		return v
	}
	row := policies.Row{
		"organisation": nearly(r, "acme"), "environment": nearly(r, "live"),
		"owner": orNull(mostly(r, "u1", "u2")), "creator": orNull(mostly(r, "u1", "u2")), "title": mostly(r, "u1", "m"), "kind": mostly(r, "draft", "é", "ß"),
		"private": orNull(r.IntN(2) == 0), "archived": r.IntN(2) == 0, "level": orNull(pick(r, oddNumbers)), "size": pick(r, oddNumbers),
		"participants": oddList(r), "watchers": oddList(r),
	}
	if r.IntN(20) == 0 {
		row["environment"] = nil
	}
	return row
}

// oddSettings have what the sets read, at times of another type, at times not.
func oddSettings(r *rand.Rand) map[string]any {
	anything := func() any {
		return pick(r, []any{nil, true, false, 2, int64(1<<53 + 1), 1.5, -0.5, 1e30, "u1", "", pick(r, oddTexts), []any{"u1", nil, 2}, map[string]any{"u1": "admin"}})
	}
	s := map[string]any{}
	set := func(name string, v any) {
		switch r.IntN(8) {
		case 0: // absent
		case 1:
			s[name] = anything()
		default:
			s[name] = v
		}
	}
	set("private_via_api", true)
	set("licensed_users", oddList(r))
	set("members_see_shared", r.IntN(2) == 0)
	set("team", oddList(r))
	set("blocked", oddList(r))
	set("min", pick(r, oddNumbers))
	set("max", float64(r.IntN(8))/2)
	set("sizes", []any{1, 2.0, 2.5, "3", nil})
	set("from", pick(r, oddTexts))
	set("any", anything())
	set("roles", map[string]any{pick(r, oddTexts): "admin", "u1": pick(r, []any{"admin", "guest", false, nil}), "u2": "guest"})
	return s
}

func oddPrincipal(r *rand.Rand) *strikeplate.Principal {
	levels := []strikeplate.Access{strikeplate.UserLimited, strikeplate.UserFull, strikeplate.OrganisationLimited, strikeplate.OrganisationFull, strikeplate.Legacy}
	p := &strikeplate.Principal{
		Kind: strikeplate.KindKey, Environment: strikeplate.Environment(nearly(r, "live")), Access: pick(r, levels), Credential: "k1", Lineage: mostly(r, "u1"),
		Organisation: nearly(r, "acme"), Subject: mostly(r, "u1", "u2"), ClientID: mostly(r, "u1"), Plan: mostly(r, "pro", "draft"), Settings: oddSettings(r),
	}
	if r.IntN(2) == 0 {
		p.Scopes = []string{"meetings:read"}
	}
	if r.IntN(20) == 0 {
		p.Access = strikeplate.Access(pick(r, oddTexts))
	}
	return p
}

// TestDifferential compares, for random principals and rows under each set of
// rules: OPA's own evaluation, Visible for one row, Visible for many, and Filter
// in real databases, for lists and for masked lists.
//
//	go test ./policies -run TestDifferential -args -pairs=1000000 -seed=7
func TestDifferential(t *testing.T) {
	seed := *differentialSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-seed=%d -pairs=%d", seed, *differentialPairs)
	const rowsInRound = 500
	principalsInSet := min(17, *differentialPairs/(rowsInRound*len(sets))+1) // at most 102,000 pairs a round
	d := differential{t: t, seed: seed, dbs: servers(t)}
	for _, s := range sets {
		d.engines = append(d.engines, engine(t, policies.Config{Source: policies.Source{FS: files(s.files...)}, Resources: differentialResources(), Deadline: time.Minute}))
	}
	for round := uint64(0); d.pairs.Load() < int64(*differentialPairs) && !t.Failed(); round++ {
		r := rand.New(rand.NewPCG(seed, round))
		d.rows = make([]policies.Row, rowsInRound)
		for i := range d.rows {
			d.rows[i] = oddRow(r)
		}
		for dialect, db := range d.dbs {
			refill(t, dialect, db, d.rows)
		}
		t.Run(fmt.Sprint("round ", round), func(t *testing.T) {
			for i, s := range sets {
				t.Run(s.name, func(t *testing.T) {
					t.Parallel()
					r := rand.New(rand.NewPCG(seed, round<<16|uint64(i)+1))
					for range principalsInSet {
						d.compare(t, i, oddPrincipal(r))
					}
				})
			}
		})
	}
	t.Logf("%d pairs: %d allowed, %d masked, %d denied", d.pairs.Load(), d.allowed.Load(), d.hidden.Load(), d.pairs.Load()-d.allowed.Load()-d.hidden.Load())
	if pairs := d.pairs.Load(); d.allowed.Load() < pairs/20 || d.hidden.Load() < pairs/500 {
		t.Error("hardly any row is visible: the test tells nothing")
	}
}

type differential struct {
	t       *testing.T
	seed    uint64
	dbs     map[string]*sql.DB
	engines []*policies.Engine
	rows    []policies.Row

	pairs, allowed, hidden atomic.Int64
}

// compare asks in every way which rows one principal may see.
func (d *differential) compare(t *testing.T, i int, p *strikeplate.Principal) {
	t.Helper()
	e, resource, ctx := d.engines[i], sets[i].resource, t.Context()
	want, err := e.VisibleByRego(ctx, p, resource, d.rows...)
	if err != nil {
		t.Fatalf("seed %d: %v\n%s", d.seed, err, reproduction(p, nil))
	}
	batch, err := e.Visible(ctx, p, resource, d.rows...)
	if err != nil {
		t.Fatalf("seed %d: Visible: %v\n%s", d.seed, err, reproduction(p, nil))
	}
	for id, row := range d.rows {
		one, err := e.Visible(ctx, p, resource, row)
		if err != nil || len(one) != 1 || !alike(want[id], one[0]) {
			t.Fatalf("seed %d: Visible for one: %v\n%s\n%s", d.seed, err, cmp.Diff([]policies.Decision{want[id]}, one), reproduction(p, row))
		}
		if !alike(want[id], batch[id]) {
			t.Fatalf("seed %d: Visible for many: %s\n%s", d.seed, cmp.Diff(want[id], batch[id]), reproduction(p, row))
		}
		switch {
		case want[id].Allowed:
			d.allowed.Add(1)
		case len(want[id].Hidden) > 0:
			d.hidden.Add(1)
		}
	}
	d.pairs.Add(int64(len(d.rows)))
	for dialect, db := range d.dbs {
		for _, masked := range []bool{false, true} {
			f, err := e.Filter(ctx, p, resource, policies.As{Dialect: dialect, Alias: "m", FirstArg: 2, Masked: masked})
			if err != nil {
				t.Fatalf("seed %d: Filter: %v\n%s", d.seed, err, reproduction(p, nil))
			}
			first := map[bool]string{true: "$1", false: "?"}[dialect == policies.PostgreSQL]
			query := "SELECT m.id FROM meetings AS m WHERE m.id >= " + first + " AND " + f.Where
			got, err := selected(db, query, append([]any{0}, f.Args...)...)
			if err != nil {
				t.Fatalf("seed %d: %s: %v\n%s\n%q\n%s", d.seed, dialect, err, query, f.Args, reproduction(p, nil))
			}
			for id, row := range d.rows {
				if listed := want[id].Allowed || masked && len(want[id].Hidden) > 0; got[id] != listed {
					t.Fatalf("seed %d: %s, masked %v: selected %v, want %v\n%s\n%q\n%s", d.seed, dialect, masked, got[id], listed, query, f.Args, reproduction(p, row))
				}
			}
		}
	}
}

// alike is quicker than a diff, which a hundred thousand pairs need.
func alike(a, b policies.Decision) bool {
	return a.Allowed == b.Allowed && a.Rule == b.Rule && a.Reason == b.Reason && a.Revision == b.Revision &&
		slices.Equal(a.Missing, b.Missing) && slices.Equal(a.Hidden, b.Hidden)
}

// reproduction is the one pair that shows a difference.
func reproduction(p *strikeplate.Principal, row policies.Row) string {
	principal, _ := json.Marshal(p)
	if row == nil {
		return "principal " + string(principal)
	}
	line, _ := json.Marshal(row)
	return "principal " + string(principal) + "\nrow " + string(line)
}

// The sets have to exercise what they are there for.
func TestDifferentialSetsBindArguments(t *testing.T) {
	for _, s := range sets {
		e := engine(t, policies.Config{Source: policies.Source{FS: files(s.files...)}, Resources: differentialResources()})
		bound := e.Arguments(s.resource)
		if !slices.Contains(bound, "organisation") || !slices.Contains(bound, "environment") {
			t.Errorf("%s: bound are %q", s.name, bound)
		}
		if s.name == "known" && slices.Contains(bound, "subject") {
			t.Errorf("%s: the subject stands where no argument can: %q", s.name, bound)
		}
		if s.name == "bundled" && !slices.Contains(bound, "subject") {
			t.Errorf("%s: the subject is an argument: %q", s.name, bound)
		}
	}
}
