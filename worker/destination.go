package worker

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Destination is where a connection is to go. Either Remote or Path is set.
type Destination struct {
	// Remote is the address of a TCP server. The zone of a scoped one is the
	// number of its interface, as in fe80::1%2: names are not looked up.
	Remote netip.AddrPort
	Path   string // of a Unix stream socket
	// Local is the address to dial a TCP server from; the zero Addr leaves it to
	// the kernel. Connections from one address to one server are as many as there
	// are ports in net.ipv4.ip_local_port_range, 28,232 by default.
	Local netip.Addr
	// Timeout is how long connecting may take, with the precision of all
	// timeouts of this package; 0 leaves it to the kernel: two minutes for TCP
	// (net.ipv4.tcp_syn_retries), without end for a Unix socket whose server does
	// not accept.
	Timeout time.Duration
}

// String returns the address, or the path, for logs and errors.
func (to Destination) String() string {
	if to.Path != "" {
		return to.Path
	}
	return to.Remote.String()
}

// errDestination: neither of the two is set, or both are.
var errDestination = errors.New("want either a remote address or a path")

// socket returns an owned socket for the destination, bound to Local if that is set.
func (to Destination) socket() (fd int, err error) {
	if to.Remote.IsValid() == (to.Path != "") {
		return -1, errDestination
	}
	family := unix.AF_INET
	switch {
	case to.Path != "":
		family = unix.AF_UNIX
	case to.Remote.Addr().Is6() && !to.Remote.Addr().Is4In6():
		family = unix.AF_INET6
	}
	fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	if family != unix.AF_UNIX {
		if err := to.prepare(fd); err != nil {
			_ = unix.Close(fd) // nothing was written
			return -1, err
		}
	}
	return fd, nil
}

// prepare sets up a TCP socket.
func (to Destination) prepare(fd int) error {
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	if !to.Local.IsValid() {
		return nil
	}
	// The port is chosen by connect(2), which knows the remote address: else each
	// would be used once for all servers (ip(7)).
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	return os.NewSyscallError("bind", unix.Bind(fd, sockaddr(netip.AddrPortFrom(to.Local, 0))))
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	addr := a.Addr().Unmap()
	if addr.Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: addr.As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: addr.As16(), ZoneId: zone(addr)}
}

// dialError adds the destination, and what to do about it.
func dialError(to Destination, err error) error {
	advice := ""
	switch {
	case errors.Is(err, unix.EADDRNOTAVAIL) && to.Local.IsValid() || errors.Is(err, unix.EADDRNOTAVAIL) && to.Remote.Addr().IsLoopback():
		advice = "; out of ports for this pair of addresses, or no such local address: dial from several, or widen net.ipv4.ip_local_port_range"
	case errors.Is(err, unix.EMFILE):
		advice = "; raise the limit of descriptors (ulimit -n), or use more processes"
	}
	return fmt.Errorf("worker: dial %v: %w%s", to, err, advice)
}

// zone returns the interface's number of a scoped address, by which only
// numbers are understood; 0: none.
func zone(a netip.Addr) uint32 {
	n, err := strconv.ParseUint(a.Zone(), 10, 32)
	if err != nil {
		return 0
	}
	return uint32(n)
}
