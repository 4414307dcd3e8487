package child

import (
	"sync"
	"time"

	"github.com/usher-go/usher/master/internal/descriptor"
	"golang.org/x/sys/unix"
)

// link is the master's end of what a worker's process says: control, and its standard
// error. Two goroutines read them, and a pause ends both.
type link struct {
	id      ID
	control control
	stderr  *stderrTail
	owner   func(Event)
	asks    asks

	mu      sync.Mutex
	paused  bool
	over    bool          // the worker is reaped: what is left is read by the goroutine of reaped
	others  bool          // it has ended, and processes that it started have its end of control
	hearing chan struct{} // closed when control is no longer read
}

// newLink takes ownership of both ends. It begins paused.
func newLink(id ID, c control, stderr *stderrTail, owner func(Event)) *link {
	return &link{id: id, control: c, stderr: stderr, owner: owner, asks: newAsks(), paused: true}
}

// resume begins to read, or goes on.
func (l *link) resume() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.paused && !l.over {
		l.read()
	}
}

func (l *link) read() {
	l.paused = false
	l.stderr.resume()
	_ = l.control.SetReadDeadline(time.Time{}) // a socket has deadlines
	done := make(chan struct{})
	l.hearing = done
	go func() {
		defer close(done)
		l.hear(new(inbox))
	}()
}

// pause returns when nothing is read any more, and the owner was told all that was.
func (l *link) pause() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.over {
		l.stop()
	}
}

func (l *link) stop() {
	if l.paused {
		return
	}
	_ = l.control.SetReadDeadline(time.Unix(1, 0)) // likewise
	<-l.hearing
	l.stderr.pause()
	l.paused = true
}

// ended finds out whether other processes have the worker's end of control, before they
// are told to end.
func (l *link) ended() {
	poll := []unix.PollFd{{Fd: int32(descriptor.Of(l.control.File))}}
	n, err := unix.Poll(poll, 0)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.others = err == nil && n == 0 // else it is hung up (poll(2))
}

// reaped has the owner told of the end, after what the worker said last: on a goroutine
// of its own, since the owner may be busy.
func (l *link) reaped(status unix.WaitStatus, cpu time.Duration) {
	go func() {
		l.mu.Lock()
		l.stop()
		l.over = true
		l.mu.Unlock()
		l.hearRest(new(inbox))
		l.asks.end()
		l.stderr.end()
		l.owner(Exited{l.id, status, cpu})
	}()
}

func (l *link) leftOthers() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.others
}
