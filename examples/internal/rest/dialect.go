package rest

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/strikeplate/strikeplate"
)

// Problem is what is wrong with one field of a request.
type Problem struct {
	Field   string `json:"field"`
	Message string `json:"message"`
}

// fieldParam begins the names of those Params of an Error that are about a field.
const fieldParam = "field:"

// Invalid is a refusal of what was sent, with 400.
func Invalid(message string, problems ...Problem) error {
	e := &strikeplate.Error{Status: http.StatusBadRequest, Code: "invalid_request", Message: message}
	if len(problems) > 0 {
		e.Params = make(map[string]string)
	}
	for _, p := range problems {
		e.Params[fieldParam+p.Field] = p.Message
	}
	return e
}

// Dialect is Mavio's error body: {"error": {"code", "message", "request_id",
// "details"?}}, with what is wrong with single fields in details. The code is
// one of a few, by status, as Mavio documents them; the exact one, which tells an
// expired key from an unknown one, is in the field X-Error-Code.
func Dialect(h http.Header, e *strikeplate.Error, requestID string) []byte {
	type inner struct {
		Code      string    `json:"code"`
		Message   string    `json:"message"`
		RequestID string    `json:"request_id"`
		Details   []Problem `json:"details,omitempty"`
	}
	body := struct {
		Error inner `json:"error"`
	}{inner{Code: codeOf(e), Message: e.Message, RequestID: requestID}}
	for name, message := range e.Params {
		if field, ok := strings.CutPrefix(name, fieldParam); ok {
			body.Error.Details = append(body.Error.Details, Problem{Field: field, Message: message})
		}
	}
	slices.SortFunc(body.Error.Details, func(a, b Problem) int { return strings.Compare(a.Field, b.Field) })
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Error-Code", e.Code)
	text, err := json.Marshal(body)
	if err != nil {
		panic(err) // texts always can be written
	}
	return append(text, '\n')
}

// codeOf is the documented code: one for each of the statuses whose cause is the
// credential, else the error's own.
func codeOf(e *strikeplate.Error) string {
	switch e.Status {
	case http.StatusUnauthorized:
		return "unauthorized"
	case http.StatusForbidden:
		return "forbidden"
	case http.StatusTooManyRequests:
		return "rate_limit_exceeded"
	default:
		return e.Code
	}
}
