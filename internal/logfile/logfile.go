// Package logfile opens files that lines are appended to, whatever is at their path: a file
// that has to be made, a FIFO, a device, or what this process has open already. A write
// to it may be short, and to a FIFO may have to wait: that is up to its writer.
//
//	file, err := logfile.Open("/var/log/usher.log")
//
// It writes nothing, and knows nothing of rotation: who was told that the file was renamed
// opens it anew.
package logfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// Open opens a file to append to. What this process has open already, such as
// /dev/stderr, is taken as it is. A FIFO is opened for reading as well, which
// does not wait for a reader (fifo(7)): readers may come and go, and what fits
// into it waits for the next one. Where that is not permitted, it has to have a
// reader: with O_NONBLOCK it is an error that there is none, and not a process that
// stands still. The caller owns the file; a new one has the mode 0644, less the umask.
// Errors are those of open(2). It blocks for as long as a file system does.
func Open(path string) (*os.File, error) {
	if fd, ok := descriptorAt(path); ok {
		return Duplicate(fd, path)
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
