package predicate_test

import (
	"encoding/json"
	"fmt"

	"github.com/strikeplate/strikeplate/policies/predicate"
)

// A condition as SQL for PostgreSQL, in a query whose own argument is $1.
func Example() {
	organisation := predicate.Column{Name: "organisation", NotNull: true}
	owner := predicate.Column{Name: "owner"}
	subject := predicate.Argument{Name: "subject", Slot: 0}

	p := predicate.And(
		predicate.Compare(organisation, predicate.Equal, predicate.Literal{Value: "acme"}),
		predicate.Or(predicate.Compare(owner, predicate.Equal, subject), predicate.Has("participants", subject)),
	)
	query, err := predicate.Render(p, predicate.PostgreSQL, 2, predicate.Table{
		Columns: map[string]predicate.Expression{"organisation": {SQL: "m.organisation_id"}, "owner": {SQL: "m.owner_id"}},
		Relations: map[string]predicate.Source{
			"participants": {From: "participants AS p", On: "p.meeting_id = m.id", Value: "p.user_id"},
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	args, err := query.Bind([]string{"ada"})
	fmt.Println(query.Text)
	fmt.Println(args, err)
	// Output:
	// (m.organisation_id = $2::text AND (m.owner_id = $3::text OR EXISTS (SELECT 1 FROM participants AS p WHERE p.meeting_id = m.id AND p.user_id = $3::text)))
	// [acme ada] <nil>
}

// document renders a predicate, its arguments bound, as a query for a document
// store whose documents hold each column as a field and each relation as an array, and
// in which a null field is equal to null and less than all else.
func document(p predicate.Predicate) (map[string]any, error) {
	switch p := p.(type) {
	case predicate.Constant:
		if p {
			return map[string]any{}, nil
		}
		return map[string]any{"$nor": []any{map[string]any{}}}, nil
	case predicate.Conjunction:
		return documents("$and", p)
	case predicate.Disjunction:
		return documents("$or", p)
	case predicate.Negation:
		return documents("$nor", []predicate.Predicate{p.Of})
	case predicate.NullTest:
		return map[string]any{p.Column.Name: nil}, nil
	case predicate.Comparison:
		column, isColumn := p.Left.(predicate.Column)
		value, isValue := p.Right.(predicate.Literal)
		if !isColumn || !isValue {
			return nil, fmt.Errorf("two columns can't be compared: %v", p)
		}
		compared := map[string]any{column.Name: map[string]any{operators[p.Op]: value.Value}}
		if below := p.Op == predicate.Less || p.Op == predicate.LessOrEqual; below && !column.NotNull {
			return map[string]any{"$or": []any{map[string]any{column.Name: nil}, compared}}, nil // null is below all
		}
		return compared, nil
	case predicate.Membership:
		column, isColumn := p.Of.(predicate.Column)
		if !isColumn {
			return nil, fmt.Errorf("only a column can be searched for: %v", p)
		}
		return in(column.Name, p.List)
	case predicate.Holding:
		return in(p.Relation, p.Values)
	}
	return nil, fmt.Errorf("%T is no predicate", p) // never leave out what isn't understood
}

var operators = map[predicate.Op]string{
	predicate.Equal: "$eq", predicate.NotEqual: "$ne", predicate.Less: "$lt", predicate.LessOrEqual: "$lte",
	predicate.Greater: "$gt", predicate.GreaterOrEqual: "$gte",
}

func documents(operator string, parts []predicate.Predicate) (map[string]any, error) {
	var all []any
	for _, part := range parts {
		d, err := document(part)
		if err != nil {
			return nil, err
		}
		all = append(all, d)
	}
	return map[string]any{operator: all}, nil
}

func in(field string, list []predicate.Operand) (map[string]any, error) {
	var values []any
	for _, o := range list {
		value, ok := o.(predicate.Literal)
		if !ok {
			return nil, fmt.Errorf("%s can't be compared with %v", field, o)
		}
		values = append(values, value.Value)
	}
	return map[string]any{field: map[string]any{"$in": values}}, nil
}

// A team walks the tree to ask another store, here one of documents. An engine's
// Filter has such a tree as its Predicate, with the arguments bound.
func Example_anotherStore() {
	organisation := predicate.Column{Name: "organisation", NotNull: true}
	owner := predicate.Column{Name: "owner"}
	ada := predicate.Literal{Value: "ada"}
	p := predicate.And(
		predicate.Compare(organisation, predicate.Equal, predicate.Literal{Value: "acme"}),
		predicate.Or(predicate.Compare(owner, predicate.Equal, ada), predicate.Has("participants", ada)),
		predicate.Not(predicate.In(owner, predicate.Literal{Value: "bot-1"}, predicate.Literal{Value: "bot-2"})),
	)
	query, err := document(p)
	if err != nil {
		fmt.Println(err)
		return
	}
	text, err := json.MarshalIndent(query, "", "  ")
	fmt.Println(string(text), err)
	// Output:
	// {
	//   "$and": [
	//     {
	//       "organisation": {
	//         "$eq": "acme"
	//       }
	//     },
	//     {
	//       "$or": [
	//         {
	//           "owner": {
	//             "$eq": "ada"
	//           }
	//         },
	//         {
	//           "participants": {
	//             "$in": [
	//               "ada"
	//             ]
	//           }
	//         }
	//       ]
	//     },
	//     {
	//       "$nor": [
	//         {
	//           "owner": {
	//             "$in": [
	//               "bot-1",
	//               "bot-2"
	//             ]
	//           }
	//         }
	//       ]
	//     }
	//   ]
	// } <nil>
}
