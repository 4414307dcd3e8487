package master

import (
	"bufio"
	"errors"
	"os"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
)

// The bounds of what is kept and logged of a worker's standard error.
const (
	keptLines   = 20
	longestLine = 4096 // bytes; a longer line is logged in pieces
)

// lastWords copies a worker's standard error into the log, line by line, and
// keeps the last lines for the report of its death.
type lastWords struct {
	from *os.File // owned; in Go's poller
	log  hclog.Logger

	// The copying goroutine's until done is closed:
	lines []string
	rest  string // of a line that has not ended yet
	done  chan struct{}
}

// newWords takes ownership of from. Nothing is copied before resume.
func newWords(from *os.File, log hclog.Logger) *lastWords {
	w := &lastWords{from: from, log: log, done: make(chan struct{})}
	close(w.done)
	return w
}

// resume begins to copy, or goes on.
func (w *lastWords) resume() {
	<-w.done
	if w.from.SetReadDeadline(time.Time{}) != nil {
		return // it is closed: the worker is gone
	}
	w.done = make(chan struct{})
	go w.copy()
}

// pause returns when nothing is copied any more.
func (w *lastWords) pause() {
	_ = w.from.SetReadDeadline(time.Unix(1, 0)) // the pipe has deadlines
	<-w.done
}

func (w *lastWords) copy() {
	defer close(w.done)
	lines := bufio.NewReaderSize(w.from, longestLine)
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
		w.keep(text)
	}
	w.rest = ""
}

func (w *lastWords) keep(line string) {
	if len(w.lines) == keptLines {
		w.lines = append(w.lines[:0], w.lines[1:]...)
	}
	w.lines = append(w.lines, line)
}

// end waits until all is copied, but not longer than limit, and closes. To be
// called after the worker's end, once.
func (w *lastWords) end(limit time.Duration) {
	_ = w.from.SetReadDeadline(time.Now().Add(limit)) // the pipe has deadlines
	<-w.done
	_ = w.from.Close() // it was only read
	w.say()
}

// String returns the last lines, at most keptLines. Only after end.
func (w *lastWords) String() string { return strings.Join(w.lines, "\n") }
