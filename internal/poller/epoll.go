//go:build linux

package poller

import (
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The conditions are epoll's own (epoll_ctl(2)), and pass through as they are. An index
// out of range says at build time that they are not.
var _ = [1]struct{}{}[(In^unix.EPOLLIN)|(Out^unix.EPOLLOUT)|(Err^unix.EPOLLERR)|(Hup^unix.EPOLLHUP)]

// Event is one ready descriptor.
type Event unix.EpollEvent

// Tag returns the tag of the last Add or Modify.
func (e *Event) Tag() uint64 { return uint64(uint32(e.Fd)) | uint64(uint32(e.Pad))<<32 }

// Ready returns the conditions that hold, of those asked for and Err and Hup.
func (e *Event) Ready() uint32 { return e.Events }

// Set is the backend for Linux: an epoll(7) set. New makes one.
type Set struct {
	fd      int
	wait    waiter
	parking *parking // owns fd after Park; nil before
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
// holds. It borrows fd: its owner calls Del before closing it (epoll(7), questions and
// answers 6). ENOSPC: see fs.epoll.max_user_watches; EPERM: a regular file.
func (s *Set) Add(fd int, conditions uint32, tag uint64) error {
	return s.control(unix.EPOLL_CTL_ADD, fd, conditions, tag)
}

// Modify changes the conditions and the tag of a descriptor in the set.
func (s *Set) Modify(fd int, conditions uint32, tag uint64) error {
	return s.control(unix.EPOLL_CTL_MOD, fd, conditions, tag)
}

// Del takes fd out of the set, and returns the borrowed descriptor.
func (s *Set) Del(fd int) error {
	return s.control(unix.EPOLL_CTL_DEL, fd, 0, 0)
}

func (s *Set) control(op, fd int, conditions uint32, tag uint64) error {
	event := unix.EpollEvent{Events: conditions, Fd: int32(uint32(tag)), Pad: int32(uint32(tag >> 32))}
	_, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(s.fd), uintptr(op), uintptr(fd),
		uintptr(unsafe.Pointer(&event)), 0, 0)
	if errno != 0 {
		return os.NewSyscallError("epoll_ctl", errno)
	}
	return nil
}

// Wait blocks until a descriptor is ready or timeout has passed, fills events, which
// has room for one at least, and returns how many. The contract has the rest.
func (s *Set) Wait(events []Event, timeout time.Duration) (int, error) {
	if s.parking != nil && timeout != 0 {
		return s.parking.wait(s, events, timeout)
	}
	n, errno := s.wait.wait(s, events, millis(timeout))
	if errno != 0 {
		return 0, os.NewSyscallError(waitCall, errno)
	}
	return n, nil
}

// Yield makes every further Wait go through the Go scheduler (or not): see waiter.
func (s *Set) Yield(on bool) { s.wait.yield = on }

// Park makes every further Wait park its goroutine. It is called before the first Wait,
// and after an error the set is good for nothing but Close.
func (s *Set) Park() (err error) {
	s.parking, err = newParking(s, s.fd, "epoll") // an epoll set is readable while it has events (epoll(7))
	return err
}

// waitCall is the system call that waits, as errors name it.
const waitCall = "epoll_pwait"

// raw waits in the kernel as C does: the thread keeps its P. An interrupted wait is EINTR.
func (s *Set) raw(events []Event, millis int) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(s.fd),
		uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), uintptr(millis), 0, 0)
	return int(n), errno
}

// scheduled is raw, with the P given up meanwhile.
func (s *Set) scheduled(events []Event, millis int) (int, syscall.Errno) {
	n, _, errno := syscall.Syscall6(unix.SYS_EPOLL_PWAIT, uintptr(s.fd),
		uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), uintptr(millis), 0, 0)
	return int(n), errno
}
