//go:build !unix

package processtest

import (
	"errors"
	"os/exec"
	"syscall"
)

// process stands in where servers can't be signalled; nothing starts here.
type process struct {
	pid  int
	done chan struct{}
	err  error
}

func launch(*exec.Cmd, syscall.Signal) (*process, error) {
	return nil, errors.New("servers for tests run on Unix systems only")
}

func (*process) kill()               {}
func (*process) quit(syscall.Signal) {}
func (*process) pause()              {}
func (*process) resume()             {}

type account struct{}

func accountOf(string) *account { return nil }

func (*account) demote(*exec.Cmd)        {}
func (*account) handOver(string) error   { return nil }
func (*account) traversable(string) bool { return true }
