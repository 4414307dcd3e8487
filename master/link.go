package master

import (
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/master/internal/descriptor"
	"golang.org/x/sys/unix"
)

// link is the master's end of what a worker process says: control, and its
// standard error. Two goroutines read them. An upgrade pauses both, so that
// nothing is read that would be forgotten.
type link struct {
	control controlEnd
	words   *lastWords
	events  processEvents

	mu        sync.Mutex
	paused    bool
	over      bool          // the worker is reaped: what is left is read by exited
	heirs     bool          // it has ended, and others have its end of control: processes that it started
	listening chan struct{} // closed when control is no longer read
}

// newLink takes ownership of both ends. It begins paused.
func newLink(control controlEnd, words *lastWords, events processEvents) *link {
	return &link{control: control, words: words, events: events, paused: true}
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
	l.words.resume()
	_ = l.control.SetReadDeadline(time.Time{}) // a socket has deadlines
	done := make(chan struct{})
	l.listening = done
	go func() {
		defer close(done)
		hear(l.control, l.events)
	}()
}

// pause returns when nothing is read any more, and all that was is known.
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
	<-l.listening
	l.words.pause()
	l.paused = true
}

// ending is for the reaper.
func (l *link) ending() ending { return ending{zombie: l.ended, exited: l.exited} }

// ended looks who else has the worker's end of control, before they are told to end.
func (l *link) ended() {
	poll := []unix.PollFd{{Fd: int32(descriptor.Of(l.control.File))}}
	n, err := unix.Poll(poll, 0)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heirs = err == nil && n == 0 // else it is hung up (poll(2))
}

// exited is for the reaper: it does not block. The event follows what the worker
// said last.
func (l *link) exited(status unix.WaitStatus) {
	go func() {
		l.mu.Lock()
		l.stop()
		l.over = true
		l.mu.Unlock()
		hear(remains(l.control.File), l.events)
		l.words.end()
		l.events.exited(status)
	}()
}

// process makes a worker process of what the link reads, and its queue.
func (l *link) process(pid, queue, workerEnd int) *process {
	return &process{
		pid: pid, queue: queue, workerEnd: workerEnd,
		tell: l.control.tell, lastWords: l.words.String, heirs: l.hasHeirs,
		hangUp: func() { _ = l.control.Close() }, // nobody is at the other end
		link:   l,
	}
}

func (l *link) hasHeirs() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.heirs
}

// heirloom is a process as an upgrade hands it over.
type heirloom struct {
	PID       int
	Queue     int // these are descriptors
	WorkerEnd int
	Control   int
	Stderr    int
	First     []string // its last words so far: see keptWords
	Said      int
	Lines     []string
	Rest      string
}

// heirloom describes a process. The descriptors stay its own. Its words are
// there only while the link is paused.
func (p *process) heirloom() heirloom {
	l := p.link
	l.mu.Lock()
	defer l.mu.Unlock()
	h := heirloom{
		PID: p.pid, Queue: p.queue, WorkerEnd: p.workerEnd,
		Control: descriptor.Of(l.control.File), Stderr: descriptor.Of(l.words.from),
	}
	if l.paused && !l.over {
		h.First, h.Said, h.Lines, h.Rest = l.words.kept.first, l.words.kept.count, l.words.kept.last, l.words.rest
	}
	return h
}

// inheritProcess takes over a process, and ownership of its descriptors.
func inheritProcess(h heirloom, r *reaper, log hclog.Logger, logs *LogWriter, events processEvents) *process {
	words := newWords(fileOf(h.Stderr, "worker stderr"), log, logs)
	words.kept, words.rest = keptWords{first: h.First, count: h.Said, last: h.Lines}, h.Rest
	l := newLink(controlEnd{fileOf(h.Control, "control")}, words, events)
	r.inherit(h.PID, l.ending())
	l.resume()
	return l.process(h.PID, h.Queue, h.WorkerEnd)
}
