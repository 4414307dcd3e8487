package dispatch

import (
	"net/netip"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// acceptOne takes one connection from a listening socket without blocking or
// allocating, and returns it non-blocking and close-on-exec, owned by the
// caller, with the client's address. peer is scratch space.
func acceptOne(listener int, peer *unix.RawSockaddrAny) (fd int, addr netip.AddrPort, errno syscall.Errno) {
	for {
		size := uint32(unix.SizeofSockaddrAny)
		n, _, errno := syscall.RawSyscall6(unix.SYS_ACCEPT4, uintptr(listener), uintptr(unsafe.Pointer(peer)),
			uintptr(unsafe.Pointer(&size)), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
		switch errno {
		case 0:
			return int(n), peerAddr(peer), 0
		case unix.EINTR:
			continue
		}
		return -1, netip.AddrPort{}, errno
	}
}

// peerAddr reads what the kernel wrote. An IPv4 client of a dual-stack
// listener comes as ::ffff:a.b.c.d and is given its IPv4 address.
func peerAddr(peer *unix.RawSockaddrAny) netip.AddrPort {
	switch peer.Addr.Family {
	case unix.AF_INET:
		in := (*unix.RawSockaddrInet4)(unsafe.Pointer(peer))
		return netip.AddrPortFrom(netip.AddrFrom4(in.Addr), bigEndian(&in.Port))
	case unix.AF_INET6:
		in := (*unix.RawSockaddrInet6)(unsafe.Pointer(peer))
		addr := netip.AddrFrom16(in.Addr).Unmap()
		if in.Scope_id != 0 && addr.Is6() {
			addr = addr.WithZone(strconv.FormatUint(uint64(in.Scope_id), 10))
		}
		return netip.AddrPortFrom(addr, bigEndian(&in.Port))
	}
	return netip.AddrPort{}
}

func bigEndian(port *uint16) uint16 {
	b := (*[2]byte)(unsafe.Pointer(port))
	return uint16(b[0])<<8 | uint16(b[1])
}

// verdict is what an error of accept4(2) means for the accept loop.
type verdict int

const (
	acceptEmpty verdict = iota // nothing to accept: wait
	acceptNext                 // that one connection is gone: try the next
	acceptPause                // out of something: keep serving, try again later
)

// ExpectedFailures are the keys in Meters.Failed that a server may well come to have, the
// names of what accept(2) is out of. There may be others.
func ExpectedFailures() (names []string) {
	for _, errno := range []syscall.Errno{unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM} {
		names = append(names, unix.ErrnoName(errno))
	}
	return names
}

// classify classifies as accept(2) advises: errors of the network that were
// pending on the new connection are passed over; lack of resources, and what
// no one has thought of, is waited out. None ends serving.
func classify(errno syscall.Errno) verdict {
	switch errno {
	case unix.EAGAIN:
		return acceptEmpty
	case unix.ECONNABORTED, unix.EPERM, unix.EPROTO, unix.ENETDOWN, unix.ENOPROTOOPT, unix.EHOSTDOWN,
		unix.ENONET, unix.EHOSTUNREACH, unix.EOPNOTSUPP, unix.ENETUNREACH, unix.ETIMEDOUT:
		return acceptNext
	}
	return acceptPause
}
