package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
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
	file, err := createLog(path)
	if err != nil {
		return nil, fmt.Errorf("log file: %w", err)
	}
	return &logFile{path: path, tell: tell, file: file}, nil
}

// createLog opens a file to append to. What this process has open already, such as
// /dev/stderr, is taken as it is. A FIFO is opened for reading as well, which
// does not wait for a reader (fifo(7)): readers may come and go, and what fits
// into it waits for the next one. Where that is not permitted, it has to have a
// reader: with O_NONBLOCK it is an error that there is none, and not a master that
// stands still.
func createLog(path string) (*os.File, error) {
	if fd, ok := descriptorAt(path); ok {
		return duplicateDescriptor(fd, path)
	}
	const flags = os.O_APPEND | os.O_CREATE | unix.O_NONBLOCK
	if info, err := os.Stat(path); err == nil && info.Mode()&fs.ModeNamedPipe != 0 {
		file, err := os.OpenFile(path, os.O_RDWR|flags, 0o644)
		if !errors.Is(err, fs.ErrPermission) {
			return file, err
		}
	}
	file, err := os.OpenFile(path, os.O_WRONLY|flags, 0o644)
	if errors.Is(err, unix.ENXIO) {
		err = fmt.Errorf("%w; nobody reads it: start its reader first, or permit this user to read it", err)
	}
	return file, err
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
		fresh, err := createLog(l.path)
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
