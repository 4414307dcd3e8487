package master

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"
)

// LogWriter is an output for a logger that never waits: for a terminal that is
// stopped, a pipe that nobody reads, a disk that does not answer.
//
// What is written to it waits in a queue of at most 1 MiB, and a goroutine, which
// is there only while there is something to write, passes it on at once. What the
// queue has no room for is dropped, and so is what cannot be written (EPIPE,
// ENOSPC): once more can be written, a message in its place says how many lines
// are missing. No line is written in part, unless the output takes a part of it
// and then no more; the next one begins on a line of its own.
//
//	out := master.NewLogWriter(os.Stderr)
//	defer out.Flush(time.Second)
//	config.Logger, config.LogWriter = out.Logger(hclog.LoggerOptions{Name: "server"}), out
//
// Any goroutine may call its methods. A program that writes to standard error has to
// catch SIGPIPE (package os/signal), or it ends when the reader of a pipe there does.
type LogWriter struct {
	to     io.Writer
	notice func(missing int) []byte // the message about missing lines

	mu      sync.Mutex
	queue   logQueue
	size    int           // bytes that wait or are being written
	waiting int           // lines, likewise
	full    bool          // lines are dropped until half of it is written
	dropped int           // lines that were to follow the last one in the queue
	missing int           // lines that were dropped or not written, and no message has told of
	began   time.Time     // when the write that is under way did; zero: none is
	idle    chan struct{} // closed when the goroutine ends; nil: there is none
	room    chan struct{} // closed when half of the queue is written; nil: nobody waits for that

	// The goroutine's:
	batch  logQueue
	untold int  // of missing, those before the line that is next
	torn   bool // the last line is there in part
}

// logQueue is lines, one behind the other.
type logQueue struct {
	text  []byte
	lines []queuedLine
}

// queuedLine is what one call of Write brought.
type queuedLine struct {
	size    int // bytes
	dropped int // lines that were to come before it
}

const (
	maxQueuedLog = 1 << 20 // bytes
	// atomicWrite is how many bytes a pipe takes whole or not at all, so that
	// other writers do not come between (PIPE_BUF, pipe(7)).
	atomicWrite = 4096
)

// NewLogWriter returns a LogWriter that passes on what it is given to a writer,
// which one goroutine at a time calls, with one or more whole lines.
func NewLogWriter(to io.Writer) *LogWriter {
	return &LogWriter{to: to, notice: func(missing int) []byte { return fmt.Appendf(nil, "%d lines are missing\n", missing) }}
}

// Logger returns a logger that writes here, whatever the options say of the
// output, and has the message about missing lines look like its own. To be called
// once, before anything is written.
func (l *LogWriter) Logger(options hclog.LoggerOptions) hclog.Logger {
	var text bytes.Buffer
	form := options
	form.Output, form.Level, form.Mutex, form.Exclude = &text, hclog.Warn, nil, nil
	form.Color = hclog.ColorOff
	say := hclog.New(&form)
	l.notice = func(missing int) []byte {
		text.Reset()
		say.Warn("log lines are missing", "count", missing)
		return text.Bytes()
	}
	options.Output = l
	return hclog.New(&options)
}

// Write takes one line, or more that belong together, with the line feed. It does
// not block, and never returns an error: a logger could do nothing with it.
func (l *LogWriter) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fits := l.size+len(line) <= maxQueuedLog
	l.full = l.full || !fits && l.size > maxQueuedLog/2
	if l.full || !fits {
		l.dropped++
		l.missing++
	} else {
		l.queue.text = append(l.queue.text, line...)
		l.queue.lines = append(l.queue.lines, queuedLine{len(line), l.dropped})
		l.size += len(line)
		l.waiting++
		l.dropped = 0
	}
	l.start()
	return len(line), nil
}

// Flush returns when everything is written that can be, or after the limit, and
// reports whether it is. It is for the end of a process.
func (l *LogWriter) Flush(limit time.Duration) bool {
	l.mu.Lock()
	if l.missing > 0 {
		l.start() // perhaps it can be said now
	}
	idle := l.idle
	l.mu.Unlock()
	if idle == nil {
		return true
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-idle:
		return true
	case <-timer.C:
		return false
	}
}

// awaitRoom returns when no more than half of the queue is filled, or after the
// limit, or when quit is closed; or at once, if the output has taken nothing for as
// long as the limit.
func (l *LogWriter) awaitRoom(limit time.Duration, quit <-chan struct{}) {
	l.mu.Lock()
	if l.size <= maxQueuedLog/2 || l.stuckFor(limit) {
		l.mu.Unlock()
		return
	}
	if l.room == nil {
		l.room = make(chan struct{})
	}
	room := l.room
	l.mu.Unlock()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-room:
	case <-timer.C:
	case <-quit:
	}
}

// stuckFor reports whether a write has been under way for so long. To be called
// with mu held.
func (l *LogWriter) stuckFor(limit time.Duration) bool {
	return !l.began.IsZero() && time.Since(l.began) > limit
}

// start has the goroutine run. To be called with mu held.
func (l *LogWriter) start() {
	if l.idle == nil {
		l.idle = make(chan struct{})
		go l.run()
	}
}

// run is the goroutine: it writes until nothing is left.
func (l *LogWriter) run() {
	defer blockTTOU()()
	for more := l.take(true); more; more = l.take(false) {
		l.write(l.batch)
	}
}

// take makes a batch of the queue. It returns false at the end, when there is
// nothing to write, nor to tell: what an error left is tried first, once.
func (l *LogWriter) take(first bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queue, l.batch = logQueue{l.batch.text[:0], l.batch.lines[:0]}, l.queue
	if len(l.batch.lines) > 0 {
		return true
	}
	if first || l.dropped > 0 {
		l.untold += l.dropped
		l.dropped = 0
		return true
	}
	l.queue, l.batch = logQueue{}, logQueue{} // the memory of a burst goes with it
	close(l.idle)
	l.idle = nil
	return false
}

// write writes lines, as many at a time as stay whole, and the messages about
// those that are missing.
func (l *LogWriter) write(q logQueue) {
	if len(q.lines) == 0 {
		l.tell()
	}
	for len(q.lines) > 0 {
		n, size := 1, q.lines[0].size
		for n < len(q.lines) && q.lines[n].dropped == 0 && size+q.lines[n].size <= atomicWrite {
			size += q.lines[n].size
			n++
		}
		l.untold += q.lines[0].dropped
		written := 0
		if l.tell() {
			written = l.put(q.text[:size])
		}
		l.countWritten(q.lines[:n], written)
		q = logQueue{q.text[size:], q.lines[n:]}
	}
}

// tell writes the message about missing lines, if there are any, and reports
// whether more can be written.
func (l *LogWriter) tell() bool {
	if l.untold == 0 {
		return true
	}
	message := l.notice(l.untold)
	if l.put(message) < len(message) {
		return false
	}
	l.mu.Lock()
	l.missing -= l.untold
	l.mu.Unlock()
	l.untold = 0
	return true
}

// countWritten takes note of lines of which so many bytes were written.
func (l *LogWriter) countWritten(lines []queuedLine, written int) {
	failed, size := 0, 0
	for _, line := range lines {
		if size += line.size; size > written {
			failed++
		}
	}
	l.untold += failed
	l.mu.Lock()
	defer l.mu.Unlock()
	l.missing += failed
	l.waiting -= len(lines)
	l.size -= size
	if l.size > maxQueuedLog/2 {
		return
	}
	l.full = false
	if l.room != nil {
		close(l.room)
		l.room = nil
	}
}

// put writes whole lines, and returns how many bytes of them are written.
func (l *LogWriter) put(lines []byte) (written int) {
	l.setBegan(time.Now())
	defer l.setBegan(time.Time{})
	if l.torn {
		if n, err := l.to.Write([]byte{'\n'}); n < 1 || err != nil {
			return 0
		}
		l.torn = false
	}
	for {
		n, err := l.to.Write(lines[written:])
		written += min(max(n, 0), len(lines)-written) // whatever a Writer says
		if err == nil || !errors.Is(err, unix.EAGAIN) || !awaitWritable(l.to) {
			break
		}
	}
	if l.torn = written > 0 && written < len(lines) && lines[written-1] != '\n'; l.torn && lines[written] == '\n' {
		written++ // the line is there, and gets its end before the next
	}
	return written
}

func (l *LogWriter) setBegan(t time.Time) {
	l.mu.Lock()
	l.began = t
	l.mu.Unlock()
}

// awaitWritable waits until a file takes more, and reports whether it could wait.
// A file is non-blocking when any process that shares it has made it so, which
// for a terminal may be another job of the same shell.
func awaitWritable(to io.Writer) bool {
	file, ok := to.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := file.SyscallConn()
	if err != nil {
		return false
	}
	var polled error
	err = raw.Control(func(fd uintptr) {
		for polled = unix.EINTR; polled == unix.EINTR; {
			_, polled = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, -1)
		}
	})
	return err == nil && polled == nil
}
