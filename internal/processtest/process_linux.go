package processtest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

func dieWithParent(cmd *exec.Cmd, by syscall.Signal) { cmd.SysProcAttr.Pdeathsig = by }

// children lists the processes whose parent is pid.
func children(pid int) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var found []int
	for _, e := range entries {
		child, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if _, parent, ok := stat(child); ok && parent == pid {
			found = append(found, child)
		}
	}
	return found
}

// anyAlive reports whether one of pids still runs; a zombie doesn't.
func anyAlive(pids []int) bool {
	for _, pid := range pids {
		if state, _, ok := stat(pid); ok && state != "Z" && state != "X" {
			return true
		}
	}
	return false
}

// stat reads a process's state and parent from /proc (proc(5)). The name in
// parentheses may contain anything, so fields count from the last one.
func stat(pid int) (state string, parent int, ok bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", 0, false
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 2 {
		return "", 0, false
	}
	parent, err = strconv.Atoi(fields[1])
	return fields[0], parent, err == nil
}
