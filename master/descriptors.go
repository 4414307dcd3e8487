package master

import (
	"os"

	"golang.org/x/sys/unix"
)

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
