// Package fdpass passes open file descriptors between processes over Unix
// sockets (unix(7), SCM_RIGHTS).
//
// One packet carries a payload and up to [MaxFDs] descriptors; both arrive
// together or not at all. The invariant of this package: a descriptor has one
// owner at any moment, and what a receiver must not keep is closed before the
// error is returned. So a caller that gets an error from [Receiver.Receive]
// holds nothing, and a caller that gets an error from [Sender.Send] still
// holds everything.
//
// [Sender] and [Receiver] work on any connected socket, in a loop of the
// caller's. They never block, and after the first call they allocate nothing
// unless an error other than a sentinel is returned.
//
//	a, b, err := fdpass.Pair()
//	...
//	var s fdpass.Sender
//	err = s.Send(a, []byte("one socket"), []int{conn})
//	...
//	var r fdpass.Receiver
//	payload, fds := make([]byte, 64), make([]int, 8)
//	n, nfds, err := r.Receive(b, payload, fds, nil)
//
// Unrelated programs meet at a name, which is a path or an abstract name: one
// side has a [Listener], the other calls [Dial], and both get a [Conn], whose
// Send and Receive wait until a context is done. [Peer] says who is at the other
// end. [SendOne] and [ReceiveOne] are all of it in one call, for one descriptor:
//
//	fd, err := fdpass.ReceiveOne(ctx, "/run/user/1000/catch.sock") // in one program
//	...
//	err := fdpass.SendOne(ctx, "/run/user/1000/catch.sock", fd) // in another
//
// On the wire there is nothing but packets: a program in any language takes part
// with SOCK_SEQPACKET, sendmsg and recvmsg.
//
// What is too long for a payload goes along as a memfd: [Seal] makes one that nobody can
// change, and [ReadSealed] reads it, whoever has sent it; [Share] makes one for several
// processes to map.
//
// Descriptors are plain numbers here. Borrow that of an *os.File or a net.Conn
// through its SyscallConn: Fd and File can put a live socket into blocking mode.
//
// Nothing here logs, or knows what the descriptors are. The package is built
// for Linux: other systems have no SOCK_SEQPACKET Unix sockets, or no
// MSG_CMSG_CLOEXEC.
package fdpass

import (
	"errors"

	"golang.org/x/sys/unix"
)

// MaxFDs is the largest number of descriptors that the kernel takes in one
// packet (SCM_MAX_FD in the kernel's include/net/scm.h, unix(7)).
const MaxFDs = 253

// The conditions that a caller tells apart with errors.Is. Other errors are an
// *os.SyscallError, or wrap one, an errno, or the error of a context.
var (
	// ErrWouldBlock: the socket's buffer is full (Send) or empty (Receive).
	ErrWouldBlock = errors.New("fdpass: would block")
	// ErrPeerClosed: the other end is closed, and on Receive nothing is left
	// to read; or the peer sent a packet without payload, which looks the same.
	ErrPeerClosed = errors.New("fdpass: peer closed")
	// ErrTooManyRefs: too many descriptors of this user are in flight
	// (ETOOMANYREFS, unix(7)): past RLIMIT_NOFILE, counted over all of the
	// user's processes, for a sender without CAP_SYS_RESOURCE and
	// CAP_SYS_ADMIN. The socket stays writable meanwhile: try again by timer.
	ErrTooManyRefs = errors.New("fdpass: too many descriptors in flight")
	// ErrRightsTruncated: the kernel could not install every descriptor
	// (MSG_CTRUNC): the receiver is at its RLIMIT_NOFILE, or a security module
	// refused. Those not installed are gone.
	ErrRightsTruncated = errors.New("fdpass: descriptors truncated")
	// ErrPayloadTruncated: the packet was longer than the buffer (MSG_TRUNC).
	ErrPayloadTruncated = errors.New("fdpass: payload truncated")
	// ErrSurplus: more descriptors came than the payload announces, or than
	// there is room for.
	ErrSurplus = errors.New("fdpass: surplus descriptors")
	// ErrMissing: fewer descriptors came than the payload announces, and the
	// kernel did not say that it held any back.
	ErrMissing = errors.New("fdpass: missing descriptors")
	// ErrEmptyPayload: there is no payload, or no buffer for one. A packet
	// without payload could not be told from a closed peer.
	ErrEmptyPayload = errors.New("fdpass: empty payload")
	// ErrTooManyFDs: more than MaxFDs descriptors for one packet.
	ErrTooManyFDs = errors.New("fdpass: more than 253 descriptors in one packet")
)

// rights is a control message of kind SCM_RIGHTS with all that one packet can
// carry (cmsg(3)).
type rights struct {
	header unix.Cmsghdr
	fds    [MaxFDs + 1]int32 // one more than MaxFDs, for the alignment of the whole
}

// rightsHeaderLen is the length of a control message without data. On every
// Linux architecture that Go supports, the data follows the header directly.
const rightsHeaderLen = unix.SizeofCmsghdr

// CloseAll closes every descriptor in fds that is not negative, and sets each
// to -1. It takes ownership.
func CloseAll(fds []int) {
	for i, fd := range fds {
		if fd >= 0 {
			_ = unix.Close(fd) // nothing can be done about a failed close, and the number is free either way
			fds[i] = -1
		}
	}
}
