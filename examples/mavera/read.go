package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/strikeplate/strikeplate"
)

const (
	maxBody     = 1 << 20 // bytes
	maxMessages = 2048
)

// refuse is a 400 that names the parameter that is wrong.
func refuse(param, code, message string) error {
	return &strikeplate.Error{Status: http.StatusBadRequest, Code: code, Message: message, Params: map[string]string{"param": param}}
}

// read decodes a request's body, which is one JSON object.
func read(w http.ResponseWriter, r *http.Request, into any) error {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return &strikeplate.Error{Status: http.StatusUnsupportedMediaType, Code: "unsupported_media_type", Message: "Send JSON, with Content-Type: application/json."}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		var long *http.MaxBytesError
		if errors.As(err, &long) {
			return &strikeplate.Error{Status: http.StatusRequestEntityTooLarge, Code: "request_too_large", Message: fmt.Sprintf("A request has %d bytes at most.", maxBody)}
		}
		return &strikeplate.Error{Status: http.StatusBadRequest, Code: "invalid_body", Message: "The body could not be read to its end."}
	}
	if body = bytes.TrimSpace(body); !json.Valid(body) || body[0] != '{' {
		return &strikeplate.Error{Status: http.StatusBadRequest, Code: "invalid_json", Message: "The body is not a JSON object."}
	}
	return decode("", body, into)
}

// decode decodes valid JSON that stands at a place in the request, and names the
// parameter that is of another type.
func decode(at string, text json.RawMessage, into any) error {
	err := json.Unmarshal(text, into)
	var mistyped *json.UnmarshalTypeError
	switch {
	case errors.As(err, &mistyped):
		place := strings.Trim(at+"."+strings.TrimPrefix(mistyped.Field, "common."), ".") // which is Go's name for what both requests have
		return refuse(place, "invalid_type", fmt.Sprintf("%s is of another type: not %s, but %s.", place, mistyped.Value, typeName(mistyped.Type.Kind().String())))
	case err != nil:
		return refuse(at, "invalid_value", at+" can't be read.")
	}
	return nil
}

// typeName is JSON's name of a type of Go's.
func typeName(kind string) string {
	switch kind {
	case "struct", "map":
		return "object"
	case "slice":
		return "array"
	case "bool":
		return "boolean"
	case "int":
		return "integer"
	case "float64":
		return "number"
	}
	return kind
}

// common are the parameters that both endpoints have.
type common struct {
	Model       string   `json:"model"`
	Stream      bool     `json:"stream"`
	Temperature *float64 `json:"temperature"`
	TopP        *float64 `json:"top_p"`
}

func (c *common) check() (model, error) {
	if c.Model == "" {
		return model{}, required("model")
	}
	m, err := modelNamed(c.Model, "model")
	switch {
	case err != nil:
		return model{}, err
	case c.Temperature != nil && (*c.Temperature < 0 || *c.Temperature > 2):
		return model{}, refuse("temperature", "invalid_value", "temperature is a number from 0 to 2.")
	case c.TopP != nil && (*c.TopP < 0 || *c.TopP > 1):
		return model{}, refuse("top_p", "invalid_value", "top_p is a number from 0 to 1.")
	}
	return m, nil
}

func required(param string) error {
	return refuse(param, "missing_required_parameter", param+" is required.")
}

// unset are values by which a client says that it doesn't want something.
var unset = []string{"", "null", "false", "[]", "{}"}

// unsupported refuses what an echo can't do, rather than leave it out in silence.
// What merely steers a model, such as a temperature, has no effect on an echo.
func unsupported(given map[string]json.RawMessage) error {
	for _, param := range slices.Sorted(func(yield func(string) bool) {
		for name := range given {
			if !yield(name) {
				return
			}
		}
	}) {
		if !slices.Contains(unset, string(given[param])) {
			return refuse(param, "unsupported_parameter", "This demo has no model, and can't do what "+param+" asks for.")
		}
	}
	return nil
}

// atMost checks the number of pieces that an answer may have.
func atMost(param string, n *int) (int, error) {
	switch {
	case n == nil:
		return longest, nil
	case *n < 1:
		return 0, refuse(param, "invalid_value", param+" is 1 or more.")
	}
	return min(*n, longest), nil
}

// wording is the text of a message: a text, or a list of parts that are texts.
func wording(at string, content json.RawMessage, kinds ...string) (string, error) {
	if content = bytes.TrimSpace(content); len(content) == 0 || string(content) == "null" {
		return "", required(at)
	}
	if content[0] != '[' {
		var text string
		err := decode(at, content, &text)
		return text, err
	}
	var parts []json.RawMessage
	if err := decode(at, content, &parts); err != nil {
		return "", err
	}
	var all strings.Builder
	for i, raw := range parts {
		place := fmt.Sprintf("%s[%d]", at, i)
		var part struct {
			Type string  `json:"type"`
			Text *string `json:"text"`
		}
		if err := decode(place, raw, &part); err != nil {
			return "", err
		}
		if !slices.Contains(kinds, part.Type) {
			return "", refuse(place+".type", "invalid_value", "This demo reads texts only: type is "+strings.Join(kinds, " or ")+".")
		}
		if part.Text == nil {
			return "", required(place + ".text")
		}
		all.WriteString(*part.Text)
	}
	return all.String(), nil
}
