package main

import (
	"encoding/json"
	"testing"

	"github.com/strikeplate/strikeplate/examples/internal/demo"
	"github.com/strikeplate/strikeplate/examples/internal/demotest"
)

// server is an avoma that runs in this process, and who asks it.
type server struct{ *demotest.Server }

// start runs a server until the test ends. It counts its own requests: a test sends
// more of them than one instance's minute allows.
func start(t *testing.T, o demo.Options) *server {
	t.Helper()
	return &server{demotest.StartAlone(t, avoma, o)}
}

// as is a browser in which a demo user is signed in.
func (s *server) as(t *testing.T, user string) *server {
	t.Helper()
	return &server{s.As(t, user)}
}

// refusal checks the status and the stable code of an answer.
func refusal(t *testing.T, what string, r demotest.Response, status int, code string) {
	t.Helper()
	demotest.Want(t, what, r, status, code)
	var body struct{ Detail string }
	if err := json.Unmarshal(r.Body, &body); err != nil || body.Detail == "" {
		t.Errorf(`%s: the body is not {"detail": …}: %s`, what, r.Body)
	}
}

// What attackers try at the server's edges.
func TestAttacks(t *testing.T) {
	demotest.Attack(t, start(t, demo.Options{}).Server, demotest.Target{Console: "/settings/developer", API: "/v1", Key: "org_limited"})
}
