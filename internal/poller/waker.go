package poller

import (
	"os"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Waker ends another goroutine's Wait (eventfd(2)). Any number of Wake calls
// before the loop calls Clear cost one system call and one event. What was
// published before Wake is seen after the Clear that follows.
type Waker struct {
	fd   int
	rung atomic.Bool
}

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

// Wake makes the next Wait, or the present one, return the waker's tag. It may
// be called from any goroutine, and does not block.
func (w *Waker) Wake() {
	if w.rung.Swap(true) {
		return
	}
	one := uint64(1)
	// A failed write can only mean that the counter is full: the event is pending then.
	_, _, _ = syscall.RawSyscall(unix.SYS_WRITE, uintptr(w.fd), uintptr(unsafe.Pointer(&one)), 8)
}

// Clear consumes the event. The loop calls it before it looks at what it was
// woken for, so that a Wake in between is not lost.
func (w *Waker) Clear() {
	var count uint64
	_, _, _ = syscall.RawSyscall(unix.SYS_READ, uintptr(w.fd), uintptr(unsafe.Pointer(&count)), 8) // EAGAIN: nothing was pending
	// Swap, not Store: reading what Wake wrote is what orders the two (the Go
	// memory model). A Wake from here on writes again.
	w.rung.Swap(false)
}

// Close closes the eventfd, which leaves the set by that: nobody else owns it.
func (w *Waker) Close() error { return os.NewSyscallError("close", unix.Close(w.fd)) }
