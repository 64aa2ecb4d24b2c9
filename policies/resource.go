package policies

// Resource is a kind of rows that policies decide about.
type Resource struct {
	Name, Inherits string
}

// Row is one row of a resource.
type Row map[string]any

func (r *Resource) schema() any { return map[string]any{"type": "object"} }
