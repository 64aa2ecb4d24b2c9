package strikeplatetest_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/strikeplatetest"
)

// whoami is the handler under test.
var whoami = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	p, _ := strikeplate.FromContext(r.Context())
	fmt.Fprintf(w, "%s in %s", p.Subject, p.Organisation)
})

// A handler is tested on its own, as whoever the test needs.
func ExampleAs() {
	ada := &strikeplate.Principal{Organisation: "org_1", Subject: "ada", Access: strikeplate.UserFull}
	w := httptest.NewRecorder()
	strikeplatetest.As(ada)(whoami).ServeHTTP(w, httptest.NewRequest("GET", "/v1/whoami", nil))
	fmt.Println(w.Code, w.Body)
	// Output: 200 ada in org_1
}

// A whole service is tested with keys that the test knows.
func ExampleKeys() {
	keys := strikeplatetest.Keys{
		"key-of-ada": {Organisation: "org_1", Subject: "ada"},
		"key-of-eve": {Organisation: "org_2", Subject: "eve"},
	}
	service := strikeplate.Edge{Dialect: strikeplate.OpenAI}.Handler(strikeplate.Require(keys)(whoami))
	for _, authorization := range []string{"Bearer key-of-eve", "Bearer guessed"} {
		r := httptest.NewRequest("GET", "/v1/whoami", nil)
		r.Header.Set("Authorization", authorization)
		w := httptest.NewRecorder()
		service.ServeHTTP(w, r)
		fmt.Println(w.Code, w.Body)
	}
	// Output:
	// 200 eve in org_2
	// 401 {"error":{"message":"Invalid API key.","type":"authentication_error","code":"invalid_api_key","param":null}}
}
