package strikeplate_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/strikeplate/strikeplate"
)

// tokens is an Authenticator for one fixed kind of credential. Package keyauth
// has the real thing.
type tokens map[string]*strikeplate.Principal

func (t tokens) Authenticate(r *http.Request) (*strikeplate.Principal, error) {
	text, found := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer tok_")
	if !found {
		return nil, strikeplate.ErrNotMine // another authenticator may know it
	}
	if p := t[text]; p != nil {
		return p, nil
	}
	return nil, &strikeplate.Error{
		Status: http.StatusUnauthorized, Code: strikeplate.CodeInvalid, Message: "Unknown token.",
		Challenge: []string{`Bearer error="invalid_token"`},
	}
}

// call sends a request and prints the answer.
func call(h http.Handler, authorization string) {
	r := httptest.NewRequest("GET", "/v1/whoami", nil)
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	fmt.Println(w.Code, strings.TrimSpace(w.Body.String()))
}

func ExampleRequire() {
	known := tokens{"1": {Organisation: "org_1", Subject: "ada"}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/whoami", func(w http.ResponseWriter, r *http.Request) {
		p, _ := strikeplate.FromContext(r.Context())
		fmt.Fprintf(w, "%s in %s", p.Subject, p.Organisation)
	})
	edge := strikeplate.Edge{Dialect: strikeplate.OpenAI}
	service := edge.Handler(strikeplate.Require(known)(mux))

	call(service, "Bearer tok_1")
	call(service, "Bearer tok_2")
	call(service, "")
	// Output:
	// 200 ada in org_1
	// 401 {"error":{"message":"Unknown token.","type":"authentication_error","code":"invalid_api_key","param":null}}
	// 401 {"error":{"message":"Authentication is required. Send a credential in the Authorization header.","type":"authentication_error","code":"missing_api_key","param":null}}
}

func ExampleOptional() {
	known := tokens{"1": {Subject: "ada"}}
	service := strikeplate.Optional(known)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p, found := strikeplate.FromContext(r.Context()); found {
			fmt.Fprint(w, "hello, ", p.Subject)
			return
		}
		fmt.Fprint(w, "hello, whoever you are")
	}))
	call(service, "Bearer tok_1")
	call(service, "")
	// Output:
	// 200 hello, ada
	// 200 hello, whoever you are
}

// A product's own error shape takes a few lines.
func ExampleDialect() {
	ours := func(h http.Header, e *strikeplate.Error, _ string) []byte {
		h.Set("Content-Type", "application/json")
		h.Set("X-Error-Code", e.Code)
		body, _ := json.Marshal(map[string]string{"detail": e.Message})
		return body
	}
	edge := strikeplate.Edge{Dialect: ours}
	call(edge.Handler(strikeplate.Require(tokens{})(http.NotFoundHandler())), "Bearer tok_2")
	// Output: 401 {"detail":"Unknown token."}
}

// An access log is a callback: it sees refusals, the route and the caller alike.
func ExampleEdge() {
	accessLog := func(x *strikeplate.Exchange) {
		who, why := "nobody", "served"
		if p := x.Principal(); p != nil {
			who = p.Subject
		}
		if e := x.Refusal(); e != nil {
			why = e.Code
		}
		// x.ID() and x.Elapsed() belong into a real one.
		fmt.Printf("log: %s %s %q %d %s\n", x.Client(), who, x.Pattern(), x.Status(), why)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/whoami", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") })
	edge := strikeplate.Edge{Done: []func(*strikeplate.Exchange){accessLog}, Dialect: strikeplate.OpenAI}
	service := edge.Handler(strikeplate.Require(tokens{"1": {Subject: "ada"}})(mux))
	call(service, "Bearer tok_1")
	call(service, "Bearer tok_2")
	// Output:
	// log: 192.0.2.1 ada "GET /v1/whoami" 200 served
	// 200 hello
	// log: 192.0.2.1 nobody "" 401 invalid_api_key
	// 401 {"error":{"message":"Unknown token.","type":"authentication_error","code":"invalid_api_key","param":null}}
}

// A handler refuses in the service's dialect, too.
func ExampleFail() {
	edge := strikeplate.Edge{Dialect: strikeplate.OpenAI}
	service := edge.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "" {
			strikeplate.Fail(w, r, &strikeplate.Error{Status: http.StatusForbidden, Code: "read_only",
				Message: "This workspace is read-only."})
			return
		}
		strikeplate.Fail(w, r, errors.New("dial tcp 10.1.2.3:5432: connection refused")) // logged, not shown
	}))
	call(service, "")
	call(service, "x")
	// Output:
	// 403 {"error":{"message":"This workspace is read-only.","type":"permission_error","code":"read_only","param":null}}
	// 503 {"error":{"message":"The request could not be checked. Try again shortly.","type":"server_error","code":"temporarily_unavailable","param":null}}
}

func ExampleSecret() {
	secret := strikeplate.NewSecret("mvo_live_example")
	fmt.Printf("%v %q %x\n", secret, secret, secret)
	encoded, _ := json.Marshal(map[string]any{"secret": secret})
	fmt.Println(string(encoded))
	fmt.Println(secret.Reveal())
	// Output:
	// [redacted] [redacted] [redacted]
	// {"secret":"[redacted]"}
	// mvo_live_example
}
