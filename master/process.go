package master

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/ipc"
	"golang.org/x/sys/unix"
)

// process is a started worker process, as the supervisor holds it.
type process struct {
	pid       int
	queue     int  // the master's end; the seat's, once one is opened
	workerEnd int  // the duplicate of the worker's end; likewise
	seated    bool // a seat was opened with them

	tell      func(ipc.Message) error // sends a control message; does not block
	lastWords func() string           // its last lines on standard error, once it has exited
	heirs     func() bool             // once it has exited: processes that it started go on with its descriptors
	hangUp    func()                  // closes control, once it has exited
	link      *link
}

// order is what a worker process is to be.
type order struct {
	program    *program // borrowed
	seat       ipc.Seat
	scoreboard int // descriptor, borrowed
	hello      ipc.Hello
}

// processEvents is how a process is heard of. All are called from goroutines
// of the process and must not block.
type processEvents struct {
	message func(ipc.Message)     // from control
	broken  func(error)           // control brought bytes that break the protocol
	exited  func(unix.WaitStatus) // once, after its last message and last words
}

// launch starts a worker of its generation's program, in a process group of its own
// (so that a terminal's Ctrl-C reaches the master alone) but in the master's
// session. It does not block beyond fork and exec. logs is what the logger writes
// to, or nil.
func launch(o order, r *reaper, log hclog.Logger, logs *LogWriter, events processEvents) (*process, error) {
	name := o.program.argv[0]
	path, err := o.program.start()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, o.program.hint(err))
	}
	pipes, err := openPipes(o.scoreboard)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, o.program.hint(err))
	}
	l := newLink(controlEnd{pipes.control}, newWords(pipes.stderr, log.With("slot", o.seat.Slot), logs), events)
	pid, err := r.start(func() (int, error) {
		return forkExec(path, o.program.argv, &syscall.ProcAttr{
			Dir:   o.program.enter(),
			Env:   ipc.Environ(o.program.environ(withoutManager(os.Environ())), o.seat),
			Files: pipes.childFiles(),
			Sys:   &syscall.SysProcAttr{Setpgid: true},
		})
	}, l.ending())
	pipes.closeChildEnds()
	p := l.process(pid, pipes.queue, pipes.child[ipc.QueueFD])
	if err != nil {
		closeQueue(p.queue, p.workerEnd)
		p.hangUp()
		l.words.end()
		return nil, fmt.Errorf("start %s: %w", path, o.program.hint(err))
	}
	l.resume()
	_ = p.tell(o.hello) // the first message fits; a worker that is dead already is learned of by reaping
	return p, nil
}

// forkExec is syscall.ForkExec with no signal blocked in the child but TTOU: see
// blockTTOU. After an upgrade in place the master's own signals are, in most of its
// threads.
func forkExec(path string, argv []string, attr *syscall.ProcAttr) (pid int, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var old unix.Sigset_t
	set := setOf(unix.SIGTTOU)
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &set, &old); err != nil {
		return 0, os.NewSyscallError("rt_sigprocmask", err)
	}
	defer func() { _ = unix.PthreadSigmask(unix.SIG_SETMASK, &old, nil) }() // as before
	return syscall.ForkExec(path, argv, attr)
}

// withoutManager returns environ without managerVariables.
func withoutManager(environ []string) []string {
	return slices.DeleteFunc(environ, func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return slices.Contains(managerVariables, name)
	})
}

// controlEnd is the master's end of control: non-blocking, in Go's poller.
type controlEnd struct{ *os.File }

// tell sends a control message. It does not block: a worker that does not read
// its few messages is broken.
func (c controlEnd) tell(m ipc.Message) error {
	b, err := ipc.EncodeMessage(m)
	if err != nil {
		return err
	}
	conn, err := c.SyscallConn()
	if err != nil {
		return fmt.Errorf("control: %w", err)
	}
	var sent error
	err = conn.Write(func(fd uintptr) bool {
		sent = unix.Send(int(fd), b, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
		return true // one try
	})
	if err := errors.Join(err, os.NewSyscallError("send", sent)); err != nil {
		return fmt.Errorf("control: %w", err)
	}
	return nil
}

// hear reads control messages until the worker closes its end.
func hear(control io.Reader, events processEvents) {
	packet := make([]byte, ipc.MaxMessage+1)
	for {
		n, err := control.Read(packet)
		switch {
		case errors.Is(err, unix.ECONNRESET):
			continue // said once, before the messages of a worker that died without having read all of its own
		case errors.Is(err, io.EOF), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, os.ErrClosed):
			return // a death is learned by reaping, not from here
		case err != nil:
			events.broken(fmt.Errorf("control: %w", err))
			return
		case n > ipc.MaxMessage:
			events.broken(fmt.Errorf("control: message longer than %d bytes", ipc.MaxMessage))
			return
		}
		m, err := ipc.ParseMessage(packet[:n])
		if err != nil {
			events.broken(fmt.Errorf("control: %w", err))
			return
		}
		events.message(m)
	}
}

// reason says how a process ended.
func reason(status unix.WaitStatus) string {
	switch {
	case status.Signaled() && status.CoreDump():
		return fmt.Sprintf("signal %s, core dumped", unix.SignalName(status.Signal()))
	case status.Signaled() && status.Signal() == unix.SIGPIPE:
		return "signal SIGPIPE (it wrote where nobody reads, to standard output perhaps)"
	case status.Signaled():
		return "signal " + unix.SignalName(status.Signal())
	}
	return fmt.Sprintf("exit status %d", status.ExitStatus())
}

// pipes are all that connects a worker to its master.
type pipes struct {
	queue   int
	control *os.File
	stderr  *os.File

	child [6]int // what the worker's descriptor of that index is made of
}

// openPipes returns owned descriptors, all close-on-exec; child[1] and the
// scoreboard are borrowed.
func openPipes(scoreboard int) (p pipes, err error) {
	var owned []int
	defer func() {
		if err != nil {
			fdpass.CloseAll(owned)
		}
	}()
	null, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return p, &os.PathError{Op: "open", Path: os.DevNull, Err: err}
	}
	owned = append(owned, null)
	var stderr [2]int
	if err := unix.Pipe2(stderr[:], unix.O_CLOEXEC); err != nil {
		return p, os.NewSyscallError("pipe2", err)
	}
	owned = append(owned, stderr[:]...)
	queue, workerQueue, err := fdpass.Pair()
	if err != nil {
		return p, err
	}
	owned = append(owned, queue, workerQueue)
	control, workerControl, err := fdpass.Pair()
	if err != nil {
		return p, err
	}
	owned = append(owned, control, workerControl)
	// Only the master's end: the worker's end is a blocking one, as any program expects.
	if err := unix.SetNonblock(stderr[0], true); err != nil {
		return p, os.NewSyscallError("fcntl", err)
	}
	return pipes{
		queue:   queue,
		control: os.NewFile(uintptr(control), "control"),
		stderr:  os.NewFile(uintptr(stderr[0]), "worker stderr"),
		child: [6]int{null, standardOutput(null), stderr[1],
			ipc.QueueFD: workerQueue, ipc.ControlFD: workerControl, ipc.ScoreboardFD: scoreboard},
	}, nil
}

// standardOutput returns the descriptor that is to be a worker's standard output:
// the master's, unless its reader has gone, since SIGPIPE would end a worker that
// prints; null then.
func standardOutput(null int) int {
	poll := []unix.PollFd{{Fd: int32(unix.Stdout)}}
	if _, err := unix.Poll(poll, 0); err == nil && poll[0].Revents&unix.POLLERR != 0 { // poll(2), of a pipe
		return null
	}
	return unix.Stdout
}

func (p *pipes) childFiles() []uintptr {
	files := make([]uintptr, len(p.child))
	for i, fd := range p.child {
		files[i] = uintptr(fd)
	}
	return files
}

// closeChildEnds closes what only the worker needs. The worker's end of the
// queue is not among it: that is the duplicate by which the queue outlives it.
func (p *pipes) closeChildEnds() {
	fdpass.CloseAll([]int{p.child[0], p.child[2], p.child[ipc.ControlFD]})
}
