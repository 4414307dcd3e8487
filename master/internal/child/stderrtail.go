package child

import (
	"bufio"
	"errors"
	"io"
	"os"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"
)

// longestLine is in bytes; a longer line is logged in pieces.
const longestLine = 4096

// stderrTail copies a child's standard error into the log, line by line, and keeps
// some for the report of its death.
type stderrTail struct {
	from      *os.File // owned; in Go's poller
	log       hclog.Logger
	awaitRoom func(limit time.Duration, quit <-chan struct{}) // see Launcher

	quit chan struct{} // closed by pause; nil: nothing is copied

	// The copying goroutine's until done is closed:
	kept tailLines
	rest string // of a line that has not ended yet
	done chan struct{}
}

// newStderrTail takes ownership of from. Nothing is copied before resume.
func newStderrTail(from *os.File, log hclog.Logger, awaitRoom func(time.Duration, <-chan struct{})) *stderrTail {
	t := &stderrTail{from: from, log: log, awaitRoom: awaitRoom, done: make(chan struct{})}
	close(t.done)
	return t
}

// resume begins to copy, or goes on.
func (t *stderrTail) resume() {
	<-t.done
	if t.from.SetReadDeadline(time.Time{}) != nil {
		return // it is closed: the worker is gone
	}
	t.done, t.quit = make(chan struct{}), make(chan struct{})
	from := pacedReader{t.from, t.awaitRoom, t.quit}
	go func() {
		defer close(t.done)
		t.copy(from)
	}()
}

// pacedReader leaves a burst of lines in the pipe while the log is behind: the log would
// drop lines of a worker that writes faster than a disk. It waits for pacedWait at most,
// and then the log may drop them: no worker is held up because nobody reads the log.
type pacedReader struct {
	from      io.Reader
	awaitRoom func(time.Duration, <-chan struct{})
	quit      <-chan struct{}
}

// pacedWait is how long a read waits for the log.
const pacedWait = 100 * time.Millisecond

func (r pacedReader) Read(b []byte) (int, error) {
	r.awaitRoom(pacedWait, r.quit)
	return r.from.Read(b)
}

// pause returns when nothing is copied any more.
func (t *stderrTail) pause() {
	if t.quit != nil {
		close(t.quit)
		t.quit = nil
	}
	_ = t.from.SetReadDeadline(time.Unix(1, 0)) // the pipe has deadlines
	<-t.done
}

func (t *stderrTail) copy(from io.Reader) {
	lines := bufio.NewReaderSize(from, longestLine)
	for {
		line, err := lines.ReadSlice('\n')
		t.rest += string(line)
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
		t.say()
	}
}

// levels are how lines of a logger of package worker begin, and the level that they have in
// the log. A worker says nothing below hclog.Info unless it was asked to: that is not to be
// left out again.
var levels = map[string]hclog.Level{
	"[TRACE]": hclog.Info, "[DEBUG]": hclog.Info, "[INFO]": hclog.Info, "[WARN]": hclog.Warn, "[ERROR]": hclog.Error,
}

// level is at which a line is logged: by how it begins or, if it begins otherwise, at
// hclog.Info. It may be the stack of a panic then, so that no log is to leave it out: one
// that shows nothing of that level has it at the least level that it does show.
func (t *stderrTail) level(line string) hclog.Level {
	first, _, _ := strings.Cut(line, " ")
	if level, ok := levels[first]; ok {
		return level
	}
	return max(hclog.Info, t.log.GetLevel())
}

// say logs and keeps the line.
func (t *stderrTail) say() {
	if text := strings.TrimRight(t.rest, "\r\n"); text != "" {
		t.log.Log(t.level(text), "worker output", "line", text)
		t.kept.add(text, time.Now())
	}
	t.rest = ""
}

// end copies what is left, and closes. To be called once, after the worker's
// end; it does not wait for processes that the worker left behind.
func (t *stderrTail) end() {
	t.pause()
	t.copy(remains(t.from))
	_ = t.from.Close() // it was only read
	t.say()
}

// remains returns what is in a pipe and was not read yet: see unread.
func remains(f *os.File) io.Reader { return io.LimitReader(f, int64(unread(f))) }

// unread returns how many bytes are in a pipe or a packet socket and were not read yet, of
// which nothing else may read meanwhile. Of a process that was reaped it is all
// that there will be, though one that it left behind may hold the other end, and
// go on writing. To read so many does not block.
func unread(f *os.File) (n int) {
	_ = f.SetReadDeadline(time.Time{}) // a pipe or a socket has deadlines
	if raw, err := f.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.TIOCINQ) }) // FIONREAD by another name; 0 if closed
	}
	return n
}

// String returns the lines that are kept. Only after end.
func (t *stderrTail) String() string { return t.kept.String() }
