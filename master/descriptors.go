package master

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// descriptorOf returns the number of a file's descriptor, borrowed; -1 if it is
// closed. Unlike Fd it leaves the file non-blocking.
func descriptorOf(file *os.File) int {
	fd := -1
	if raw, err := file.SyscallConn(); err == nil {
		_ = raw.Control(func(number uintptr) { fd = int(number) }) // an error leaves -1
	}
	return fd
}

// duplicate returns an owned descriptor of the same open file, close-on-exec.
func duplicate(raw syscall.RawConn) (int, error) {
	fd := -1
	var dupErr error
	err := raw.Control(func(old uintptr) {
		fd, dupErr = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0)
	})
	return fd, errors.Join(err, os.NewSyscallError("fcntl", dupErr))
}

// fileOf makes a file in Go's poller of a non-blocking descriptor, which it takes
// ownership of.
func fileOf(fd int, name string) *os.File { return os.NewFile(uintptr(fd), name) }

// setInheritable lets an exec keep the descriptors, or not any more.
func setInheritable(fds []int, on bool) error {
	flags := unix.FD_CLOEXEC
	if on {
		flags = 0
	}
	for _, fd := range fds {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, flags); err != nil {
			return os.NewSyscallError("fcntl", err)
		}
	}
	return nil
}
