package master

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

// lastWords copies a worker's standard error into the log, line by line, and
// keeps some for the report of its death.
type lastWords struct {
	from *os.File // owned; in Go's poller
	log  hclog.Logger
	logs *LogWriter // nil: none

	quit chan struct{} // closed by pause; nil: nothing is copied

	// The copying goroutine's until done is closed:
	kept keptWords
	rest string // of a line that has not ended yet
	done chan struct{}
}

// newWords takes ownership of from. Nothing is copied before resume. logs is what
// the logger writes to, or nil.
func newWords(from *os.File, log hclog.Logger, logs *LogWriter) *lastWords {
	w := &lastWords{from: from, log: log, logs: logs, done: make(chan struct{})}
	close(w.done)
	return w
}

// resume begins to copy, or goes on.
func (w *lastWords) resume() {
	<-w.done
	if w.from.SetReadDeadline(time.Time{}) != nil {
		return // it is closed: the worker is gone
	}
	w.done, w.quit = make(chan struct{}), make(chan struct{})
	from := pacedReader{w.from, w.logs, w.quit}
	go func() {
		defer close(w.done)
		w.copy(from)
	}()
}

// pacedReader leaves a burst where it is, in the pipe, while the log is behind:
// else lines of one who writes faster than a disk would be dropped. It does so for
// pacedWait at most, and then the log may drop them: no worker is held up by one
// who does not read the log.
type pacedReader struct {
	from io.Reader
	logs *LogWriter
	quit <-chan struct{}
}

// pacedWait is how long a read waits for the log.
const pacedWait = 100 * time.Millisecond

func (r pacedReader) Read(b []byte) (int, error) {
	r.logs.awaitRoom(pacedWait, r.quit)
	return r.from.Read(b)
}

// pause returns when nothing is copied any more.
func (w *lastWords) pause() {
	if w.quit != nil {
		close(w.quit)
		w.quit = nil
	}
	_ = w.from.SetReadDeadline(time.Unix(1, 0)) // the pipe has deadlines
	<-w.done
}

func (w *lastWords) copy(from io.Reader) {
	lines := bufio.NewReaderSize(from, longestLine)
	for {
		line, err := lines.ReadSlice('\n')
		w.rest += string(line)
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
		w.say()
	}
}

// say logs and keeps the line.
func (w *lastWords) say() {
	if text := strings.TrimRight(w.rest, "\r\n"); text != "" {
		w.log.Info("worker output", "line", text)
		w.kept.add(text, time.Now())
	}
	w.rest = ""
}

// end copies what is left, and closes. To be called once, after the worker's
// end; it does not wait for processes that the worker left behind.
func (w *lastWords) end() {
	w.pause()
	w.copy(remains(w.from))
	_ = w.from.Close() // it was only read
	w.say()
}

// remains returns what is in a pipe or a packet socket and was not read yet, of
// which nothing else may read meanwhile. Of a process that was reaped it is all
// that there will be, though one that it left behind may hold the other end, and
// go on writing. Reading does not block.
func remains(f *os.File) io.Reader {
	_ = f.SetReadDeadline(time.Time{}) // a pipe or a socket has deadlines
	n := 0
	if raw, err := f.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.TIOCINQ) }) // FIONREAD by another name; 0 if closed
	}
	return io.LimitReader(f, int64(n))
}

// String returns the lines that are kept. Only after end.
func (w *lastWords) String() string { return w.kept.String() }
