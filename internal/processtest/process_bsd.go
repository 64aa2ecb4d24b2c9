//go:build unix && !linux

package processtest

import (
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// dieWithParent: there is no such promise outside Linux; [Shared.Main] and
// Cleanup stop the server.
func dieWithParent(*exec.Cmd, syscall.Signal) {}

// children lists the processes whose parent is pid.
func children(pid int) []int {
	out, err := exec.Command("pgrep", "-P", strconv.Itoa(pid)).Output()
	if err != nil {
		return nil
	}
	var found []int
	for _, field := range strings.Fields(string(out)) {
		if child, err := strconv.Atoi(field); err == nil {
			found = append(found, child)
		}
	}
	return found
}

// anyAlive reports whether one of pids still exists.
func anyAlive(pids []int) bool {
	for _, pid := range pids {
		if syscall.Kill(pid, 0) == nil {
			return true
		}
	}
	return false
}
