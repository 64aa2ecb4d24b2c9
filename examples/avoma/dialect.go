package main

import (
	"encoding/json"
	"net/http"

	"github.com/strikeplate/strikeplate"
)

// dialect is how Avoma's API refuses: {"detail": "…"}. The stable code, which has no
// place in that, is in the field X-Error-Code.
func dialect(h http.Header, e *strikeplate.Error, _ string) []byte {
	h.Set("Content-Type", "application/json")
	h.Set("X-Error-Code", e.Code)
	body, err := json.Marshal(map[string]string{"detail": e.Message})
	if err != nil {
		panic(err) // a text always can be written
	}
	return append(body, '\n')
}
