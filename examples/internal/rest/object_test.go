package rest_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/examples/internal/rest"
)

func read(body string) (*rest.Object, error) {
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	return rest.Read(httptest.NewRecorder(), r)
}

func ExampleObject() {
	o, err := read(`{"status": "late", "colour": "red"}`)
	if err != nil {
		fmt.Println(err)
	}
	o.OneOf("status", "open", "completed")
	o.Need("title")
	body := rest.Dialect(http.Header{}, o.Err().(*strikeplate.Error), "req_1") //nolint:errorlint // it is one
	fmt.Print(string(body))
	// Output:
	// {"error":{"code":"invalid_request","message":"colour: There is no such field here.","request_id":"req_1","details":[{"field":"colour","message":"There is no such field here."},{"field":"status","message":"It is one of open, completed."},{"field":"title","message":"It is required."}]}}
}

func TestCodesAreTheDocumentedOnes(t *testing.T) {
	for _, test := range []struct {
		status     int
		code, want string
	}{
		{401, strikeplate.CodeExpired, "unauthorized"}, {401, strikeplate.CodeMissing, "unauthorized"}, {403, strikeplate.CodeScope, "forbidden"}, {403, strikeplate.CodeAddress, "forbidden"},
		{429, strikeplate.CodeConcurrency, "rate_limit_exceeded"}, {402, strikeplate.CodeLapsed, "subscription_required"}, {503, strikeplate.CodeUnavailable, "temporarily_unavailable"}, {404, strikeplate.CodeNotFound, "not_found"},
	} {
		h := http.Header{}
		body := rest.Dialect(h, &strikeplate.Error{Status: test.status, Code: test.code, Message: "Why."}, "req_1")
		want := fmt.Sprintf(`{"error":{"code":%q,"message":"Why.","request_id":"req_1"}}`+"\n", test.want)
		if string(body) != want || h.Get("X-Error-Code") != test.code {
			t.Errorf("%s: %s, want %s; %v", test.code, body, want, h)
		}
	}
}

// Whatever is sent is read or refused with 400, and an object that has no field
// left to complain of is JSON that package json reads too.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{`{}`, `{"a": 1, "b": [{"c": null}]}`, `{"a": 1, "a": 2}`, `[`, `{"a": "\ud800"}`, `{"": {}}`, "\xff", `{"a":1}{`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		o, err := read(body)
		if err == nil {
			o.Text("a", 10)
			o.Objects("b", 10)
			o.Map("c", 10, 10)
			o.Texts("d", "x", 10, func(string) bool { return true })
			o.Time("e")
			err = o.Err()
		}
		var refused *strikeplate.Error
		switch {
		case err == nil && !json.Valid([]byte(body)):
			t.Errorf("%q is no JSON and passes", body)
		case err != nil && (!errors.As(err, &refused) || refused.Status != http.StatusBadRequest && refused.Status != http.StatusRequestEntityTooLarge):
			t.Errorf("%q: %v", body, err)
		}
	})
}
