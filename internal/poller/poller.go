// Package poller is the readiness loop's only view of the kernel, shared by the
// master's accept loop and the worker's loop: a level-triggered epoll set
// (epoll(7)) with the wait that makes a Go loop cost what a C loop costs.
//
// Contract:
//
//   - An event carries the tag given at Add, never a bare descriptor number:
//     numbers are reused, and events for a dead one arrive late. The caller
//     puts an index and a generation into the tag and ignores stale ones.
//   - Del comes before every close of a descriptor that was passed between
//     processes. Another owner may still hold the same open file, and then
//     close alone leaves it in the set, reporting events for ever (epoll(7),
//     questions and answers 6).
//   - One goroutine, locked to its thread unless it parks, calls Wait. Only Waker.Wake may be
//     called from others.
package poller

import (
	"math"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// The readiness conditions that callers ask for and get, as in epoll_ctl(2).
// Err and Hup are reported whether asked for or not.
const (
	In    = unix.EPOLLIN
	Out   = unix.EPOLLOUT
	Err   = unix.EPOLLERR
	Hup   = unix.EPOLLHUP
	RdHup = unix.EPOLLRDHUP
)

// Event is one ready descriptor.
type Event unix.EpollEvent

// Tag returns what Add was given.
func (e *Event) Tag() uint64 { return uint64(uint32(e.Fd)) | uint64(uint32(e.Pad))<<32 }

// Ready returns the conditions that hold.
func (e *Event) Ready() uint32 { return e.Events }

// Set is an epoll set.
type Set struct {
	fd      int
	wait    waiter
	parking *parking // nil without Park
}

// New returns an empty, close-on-exec set. The caller closes it.
func New() (*Set, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	return &Set{fd: fd}, nil
}

// Close closes the set; the descriptors in it stay open.
func (s *Set) Close() error {
	if s.parking != nil {
		return s.parking.file.Close()
	}
	return os.NewSyscallError("close", unix.Close(s.fd))
}

// Add puts fd into the set, to be reported with tag while any of the conditions
// holds (level-triggered). It borrows fd: its owner calls Del before closing it.
func (s *Set) Add(fd int, conditions uint32, tag uint64) error {
	return s.control(unix.EPOLL_CTL_ADD, fd, conditions, tag)
}

// Modify changes the conditions and the tag of a descriptor in the set.
func (s *Set) Modify(fd int, conditions uint32, tag uint64) error {
	return s.control(unix.EPOLL_CTL_MOD, fd, conditions, tag)
}

// Del takes fd out of the set.
func (s *Set) Del(fd int) error {
	return s.control(unix.EPOLL_CTL_DEL, fd, 0, 0)
}

func (s *Set) control(op, fd int, conditions uint32, tag uint64) error {
	event := unix.EpollEvent{Events: conditions, Fd: int32(uint32(tag)), Pad: int32(uint32(tag >> 32))}
	if errno := epollCtl(s.fd, op, fd, &event); errno != 0 {
		return os.NewSyscallError("epoll_ctl", errno)
	}
	return nil
}

// Wait blocks until a descriptor is ready or timeout has passed, and fills
// events, which has room for one at least; it returns how many. A negative
// timeout waits without limit, zero does not wait, a positive one is rounded up
// to a millisecond. With a positive one it may return early with nothing;
// without limit, never.
func (s *Set) Wait(events []Event, timeout time.Duration) (int, error) {
	if s.parking != nil && timeout != 0 {
		return s.parking.wait(s.fd, events, timeout)
	}
	n, errno := s.wait.wait(s.fd, events, millis(timeout))
	if errno != 0 {
		return 0, os.NewSyscallError("epoll_pwait", errno)
	}
	return n, nil
}

// millis rounds up, so that a timer is not found unexpired and waited for
// again. The kernel takes an int of 32 bits; what is cut off of a longer wait is
// an early return.
func millis(timeout time.Duration) int {
	if timeout < 0 {
		return -1
	}
	whole := timeout / time.Millisecond
	if timeout%time.Millisecond > 0 {
		whole++
	}
	return int(min(whole, math.MaxInt32))
}

// Yield makes every further Wait go through the Go scheduler (or not), for a
// process with other goroutines that must run at once: see waiter. Only the
// goroutine that calls Wait calls it.
func (s *Set) Yield(on bool) { s.wait.yield = on }
