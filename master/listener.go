package master

import (
	"errors"
	"fmt"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// listener is a bound, listening, non-blocking, close-on-exec socket.
type listener struct {
	from    Address
	name    string
	address string         // as shown: with the real port
	addr    netip.AddrPort // as bound; invalid for a Unix socket
	fd      int            // owned
	more    []int          // owned: further sockets at the same address, for greeters
	file    *socketFile    // to be removed at the end; nil: none
	watch   bool           // in the accept loop's epoll set
}

func (l *listener) close() {
	for _, fd := range l.sockets() {
		_ = unix.Close(fd) // a listener has nothing to flush
	}
	l.file.remove()
}

// sockets returns all that listen.
func (l *listener) sockets() []int { return append([]int{l.fd}, l.more...) }

func closeListeners(listeners []*listener) {
	for _, l := range listeners {
		l.close()
	}
}

// listenAll binds every address, or none, TCP addresses with a socket for each
// acceptor. What systemd passes is taken from inherited. held are those that this
// server has already.
func listenAll(addresses []resolved, acceptors int, inherited *inheritance, held ...*listener) (listeners []*listener, err error) {
	for _, address := range addresses {
		bound, err := listen(address, acceptors, inherited)
		if err != nil {
			if errors.Is(err, unix.EADDRINUSE) {
				err = address.explainOverlap(err, held, listeners)
			} else {
				err = explain(err, address.Network)
			}
			closeListeners(listeners)
			return nil, fmt.Errorf("listen on %s: %w", address.Address, err)
		}
		listeners = append(listeners, bound...)
	}
	return listeners, nil
}

// listen returns the listeners of one address: one, or for localhost one of each
// family, or what systemd passes.
func listen(address resolved, acceptors int, inherited *inheritance) ([]*listener, error) {
	var listeners []*listener
	var err error
	switch {
	case address.Network == "systemd":
		return inherited.take(address.Address)
	case address.Network == "unix":
		listeners = make([]*listener, 1)
		listeners[0], err = listenUnix(address.Address)
	case address.also.IsValid():
		listeners, err = listenBoth(address, acceptors)
	default:
		listeners = make([]*listener, 1)
		listeners[0], err = listenTCP(address, acceptors)
	}
	if err != nil {
		return nil, err
	}
	for _, l := range listeners {
		l.from, l.name = address.Address, address.Name
	}
	return listeners, nil
}

// explain adds to a refusal of the kernel what an operator can do about it.
func explain(err error, network string) error {
	switch {
	case errors.Is(err, unix.EACCES) && network != "unix": // whose folder is named already
		return fmt.Errorf("%w; ports below 1024 need root or CAP_NET_BIND_SERVICE", err)
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return fmt.Errorf("%w; this machine has no such address", err)
	}
	return err
}

// startListening makes a bound socket listen, and describes it. It takes
// ownership of fd, even on error.
func startListening(fd int) (*listener, error) {
	l, err := describeSocket(fd)
	if err == nil {
		err = os.NewSyscallError("listen", unix.Listen(fd, backlogOr(0)))
	}
	if err != nil {
		_ = unix.Close(fd) // the first error is the one to report
		return nil, err
	}
	return l, nil
}

// describeSocket asks the kernel where a socket is bound. It borrows fd.
func describeSocket(fd int) (*listener, error) {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return nil, os.NewSyscallError("getsockname", err)
	}
	l := &listener{fd: fd}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		l.addr = netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
		l.address = l.addr.String()
	case *unix.SockaddrInet6:
		l.addr = netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port))
		l.address = l.addr.String()
	case *unix.SockaddrUnix:
		l.address = "unix://" + sa.Name
	default:
		return nil, errors.New("neither a TCP nor a Unix socket")
	}
	return l, nil
}

func describe(listeners []*listener) (status []ListenerStatus) {
	for _, l := range listeners {
		status = append(status, ListenerStatus{Name: l.name, Address: l.address})
	}
	return status
}
