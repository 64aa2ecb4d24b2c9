// Package scope is the vocabulary of what a credential may do: scopes such as
// "meetings:read", and catalogs that list a product's scopes with what each
// allows. It imports package strikeplate only.
//
//	catalog, err := scope.NewCatalog(
//		scope.Entry{Scope: "meetings:read", Description: "List and retrieve meetings"},
//		scope.Entry{Scope: "meetings:write", Description: "Delete meetings"},
//	)
//	...
//	catalog.Unknown([]string{"meetings:raed"}) // ["meetings:raed"]
//
// # Security notes
//
// A scope that isn't in the catalog grants nothing: it is refused where keys are
// created and named in the error. There are no wildcards that a catalog didn't
// declare, and an empty set of scopes allows nothing.
package scope
