package child

import (
	"os"
	"os/signal"
	"sync"
	"time"
	"unsafe"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"
)

// Reaper owns wait4(-1): it alone reaps the children of this process, its own
// and, as PID 1 or subreaper, adopted ones. Nothing else in a process that runs
// a master may wait for a child (os/exec's Cmd.Wait would miss its exit).
//
// Run is its goroutine; the other methods may be called from any.
type Reaper struct {
	log hclog.Logger
	mu  sync.Mutex // of children and groups; held while a child is started, so that none is reaped before it is known

	children map[int]watcher // by pid: those that are not reaped yet
	groups   map[int]*group  // by pidfd: what children left behind that are reaped
	quit     chan struct{}
}

// watcher is who is to know of the end of a child. Both are called once, in this order, on
// the reaper's goroutine with its mu held, and must not block.
type watcher interface {
	ended()                                // it is a zombie, and what it left in its group has not been told to end yet
	reaped(unix.WaitStatus, time.Duration) // it is no more, and has used so much processor time
}

// NewReaper returns a reaper that runs once Run does.
func NewReaper(log hclog.Logger) *Reaper {
	return &Reaper{log: log, children: make(map[int]watcher), groups: make(map[int]*group), quit: make(chan struct{})}
}

// start calls fork, which starts a child that is the leader of a process group, and has
// the watcher told of its end.
func (r *Reaper) start(fork func() (pid int, err error), w watcher) (pid int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	pid, err = fork()
	if err == nil {
		r.children[pid] = w
	}
	return pid, err
}

// restore is start for a child that the program before this one has started.
func (r *Reaper) restore(pid int, w watcher) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.children[pid] = w
}

// Hold keeps children from being started and reaped until Release, while an upgrade in
// place hands them over; unless one of pids is reaped already: then it returns false and
// holds nothing.
func (r *Reaper) Hold(pids []int) bool {
	r.mu.Lock()
	for _, pid := range pids {
		if _, ok := r.children[pid]; !ok {
			r.mu.Unlock()
			return false
		}
	}
	return true
}

// Release ends a hold.
func (r *Reaper) Release() { r.mu.Unlock() }

// Signal sends a signal to a child that is not reaped yet; to others nothing:
// the number may be another process's by now.
func (r *Reaper) Signal(pid int, sig unix.Signal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.children[pid]; ok {
		_ = unix.Kill(pid, sig) // it may be a zombie: then there is nothing to signal
	}
}

// SignalThread is Signal for one thread of the child, or for all of it if the
// thread is not known.
func (r *Reaper) SignalThread(pid, thread int, sig unix.Signal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.children[pid]; !ok {
		return
	}
	if err := unix.Tgkill(pid, thread, sig); err != nil {
		_ = unix.Kill(pid, sig) // no such thread; the process may be a zombie: nothing to signal
	}
}

// Run is the reaper's goroutine. It returns nil, after Interrupt.
func (r *Reaper) Run() error {
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

// Interrupt ends Run. To be called once.
func (r *Reaper) Interrupt(error) { close(r.quit) }

// reap takes note of every child that has ended: one SIGCHLD may stand for many.
func (r *Reaper) reap() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		pid := endedChild()
		if pid == 0 {
			return
		}
		w, ours := r.children[pid]
		pidfd := -1
		if ours {
			w.ended()
			pidfd = terminate(pid)
		}
		var status unix.WaitStatus
		var usage unix.Rusage
		if _, err := unix.Wait4(pid, &status, unix.WNOHANG, &usage); err != nil {
			return // cannot be: it was there, and nobody else waits
		}
		if !ours {
			r.log.Debug("reaped a foreign child", "pid", pid, "reason", Reason(status))
			continue
		}
		delete(r.children, pid)
		w.reaped(status, time.Duration(usage.Utime.Nano()+usage.Stime.Nano()))
		r.endGroup(pid, pidfd)
	}
}

// endedChild returns the pid of a child that has ended, which stays a zombie; 0:
// none has.
func endedChild() (pid int) {
	// siginfo_t, of which package unix does not show the part for SIGCHLD
	// (waitid(2)): the union begins where a pointer could.
	var info struct {
		signo, errno, code int32
		_                  [unsafe.Sizeof(uintptr(0)) - 4]byte
		pid                int32
		_                  [128]byte
	}
	for {
		err := unix.Waitid(unix.P_ALL, 0, (*unix.Siginfo)(unsafe.Pointer(&info)), unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil { // ECHILD: there are none
			return 0
		}
		return int(info.pid)
	}
}
