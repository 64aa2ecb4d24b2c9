//go:build unix

package docs_test

import (
	"os/exec"
	"syscall"
)

// ownGroup and endGroup are for a program with children, as `go run` is.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
func endGroup(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
