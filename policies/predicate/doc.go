// Package predicate holds conditions on the rows of a table: what is left of a
// policy once everything is known but the row.
//
// A [Predicate] is a small tree that is immutable once built. The same tree can
// be evaluated over a row in memory ([Eval]), rendered as SQL ([Render]), and
// walked by a team that wants it in the language of another store:
//
//	mine := predicate.And(
//		predicate.Compare(organisation, predicate.Equal, predicate.Literal{Value: "acme"}),
//		predicate.Or(
//			predicate.Compare(owner, predicate.Equal, predicate.Argument{Name: "subject"}),
//			predicate.Has("participants", predicate.Argument{Name: "subject"}),
//		),
//	)
//	query, err := predicate.Render(mine, predicate.PostgreSQL, 1, table)
//
// The constructors ([And], [Or], [Not], [Compare], [In], [Has], [IsNull])
// simplify as they build, so that the SQL is what a person would write. Nodes may
// also be written as literals; [Simplify] gives them the same form.
//
// # Meaning
//
// Predicates have two values, as in Rego: NULL is an ordinary value, equal to
// itself and smaller than all others, and values of different types are ordered
// null < bool < number < text. Text is compared byte by byte. SQL has three
// values and collations, so the rendered text says more than "c <> $1"; that is the
// work of this package.
//
// # Security notes
//
// Text and numbers never become part of the SQL: they are bound arguments. What the
// table's owner registered (names of columns and relations) is trusted and
// goes into the text as it is. Text that a database cannot hold (a NUL byte,
// invalid UTF-8) is refused by [Render] and by [Query.Bind] with [ErrText],
// because a database that cuts it off would compare something else.
package predicate
