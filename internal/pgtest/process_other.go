//go:build !unix

package pgtest

import (
	"errors"
	"os/exec"
)

// process stands in where servers can't be signalled; nothing starts here.
type process struct {
	done chan struct{}
	err  error
}

func launch(*exec.Cmd) (*process, error) {
	return nil, errors.New("servers for tests run on Unix systems only")
}

func (*process) kill()   {}
func (*process) quit()   {}
func (*process) pause()  {}
func (*process) resume() {}

func demote(*exec.Cmd)        {}
func handOver(string) error   { return nil }
func traversable(string) bool { return true }
