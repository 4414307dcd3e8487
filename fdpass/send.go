package fdpass

import (
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Sender holds the buffers of sendmsg(2), so that sending allocates nothing.
// The zero value is ready to use. It is for one goroutine at a time, and may
// serve any number of sockets.
type Sender struct {
	message unix.Msghdr
	vector  unix.Iovec
	control rights
}

// Send sends payload and fds as one packet on sock, which may be in blocking
// mode or not: Send never blocks. It borrows everything for the call; after a
// nil return the kernel holds a reference of its own to each descriptor, and
// the caller closes its copies when it likes. After an error nothing was sent.
//
// Errors: ErrWouldBlock, ErrPeerClosed, ErrTooManyRefs, ErrEmptyPayload,
// ErrTooManyFDs, or an *os.SyscallError: EBADF for a descriptor that is not
// open, EMSGSIZE for a payload beyond the socket's buffer, EPERM when the other
// end refuses descriptors (SO_PASSRIGHTS, Linux 6.16).
func (s *Sender) Send(sock int, payload []byte, fds []int) error {
	if len(payload) == 0 {
		return ErrEmptyPayload
	}
	if len(fds) > MaxFDs {
		return ErrTooManyFDs
	}
	s.vector.Base = &payload[0]
	s.vector.SetLen(len(payload))
	s.message.Iov = &s.vector
	s.message.SetIovlen(1)
	s.message.Control = nil
	s.message.SetControllen(0)
	if len(fds) > 0 {
		s.control.header.Level = unix.SOL_SOCKET
		s.control.header.Type = unix.SCM_RIGHTS
		s.control.header.SetLen(rightsHeaderLen + 4*len(fds))
		for i, fd := range fds {
			s.control.fds[i] = int32(fd)
		}
		s.message.Control = (*byte)(unsafe.Pointer(&s.control))
		s.message.SetControllen(rightsHeaderLen + 4*len(fds))
	}
	errno := s.sendmsg(sock)
	s.vector.Base = nil // borrowed for the call only
	switch errno {
	case 0:
		return nil
	case unix.EAGAIN:
		return ErrWouldBlock
	case unix.EPIPE, unix.ECONNRESET, unix.ECONNREFUSED, unix.ENOTCONN:
		return ErrPeerClosed // which of them depends on what was unread, and on the kernel's version
	case unix.ETOOMANYREFS:
		return ErrTooManyRefs
	}
	return os.NewSyscallError("sendmsg", errno)
}

func (s *Sender) sendmsg(sock int) syscall.Errno {
	for {
		_, _, errno := syscall.RawSyscall(unix.SYS_SENDMSG, uintptr(sock),
			uintptr(unsafe.Pointer(&s.message)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		if errno != unix.EINTR {
			return errno
		}
	}
}
