package fdpass

import (
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Receiver holds the buffers of recvmsg(2), so that receiving allocates
// nothing. The zero value is ready to use. It is for one goroutine at a time,
// and may serve any number of sockets.
type Receiver struct {
	// Discard, if not nil, is given the descriptors that came along with what
	// Receive returns an error for, instead of their being closed. It takes
	// ownership of them; the slice is borrowed. It is for who cannot wait: close(2)
	// of what another process has chosen may block, as with a socket that has
	// SO_LINGER (socket(7)).
	Discard func(fds []int)

	message unix.Msghdr
	vector  unix.Iovec
	control controlBuffer
}

// controlBuffer is what the kernel writes control messages into. It always has room
// for the most rights that a packet can carry, so that the kernel cuts them short for
// one reason only; and room for other control messages, which the receiving
// socket's own options call for (SO_PASSCRED, SO_PASSPIDFD, SO_PASSSEC,
// SO_TIMESTAMP), and some of which the kernel puts before the rights. Another
// process that shares the socket may have set them.
type controlBuffer struct {
	rights rights
	other  [64]uint64
}

// Receive takes one packet from sock, which may be in blocking mode or not:
// Receive never blocks, but for the closes below (see Discard). It fills payload and
// fds and returns how much of each it filled. The descriptors are owned by the caller
// and close-on-exec.
//
// If expect is not nil, it is given the payload and returns how many
// descriptors belong to it, or an error, which Receive passes on.
//
// With ErrWouldBlock, ErrEmptyPayload or an *os.SyscallError no packet was
// taken. With ErrPeerClosed there is none. With ErrRightsTruncated,
// ErrPayloadTruncated, ErrSurplus, ErrMissing or an error of expect the packet
// is consumed, and every descriptor that came along is closed, or discarded.
func (r *Receiver) Receive(sock int, payload []byte, fds []int, expect func(payload []byte) (int, error)) (n, nfds int, err error) {
	if len(payload) == 0 {
		return 0, 0, ErrEmptyPayload
	}
	n, err = r.recvmsg(sock, payload)
	if err != nil {
		return 0, 0, err
	}
	nfds, surplus := r.collect(fds)
	err = r.check(payload[:n], nfds, surplus, expect)
	if err != nil {
		r.Drop(fds[:nfds])
		return 0, 0, err
	}
	return n, nfds, nil
}

// Drop closes descriptors, or gives them to Discard: those of an error, and any that the
// caller finds of no use afterwards. It takes ownership of them; the slice is borrowed.
func (r *Receiver) Drop(fds []int) {
	switch {
	case len(fds) == 0:
	case r.Discard == nil:
		CloseAll(fds)
	default:
		r.Discard(fds)
	}
}

// check returns what is wrong with a packet whose descriptors are collected, or nil.
func (r *Receiver) check(payload []byte, nfds int, surplus bool, expect func([]byte) (int, error)) error {
	switch {
	case len(payload) == 0:
		return ErrPeerClosed
	case surplus:
		return ErrSurplus
	case r.message.Flags&unix.MSG_CTRUNC != 0:
		return ErrRightsTruncated
	case r.message.Flags&unix.MSG_TRUNC != 0:
		return ErrPayloadTruncated
	case expect == nil:
		return nil
	}
	want, err := expect(payload)
	switch {
	case err != nil:
		return err
	case nfds > want:
		return ErrSurplus
	case nfds < want:
		return ErrMissing
	}
	return nil
}

func (r *Receiver) recvmsg(sock int, payload []byte) (int, error) {
	r.vector.Base = &payload[0]
	r.vector.SetLen(len(payload))
	defer func() { r.vector.Base = nil }() // borrowed for the call only
	r.message.Iov = &r.vector
	r.message.SetIovlen(1)
	r.message.Control = (*byte)(unsafe.Pointer(&r.control))
	for {
		r.message.SetControllen(int(unsafe.Sizeof(r.control))) // the kernel overwrites it
		n, _, errno := syscall.RawSyscall(unix.SYS_RECVMSG, uintptr(sock),
			uintptr(unsafe.Pointer(&r.message)), unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		case unix.ECONNRESET:
			// The peer closed with packets of ours unread. The kernel says so
			// once, and before what the peer sent: that is still to be read,
			// and then comes the end.
		case unix.EAGAIN:
			return 0, ErrWouldBlock
		case unix.ENOTCONN:
			return 0, ErrPeerClosed
		default:
			return 0, os.NewSyscallError("recvmsg", errno)
		}
	}
}

// collect moves the received descriptors into fds; those beyond len(fds) are
// discarded and reported. Of other control messages nothing is kept.
func (r *Receiver) collect(fds []int) (n int, surplus bool) {
	base := unsafe.Pointer(&r.control)
	end := uintptr(r.message.Controllen)
	for at := uintptr(0); at+rightsHeaderLen <= end; {
		header := (*unix.Cmsghdr)(unsafe.Add(base, at))
		length := uintptr(header.Len)
		if length < rightsHeaderLen || length > end-at {
			break
		}
		data := unsafe.Slice((*int32)(unsafe.Add(base, at+rightsHeaderLen)), (length-rightsHeaderLen)/4)
		switch {
		case header.Level != unix.SOL_SOCKET:
		case header.Type == unix.SCM_PIDFD:
			closePidfds(data) // SO_PASSPIDFD: a descriptor that nobody here asked for (Linux 6.5)
		case header.Type == unix.SCM_RIGHTS:
			taken := min(len(data), len(fds)-n)
			for i, fd := range data[:taken] {
				fds[n+i] = int(fd)
			}
			n += taken
			r.Drop(widened(data[taken:]))
			surplus = surplus || taken < len(data)
		}
		at += uintptr(unix.CmsgSpace(int(length) - rightsHeaderLen))
	}
	return n, surplus
}

// widened returns the descriptors as ints.
func widened(data []int32) (fds []int) {
	for _, fd := range data {
		fds = append(fds, int(fd))
	}
	return fds
}

// closePidfds closes pidfds.
func closePidfds(fds []int32) {
	for _, fd := range fds {
		if fd >= 0 { // in its place there may be an error number
			_ = unix.Close(int(fd)) // a failed close leaves nothing to do
		}
	}
}
