package epoll

import (
	"os"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Waker ends another goroutine's Wait (eventfd(2)). Any number of Wake calls
// before the loop calls Clear cost one system call and one event.
type Waker struct {
	fd     int
	rung   atomic.Bool
	buffer [8]byte // Clear's, the loop goroutine's alone
}

var one = [8]byte{0: 1, 7: 1} // not zero in either byte order, and far below the counter's limit

// NewWaker adds a waker to set under tag. The caller closes it after the last
// possible Wake.
func NewWaker(set *Set, tag uint64) (*Waker, error) {
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("eventfd", err)
	}
	if err := set.Add(fd, In, tag); err != nil {
		_ = unix.Close(fd) // the error of Add is the one to report
		return nil, err
	}
	return &Waker{fd: fd}, nil
}

// Wake may be called from any goroutine; it does not block.
func (w *Waker) Wake() {
	if w.rung.Swap(true) {
		return
	}
	// A failed write can only mean that the counter is full: the event is pending then.
	_, _, _ = syscall.RawSyscall(unix.SYS_WRITE, uintptr(w.fd), uintptr(unsafe.Pointer(&one[0])), 8)
}

// Clear consumes the event. The loop calls it before it looks at what it was
// woken for, so that a Wake in between is not lost.
func (w *Waker) Clear() {
	_, _, _ = syscall.RawSyscall(unix.SYS_READ, uintptr(w.fd), uintptr(unsafe.Pointer(&w.buffer[0])), 8) // EAGAIN: nothing was pending
	w.rung.Store(false)
}

// Close closes the eventfd.
func (w *Waker) Close() error { return unix.Close(w.fd) }
