package listen

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// openTCP returns the listener of one TCP address, which has so many sockets.
func openTCP(address Resolved, sockets int) (*Listener, error) {
	addr, dual := address.bind, address.dual
	if !addr.IsValid() {
		return nil, errNotResolved
	}
	fd, err := bindTCP(addr, dual)
	if dual && errors.Is(err, unix.EAFNOSUPPORT) { // a machine without IPv6
		fd, err = bindTCP(netip.AddrPortFrom(netip.IPv4Unspecified(), addr.Port()), false)
	}
	if err != nil {
		return nil, err
	}
	l, err := startListening(fd)
	if err != nil {
		return nil, err
	}
	if err := l.multiply(sockets-1, dual); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// errNotResolved: Resolve did not look up the name, since it is in force; but no listener
// of that name is left to be kept.
var errNotResolved = errors.New("its name was not looked up")

// multiply makes more sockets at the listener's address, one SO_REUSEPORT group.
// The first was bound without SO_REUSEPORT, so that bind(2) failed if another program
// listened there (socket(7)). It is given the option now, since the kernel lets the next
// one in only if both have it.
func (l *Listener) multiply(more int, dual bool) error {
	if more < 1 {
		return nil
	}
	share := []socketOption{{unix.SOL_SOCKET, unix.SO_REUSEPORT, 1}}
	if err := setOptions(l.FD, share); err != nil {
		return err
	}
	for range more {
		fd, err := bindTCP(l.Bound, dual, share...)
		if err != nil {
			return err
		}
		other, err := startListening(fd)
		if err != nil {
			return err
		}
		l.More = append(l.More, other.FD)
	}
	return nil
}

// bindTCP returns an owned, bound socket.
func bindTCP(addr netip.AddrPort, dual bool, more ...socketOption) (int, error) {
	family := unix.AF_INET6
	if addr.Addr().Is4() {
		family = unix.AF_INET
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	err = configureTCP(fd, addr, dual, more...)
	if err == nil {
		err = os.NewSyscallError("bind", unix.Bind(fd, sockaddr(addr)))
	}
	if err != nil {
		_ = unix.Close(fd) // the first error is the one to report
		return -1, err
	}
	return fd, nil
}

// socketOption is one call of setsockopt(2).
type socketOption struct{ level, name, value int }

// inheritedOptions are what accepted connections inherit from their listener
// (tcp(7)): set here, once, and not for each.
var inheritedOptions = []socketOption{
	{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
	{unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
}

func configureTCP(fd int, addr netip.AddrPort, dual bool, more ...socketOption) error {
	// SO_REUSEADDR: bind although connections of a predecessor are in
	// TIME_WAIT (socket(7)); a live listener is still refused.
	options := append([]socketOption{{unix.SOL_SOCKET, unix.SO_REUSEADDR, 1}}, inheritedOptions...)
	if addr.Addr().Is6() {
		only := socketOption{unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1}
		if dual {
			only.value = 0
		}
		options = append(options, only)
	}
	return setOptions(fd, append(options, more...))
}

func setOptions(fd int, options []socketOption) error {
	for _, o := range options {
		if err := unix.SetsockoptInt(fd, o.level, o.name, o.value); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	return nil
}

func sockaddr(addr netip.AddrPort) unix.Sockaddr {
	if addr.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}
	}
	sa := &unix.SockaddrInet6{Port: int(addr.Port()), Addr: addr.Addr().As16()}
	if zone := addr.Addr().Zone(); zone != "" {
		if ifi, err := net.InterfaceByName(zone); err == nil {
			sa.ZoneId = uint32(ifi.Index)
		} else if index, err := strconv.ParseUint(zone, 10, 32); err == nil {
			sa.ZoneId = uint32(index)
		}
	}
	return sa
}
