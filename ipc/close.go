package ipc

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// closeConns closes every descriptor that is not negative, of connections and
// memfds, and sets each to -1.
//
// Whoever has a duplicate of a socket can set SO_LINGER on it, and close it first:
// the worker that a connection was just sent to, for one. Then this close is the
// last, and would wait until the client has read everything, or for as long as was
// set (socket(7)). A raw system call keeps the thread's P, and the runtime's
// monitor signals a thread that has kept it for 10 ms (as package poller has it),
// which ends the wait: the kernel goes on to send what is left by itself. That
// costs nothing where nobody lingers.
func closeConns(fds []int) {
	for i, fd := range fds {
		if fd >= 0 {
			_, _, _ = syscall.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0) // nothing can be done about a failed close
			fds[i] = -1
		}
	}
}
