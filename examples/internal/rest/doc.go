// Package rest reads and answers the requests of both of Mavio's example APIs:
// they share their error body, their lists and how bodies are checked.
//
//	o, err := rest.Read(w, r)                        // 415, 413, 400
//	status := o.OneOf("status", "open", "completed") // nil: not there
//	if err = cmp.Or(err, o.Err()); err != nil { … }  // all that is wrong, field by field
package rest
