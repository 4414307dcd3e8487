// Package descriptor gets at the descriptors of package os and net without changing
// their mode, as Fd may.
//
// Each function says whether what it returns is borrowed or owned. A [Reserve] keeps
// numbers free for what must not fail at the limit of descriptors.
package descriptor

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Of returns the number of a file's descriptor, borrowed; -1 if it is closed. Unlike
// Fd it leaves the file non-blocking.
func Of(file *os.File) int {
	fd := -1
	if raw, err := file.SyscallConn(); err == nil {
		_ = raw.Control(func(number uintptr) { fd = int(number) }) // an error leaves -1
	}
	return fd
}

// Duplicate returns an owned descriptor of the same open file, close-on-exec.
func Duplicate(raw syscall.RawConn) (int, error) {
	fd := -1
	var dupErr error
	err := raw.Control(func(old uintptr) {
		fd, dupErr = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0)
	})
	return fd, errors.Join(err, os.NewSyscallError("fcntl", dupErr))
}
