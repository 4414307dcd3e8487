package child

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/master/internal/sigmask"
	"golang.org/x/sys/unix"
)

// Launcher starts workers' processes, and takes over those of a program before this
// one. Its fields are set once.
type Launcher struct {
	Reaper *Reaper
	Log    hclog.Logger
	// AwaitRoom waits, for at most so long and until quit is closed, for the log to have
	// room: what a worker writes to its standard error stays in the pipe meanwhile.
	AwaitRoom func(limit time.Duration, quit <-chan struct{})
	// Owner is told of all processes. See Event.
	Owner func(Event)
	// Private are variables of this process's environment that no worker is to have.
	Private []string
}

// Spec is what a worker's process is to be.
type Spec struct {
	ID
	Program    *Program  // borrowed
	Scoreboard int       // descriptor, borrowed
	Metrics    ipc.Place // in it
	Hello      ipc.Hello
	Memory     int // descriptor, borrowed: the memfd that Hello brings; of no account if it brings none
}

// Launch starts a worker, in a process group of its own (so that a terminal's Ctrl-C
// reaches the master alone) but in the master's session. It does not block beyond
// fork and exec, and a look at the program's path.
func (l *Launcher) Launch(s Spec) (*Process, error) {
	name := s.Program.argv[0]
	path, err := s.Program.startPath()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, s.Program.Hint(err))
	}
	pipes, err := openPipes(s.Scoreboard)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, s.Program.Hint(err))
	}
	link := newLink(s.ID, control{pipes.control}, newStderrTail(pipes.stderr, l.Log.With("slot", s.Slot), l.AwaitRoom), l.Owner)
	pid, err := l.Reaper.start(func() (int, error) {
		defer pipes.closeChildEnds() // before the reaper may look who has them: the worker can be gone already
		return forkExec(path, s.Program.argv, &syscall.ProcAttr{
			Dir:   s.Program.folderPath(),
			Env:   append(ipc.Environ(s.Program.environ(l.environ()), ipc.Identity{Protocol: ipc.Version, Slot: s.Slot, Generation: s.Generation}), ipc.MetricsEnviron(s.Metrics)),
			Files: pipes.childFiles(),
			Sys:   &syscall.SysProcAttr{Setpgid: true},
		})
	}, link)
	p := &Process{pid: pid, queue: pipes.queue, workerEnd: pipes.child[ipc.QueueFD], link: link}
	if err != nil {
		fdpass.CloseAll([]int{p.queue, p.workerEnd}) // nothing was sent
		p.HangUp()
		link.stderr.end()
		return nil, fmt.Errorf("start %s: %w", path, s.Program.Hint(err))
	}
	link.resume()
	err = link.control.tell(s.Hello, s.Memory)
	if err != nil && !errors.Is(err, fdpass.ErrPeerClosed) { // one that is dead already is learned of by reaping
		l.Owner(Broken{s.ID, err}) // it waits for hello in vain
	}
	return p, nil
}

// environ returns this process's environment but for what is private.
func (l *Launcher) environ() []string {
	return slices.DeleteFunc(os.Environ(), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return slices.Contains(l.Private, name)
	})
}

// forkExec is syscall.ForkExec with no signal blocked in the child but TTOU, so that
// it may write to the terminal from the background. After an upgrade in place the
// master's own signals are blocked, in most of its threads.
func forkExec(path string, argv []string, attr *syscall.ProcAttr) (pid int, err error) {
	undo, err := sigmask.BlockOnly(unix.SIGTTOU)
	if err != nil {
		return 0, err
	}
	defer undo()
	return syscall.ForkExec(path, argv, attr)
}
