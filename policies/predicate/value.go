package predicate

import (
	"cmp"
	"errors"
	"strings"
	"unicode/utf8"
)

// ErrText is wrapped when an argument or a literal is text that not every
// database can hold: it has a NUL byte, or is not valid UTF-8. There is no query that
// means the same everywhere, so there is none at all.
var ErrText = errors.New("text with a NUL byte or invalid UTF-8 cannot be compared in a database")

// Storable reports whether a text can be an argument: see [ErrText].
func Storable(text string) bool {
	return strings.IndexByte(text, 0) < 0 && utf8.ValidString(text)
}

// rank orders values of different types, as Rego does.
func rank(v any) int {
	switch v.(type) {
	case nil:
		return 0
	case bool:
		return 1
	case int64:
		return 2
	case string:
		return 3
	}
	return 4 // arrays and objects, of which no row has any
}

// rank is the rank of the type's values that are not null.
func (t Type) rank() int {
	return [...]int{Text: 3, Bool: 1, Integer: 2}[t]
}

// order compares two values: nil, bool, int64, string.
func order(a, b any) int {
	if d := cmp.Compare(rank(a), rank(b)); d != 0 {
		return d
	}
	switch a := a.(type) {
	case bool:
		return cmp.Compare(bit(a), bit(b == true))
	case int64:
		b, _ := b.(int64)
		return cmp.Compare(a, b)
	case string:
		b, _ := b.(string)
		return strings.Compare(a, b)
	}
	return 0
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}
