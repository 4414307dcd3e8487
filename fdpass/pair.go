package fdpass

import (
	"os"

	"golang.org/x/sys/unix"
)

// Pair returns the two ends of a connected SOCK_SEQPACKET pair, both
// non-blocking and close-on-exec. It returns owned descriptors: the caller
// closes both.
func Pair() (a, b int, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, -1, os.NewSyscallError("socketpair", err)
	}
	return fds[0], fds[1], nil
}
