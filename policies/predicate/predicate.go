package predicate

// Predicate is a condition: [Constant], [Comparison], [Membership], [Holding],
// [NullTest], [Conjunction], [Disjunction] or [Negation]. There are no others, so a
// type switch over these is complete. Predicates are immutable: never write to
// one, it may be shared.
type Predicate interface{ predicate() }

// Constant is a condition that all rows meet, or none.
type Constant bool

// The two constants.
const (
	True  Constant = true
	False Constant = false
)

// Comparison relates two operands. [Compare] puts a column on the left if there is one.
type Comparison struct {
	Left  Operand
	Op    Op
	Right Operand
}

// Membership holds if Of is equal to one of List: arguments and literals that
// are not null, at least one.
type Membership struct {
	Of   Operand
	List []Operand
}

// Holding holds if the row's relation has at least one of Values as a member:
// arguments, literals or columns of the row. A NULL column is no member.
type Holding struct {
	Relation string
	Values   []Operand
}

// NullTest holds if the column is NULL.
type NullTest struct{ Column Column }

// Conjunction holds if each part does. One without parts holds.
type Conjunction []Predicate

// Disjunction holds if at least one part does. One without parts does not.
type Disjunction []Predicate

// Negation holds if Of does not. [Not] leaves one only around a [NullTest], a
// [Membership] or a [Holding]; the rest it turns into their opposite.
type Negation struct{ Of Predicate }

func (Constant) predicate()    {}
func (Comparison) predicate()  {}
func (Membership) predicate()  {}
func (Holding) predicate()     {}
func (NullTest) predicate()    {}
func (Conjunction) predicate() {}
func (Disjunction) predicate() {}
func (Negation) predicate()    {}

// Operand is what conditions are about: a [Column], an [Argument] or a [Literal].
// Operands are comparable with ==.
type Operand interface{ operand() }

// Type is the type of a column.
type Type uint8

// The types. Text is compared byte by byte.
const (
	Text Type = iota
	Bool
	Integer // 64 bits, signed
)

// String returns "text", "bool" or "integer".
func (t Type) String() string {
	switch t {
	case Text:
		return "text"
	case Bool:
		return "bool"
	case Integer:
		return "integer"
	}
	return "unknown type"
}

// Column is a column of the row. The same name means the same type everywhere in a
// predicate.
type Column struct {
	Name    string
	Type    Type
	NotNull bool
}

// Argument is text that is known only when a query runs, such as who asks.
// It is never null. Slot is its place among the values.
type Argument struct {
	Name string
	Slot int
}

// Literal is a value known when the predicate is built: nil, a bool, an int64 or
// a string. Other comparable values stand for what no column holds: they are
// equal to no column and above all of them.
type Literal struct{ Value any }

func (Column) operand()   {}
func (Argument) operand() {}
func (Literal) operand()  {}

// Op is how a [Comparison] relates its operands.
type Op uint8

// The operators.
const (
	Equal Op = iota
	NotEqual
	Less
	LessOrEqual
	Greater
	GreaterOrEqual
)

// String returns the operator as SQL writes it.
func (o Op) String() string {
	return [...]string{"=", "<>", "<", "<=", ">", ">="}[o]
}

// opposite is the operator that holds exactly where this one does not: the order is total.
func (o Op) opposite() Op {
	return [...]Op{NotEqual, Equal, GreaterOrEqual, Greater, LessOrEqual, Less}[o]
}

// Mirrored is the operator for exchanged operands: a < b is b > a.
func (o Op) Mirrored() Op {
	return [...]Op{Equal, NotEqual, Greater, GreaterOrEqual, Less, LessOrEqual}[o]
}

// holds says whether operands that compare as order (below 0, 0, above 0) are so related.
func (o Op) holds(order int) bool {
	switch o {
	case Equal:
		return order == 0
	case NotEqual:
		return order != 0
	case Less:
		return order < 0
	case LessOrEqual:
		return order <= 0
	case Greater:
		return order > 0
	default:
		return order >= 0
	}
}
