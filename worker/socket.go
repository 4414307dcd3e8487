package worker

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The loop's system calls for input and output; they borrow the descriptor. They are
// raw: the descriptors are non-blocking, so Go's scheduler need not know. And they are
// recv(2) and send(2), since read(2) and write(2) do first what any file needs, and then
// the same: that is 3 % of a small echo.

// recv is recv(2), and counts what came. It returns 0 and no error at the end of the input.
func (c *Conn) recv(b []byte) (int, syscall.Errno) {
	for {
		n, _, errno := rawRecv(c.fd, b)
		switch errno {
		case 0:
			c.loop.meter.read(n)
			return int(n), 0
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

// sendv is sendmsg(2) of two pieces, or send(2) when one will do, and counts what was sent.
// Nothing is sent of two empty ones.
func (c *Conn) sendv(first, second []byte) (int, syscall.Errno) {
	if len(first) == 0 {
		first, second = second, nil
	}
	if len(first) == 0 {
		return 0, 0
	}
	for {
		var n uintptr
		var errno syscall.Errno
		if len(second) == 0 {
			n, _, errno = rawSend(c.fd, first, sendFlags)
		} else {
			n, _, errno = rawSendTwo(c.fd, first, second)
		}
		switch errno {
		case 0:
			c.loop.meter.sent(n)
			return int(n), 0
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

// sendMore is send(2) of b, which is not empty, with more to come at once: the kernel may
// keep a last part that fills no segment until then, for 200 ms at most (tcp(7), MSG_MORE).
func (c *Conn) sendMore(b []byte) (int, syscall.Errno) {
	for {
		n, _, errno := rawSend(c.fd, b, sendFlags|unix.MSG_MORE)
		switch errno {
		case 0:
			c.loop.meter.sent(n)
			return int(n), 0
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

func rawRecv(fd int32, b []byte) (n, _ uintptr, errno syscall.Errno) {
	return syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), 0, 0, 0)
}

// sendFlags have a peer that is gone be an error, and not a signal too.
const sendFlags = unix.MSG_NOSIGNAL

func rawSend(fd int32, b []byte, flags uintptr) (n, _ uintptr, errno syscall.Errno) {
	return syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), flags, 0, 0)
}

func rawSendTwo(fd int32, first, second []byte) (n, _ uintptr, errno syscall.Errno) {
	pieces := [2]unix.Iovec{{Base: &first[0]}, {Base: &second[0]}}
	pieces[0].SetLen(len(first))
	pieces[1].SetLen(len(second))
	message := unix.Msghdr{Iov: &pieces[0]}
	message.SetIovlen(len(pieces))
	return syscall.RawSyscall(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(&message)), sendFlags)
}
