package strikeplate

import (
	"encoding/json"
	"net/http"
)

// Dialect writes an [Error] in a product's own shape. It sets Content-Type, and
// any field the product documents, on h and returns the body. It must depend on
// its arguments alone and change no more than h. [Fail] takes care of the
// status, WWW-Authenticate, Retry-After and X-Request-Id.
type Dialect func(h http.Header, e *Error, requestID string) (body []byte)

// ProblemJSON is the default dialect: application/problem+json (RFC 9457), with
// the members code and request_id besides the registered ones.
func ProblemJSON(h http.Header, e *Error, requestID string) []byte {
	h.Set("Content-Type", "application/problem+json")
	return encode(struct {
		Type      string `json:"type"`
		Title     string `json:"title"`
		Status    int    `json:"status"`
		Detail    string `json:"detail"`
		Code      string `json:"code"`
		RequestID string `json:"request_id"`
	}{"about:blank", http.StatusText(e.Status), e.Status, e.Message, e.Code, requestID})
}

// OpenAI is the shape that clients of OpenAI-compatible services parse. The
// refusal of a parameter names it in Params["param"]; elsewhere param is null.
// Their body has no place for the request id; it is in the X-Request-Id field,
// where those clients look for it.
func OpenAI(h http.Header, e *Error, _ string) []byte {
	h.Set("Content-Type", "application/json")
	type body struct {
		Message string  `json:"message"`
		Type    string  `json:"type"`
		Code    string  `json:"code"`
		Param   *string `json:"param"`
	}
	var param *string
	if name, ok := e.Params["param"]; ok {
		param = &name
	}
	return encode(map[string]body{"error": {e.Message, openAIType(e.Status), e.Code, param}})
}

func openAIType(status int) string {
	switch status {
	case http.StatusUnauthorized:
		return "authentication_error"
	case http.StatusPaymentRequired:
		return "billing_error"
	case http.StatusForbidden:
		return "permission_error"
	case http.StatusTooManyRequests:
		return "rate_limit_error"
	}
	if status >= 500 {
		return "server_error"
	}
	return "invalid_request_error"
}

// encode cannot fail: its callers pass strings and numbers only.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return append(b, '\n')
}
