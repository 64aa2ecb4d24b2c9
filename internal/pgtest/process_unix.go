//go:build unix

package pgtest

import (
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// process is a running server: the postmaster and the children it made.
type process struct {
	pid  int
	done chan struct{} // closed when the postmaster ended
	err  error         // how it ended; read after done
}

// launch starts cmd so that it ends when this program does, however that ends.
// On Linux the kernel ties that promise to the thread which started the child
// (PR_SET_PDEATHSIG), so the thread is kept for as long as the child lives.
func launch(cmd *exec.Cmd) (*process, error) {
	dieWithParent(cmd)
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

// quit ends the server at once, in the way that it knows (an "immediate
// shutdown"), and by force if it doesn't react.
func (p *process) quit() {
	if p.ended() {
		return
	}
	_ = syscall.Kill(p.pid, syscall.SIGQUIT)
	select {
	case <-p.done:
	case <-time.After(10 * time.Second):
		p.kill()
	}
}

// ended reports whether the postmaster was waited for: its number may name
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

// pause stops the tree and returns it. The postmaster is the first, so that it
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

// serverUser is whom the server runs as: nobody in particular, unless this
// program is root, which PostgreSQL refuses to be.
var serverUser = sync.OnceValue(func() *syscall.Credential {
	if os.Geteuid() != 0 {
		return nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err1 == nil && err2 == nil {
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		}
	}
	return &syscall.Credential{Uid: 65534, Gid: 65534}
})

func demote(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: serverUser()}
}

// handOver makes the server's user the owner of path.
func handOver(path string) error {
	if u := serverUser(); u != nil {
		return os.Chown(path, int(u.Uid), int(u.Gid))
	}
	return nil
}

// traversable reports whether the server's user gets as far as dir.
func traversable(dir string) bool {
	if serverUser() == nil {
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
