package standing

import (
	"fmt"

	"github.com/strikeplate/strikeplate/internal/freshness"
)

// flightName tells questions apart: by what is asked, and by whether it was
// asked before or after a change.
func flightName(key any, stamp freshness.Stamp) string {
	return fmt.Sprintf("%T%q%v", key, key, stamp)
}
