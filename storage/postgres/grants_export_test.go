package postgres

import (
	"reflect"
	"strconv"
	"strings"
)

// GrantQueries returns the statements of apps and grants with the number of their
// arguments, but for those that only insert.
func GrantQueries() map[string]int {
	all := make(map[string]int)
	v := reflect.ValueOf(rendered("", defaultPrefix).grants)
	for i := range v.NumField() {
		text := v.Field(i).String()
		if strings.HasPrefix(text, "INSERT") {
			continue
		}
		n := 0
		for strings.Contains(text, "$"+strconv.Itoa(n+1)) {
			n++
		}
		all[text] = n
	}
	return all
}
