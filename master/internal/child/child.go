// Package child is a process that a master has started: how it is started, what it
// says and is told, and how its end is learned of.
//
//	Program   what to start, found once and held open
//	Launcher  starts workers, and takes over those that another program has started
//	Process   a worker's, as its owner holds it
//	Event     what its owner hears of it
//	Reaper    the only one to wait for children, workers or not
//	Command   a child that is no worker
//
// All of it runs in the master's process. For each worker two goroutines read what it
// says, one on control and one on standard error, and its owner, the supervisor, hears of
// that by events. An upgrade in place pauses both, so that the next program misses nothing.
//
// This package knows nothing of slots beyond their numbers, of connections, or of what
// follows from a death.
package child

import (
	"fmt"
	"time"

	"github.com/usher-go/usher/ipc"
	"golang.org/x/sys/unix"
)

// ID says which process of a slot an event is of: each has another.
type ID struct {
	Slot        int
	Generation  int
	Incarnation int // of the slot
}

// Event is what a process's owner hears of it, by the function that the Launcher has
// for that: from goroutines of the process, which it must not block.
type Event interface{ event() }

// Said: the process has sent a control message.
type Said struct {
	ID
	Message ipc.Message
}

// Broken: control brought bytes that break the protocol. Nothing more is read there.
type Broken struct {
	ID
	Err error
}

// Exited: the process has ended and is reaped. It is the last event of the process:
// what it said before its end has been heard, and its StderrTail is whole.
type Exited struct {
	ID
	Status unix.WaitStatus
	CPU    time.Duration // that it has used, with the children that it waited for
}

func (Said) event()   {}
func (Broken) event() {}
func (Exited) event() {}

// Process is a worker's process. Its methods do not block, but for Pause; they are
// the owner's, who calls HangUp when it has heard of the end.
type Process struct {
	pid       int
	queue     int // owned by the process's owner
	workerEnd int // likewise: the duplicate of the worker's end, by which the queue outlives it
	link      *link
}

// PID is the process's number: another's perhaps, once its end is heard of.
func (p *Process) PID() int { return p.pid }

// Queue returns the descriptors of its queue: the master's end, and a duplicate of the
// worker's. They are the process's owner's, to give away and to close.
func (p *Process) Queue() (queue, workerEnd int) { return p.queue, p.workerEnd }

// Tell sends a control message that brings no memfd. It does not wait for a worker that
// does not read its few messages: that is an error, and such a worker is broken. The end of
// a worker whose process is dying is fdpass.ErrPeerClosed.
func (p *Process) Tell(m ipc.Message) error { return p.link.control.tell(m, -1) }

// TellKeys sends new keys for session tickets, which are in a memfd, borrowed. It is as
// Tell, but for fdpass.ErrTooManyRefs, after which nothing was sent, and it is to be tried
// again.
func (p *Process) TellKeys(memory int) error { return p.link.control.tell(ipc.TicketKeys{}, memory) }

// TellAccessLog sends an access log, whose file is borrowed; it is of no account if the
// message has no format. It is as TellKeys.
func (p *Process) TellAccessLog(m ipc.AccessLog, file int) error { return p.link.control.tell(m, file) }

// StderrTail returns the last lines on its standard error. Once its end is heard of.
func (p *Process) StderrTail() string { return p.link.stderr.String() }

// LeftOthers reports whether processes that it has started go on with its
// descriptors. Once its end is heard of.
func (p *Process) LeftOthers() bool { return p.link.leftOthers() }

// HangUp closes control. Once its end is heard of.
func (p *Process) HangUp() { _ = p.link.control.Close() } // nobody is at the other end

// Pause returns when nothing is read of the process any more, and all that was is an
// event. It waits for the goroutines that read.
func (p *Process) Pause() { p.link.pause() }

// Resume ends a pause, if there is one.
func (p *Process) Resume() { p.link.resume() }

// Reason says how a process ended, for a log.
func Reason(status unix.WaitStatus) string {
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
