//go:build unix

package processtest

import (
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

// process is a running server: the process that was launched and the children
// it made.
type process struct {
	pid  int
	done chan struct{} // closed when the process ended
	err  error         // how it ended; read after done
}

// launch starts cmd so that it ends when this program does, however that ends, by
// the signal quit. On Linux the kernel ties that promise to the thread which started the child
// (PR_SET_PDEATHSIG), so the thread is kept for as long as the child lives.
func launch(cmd *exec.Cmd, quit syscall.Signal) (*process, error) {
	dieWithParent(cmd, quit)
	p := &process{done: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		if err == nil {
			p.pid = cmd.Process.Pid
		}
		started <- err
		if err == nil {
			p.err = cmd.Wait()
			close(p.done)
		}
	}()
	return p, <-started
}

// kill ends the whole tree with SIGKILL and returns when all of it is gone: a
// child that lived on would keep the data directory busy.
func (p *process) kill() {
	pids := p.pause()
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	p.wait()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-tick.C {
		if len(pids) == 0 || !anyAlive(pids[1:]) {
			return
		}
	}
}

// quit ends the server by a signal that it knows, and by force if it doesn't
// react.
func (p *process) quit(by syscall.Signal) {
	if p.ended() {
		return
	}
	if by == syscall.SIGKILL {
		p.kill()
		return
	}
	_ = syscall.Kill(p.pid, by)
	select {
	case <-p.done:
	case <-time.After(10 * time.Second):
		p.kill()
	}
}

// ended reports whether the process was waited for: its number may name
// another process by now, so nothing must be sent to it.
func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

func (p *process) wait() {
	select {
	case <-p.done:
	case <-time.After(patience):
	}
}

// pause stops the tree and returns it. The parent is the first, so that it
// makes no more children while they are counted.
func (p *process) pause() []int {
	if p.ended() {
		return nil
	}
	pids := []int{p.pid}
	_ = syscall.Kill(p.pid, syscall.SIGSTOP)
	for _, child := range children(p.pid) {
		_ = syscall.Kill(child, syscall.SIGSTOP)
		pids = append(pids, child)
	}
	return pids
}

func (p *process) resume() {
	if p.ended() {
		return
	}
	for _, child := range children(p.pid) {
		_ = syscall.Kill(child, syscall.SIGCONT)
	}
	_ = syscall.Kill(p.pid, syscall.SIGCONT)
}

// An account is whom a server runs as: nobody in particular (nil), unless this
// program is root, which servers refuse to be.
type account syscall.Credential

func accountOf(name string) *account {
	if os.Geteuid() != 0 {
		return nil
	}
	for _, name := range []string{name, "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err1 == nil && err2 == nil {
			return &account{Uid: uint32(uid), Gid: uint32(gid)}
		}
	}
	return &account{Uid: 65534, Gid: 65534}
}

func (a *account) demote(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: (*syscall.Credential)(a)}
}

// handOver makes the account the owner of path.
func (a *account) handOver(path string) error {
	if a == nil {
		return nil
	}
	return os.Chown(path, int(a.Uid), int(a.Gid))
}

// traversable reports whether the account gets as far as dir.
func (a *account) traversable(dir string) bool {
	if a == nil {
		return true
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return false
	}
	for {
		info, err := os.Stat(dir)
		if err != nil || info.Mode()&0o001 == 0 {
			return false
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return true
		}
		dir = parent
	}
}
