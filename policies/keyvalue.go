package policies

import (
	"encoding/binary"
	"encoding/json"
	"maps"
	"math"
	"slices"
)

// The first byte of each value in a key: values of different kinds never have
// the same bytes, and each tells where it ends.
const (
	isUndefined byte = iota
	isNull
	isFalse
	isTrue
	isText
	isList
	isObject
	isSigned
	isUnsigned
	isFloat
	isDecimal // as JSON wrote it
)

// maxNesting bounds how deep a value may be nested to become part of a key.
const maxNesting = 16

func appendText[S ~string](b []byte, s S) []byte {
	b = binary.AppendUvarint(append(b, isText), uint64(len(s)))
	return append(b, s...)
}

func appendList[S ~string](b []byte, list []S) []byte {
	b = binary.AppendUvarint(append(b, isList), uint64(len(list)))
	for _, s := range list {
		b = appendText(b, s)
	}
	return b
}

// appendValue appends what a setting may hold. Types of the embedder's own are
// none of it: how they become Rego is theirs to say.
func appendValue(b []byte, value any, depth int) (_ []byte, ok bool) {
	if depth == 0 {
		return b, false
	}
	switch v := value.(type) {
	case nil:
		return append(b, isNull), true
	case bool:
		if v {
			return append(b, isTrue), true
		}
		return append(b, isFalse), true
	case string:
		return appendText(b, v), true
	case []string:
		return appendList(b, v), true
	case []any:
		b = binary.AppendUvarint(append(b, isList), uint64(len(v)))
		for _, element := range v {
			if b, ok = appendValue(b, element, depth-1); !ok {
				return b, false
			}
		}
		return b, true
	case map[string]any:
		return appendObject(b, v, depth)
	}
	return appendNumber(b, value)
}

func appendObject(b []byte, object map[string]any, depth int) (_ []byte, ok bool) {
	b = binary.AppendUvarint(append(b, isObject), uint64(len(object)))
	for _, name := range slices.Sorted(maps.Keys(object)) {
		b = appendText(b, name)
		if b, ok = appendValue(b, object[name], depth-1); !ok {
			return b, false
		}
	}
	return b, true
}

func appendNumber(b []byte, value any) ([]byte, bool) {
	switch v := value.(type) {
	case int:
		return binary.BigEndian.AppendUint64(append(b, isSigned), uint64(v)), true
	case int64:
		return binary.BigEndian.AppendUint64(append(b, isSigned), uint64(v)), true
	case int32:
		return binary.BigEndian.AppendUint64(append(b, isSigned), uint64(v)), true
	case uint64:
		return binary.BigEndian.AppendUint64(append(b, isUnsigned), v), true
	case uint32:
		return binary.BigEndian.AppendUint64(append(b, isUnsigned), uint64(v)), true
	case float64:
		return binary.BigEndian.AppendUint64(append(b, isFloat), math.Float64bits(v)), true
	case json.Number:
		b = append(b, isDecimal)
		return appendText(b, string(v)), true
	}
	return b, false
}
