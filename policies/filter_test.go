package policies_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/policies"
	"github.com/strikeplate/strikeplate/policies/predicate"
)

func filter(t testing.TB, e *policies.Engine, p *strikeplate.Principal, as policies.As) policies.Filter {
	t.Helper()
	f, err := e.Filter(context.Background(), p, "meetings", as)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

var (
	inPostgres = policies.As{Dialect: policies.PostgreSQL, Alias: "m"}
	inSQLite   = policies.As{Dialect: policies.SQLite}
)

// Each access level's filter, as a person would write it for this table.
func TestFilterOfEachLevel(t *testing.T) {
	r := resources()
	for _, name := range []string{"organisation", "environment", "private"} {
		c := r[0].Columns[name]
		c.NotNull = true
		r[0].Columns[name] = c
	}
	e := engine(t, policies.Config{Resources: r})
	const walls = "m.environment = $1::text AND m.organisation = $2::text"
	const mine = "(m.owner = $3::text OR EXISTS (SELECT 1 FROM participants WHERE participants.meeting_id = m.id AND participants.user_id = $3::text))"
	for access, want := range map[strikeplate.Access]string{
		strikeplate.UserLimited:         walls + " AND m.private = FALSE AND " + mine,
		strikeplate.UserFull:            walls + " AND (m.owner = $3::text OR EXISTS (SELECT 1 FROM participants WHERE participants.meeting_id = m.id AND participants.user_id = $3::text) OR m.private = FALSE)",
		strikeplate.OrganisationLimited: walls + " AND m.private = FALSE",
		strikeplate.OrganisationFull:    walls + " AND m.private = FALSE",
		strikeplate.Legacy:              walls,
		"":                              "1=0",
		"everything":                    "1=0",
	} {
		p := key(func(p *strikeplate.Principal) { p.Access, p.Subject = access, "ada" })
		if diff := cmp.Diff("("+want+")", filter(t, e, p, inPostgres).Where); diff != "" {
			t.Errorf("%s: %s", access, diff)
		}
	}
	full := key(func(p *strikeplate.Principal) {
		p.Settings = map[string]any{"private_via_api": true, "licensed_users": []string{"ada", "bob"}}
	})
	f := filter(t, e, full, inPostgres)
	if diff := cmp.Diff("("+walls+" AND (m.private = FALSE OR m.owner IN ($3::text, $4::text)))", f.Where); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]any{"live", "acme", "ada", "bob"}, f.Args); diff != "" {
		t.Error(diff)
	}
	nobody := key(func(p *strikeplate.Principal) { p.Access = strikeplate.UserFull })
	if f := filter(t, e, nobody, inPostgres); f.Where != "(1=0)" || f.Predicate() != predicate.False {
		t.Errorf("a user level without a user: %+v", f)
	}
}

// One organisation's settings make a shape that no other organisation gets, also
// where the hashes of both collide.
func TestThreat1ShapesAreKeptByEverythingRead(t *testing.T) {
	e := engine(t, policies.Config{})
	e.CollideShapes("meetings")
	settings := []map[string]any{
		nil, {}, {"private_via_api": true}, {"private_via_api": false}, {"private_via_api": nil}, {"private_via_api": "true"}, {"private_via_api": 1},
		{"private_via_api": true, "licensed_users": []string{}}, {"private_via_api": true, "licensed_users": []string{"ada"}},
		{"private_via_api": true, "licensed_users": []string{"ada", "bob"}}, {"private_via_api": true, "licensed_users": "ada"},
		{"private_via_api": true, "licensed_users": nil}, {"private_via_api": true, "licensed_users": []any{"ada", nil}},
	}
	private := meeting(private)
	for range 2 { // shapes are made, then kept or replaced
		for i, s := range settings {
			fresh := engine(t, policies.Config{})
			p := key(func(p *strikeplate.Principal) { p.Organisation, p.Settings = fmt.Sprint("org", i), s })
			want, got := filter(t, fresh, p, inSQLite), filter(t, e, p, inSQLite)
			if diff := cmp.Diff([]any{want.Where, want.Args, want.Predicate()}, []any{got.Where, got.Args, got.Predicate()}); diff != "" {
				t.Errorf("%v: %s", s, diff)
			}
			private["organisation"] = p.Organisation
			byRego, err := e.VisibleByRego(t.Context(), p, "meetings", private)
			if err != nil {
				t.Fatal(err)
			}
			seen, err := e.Visible(t.Context(), p, "meetings", private)
			if diff := cmp.Diff(byRego, seen); err != nil || diff != "" {
				t.Errorf("%v: %v %s", s, err, diff)
			}
		}
	}
}

// Organisations that are alike in what the rules read share a shape, and their
// names are arguments.
func TestThreat1OrganisationsShareNoArguments(t *testing.T) {
	e := engine(t, policies.Config{})
	var work sync.WaitGroup
	for i := range 50 {
		work.Go(func() {
			organisation := fmt.Sprint("org", i)
			f := filter(t, e, key(func(p *strikeplate.Principal) { p.Organisation = organisation }), inSQLite)
			if diff := cmp.Diff([]any{"live", organisation}, f.Args); diff != "" {
				t.Error(diff)
			}
		})
	}
	work.Wait()
	if n := e.Shapes("meetings"); n != 1 {
		t.Errorf("%d shapes are kept for principals that differ in arguments alone, want 1", n)
	}
}

// What a rule reads in ways that can't be told beforehand is never kept.
func TestThreat1UnforeseeableReadsAreNotKept(t *testing.T) {
	e := user(t, `package policies.meetings
allow["named"] := "r" if input.principal.settings[input.principal.plan] == true`)
	for plan, want := range map[string]bool{"a": true, "b": false, "c": true} {
		p := key(func(p *strikeplate.Principal) {
			p.Plan, p.Settings, p.Access = plan, map[string]any{"a": true, "c": true}, strikeplate.OrganisationLimited
		})
		row := meeting(nil)
		row["private"] = nil // the bundled rules don't allow it
		_, err := e.Visible(t.Context(), p, "meetings", row)
		if err != nil {
			t.Fatal(err)
		}
		f := filter(t, e, p, inSQLite)
		if got := strings.Contains(f.Where, "private"); got != true || f.Where == "" {
			t.Errorf("%s: %v %s", plan, want, f.Where)
		}
	}
	if n := e.Arguments("meetings"); len(n) > 0 {
		t.Errorf("bound are %q, though the rules read the principal as a whole", n)
	}
}

func TestThreat13PlaceholdersBeginWhereTold(t *testing.T) {
	e := engine(t, policies.Config{})
	for first, want := range map[int]string{0: "(m.environment = $1::text AND m.organisation = $2::text", 1: "(m.environment = $1::text AND m.organisation = $2::text", 7: "(m.environment = $7::text AND m.organisation = $8::text"} {
		f := filter(t, e, key(nil), policies.As{Dialect: policies.PostgreSQL, Alias: "m", FirstArg: first})
		if !strings.HasPrefix(f.Where, want) || len(f.Args) != 2 {
			t.Errorf("from %d: %s %q", first, f.Where, f.Args)
		}
	}
}

// A condition of alternatives stays one when it stands beside another.
func TestThreat13ConditionsAreInParentheses(t *testing.T) {
	e := user(t, `package policies.meetings
allow["all"] := "r" if true`)
	for _, access := range []strikeplate.Access{strikeplate.UserFull, strikeplate.Legacy, "nobody"} {
		p := key(func(p *strikeplate.Principal) { p.Access, p.Subject = access, "ada" })
		for _, dialect := range []string{policies.PostgreSQL, policies.SQLite, policies.MySQL} {
			where := filter(t, e, p, policies.As{Dialect: dialect}).Where
			depth := 0
			for i, c := range where {
				depth += map[rune]int{'(': 1, ')': -1}[c]
				if depth == 0 && i < len(where)-1 {
					t.Errorf("not in one pair of parentheses: %s", where)
				}
			}
		}
	}
}

// Text that a database cuts off or refuses denies, in lists and for single rows
// alike, also where a rule asks that it be absent.
func TestThreat13ANulByteDenies(t *testing.T) {
	e := user(t, `package policies.meetings
allow["others"] := "r" if input.resource.owner != input.principal.subject
mask["secret"] := ["title"] if input.resource.title != input.principal.settings.secret`)
	for _, bad := range []string{"ada\x00", "\x00", "ada\xff", "\xed\xa0\x80"} {
		for name, p := range map[string]*strikeplate.Principal{
			"argument": key(func(p *strikeplate.Principal) { p.Subject = bad }),
			"known":    key(func(p *strikeplate.Principal) { p.Settings = map[string]any{"secret": bad} }),
			"wall":     key(func(p *strikeplate.Principal) { p.Organisation = bad }),
		} {
			for _, masked := range []bool{false, true} {
				f := filter(t, e, p, policies.As{Dialect: policies.SQLite, Masked: masked})
				if f.Where != "(1=0)" || len(f.Args) > 0 || f.Predicate() != predicate.False {
					t.Errorf("%s %q: %+v", name, bad, f)
				}
			}
			row := meeting(func(r policies.Row) { r["organisation"] = p.Organisation })
			seen, err := e.Visible(t.Context(), p, "meetings", row)
			if err != nil || seen[0].Allowed || seen[0].Hidden != nil {
				t.Errorf("%s %q: %+v %v", name, bad, seen, err)
			}
		}
	}
	ok := key(func(p *strikeplate.Principal) { p.ClientID = "a\x00" }) // nothing compares it
	if f := filter(t, e, ok, inSQLite); f.Where == "(1=0)" {
		t.Error("a NUL byte in what no rule reads denies")
	}
}

// Where the database's collation takes texts for equal that Rego tells apart.
func TestThreat13TextIsComparedByteByByte(t *testing.T) {
	e := engine(t, policies.Config{})
	p := key(nil)
	for dialect, want := range map[string]string{
		policies.SQLite: "meetings.organisation = ? COLLATE BINARY",
		policies.MySQL:  "(meetings.organisation = ? AND CAST(CONVERT(meetings.organisation USING utf8mb4) AS BINARY) = ?)",
	} {
		if f := filter(t, e, p, policies.As{Dialect: dialect}); !strings.Contains(f.Where, want) {
			t.Errorf("%s: %s", dialect, f.Where)
		}
	}
}

func TestFilterOfMasks(t *testing.T) {
	e := user(t, `package policies.meetings
mask["private"] := ["title"] if input.resource.private != false`)
	p := key(func(p *strikeplate.Principal) { p.Access = strikeplate.OrganisationLimited })
	plain, masked := filter(t, e, p, inPostgres), filter(t, e, p, policies.As{Dialect: policies.PostgreSQL, Alias: "m", Masked: true})
	if want := "(m.environment = $1::text AND m.organisation = $2::text AND m.private = FALSE)"; plain.Where != want {
		t.Error(cmp.Diff(want, plain.Where))
	}
	if want := "(m.environment = $1::text AND m.organisation = $2::text)"; masked.Where != want { // a wall stays a wall
		t.Error(cmp.Diff(want, masked.Where))
	}
}

func TestFilterRefuses(t *testing.T) {
	e := engine(t, policies.Config{})
	for want, c := range map[string]struct {
		p        *strikeplate.Principal
		resource string
		as       policies.As
	}{
		"no principal":       {nil, "meetings", inSQLite},
		"no such resource":   {key(nil), "rooms", inSQLite},
		`"scopes"`:           {key(nil), "scopes", inSQLite},
		"unknown dialect":    {key(nil), "meetings", policies.As{}},
		`dialect "oracle"`:   {key(func(p *strikeplate.Principal) { p.Organisation = "a\x00" }), "meetings", policies.As{Dialect: "oracle"}},
		"can't begin at -1":  {key(nil), "meetings", policies.As{Dialect: policies.PostgreSQL, FirstArg: -1}},
		"no name of a table": {key(nil), "meetings", policies.As{Dialect: policies.SQLite, Alias: "m WHERE 1=1 --"}},
		"within relation":    {key(func(p *strikeplate.Principal) { p.Access, p.Subject = strikeplate.UserFull, "ada" }), "meetings", policies.As{Dialect: policies.SQLite, Alias: "Participants"}},
		"the principal's settings": {key(func(p *strikeplate.Principal) {
			p.Settings = map[string]any{"private_via_api": func() {}}
		}), "meetings", inSQLite},
	} {
		f, err := e.Filter(t.Context(), c.p, c.resource, c.as)
		if err == nil || !strings.Contains(err.Error(), want) || f.Where != "" || f.Args != nil || f.Predicate() != predicate.False {
			t.Errorf("%q: got %v, %v", want, f, err)
		}
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := engine(t, policies.Config{}).Filter(cancelled, key(nil), "meetings", inSQLite); !errors.Is(err, policies.ErrUndecided) {
		t.Errorf("a request that is gone: %v", err)
	}
}

// BenchmarkFilterCached is a filter whose shape is kept: the usual one.
func BenchmarkFilterCached(b *testing.B) {
	e := engine(b, policies.Config{})
	for _, access := range []strikeplate.Access{strikeplate.UserFull, strikeplate.OrganisationLimited} {
		b.Run(string(access), func(b *testing.B) {
			p := key(func(p *strikeplate.Principal) { p.Access, p.Subject = access, "ada" })
			as := policies.As{Dialect: policies.PostgreSQL, Alias: "m", FirstArg: 2}
			ctx := context.Background()
			b.ReportAllocs()
			for b.Loop() {
				if f, err := e.Filter(ctx, p, "meetings", as); err != nil || f.Where == "" {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkFilterFresh makes a shape each time.
func BenchmarkFilterFresh(b *testing.B) {
	e := user(b, `package policies.meetings
allow["named"] := "r" if input.principal.settings[input.principal.plan] == true`)
	p := key(func(p *strikeplate.Principal) { p.Access, p.Subject = strikeplate.UserFull, "ada" })
	b.ReportAllocs()
	for b.Loop() {
		if _, err := e.Filter(context.Background(), p, "meetings", inPostgres); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkVisible decides on rows by a kept shape.
func BenchmarkVisible(b *testing.B) {
	e := engine(b, policies.Config{})
	p := key(func(p *strikeplate.Principal) { p.Access, p.Subject = strikeplate.UserFull, "ada" })
	rows := make([]policies.Row, 100)
	for i := range rows {
		rows[i] = meeting(nil)
	}
	for _, n := range []int{1, 100} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := e.Visible(context.Background(), p, "meetings", rows[:n]...); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
