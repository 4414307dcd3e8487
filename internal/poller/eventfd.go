//go:build linux

package poller

import (
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// bell is what a Waker rings, on Linux: an eventfd(2), owned. It is readable from ring
// to clear.
type bell int

// newBell returns an owned descriptor.
func newBell() (bell, error) {
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return -1, os.NewSyscallError("eventfd", err)
	}
	return bell(fd), nil
}

func (b bell) fd() int { return int(b) }

// ring may be called from any goroutine. It does not block.
func (b bell) ring() {
	one := uint64(1)
	// A failed write can only mean that the counter is full: the event is pending then.
	_, _, _ = syscall.RawSyscall(unix.SYS_WRITE, uintptr(b), uintptr(unsafe.Pointer(&one)), 8)
}

// clear has the bell readable no more, until it rings again. It does not block.
func (b bell) clear() {
	var count uint64
	_, _, _ = syscall.RawSyscall(unix.SYS_READ, uintptr(b), uintptr(unsafe.Pointer(&count)), 8) // EAGAIN: nothing was pending
}

func (b bell) close() error { return os.NewSyscallError("close", unix.Close(int(b))) }
