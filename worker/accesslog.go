package worker

import (
	"errors"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/fdpass"
)

// AccessLog is where a worker says what it has served: a line for each request, in the
// file that the operator names to the master (usher serve --access-log). The zero value is
// ready to use, and off until a worker has it (WithAccessLog) whose master has such a file.
// Its methods are for any goroutine, and none of them blocks.
//
//	Log ──► queue, at most 1 MiB ──20 ms, or 64 KiB──► one write(2) of many lines
//
// What the queue has no room for is dropped and counted, and so are lines for a reader that
// has gone; the worker's log says how many. While a disk is full, lines wait. A worker that
// comes to its end writes what waits, for at most a second; one that is killed takes with it
// what it has logged since the last write.
type AccessLog struct {
	current atomic.Pointer[accessSink] // where lines go; nil: nowhere
	dropped atomic.Uint64

	mu     sync.Mutex // guards the following
	log    hclog.Logger
	former []*formerSink // in the order of their retiring; those before one that is open, too
	told   uint64        // of dropped, those that the worker's log has told of
	why    error         // why the last one was dropped
	next   *time.Timer   // when it is to be told again; nil: nothing is to be told
	failed time.Time     // when the log last told of a write that failed
	ended  bool          // no file is taken any more
}

// formerSink is one that another has taken the place of.
type formerSink struct {
	sink  *accessSink
	taken func() // is called when neither it nor one before it writes any more; may be nil
	over  bool
}

// Access is one request that was served, for its line in the access log. What is empty is
// said to be unknown, as the format has it. A line has at most 4,096 bytes: where the client
// has sent more, the long ones of these fields are cut, and end in three dots.
type Access struct {
	Time      time.Time     // when the request came
	Duration  time.Duration // from then until it was answered
	Remote    netip.Addr    // of the client; invalid: of a Unix socket
	User      string        // who it said it is, by whatever the program has checked
	Host      string        // that was asked
	Method    string
	URI       string // as it was asked for
	Proto     string // HTTP/1.1, or what the program speaks
	Referer   string
	UserAgent string
	Status    int
	Bytes     int64 // of the answer's body
}

// WithAccessLog has the worker's access log be l, for a program that has no Conn to ask
// (Conn.AccessLog), as one of Streams. A worker has one; l serves no other.
func WithAccessLog(l *AccessLog) Option {
	return func(o *options) { o.accessLog = l }
}

// AccessLog returns the worker's access log, never nil. It is for any goroutine.
func (c *Conn) AccessLog() *AccessLog { return c.loop.accessLog }

// Enabled reports whether there is a log. It is one load from memory: programs ask before
// they gather what Log is to say.
func (l *AccessLog) Enabled() bool { return l.current.Load() != nil }

// Log adds a line, if there is a log. It keeps nothing of what a points to. Whatever the
// client has sent, it is one line.
func (l *AccessLog) Log(a *Access) {
	for s := l.current.Load(); s != nil; s = l.current.Load() { // one that was retired meanwhile takes nothing
		var room [512]byte // longer ones are rare
		if s.put(s.line(room[:0], a)) {
			return
		}
	}
}

// Dropped returns how many lines of this process are lost: there was no room for them, or
// their reader had gone.
func (l *AccessLog) Dropped() uint64 { return l.dropped.Load() }

// announce has lines wait from now on that are in the format, if there is one: their file
// is to come, by take. It comes before take.
func (l *AccessLog) announce(format accessFormat, log hclog.Logger) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.log = log
	if format != accessOff {
		l.current.Store(newAccessSink(l, format))
	}
}

// take has lines go to a file, of whose descriptor it takes ownership, or, with accessOff,
// nowhere: then fd is -1. taken is called once nothing is written to the file before any
// more, nor to any before that: perhaps at once, perhaps on another goroutine. Lines that
// wait go into the old file, unless that cannot be written to within a second. take does not
// block. After end it closes what it is given.
func (l *AccessLog) take(format accessFormat, fd int, taken func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.ended:
		fdpass.CloseAll([]int{fd})
		return
	case format == accessOff:
		l.replace(nil, taken)
		return
	}
	file := os.NewFile(uintptr(fd), "access log") // it waits for a FIFO with Go's poller, if that is non-blocking
	if s := l.current.Load(); s != nil && s.format == format && s.attach(file) {
		taken()
		return
	}
	s := newAccessSink(l, format)
	s.attach(file)
	l.replace(s, taken)
}

// replace has lines go to s, which may be nil, and retires the one before. The lock is held.
func (l *AccessLog) replace(s *accessSink, taken func()) {
	before := l.current.Swap(s)
	f := &formerSink{sink: before, taken: taken, over: before == nil}
	l.former = append(l.former, f)
	if before != nil {
		before.retire(time.Now().Add(lastAccessWrites))
	}
	l.forget()
}

// forget drops the former sinks that write no more, and calls their taken. The lock is held.
func (l *AccessLog) forget() {
	for len(l.former) > 0 && l.former[0].over {
		if taken := l.former[0].taken; taken != nil {
			taken()
		}
		l.former = l.former[1:]
	}
}

// retired is called when a sink that was retired has closed its file. left are the lines
// that it could not write.
func (l *AccessLog) retired(s *accessSink, left []byte, why error) {
	if to := l.current.Load(); len(left) > 0 && (to == nil || to.format != s.format || !to.put(left)) {
		l.drop(left, why)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.former {
		f.over = f.over || f.sink == s
	}
	l.forget()
}

// lastAccessWrites is how long a file that is to be left may take to write what waits: less
// than the master waits for the answer, and at the end of the process as long as that waits.
const lastAccessWrites = time.Second

// hastyAccessWrites is that for a process that nobody waits for: its master is gone, or it
// does not obey.
const hastyAccessWrites = 100 * time.Millisecond

// end writes what waits, for at most limit, and takes no more lines. It may be called again.
func (l *AccessLog) end(limit time.Duration) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	l.mu.Lock()
	l.ended = true
	l.replace(nil, nil)
	former := l.former
	l.mu.Unlock()
	for _, f := range former {
		if f.sink == nil {
			continue
		}
		select {
		case <-f.sink.closed:
		case <-timer.C:
			l.drop(f.sink.waiting(true), errAccessLate)
			timer.Reset(0)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.next != nil && l.next.Stop() {
		l.tell()
		l.next.Stop()
	}
}

// Why lines are dropped, beside what write(2) says.
var (
	errAccessFull = errors.New("1 MiB waits: nobody reads it, or the disk is slow or full")
	errAccessLate = errors.New("the worker has ended")
	errAccessGone = errors.New("there is no access log any more")
)

// accessReport is the least time between two messages about the access log.
const accessReport = time.Minute

// drop counts lines that are lost, and has the worker's log say so: of the first within a
// second, on another goroutine.
func (l *AccessLog) drop(lines []byte, why error) {
	n := countLines(lines)
	if n == 0 {
		return
	}
	l.dropped.Add(uint64(n))
	l.mu.Lock()
	defer l.mu.Unlock()
	l.why = why
	if l.next == nil {
		l.next = time.AfterFunc(time.Second, l.report)
	}
}

func (l *AccessLog) report() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next = nil
	l.tell()
}

// tell says how many lines were dropped since it last did, if any were, and when that is to
// be done again. The lock is held.
func (l *AccessLog) tell() {
	n := l.dropped.Load() - l.told
	if n == 0 {
		return
	}
	l.told += n
	l.next = time.AfterFunc(accessReport, l.report)
	l.log.Warn("access log lines dropped", "count", n, "error", l.why)
}

// failing says that a file cannot be written to, and that lines wait for it.
func (l *AccessLog) failing(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now(); l.failed.IsZero() || now.Sub(l.failed) >= accessReport {
		l.failed = now
		l.log.Warn("access log cannot be written, retrying", "error", err, "after", accessRetry)
	}
}
