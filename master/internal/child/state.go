package child

import (
	"os"

	"github.com/usher-go/usher/master/internal/descriptor"
)

// State is a worker's process as an upgrade in place hands it over, in JSON: the names
// of the fields are read by programs that are not written yet.
type State struct {
	PID       int
	Queue     int // these are descriptors
	WorkerEnd int
	Control   int
	Stderr    int
	First     []string // the tail of its standard error so far: see tailLines
	Said      int
	Lines     []string
	Rest      string
}

// State describes a process. The descriptors stay its own. What it wrote to standard
// error is there only during a pause.
func (p *Process) State() State {
	l := p.link
	l.mu.Lock()
	defer l.mu.Unlock()
	s := State{
		PID: p.pid, Queue: p.queue, WorkerEnd: p.workerEnd,
		Control: descriptor.Of(l.control.File), Stderr: descriptor.Of(l.stderr.from),
	}
	if l.paused && !l.over {
		s.First, s.Said, s.Lines, s.Rest = l.stderr.kept.first, l.stderr.kept.count, l.stderr.kept.last, l.stderr.rest
	}
	return s
}

// Restore takes over a process that another program has started, and ownership of its
// descriptors.
func (l *Launcher) Restore(id ID, s State) *Process {
	stderr := newStderrTail(os.NewFile(uintptr(s.Stderr), "worker stderr"), l.Log.With("slot", id.Slot), l.AwaitRoom)
	stderr.kept, stderr.rest = tailLines{first: s.First, count: s.Said, last: s.Lines}, s.Rest
	link := newLink(id, control{os.NewFile(uintptr(s.Control), "control")}, stderr, l.Owner)
	l.Reaper.restore(s.PID, link)
	link.resume()
	return &Process{pid: s.PID, queue: s.Queue, workerEnd: s.WorkerEnd, link: link}
}
