package policies

import (
	"fmt"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/strikeplate/strikeplate/policies/predicate"
)

// schema is what the resource's rules may read: the input of all resources, with
// this one's columns.
func (r *Resource) schema() any {
	schema, err := schemaOf(wallsName)
	if err != nil {
		panic(err) // the file is embedded, and tests read it
	}
	input, _ := schema.(map[string]any)
	properties, _ := input["properties"].(map[string]any)
	fields := make(map[string]any, len(r.Columns)+len(r.Relations))
	for name, c := range r.Columns {
		fields[name] = c.schema()
	}
	for name := range r.Relations {
		fields[name] = map[string]any{"type": "array", "items": map[string]any{"type": "string"}}
	}
	properties["resource"] = map[string]any{"type": "object", "properties": fields, "additionalProperties": false}
	return schema
}

func (c Column) schema() any {
	name := map[Type]string{Text: "string", Bool: "boolean", Integer: "integer"}[c.Type]
	if c.NotNull || c.Constant != nil {
		return map[string]any{"type": name}
	}
	return map[string]any{"anyOf": []any{map[string]any{"type": name}, map[string]any{"type": "null"}}}
}

// column is the column as predicates name it.
func (r *Resource) column(name string) predicate.Column {
	c := r.Columns[name]
	return predicate.Column{Name: name, Type: c.Type, NotNull: c.NotNull}
}

// checkRow looks at every declared column, not only at those that a decision reads:
// a row that is refused is refused for everybody.
func (r *Resource) checkRow(row Row) error {
	for name, c := range r.Columns {
		_, present := row[name]
		if c.Constant != nil && !present {
			continue
		}
		v, err := r.column(name).Value(predicate.Row(row))
		if err != nil {
			return err
		}
		if c.Constant != nil && v != c.Constant {
			return fmt.Errorf("%w: column %s is %v in this row and is declared to be %v in each", predicate.ErrRow, name, v, c.Constant)
		}
	}
	for name := range r.Relations {
		if _, ok := row[name].([]string); !ok {
			return fmt.Errorf("%w: relation %s is %T and must be []string", predicate.ErrRow, name, row[name])
		}
	}
	return nil
}

// value is the row as Rego sees it.
func (r *Resource) value(row Row) (ast.Value, error) {
	if err := r.checkRow(row); err != nil {
		return nil, err
	}
	object := ast.NewObjectWithCapacity(len(r.Columns) + len(r.Relations))
	for name, c := range r.Columns {
		v := c.Constant
		if v == nil {
			v, _ = r.column(name).Value(predicate.Row(row)) // checked
		}
		object.Insert(term(name), scalar(v))
	}
	for name := range r.Relations {
		members, _ := row[name].([]string)
		object.Insert(term(name), array(members))
	}
	return object, nil
}

// scalar is a column's value in Rego.
func scalar(v any) *ast.Term {
	switch v := v.(type) {
	case bool:
		return ast.BooleanTerm(v)
	case int64:
		return ast.NewTerm(ast.MustInterfaceToValue(v))
	case string:
		return ast.StringTerm(v)
	}
	return ast.NullTerm()
}
