package predicate_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/strikeplate/strikeplate/policies/predicate"
)

func text(s string) predicate.Literal { return predicate.Literal{Value: s} }

func is(l predicate.Operand, r predicate.Operand) predicate.Predicate {
	return predicate.Compare(l, predicate.Equal, r)
}

func isNot(l predicate.Operand, r predicate.Operand) predicate.Predicate {
	return predicate.Compare(l, predicate.NotEqual, r)
}

// TestSQL is what the constructors make of conditions, as a person would write it.
func TestSQL(t *testing.T) {
	yes, no, null := predicate.Literal{Value: true}, predicate.Literal{Value: false}, predicate.Literal{}
	mine := predicate.Or(is(owner, subject), predicate.Has(relation, subject))
	cases := []struct {
		name string
		p    predicate.Predicate
		want string
		args []predicate.Operand
	}{
		{"nothing", predicate.Or(), "(1=0)", nil},
		{"everything", predicate.And(), "(1=1)", nil},
		{"equal", is(owner, text("a")), "(m.owner = $7::text)", []predicate.Operand{text("a")}},
		{"one argument has one number", predicate.And(is(org, tenant), mine, isNot(creator, subject)),
			"(m.org = $7::text AND (m.owner = $8::text OR EXISTS (SELECT 1 FROM participants AS p WHERE p.meeting = m.id AND p.person = $8::text)) AND (m.creator IS NULL OR m.creator <> $8::text))",
			[]predicate.Operand{tenant, subject}},
		{"equalities become a list", predicate.Or(is(owner, text("a")), is(owner, text("b")), is(owner, text("a"))), "(m.owner IN ($7::text, $8::text))", []predicate.Operand{text("a"), text("b")}},
		{"inequalities too", predicate.And(isNot(owner, text("a")), isNot(owner, text("b"))), "((m.owner IS NULL OR m.owner NOT IN ($7::text, $8::text)))", []predicate.Operand{text("a"), text("b")}},
		{"values of a relation", predicate.Or(predicate.Has(relation, text("a")), predicate.Has(relation, owner, text("b"))),
			`(EXISTS (SELECT 1 FROM participants AS p WHERE p.meeting = m.id AND (p.person IN ($7::text, $8::text) OR p.person COLLATE "C" = m.owner)))`, []predicate.Operand{text("a"), text("b")}},
		{"null is a value", is(owner, null), "(m.owner IS NULL)", nil},
		{"not null of what can't be", isNot(org, null), "(1=1)", nil},
		{"not null is implied", predicate.And(isNot(owner, null), is(owner, subject)), "(m.owner = $7::text)", []predicate.Operand{subject}},
		{"two columns", is(owner, creator), `((m.owner COLLATE "C" = m.creator OR (m.owner IS NULL AND m.creator IS NULL)))`, nil},
		{"two columns differ", isNot(owner, creator), `((m.owner COLLATE "C" <> m.creator OR (m.owner IS NULL) <> (m.creator IS NULL)))`, nil},
		{"order of text", predicate.Compare(owner, predicate.Less, text("m")), `((m.owner IS NULL OR m.owner COLLATE "C" < $7::text))`, []predicate.Operand{text("m")}},
		{"a number is no text", is(owner, predicate.Literal{Value: int64(5)}), "(1=0)", nil},
		{"text is above numbers", predicate.Compare(owner, predicate.Greater, predicate.Literal{Value: int64(5)}), "(m.owner IS NOT NULL)", nil},
		{"a number", predicate.Compare(level, predicate.GreaterOrEqual, predicate.Literal{Value: int64(3)}), "(m.level >= $7::bigint)", []predicate.Operand{predicate.Literal{Value: int64(3)}}},
		{"a bool", predicate.Not(is(done, yes)), "(m.done = FALSE)", nil},
		{"a bool that may be null", predicate.Not(is(private, no)), "((m.private IS NULL OR m.private <> FALSE))", nil},
		{"not in a relation", predicate.Not(predicate.Has(relation, subject)), "(NOT COALESCE((EXISTS (SELECT 1 FROM participants AS p WHERE p.meeting = m.id AND p.person = $7::text)), FALSE))", []predicate.Operand{subject}},
		{"De Morgan", predicate.Not(predicate.And(is(org, tenant), is(done, yes))), "(m.org <> $7::text OR m.done = FALSE)", []predicate.Operand{tenant}},
		{"absorbed", predicate.And(is(org, tenant), predicate.Or(is(org, tenant), mine)), "(m.org = $7::text)", []predicate.Operand{tenant}},
		{"resolved", predicate.And(is(done, no), predicate.Or(is(done, yes), is(org, tenant))), "(m.done = FALSE AND m.org = $7::text)", []predicate.Operand{tenant}},
		{"contradicted", predicate.And(is(done, no), is(done, yes)), "(1=0)", nil},
		{"two values at once", predicate.And(is(owner, text("a")), is(owner, text("b"))), "(1=0)", nil},
		{"in common", predicate.Or(predicate.And(is(org, tenant), is(done, no)), predicate.And(is(org, tenant), is(owner, subject))), "(m.org = $7::text AND (m.done = FALSE OR m.owner = $8::text))", []predicate.Operand{tenant, subject}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := predicate.Render(c.p, predicate.PostgreSQL, 7, tableOf("m"))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(predicate.Query{Text: c.want, Args: c.args}, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDialects(t *testing.T) {
	p := predicate.And(is(org, tenant), predicate.In(owner, subject, text("b")), predicate.Compare(creator, predicate.Less, text("m")), isNot(kind, text("x")))
	exact := func(s string) string { return "CAST(CONVERT(" + s + " USING utf8mb4) AS BINARY)" }
	for dialect, want := range map[predicate.Dialect]string{
		predicate.SQLite: "(m.org = ? COLLATE BINARY AND m.owner COLLATE BINARY IN (?, ?) AND (m.creator IS NULL OR m.creator COLLATE BINARY < ?) AND m.kind COLLATE BINARY <> ?)",
		predicate.MySQL: "((m.org = ? AND " + exact("m.org") + " = ?) AND (m.owner IN (?, ?) AND " + exact("m.owner") + " IN (" + exact("?") + ", " + exact("?") + "))" +
			" AND (m.creator IS NULL OR " + exact("m.creator") + " < " + exact("?") + ") AND " + exact("m.kind") + " <> " + exact("?") + ")",
	} {
		got, err := predicate.Render(p, dialect, 3, tableOf("m"))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got.Text); diff != "" {
			t.Errorf("%s: %s", dialect, diff)
		}
		if n := strings.Count(got.Text, "?"); n != len(got.Args) {
			t.Errorf("%s: %d placeholders, %d arguments", dialect, n, len(got.Args))
		}
	}
}

// Where PostgreSQL's collation finds too much, "=" is only what the index serves.
func TestThreat13NondeterministicCollation(t *testing.T) {
	table := tableOf("m")
	table.Columns["owner"] = predicate.Expression{SQL: "m.owner", Nondeterministic: true}
	table.Relations[relation] = predicate.Source{From: "p", Value: "p.u", Nondeterministic: true}
	for want, p := range map[string]predicate.Predicate{
		`((m.owner = $1::text AND m.owner COLLATE "C" = $1::text))`:                           is(owner, subject),
		`((m.owner IS NULL OR m.owner COLLATE "C" <> $1::text))`:                              isNot(owner, subject),
		`((m.owner IN ($1::text, $2::text) AND m.owner COLLATE "C" IN ($1::text, $2::text)))`: predicate.In(owner, subject, tenant),
		`((m.owner IS NULL OR m.owner COLLATE "C" NOT IN ($1::text, $2::text)))`:              predicate.Not(predicate.In(owner, subject, tenant)),
		`((m.owner COLLATE "C" = m.creator OR (m.owner IS NULL AND m.creator IS NULL)))`:      is(owner, creator),
		`(m.org = $1::text)`: is(org, subject),
		`(EXISTS (SELECT 1 FROM p WHERE (p.u = $1::text AND p.u COLLATE "C" = $1::text)))`: predicate.Has(relation, subject),
	} {
		got, err := predicate.Render(p, predicate.PostgreSQL, 0, table)
		if err != nil || got.Text != want {
			t.Errorf("got %s, %v, want %s", got.Text, err, want)
		}
	}
}

func TestRenderRefuses(t *testing.T) {
	unknown := predicate.Column{Name: "nobody"}
	for name, c := range map[string]struct {
		p       predicate.Predicate
		dialect predicate.Dialect
		first   int
		want    error
	}{
		"dialect":                    {predicate.True, "oracle", 1, predicate.ErrRender},
		"no dialect":                 {predicate.True, "", 1, predicate.ErrRender},
		"placeholder":                {predicate.True, predicate.PostgreSQL, -1, predicate.ErrRender},
		"column":                     {is(unknown, subject), predicate.SQLite, 1, predicate.ErrRender},
		"relation":                   {predicate.Has("nobody", subject), predicate.SQLite, 1, predicate.ErrRender},
		"nil":                        {nil, predicate.SQLite, 1, predicate.ErrRender},
		"nil inside":                 {predicate.Conjunction{is(org, subject), nil}, predicate.SQLite, 1, predicate.ErrRender},
		"a NUL byte":                 {is(org, text("a\x00")), predicate.SQLite, 1, predicate.ErrText},
		"invalid UTF-8":              {isNot(org, text("\xff")), predicate.PostgreSQL, 1, predicate.ErrText},
		"a NUL byte in a relation's": {predicate.Not(predicate.Has(relation, text("a\x00"))), predicate.MySQL, 1, predicate.ErrText},
		"a NUL byte in a list":       {predicate.Not(predicate.In(owner, text("a\x00"), text("b"))), predicate.MySQL, 1, predicate.ErrText},
		"invalid UTF-8 in an order":  {predicate.Compare(owner, predicate.Less, text("a\xc3")), predicate.MySQL, 1, predicate.ErrText},
	} {
		got, err := predicate.Render(c.p, c.dialect, c.first, tableOf("m"))
		if !errors.Is(err, c.want) || got.Text != "" || got.Args != nil {
			t.Errorf("%s: got %v, %v, want %v and no SQL", name, got, err, c.want)
		}
	}
}

func TestThreat13TextThatADatabaseCutsOff(t *testing.T) {
	for _, p := range []predicate.Predicate{is(org, tenant), isNot(org, tenant), predicate.Not(predicate.Has(relation, tenant))} {
		q, err := predicate.Render(p, predicate.PostgreSQL, 1, tableOf("m"))
		if err != nil {
			t.Fatal(err)
		}
		for _, bad := range []string{"acme\x00", "\x00", "acme\xff", "\xed\xa0\x80"} {
			if args, err := q.Bind([]string{"u", bad}); !errors.Is(err, predicate.ErrText) || args != nil {
				t.Errorf("%s with %q: %v, %v", q.Text, bad, args, err)
			}
		}
		if _, err := q.Bind([]string{"u"}); !errors.Is(err, predicate.ErrRender) {
			t.Errorf("an argument without a value: %v", err)
		}
	}
}

func TestEvalRefuses(t *testing.T) {
	row := func(name string, v any) predicate.Row {
		r := predicate.Row{"owner": nil, "org": "o", "private": nil, "done": true, "level": nil, "size": 1, relation: []string{}}
		if v == "missing" {
			delete(r, name)
		} else {
			r[name] = v
		}
		return r
	}
	one := predicate.Literal{Value: int64(1)}
	for name, c := range map[string]struct {
		p   predicate.Predicate
		row predicate.Row
	}{
		"missing":             {is(owner, subject), row("owner", "missing")},
		"missing, negated":    {isNot(owner, subject), row("owner", "missing")},
		"null in not null":    {is(org, subject), row("org", nil)},
		"a number as text":    {isNot(owner, subject), row("owner", 5)},
		"bytes as text":       {isNot(owner, subject), row("owner", []byte("a"))},
		"text as a bool":      {is(done, predicate.Literal{Value: false}), row("done", "true")},
		"text as a number":    {is(size, one), row("size", "1")},
		"a fraction":          {is(size, one), row("size", 1.5)},
		"too large":           {is(size, one), row("size", uint64(1<<63))},
		"no relation":         {predicate.Not(predicate.Has(relation, subject)), row(relation, "missing")},
		"null as a relation":  {predicate.Not(predicate.Has(relation, subject)), row(relation, nil)},
		"text as a relation":  {predicate.Not(predicate.Has(relation, subject)), row(relation, "u")},
		"argument not given":  {isNot(owner, predicate.Argument{Name: "x", Slot: 7}), row("owner", nil)},
		"argument before all": {isNot(owner, predicate.Argument{Name: "x", Slot: -1}), row("owner", nil)},
		"nil":                 {predicate.Negation{Of: nil}, row("owner", nil)},
	} {
		if got, err := predicate.Eval(c.p, c.row, []string{"u", "o"}); !errors.Is(err, predicate.ErrRow) || got {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
	}
}

func TestEvalTakesEveryInteger(t *testing.T) {
	for _, n := range []any{int(7), int8(7), int16(7), int32(7), int64(7), uint(7), uint8(7), uint16(7), uint32(7), uint64(7)} {
		if got, err := predicate.Eval(is(size, predicate.Literal{Value: int64(7)}), predicate.Row{"size": n}, nil); err != nil || !got {
			t.Errorf("%T: %v, %v", n, got, err)
		}
	}
}

// Conditions that are about the arguments alone are decided before the SQL is made.
func TestResolve(t *testing.T) {
	p := predicate.And(isNot(subject, text("")), predicate.Not(predicate.In(tenant, text("x"), text("y"))), is(owner, subject))
	if got := len(predicate.Rowless(p)); got != 2 {
		t.Errorf("%d conditions need no row, want 2", got)
	}
	for _, c := range []struct {
		args []string
		want predicate.Predicate
	}{
		{[]string{"u", "o"}, is(owner, subject)},
		{[]string{"", "o"}, predicate.False},
		{[]string{"u", "y"}, predicate.False},
	} {
		got, err := predicate.Resolve(p, c.args)
		if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
			t.Errorf("%q: %v %s", c.args, err, diff)
		}
	}
	bound, err := predicate.Bind(is(owner, subject), []string{"u", "o"})
	if diff := cmp.Diff(is(owner, text("u")), bound); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
}

// checkRandom compares a random predicate with its simplified self on a random row.
func checkRandom(t *testing.T, seed uint64) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	p := randomPredicate(r, 1+r.IntN(4))
	args := []string{randomText(r), randomText(r)}
	simple, opposite := predicate.Simplify(p), predicate.Not(p)
	resolved, err := predicate.Resolve(simple, args)
	if err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	if left := predicate.Rowless(resolved); len(left) > 0 {
		t.Errorf("seed %d: %v is left of %v", seed, left, p)
	}
	for range 20 {
		row := randomRow(r)
		want, err := predicate.Eval(p, row, args)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		bound, _ := predicate.Bind(simple, args)
		for name, c := range map[string]struct {
			p    predicate.Predicate
			want bool
		}{"simplified": {simple, want}, "negated": {opposite, !want}, "negated twice": {predicate.Not(opposite), want}, "resolved": {resolved, want}, "bound": {bound, want}} {
			if got, err := predicate.Eval(c.p, row, args); err != nil || got != c.want {
				t.Fatalf("seed %d: %s: got %v, %v, want %v\nrow %v\nargs %q\nfrom %#v\nto %#v", seed, name, got, err, c.want, row, args, p, c.p)
			}
		}
	}
}

func TestSimplifyPreservesMeaning(t *testing.T) {
	for seed := range uint64(20_000) {
		checkRandom(t, seed)
	}
}

func FuzzSimplify(f *testing.F) {
	for seed := range uint64(10) {
		f.Add(seed)
	}
	f.Fuzz(checkRandom)
}

// FuzzRender looks for text of arguments and literals in the SQL.
func FuzzRender(f *testing.F) {
	for _, s := range texts {
		f.Add(uint64(len(s)), s, s)
	}
	f.Add(uint64(1), "a\x00b", "\xff")
	f.Fuzz(func(t *testing.T, seed uint64, value, argument string) {
		const marker = "«smuggled»"
		r := rand.New(rand.NewPCG(seed, 2))
		literal := text(marker + value)
		p := predicate.And(randomPredicate(r, 2), predicate.Or(is(owner, literal), isNot(creator, literal), predicate.Has(relation, literal), predicate.In(kind, literal, subject)), isNot(owner, tenant))
		for _, d := range []predicate.Dialect{predicate.PostgreSQL, predicate.SQLite, predicate.MySQL} {
			q, err := predicate.Render(p, d, 1+int(seed%9), tableOf("m"))
			if err != nil {
				if !errors.Is(err, predicate.ErrText) || predicate.Storable(value) {
					t.Fatalf("%q: %v", value, err)
				}
				continue
			}
			if strings.Contains(q.Text, "smuggled") || !strings.HasPrefix(q.Text, "(") || !strings.HasSuffix(q.Text, ")") || !balanced(q.Text) {
				t.Fatalf("%s", q.Text)
			}
			for _, o := range q.Args {
				if l, ok := o.(predicate.Literal); ok && !predicate.Storable(fmt.Sprint(l.Value)) {
					t.Fatalf("%q became an argument", l.Value)
				}
			}
			if args, err := q.Bind([]string{argument, argument}); (err == nil) != predicate.Storable(argument) && len(q.Args) > 0 && usesArguments(q) {
				t.Fatalf("%q: %v, %v", argument, args, err)
			}
		}
	})
}

func usesArguments(q predicate.Query) bool {
	for _, o := range q.Args {
		if _, ok := o.(predicate.Argument); ok {
			return true
		}
	}
	return false
}

// balanced: the first parenthesis closes at the end.
func balanced(s string) bool {
	depth := 0
	for i, c := range s {
		switch c {
		case '(':
			depth++
		case ')':
			depth--
		}
		if depth == 0 && i < len(s)-1 {
			return false
		}
	}
	return depth == 0
}
