package master

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// listener is a bound, listening, non-blocking socket.
type listener struct {
	name  string
	addr  netip.AddrPort // as bound: the real port
	fd    int            // owned
	watch bool           // in the accept loop's epoll set
}

// listen binds address. What connections inherit from their listener is set
// here, once: TCP_NODELAY and keepalive (tcp(7)).
func listen(address Address) (*listener, error) {
	l, err := bind(address)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", address, explain(err))
	}
	return l, nil
}

func (a Address) String() string {
	return net.JoinHostPort(a.Host, strconv.Itoa(int(a.Port)))
}

// explain adds to a refusal of the kernel what an operator can do about it.
func explain(err error) error {
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return fmt.Errorf("%w; stop the program that listens there, or choose another address with --listen", err)
	case errors.Is(err, unix.EACCES):
		return fmt.Errorf("%w; ports below 1024 need root or CAP_NET_BIND_SERVICE, others do not", err)
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return fmt.Errorf("%w; this machine has no such address", err)
	}
	return err
}

func bind(address Address) (*listener, error) {
	addr, dual, err := address.resolve()
	if err != nil {
		return nil, err
	}
	fd, err := bindTCP(addr, dual)
	if dual && errors.Is(err, unix.EAFNOSUPPORT) { // a machine without IPv6
		fd, err = bindTCP(netip.AddrPortFrom(netip.IPv4Unspecified(), addr.Port()), false)
	}
	if err != nil {
		return nil, err
	}
	bound, err := localAddr(fd)
	if err != nil {
		_ = unix.Close(fd) // the first error is the one to report
		return nil, err
	}
	return &listener{name: address.Name, addr: bound, fd: fd}, nil
}

// bindTCP returns an owned, listening socket.
func bindTCP(addr netip.AddrPort, dual bool) (int, error) {
	family := unix.AF_INET6
	if addr.Addr().Is4() {
		family = unix.AF_INET
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	if err := configure(fd, addr, dual); err != nil {
		_ = unix.Close(fd) // the first error is the one to report
		return -1, err
	}
	return fd, nil
}

func configure(fd int, addr netip.AddrPort, dual bool) error {
	options := []struct{ level, name, value int }{
		// Bind although connections of a predecessor are in TIME_WAIT
		// (socket(7)); a live listener is still refused.
		{unix.SOL_SOCKET, unix.SO_REUSEADDR, 1},
		{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
	}
	if addr.Addr().Is6() {
		only := 1
		if dual {
			only = 0
		}
		options = append(options, struct{ level, name, value int }{unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, only})
	}
	for _, o := range options {
		if err := unix.SetsockoptInt(fd, o.level, o.name, o.value); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	if err := unix.Bind(fd, sockaddr(addr)); err != nil {
		return os.NewSyscallError("bind", err)
	}
	return os.NewSyscallError("listen", unix.Listen(fd, backlog()))
}

// backlog is the longest that the kernel allows (listen(2) cuts larger values).
func backlog() int { return 1<<31 - 1 }

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

func localAddr(fd int) (netip.AddrPort, error) {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return netip.AddrPort{}, os.NewSyscallError("getsockname", err)
	}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)), nil
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port)), nil
	}
	return netip.AddrPort{}, fmt.Errorf("unexpected address family")
}

func closeListeners(listeners []*listener) {
	for _, l := range listeners {
		_ = unix.Close(l.fd) // a listener has nothing to flush
	}
}

func describe(listeners []*listener) (status []ListenerStatus) {
	for _, l := range listeners {
		status = append(status, ListenerStatus{Name: l.name, Address: l.addr.String()})
	}
	return status
}
