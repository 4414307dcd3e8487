package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/usher-go/usher/internal/logfile"
)

// logFile is where the log goes with --log-file, by way of a master.LogWriter.
// When something cannot be written, on a full disk for one, standard error is
// told, and again when that is over: serving goes on.
type logFile struct {
	path string    // absolute
	tell io.Writer // standard error; it does not block

	mu   sync.Mutex // not held while a file is opened, written or closed
	file *os.File

	failing bool // the writing goroutine's: the last write did
}

func openLogFile(path string, tell io.Writer) (*logFile, error) {
	file, err := logfile.Open(path)
	if err != nil {
		return nil, fmt.Errorf("log file: %w", err)
	}
	return &logFile{path: path, tell: tell, file: file}, nil
}

// Write writes lines. Only the goroutine of a master.LogWriter calls it.
func (l *logFile) Write(lines []byte) (written int, err error) {
	for {
		file := l.current()
		var n int
		n, err = file.Write(lines[written:])
		written += n
		if err == nil || l.current() == file {
			break
		}
		// reopen has closed it meanwhile: the rest belongs into the next one.
	}
	switch {
	case err != nil && !l.failing:
		fmt.Fprintf(l.tell, "usher: log file: %v; lines are dropped until that is over\n", err)
	case err == nil && l.failing:
		fmt.Fprintf(l.tell, "usher: %s can be written again, and says how many lines are missing\n", l.path)
	}
	l.failing = err != nil
	return written, err
}

func (l *logFile) current() *os.File {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.file
}

// reopenLimit is how long reopen waits for the new file to open: a file system may not
// answer.
const reopenLimit = 5 * time.Second

// reopen goes on in a file of the same path, after the other was renamed. If
// there can be none, the old one stays. No line is lost in between.
func (l *logFile) reopen() error {
	opened := make(chan error, 1)
	go func() {
		fresh, err := logfile.Open(l.path)
		if err != nil {
			opened <- fmt.Errorf("log file: %w; the old one stays in use", err)
			return
		}
		l.mu.Lock()
		old := l.file
		l.file = fresh
		l.mu.Unlock()
		opened <- nil
		_ = old.Close() // a write to it that waits ends, and goes on in the new one
	}()
	select {
	case err := <-opened:
		return err
	case <-time.After(reopenLimit):
		return fmt.Errorf("log file: %s is not open after %v, and the old one stays in use until it is; does its file system answer?", l.path, reopenLimit)
	}
}
