package fdpass

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Peer is who is at the other end of a socket, by the kernel's word
// (SO_PEERCRED, unix(7)), as it was at one moment: for the accepting side, when
// the peer called connect(2); for the connecting side, when the peer called
// listen(2); for a pair, when it was made.
//
// UID and GID are worth deciding by: nobody can forge them. They are the
// effective ones of that moment, seen from this user namespace (one that has no
// name here is 65534), and they stay when the peer drops privileges, runs
// another program, or gives its end away: they name who opened the connection,
// not who reads and writes it.
//
// PID is worth printing, and little more: the process may be gone and the
// number another's, and it is 0 for a process that this pid namespace does not
// see. To signal or watch a peer, get a pidfd (SO_PEERPIDFD, Linux 6.5).
type Peer struct {
	PID int
	UID int
	GID int
}

// PeerOf returns the peer of a connected Unix socket of any type but an
// unconnected datagram's. It borrows sock for the call and does not block. The
// error is an *os.SyscallError: ENOTCONN for a socket without a peer, ENOTSOCK
// or EBADF for what is none.
func PeerOf(sock int) (Peer, error) {
	credentials, err := unix.GetsockoptUcred(sock, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err == nil && credentials.Uid == ^uint32(0) {
		err = unix.ENOTCONN // the kernel leaves it at that: no user has this uid
	}
	if err != nil {
		return Peer{}, fmt.Errorf("fdpass: peer: %w", os.NewSyscallError("getsockopt", err))
	}
	return Peer{PID: int(credentials.Pid), UID: int(credentials.Uid), GID: int(credentials.Gid)}, nil
}
