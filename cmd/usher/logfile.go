package main

import (
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// logFile is where the log goes with --log-file. What cannot be written, on a
// full disk for one, is dropped and counted, and standard error is told when
// that begins and when it is over: serving goes on.
type logFile struct {
	path string    // absolute
	tell io.Writer // standard error

	mu      sync.Mutex
	file    *os.File
	torn    bool // the last line is there in part
	dropped int  // lines since a write failed
}

func openLogFile(path string) (*logFile, error) {
	file, err := createLog(path)
	if err != nil {
		return nil, fmt.Errorf("log file: %w", err)
	}
	return &logFile{path: path, tell: os.Stderr, file: file}, nil
}

// createLog opens a file to append to. O_NONBLOCK, so that a FIFO without a
// reader is an error and not a master that stands still (fifo(7)).
func createLog(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|unix.O_NONBLOCK, 0o644)
}

// Write writes one line, whole as long as there is room. It never returns an
// error: the logger could do nothing with it.
func (l *logFile) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.torn {
		if _, err := l.file.WriteString("\n"); err != nil {
			l.drop(err)
			return len(line), nil
		}
		l.torn = false
	}
	n, err := l.file.Write(line)
	if err != nil {
		l.torn = l.torn || n > 0
		l.drop(err)
		return len(line), nil
	}
	if l.dropped > 0 {
		fmt.Fprintf(l.tell, "usher: %s can be written again, %d lines are missing\n", l.path, l.dropped)
		l.dropped = 0
	}
	return len(line), nil
}

func (l *logFile) drop(err error) {
	if l.dropped == 0 {
		fmt.Fprintf(l.tell, "usher: log file: %v; lines are dropped until that is over\n", err)
	}
	l.dropped++
}

// reopen goes on in a file of the same path, after the other was renamed. If
// there can be none, the old one stays. No line is lost in between.
func (l *logFile) reopen() error {
	fresh, err := createLog(l.path)
	if err != nil {
		return fmt.Errorf("log file: %w; the old one stays in use", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = l.file.Close() // each line was written when it came
	l.file, l.torn = fresh, false
	return nil
}
