package predicate_test

import (
	"fmt"
	"math/rand/v2"

	"github.com/strikeplate/strikeplate/policies/predicate"
)

// The table of these tests: nullable and not, of each type, and a relation.
var (
	owner    = predicate.Column{Name: "owner", Type: predicate.Text}
	creator  = predicate.Column{Name: "creator", Type: predicate.Text}
	org      = predicate.Column{Name: "org", Type: predicate.Text, NotNull: true}
	kind     = predicate.Column{Name: "kind", Type: predicate.Text, NotNull: true}
	private  = predicate.Column{Name: "private", Type: predicate.Bool}
	done     = predicate.Column{Name: "done", Type: predicate.Bool, NotNull: true}
	level    = predicate.Column{Name: "level", Type: predicate.Integer}
	size     = predicate.Column{Name: "size", Type: predicate.Integer, NotNull: true}
	columns  = []predicate.Column{owner, creator, org, kind, private, done, level, size}
	subject  = predicate.Argument{Name: "subject", Slot: 0}
	tenant   = predicate.Argument{Name: "tenant", Slot: 1}
	relation = "participants"
)

// texts differ by case, accents, trailing spaces, composition and order of
// bytes against order of a language.
var texts = []string{
	"", "u1", "U1", "u1 ", "u1  ", " u1", "u2", "a", "A", "b", "B", "Z", "z", "é", "e\u0301", "É", "ß", "ss", "ﬀ", "ff", "İ", "i", "ı", "I",
	"' OR 1=1 --", `\' OR 1=1 --`, `"`, "`", "$1", "?", "%", "_", ";", "\\", "\n", "\t", "😀", "😁", "\uffff", "\U0010ffff", "\u200d", "日本", "10", "10.0", "9", "TRUE", "NULL", "ﾃ", "テ", "Å", "A\u030a",
}

var numbers = []int64{-1 << 63, -1, 0, 1, 2, 3, 10, 1<<53 + 1, 1<<63 - 1}

func randomText(r *rand.Rand) string { return texts[r.IntN(len(texts))] }

func randomOperand(r *rand.Rand) predicate.Operand {
	switch r.IntN(10) {
	case 0, 1, 2, 3:
		return columns[r.IntN(len(columns))]
	case 4, 5:
		return []predicate.Operand{subject, tenant}[r.IntN(2)]
	}
	return randomLiteral(r)
}

func randomLiteral(r *rand.Rand) predicate.Literal {
	switch r.IntN(8) {
	case 0:
		return predicate.Literal{}
	case 1:
		return predicate.Literal{Value: r.IntN(2) == 0}
	case 2, 3:
		return predicate.Literal{Value: numbers[r.IntN(len(numbers))]}
	}
	return predicate.Literal{Value: randomText(r)}
}

// randomPredicate is written without the constructors, so that nothing in it is
// simplified.
func randomPredicate(r *rand.Rand, depth int) predicate.Predicate {
	if depth <= 0 {
		return randomLeaf(r)
	}
	parts := func() []predicate.Predicate {
		out := make([]predicate.Predicate, r.IntN(4))
		for i := range out {
			out[i] = randomPredicate(r, depth-1)
			if i > 0 && r.IntN(4) == 0 { // something to absorb
				out[i] = []predicate.Predicate{out[0], predicate.Negation{Of: out[0]}, predicate.Disjunction{out[0], out[i]}, predicate.Conjunction{out[i], out[0]}}[r.IntN(4)]
			}
		}
		return out
	}
	switch r.IntN(6) {
	case 0, 1:
		return predicate.Conjunction(parts())
	case 2, 3:
		return predicate.Disjunction(parts())
	case 4:
		return predicate.Negation{Of: randomPredicate(r, depth-1)}
	}
	return randomLeaf(r)
}

func randomLeaf(r *rand.Rand) predicate.Predicate {
	operands := func() []predicate.Operand {
		out := make([]predicate.Operand, r.IntN(4))
		for i := range out {
			out[i] = randomOperand(r)
		}
		return out
	}
	switch r.IntN(10) {
	case 0:
		return predicate.Constant(r.IntN(2) == 0)
	case 1:
		return predicate.NullTest{Column: columns[r.IntN(len(columns))]}
	case 2:
		return predicate.Membership{Of: randomOperand(r), List: operands()}
	case 3:
		return predicate.Holding{Relation: relation, Values: operands()}
	}
	return predicate.Comparison{Left: randomOperand(r), Op: predicate.Op(r.IntN(6)), Right: randomOperand(r)}
}

func randomRow(r *rand.Rand) predicate.Row {
	row := predicate.Row{}
	for _, c := range columns {
		var v any
		switch c.Type {
		case predicate.Text:
			v = randomText(r)
		case predicate.Bool:
			v = r.IntN(2) == 0
		default:
			v = numbers[r.IntN(len(numbers))]
		}
		if !c.NotNull && r.IntN(3) == 0 {
			v = nil
		}
		row[c.Name] = v
	}
	members := make([]string, r.IntN(4))
	for i := range members {
		members[i] = randomText(r)
	}
	row[relation] = members
	return row
}

// tableOf is the table under an alias.
func tableOf(alias string) predicate.Table {
	t := predicate.Table{Columns: map[string]predicate.Expression{}, Relations: map[string]predicate.Source{
		relation: {From: "participants AS p", On: "p.meeting = " + alias + ".id", Value: "p.person"},
	}}
	for _, c := range columns {
		t.Columns[c.Name] = predicate.Expression{SQL: fmt.Sprintf("%s.%s", alias, c.Name)}
	}
	return t
}
