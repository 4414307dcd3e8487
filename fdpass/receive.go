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
	message unix.Msghdr
	vector  unix.Iovec
	control rights
}

// Receive takes one packet from sock, which may be in blocking mode or not:
// Receive never blocks. It fills payload and fds and returns how much of each
// it filled. The descriptors are owned by the caller and close-on-exec. At
// most len(fds) are asked for, and never more than MaxFDs.
//
// If expect is not nil, it is given the payload and returns how many
// descriptors belong to it, or an error, which Receive passes on.
//
// Errors: ErrWouldBlock, ErrPeerClosed, ErrRightsTruncated,
// ErrPayloadTruncated, ErrSurplus, ErrMissing, the error of expect, or an
// *os.SyscallError. With any of them, every descriptor that came along is
// closed; with all but the first two and the last, the packet is consumed.
func (r *Receiver) Receive(sock int, payload []byte, fds []int, expect func(payload []byte) (int, error)) (n, nfds int, err error) {
	if len(payload) == 0 {
		return 0, 0, ErrEmptyPayload
	}
	if len(fds) > MaxFDs {
		fds = fds[:MaxFDs]
	}
	n, err = r.recvmsg(sock, payload, len(fds))
	if err != nil {
		return 0, 0, err
	}
	nfds, surplus := r.collect(fds)
	err = r.check(payload[:n], nfds, surplus, expect)
	if err != nil {
		CloseAll(fds[:nfds])
		return 0, 0, err
	}
	return n, nfds, nil
}

// check judges a packet whose descriptors are collected.
func (r *Receiver) check(payload []byte, nfds int, surplus bool, expect func([]byte) (int, error)) error {
	switch {
	case r.message.Flags&unix.MSG_CTRUNC != 0:
		return ErrRightsTruncated
	case r.message.Flags&unix.MSG_TRUNC != 0:
		return ErrPayloadTruncated
	case len(payload) == 0:
		return ErrPeerClosed
	case surplus:
		return ErrSurplus
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

func (r *Receiver) recvmsg(sock int, payload []byte, maxFDs int) (int, error) {
	r.vector.Base = &payload[0]
	r.vector.SetLen(len(payload))
	r.message.Iov = &r.vector
	r.message.SetIovlen(1)
	for {
		// The exact length, not the padded one: the kernel fills any room for
		// a whole descriptor, padding too (scm_max_fds in include/net/scm.h).
		r.message.Control = (*byte)(unsafe.Pointer(&r.control))
		r.message.SetControllen(rightsHeaderLen + 4*maxFDs)
		r.message.Flags = 0
		n, _, errno := syscall.RawSyscall(unix.SYS_RECVMSG, uintptr(sock),
			uintptr(unsafe.Pointer(&r.message)), unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
		switch errno {
		case 0:
			r.vector.Base = nil // borrowed for the call only
			return int(n), nil
		case unix.EINTR:
			continue
		}
		r.vector.Base = nil
		switch errno {
		case unix.EAGAIN:
			return 0, ErrWouldBlock
		case unix.ECONNRESET, unix.ENOTCONN:
			return 0, ErrPeerClosed
		}
		return 0, os.NewSyscallError("recvmsg", errno)
	}
}

// collect moves the received descriptors into fds. Control messages of other
// kinds are passed over; descriptors beyond len(fds) are closed and reported.
func (r *Receiver) collect(fds []int) (n int, surplus bool) {
	base := unsafe.Pointer(&r.control)
	end := uintptr(r.message.Controllen)
	for at := uintptr(0); at+rightsHeaderLen <= end; {
		header := (*unix.Cmsghdr)(unsafe.Add(base, at))
		length := uintptr(header.Len)
		if length < rightsHeaderLen || at+length > end {
			break
		}
		if header.Level == unix.SOL_SOCKET && header.Type == unix.SCM_RIGHTS {
			for off := at + rightsHeaderLen; off+4 <= at+length; off += 4 {
				fd := int(*(*int32)(unsafe.Add(base, off)))
				if n == len(fds) {
					_ = unix.Close(fd) // not wanted; a failed close leaves nothing to do
					surplus = true
					continue
				}
				fds[n] = fd
				n++
			}
		}
		at += uintptr(unix.CmsgSpace(int(length) - rightsHeaderLen))
	}
	return n, surplus
}
