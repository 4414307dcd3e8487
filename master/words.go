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
	from  *os.File // owned; in Go's poller
	lines []string // the copying goroutine's until done is closed
	done  chan struct{}
}

// copyWords takes ownership of from and copies until its end.
func copyWords(from *os.File, log hclog.Logger) *lastWords {
	w := &lastWords{from: from, done: make(chan struct{})}
	go w.copy(log)
	return w
}

func (w *lastWords) copy(log hclog.Logger) {
	defer close(w.done)
	defer w.from.Close()
	lines := bufio.NewReaderSize(w.from, longestLine)
	for {
		line, err := lines.ReadSlice('\n')
		if text := strings.TrimRight(string(line), "\r\n"); text != "" {
			log.Info("worker output", "line", text)
			w.keep(text)
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}

func (w *lastWords) keep(line string) {
	if len(w.lines) == keptLines {
		w.lines = append(w.lines[:0], w.lines[1:]...)
	}
	w.lines = append(w.lines, line)
}

// end waits until all is copied, but not longer than limit. To be called after
// the worker's end.
func (w *lastWords) end(limit time.Duration) {
	_ = w.from.SetReadDeadline(time.Now().Add(limit)) // the pipe has deadlines; if it is closed already, so much the better
	<-w.done
}

// String returns the last lines, at most keptLines. Only after end.
func (w *lastWords) String() string { return strings.Join(w.lines, "\n") }
