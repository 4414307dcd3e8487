package master

import (
	"os"
	"os/signal"
	"sync"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"
)

// reaper owns wait4(-1): it alone reaps the children of this process, its own
// and, as PID 1 or subreaper, adopted ones. Nothing else in a process that runs
// a master may wait for a child (os/exec's Cmd.Wait would miss its exit).
type reaper struct {
	log hclog.Logger
	mu  sync.Mutex // held while a child is started, so that none is reaped before it is known

	exited map[int]ending // by pid
	groups map[int]*group // by pidfd: what children left behind that are reaped
	quit   chan struct{}
}

// ending is what follows the end of a child. Both functions are called once, with
// the reaper's mu held, and must not block.
type ending struct {
	zombie func() // before the child is reaped, and what it left in its group is told to end; may be nil
	exited func(unix.WaitStatus)
}

func newReaper(log hclog.Logger) *reaper {
	return &reaper{log: log, exited: make(map[int]ending), groups: make(map[int]*group), quit: make(chan struct{})}
}

// start starts a child by start, which is the leader of a process group, and has its
// ending called, on the reaper's goroutine.
func (r *reaper) start(start func() (pid int, err error), end ending) (pid int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	pid, err = start()
	if err == nil {
		r.exited[pid] = end
	}
	return pid, err
}

// inherit is start for a child that was started before this process became what it
// is.
func (r *reaper) inherit(pid int, end ending) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.exited[pid] = end
}

// hold keeps children from being started and reaped until release, unless one of
// pids is reaped already: then it returns false and holds nothing.
func (r *reaper) hold(pids []int) bool {
	r.mu.Lock()
	for _, pid := range pids {
		if _, ok := r.exited[pid]; !ok {
			r.mu.Unlock()
			return false
		}
	}
	return true
}

// release ends a hold.
func (r *reaper) release() { r.mu.Unlock() }

// signal sends a signal to a child that is not reaped yet; to others nothing:
// the number may be another process's by now.
func (r *reaper) signal(pid int, sig unix.Signal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.exited[pid]; ok {
		_ = unix.Kill(pid, sig) // it may be a zombie: then there is nothing to signal
	}
}

// signalThread is signal for one thread of the child, or for all of it if the
// thread is not known.
func (r *reaper) signalThread(pid, thread int, sig unix.Signal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.exited[pid]; !ok {
		return
	}
	if err := unix.Tgkill(pid, thread, sig); err != nil {
		_ = unix.Kill(pid, sig) // no such thread; the process may be a zombie: nothing to signal
	}
}

// run is the reaper's goroutine.
func (r *reaper) run() error {
	children := make(chan os.Signal, 1)
	signal.Notify(children, unix.SIGCHLD)
	defer signal.Stop(children)
	for {
		r.reap() // before the first wait: a child may have ended earlier
		select {
		case <-children:
		case <-r.quit:
			return nil
		}
	}
}

func (r *reaper) interrupt(error) { close(r.quit) }

// reap takes note of every child that has ended: one SIGCHLD may stand for many.
func (r *reaper) reap() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		pid := endedChild()
		if pid == 0 {
			return
		}
		end, ours := r.exited[pid]
		pidfd := -1
		if ours {
			if end.zombie != nil {
				end.zombie()
			}
			pidfd = terminate(pid)
		}
		var status unix.WaitStatus
		if _, err := unix.Wait4(pid, &status, unix.WNOHANG, nil); err != nil {
			return // cannot be: it was there, and nobody else waits
		}
		if !ours {
			r.log.Debug("reaped a foreign child", "pid", pid, "reason", reason(status))
			continue
		}
		delete(r.exited, pid)
		end.exited(status)
		r.outlived(pid, pidfd)
	}
}
