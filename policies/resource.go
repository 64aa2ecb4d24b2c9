package policies

import "github.com/open-policy-agent/opa/v1/ast"

// Resource is a kind of rows that policies decide about.
type Resource struct {
	Name, Inherits string
}

// Row is one row of a resource.
type Row map[string]any

func (r *Resource) schema() any { return map[string]any{"type": "object"} }

func (r *Resource) value(row Row) (ast.Value, error) {
	return ast.InterfaceToValue(map[string]any(row))
}
