//go:build !linux

package conformance_test

import "os/exec"

// dieWithParent: there is no such promise elsewhere; Cleanup ends the server.
func dieWithParent(*exec.Cmd) {}
