package policies

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/strikeplate/strikeplate/policies/predicate"
)

// Resource is a kind of rows that policies decide about, such as meetings. Its
// rules are the package policies.<Name>, and the bundled ones if there are any.
//
// The table wants an index that begins with the columns of the walls and goes on in
// the order of the list, such as (organisation, environment, start DESC, id DESC),
// so that a page is read from it and nothing is sorted; where users list their own
// rows, one with the owner after the walls as well. A relation wants an index
// each way: (meeting_id, user_id) and (user_id, meeting_id).
//
// Each resource has the text columns organisation and environment ("live" or
// "test"): the bundled walls keep organisations and environments apart by them.
//
//	policies.Resource{
//		Name:  "meetings",
//		Table: "meetings",
//		Columns: map[string]policies.Column{
//			"organisation": {SQL: "organisation_id", NotNull: true},
//			"environment":  {Constant: "live"}, // test data are in a table of their own
//			"owner":        {SQL: "owner_id"},
//			"private":      {Type: policies.Bool, NotNull: true},
//		},
//		Relations: map[string]policies.Relation{"participants": {
//			From: "participants", On: "participants.meeting_id = {table}.id", Value: "participants.user_id",
//		}},
//	}
type Resource struct {
	// Name is the resource's name in Rego and in calls: a-z, 0-9 and _.
	Name string
	// Inherits names another resource whose columns and rules this one has, as
	// transcripts have their meeting's. Rules in policies.<Name> can then only deny
	// more. Empty: the resource has Columns of its own.
	Inherits string
	// Table is how queries name the table where [As].Alias is empty. If both are,
	// columns stand without a table, and relations are an error.
	Table string
	// Columns are what rules may read as input.resource.<name>.
	Columns map[string]Column
	// Relations are lists that rules may search with "in".
	Relations map[string]Relation
}

// Column is a column of a [Resource].
type Column struct {
	// SQL is the column's name in the table, or an expression in which {table}
	// stands for the table: "lower({table}.status)". Empty: the name that rules use. It
	// becomes part of queries as it stands, so never make it of a user's text.
	SQL string
	// Type is Text, Bool or Integer; zero is Text.
	Type Type
	// NotNull says that the database refuses NULL in it, which makes for shorter
	// SQL. Where a column says so wrongly, "!= null" is taken to hold. False: NULL is
	// reckoned with.
	NotNull bool
	// Constant is the column's value in each row, where the table has no such
	// column: a string, a bool or an int64. Nil: the table has one.
	Constant any
	// Nondeterministic says that PostgreSQL compares the column by a collation
	// declared deterministic = false. False: it doesn't.
	Nondeterministic bool
}

// Type is the type of a [Column].
type Type = predicate.Type

// The types of columns. Text is a text or varchar column, in a database whose
// encoding is UTF-8 (in SQLite the default, in MySQL the connection's utf8mb4).
// Another type that Rego sees as text, such as uuid, is an
// expression: SQL: "{table}.id::text".
const (
	Text    = predicate.Text
	Bool    = predicate.Bool
	Integer = predicate.Integer
)

// Relation is a list of texts that belongs to a row, such as a meeting's
// participants, in rows of another table. Queries search it by
//
//	EXISTS (SELECT 1 FROM <From> WHERE <On> AND <Value> = …)
//
// {table} stands for the resource's table in From and On. They become part of queries as
// they stand. A list within a column can be had too: in PostgreSQL From:
// "unnest({table}.people) AS person(id)", Value: "person.id".
type Relation struct {
	From, On, Value string
	// Nondeterministic is as in [Column], about Value.
	Nondeterministic bool
}

// Row is a row of a [Resource] by the names that its rules use: nil for NULL, a
// string, a bool or one of Go's integers for a column, and []string for a
// relation. Each declared column and relation must be there, constants apart;
// others are ignored.
type Row map[string]any

var (
	resourceName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)
	fieldName    = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,63}$`)
	// identifier is a name in SQL, quoted or not.
	identifier = regexp.MustCompile("^(?:[\\pL_][\\pL\\pN_$]*|\"[^\"\\x00]+\"|`[^`\\x00]+`)$")
	// forbidden begins a comment, ends a statement, or counts as a placeholder.
	forbidden = regexp.MustCompile(`--|/\*|#|;|\?|\$[0-9]|\x00`)
)

// settleResources checks resources and gives those that inherit their parent's
// columns.
func settleResources(given []Resource) ([]Resource, error) {
	settled := slices.Clone(given)
	byName := make(map[string]*Resource, len(settled))
	for i := range settled {
		r := &settled[i]
		if err := r.check(); err != nil {
			return nil, fmt.Errorf("policies: Resources: %w", err)
		}
		r.Columns, r.Relations = maps.Clone(r.Columns), maps.Clone(r.Relations)
		byName[r.Name] = r
	}
	for i := range settled {
		r := &settled[i]
		for at, n := r, 0; at != nil && n < len(settled); n++ { // a loop, or nobody, is entrySpecs' to tell
			if at = byName[at.Inherits]; at != nil && at.Inherits == "" {
				r.Columns, r.Relations = at.Columns, at.Relations
				if r.Table == "" {
					r.Table = at.Table
				}
			}
		}
	}
	return settled, nil
}

func (r *Resource) check() error {
	switch {
	case !resourceName.MatchString(r.Name):
		return fmt.Errorf("the name %q must begin with a letter and have a-z, 0-9 and _ only", r.Name)
	case r.Table != "" && !isTable(r.Table):
		return fmt.Errorf("%s: Table: %q is no name of a table", r.Name, r.Table)
	case r.Inherits != "" && len(r.Columns)+len(r.Relations) > 0:
		return fmt.Errorf("%s inherits %s and has its columns; it can't have Columns or Relations of its own", r.Name, r.Inherits)
	case r.Inherits != "":
		return nil
	}
	for _, name := range []string{"organisation", "environment"} {
		c, ok := r.Columns[name]
		if !ok || c.Type != Text {
			return fmt.Errorf("%s: the text column %q is missing; the walls need it. Where the table has none, give it a Constant", r.Name, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Columns)) {
		if err := r.Columns[name].check(name); err != nil {
			return fmt.Errorf("%s: column %q: %w", r.Name, name, err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Relations)) {
		if _, both := r.Columns[name]; both {
			return fmt.Errorf("%s: %q is both a column and a relation", r.Name, name)
		}
		if err := r.Relations[name].check(name); err != nil {
			return fmt.Errorf("%s: relation %q: %w", r.Name, name, err)
		}
	}
	return nil
}

func (c Column) check(name string) error {
	var fits bool
	switch c.Type {
	case Text:
		text, is := c.Constant.(string)
		fits = is && predicate.Storable(text)
	case Bool:
		_, fits = c.Constant.(bool)
	case Integer:
		_, fits = c.Constant.(int64)
	default:
		return fmt.Errorf("Type is %d; Text, Bool and Integer are known", c.Type)
	}
	switch {
	case !fieldName.MatchString(name):
		return fmt.Errorf("the name must begin with a letter and have letters, digits and _ only")
	case c.Constant != nil && !fits:
		return fmt.Errorf("Constant is %#v, which is no %s", c.Constant, c.Type)
	case c.Constant != nil && c.SQL != "":
		return fmt.Errorf("it has both SQL and a Constant")
	case c.Nondeterministic && c.Type != Text:
		return fmt.Errorf("Nondeterministic is about text")
	}
	return checkSQL("SQL", c.SQL)
}

func (r Relation) check(name string) error {
	switch {
	case !fieldName.MatchString(name):
		return fmt.Errorf("the name must begin with a letter and have letters, digits and _ only")
	case r.From == "" || r.Value == "":
		return fmt.Errorf("From and Value are needed")
	case !strings.Contains(r.From+r.On, "{table}."):
		return fmt.Errorf("neither From nor On names {table}, so each row would have the same members; write On: \"people.meeting_id = {table}.id\"")
	case strings.Contains(r.Value, "{table}"):
		return fmt.Errorf("Value can't be a column of {table}")
	}
	for field, text := range map[string]string{"From": r.From, "On": r.On, "Value": r.Value} {
		if err := checkSQL(field, text); err != nil {
			return err
		}
	}
	return nil
}

// checkSQL finds what would change the meaning of the query around it.
func checkSQL(field, text string) error {
	if identifier.MatchString(text) {
		return nil
	}
	if at := forbidden.FindString(text); at != "" {
		return fmt.Errorf("%s has %q: comments, semicolons and placeholders would change the query around it", field, at)
	}
	depth := 0
	for _, c := range text {
		switch c {
		case '(':
			depth++
		case ')':
			depth--
		}
		if depth < 0 {
			break
		}
	}
	if depth != 0 {
		return fmt.Errorf("%s has parentheses that don't match: %s", field, text)
	}
	return nil
}

// isTable accepts a name with or without its schema.
func isTable(name string) bool {
	parts := strings.Split(name, ".")
	return len(parts) <= 3 && !slices.ContainsFunc(parts, func(p string) bool { return !identifier.MatchString(p) })
}
