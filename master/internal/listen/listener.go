package listen

import (
	"errors"
	"fmt"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// Listener is what listens at one address: a bound, listening, non-blocking,
// close-on-exec socket, or several of one TCP address. It belongs to one goroutine at
// a time: the supervisor's, once the server is started.
type Listener struct {
	From    Address        // as it was asked for
	Name    string         // that its connections carry; empty: none
	Address string         // where it is bound, as shown: with the real port
	Bound   netip.AddrPort // the same; invalid for a Unix socket
	FD      int            // owned
	More    []int          // owned: further sockets at the same address, one SO_REUSEPORT group with FD

	file SocketFile // of a Unix socket that this server has made
}

// Close closes every socket, and removes the file of a Unix socket.
func (l *Listener) Close() {
	for _, fd := range l.Sockets() {
		_ = unix.Close(fd) // a listener has nothing to flush
	}
	l.file.Remove()
}

// Sockets returns the descriptors of all that listen, borrowed.
func (l *Listener) Sockets() []int { return append([]int{l.FD}, l.More...) }

// CloseAll closes listeners.
func CloseAll(listeners []*Listener) {
	for _, l := range listeners {
		l.Close()
	}
}

// Settings are where to listen, and how.
type Settings struct {
	Addresses []Resolved
	Sockets   int // for each TCP address, one for each goroutine that accepts; at least 1
	Backlog   int // the most clients that wait at each socket; 0: as many as the kernel allows
}

// Open binds every address, or none. What systemd passes is taken from passed. The
// caller owns the listeners; SetBacklog puts the backlog in force. It blocks as Unix
// does.
func Open(s Settings, passed *Passed) ([]*Listener, error) { return openAll(s, passed, nil) }

// openAll is Open for a server that has some listeners already: held.
func openAll(s Settings, passed *Passed, held []*Listener) (listeners []*Listener, err error) {
	for _, address := range s.Addresses {
		bound, err := open(address, s.Sockets, passed)
		if err != nil {
			if errors.Is(err, unix.EADDRINUSE) {
				err = address.explainOverlap(err, held, listeners)
			} else {
				err = explain(err, address.Network)
			}
			CloseAll(listeners)
			return nil, fmt.Errorf("listen on %s: %w", address.Address, err)
		}
		listeners = append(listeners, bound...)
	}
	return listeners, nil
}

// open returns the listeners of one address: one, or for localhost one of each
// family, or what systemd passes.
func open(address Resolved, sockets int, passed *Passed) ([]*Listener, error) {
	var listeners []*Listener
	var err error
	switch {
	case address.Network == "systemd":
		return passed.take(address.Address)
	case address.Network == "unix":
		listeners = make([]*Listener, 1)
		listeners[0], err = openUnix(address.Address)
	case address.also.IsValid():
		listeners, err = openBoth(address, sockets)
	case address.half:
		listeners, err = openHalf(address, sockets)
	default:
		listeners = make([]*Listener, 1)
		listeners[0], err = openTCP(address, sockets)
	}
	if err != nil {
		return nil, err
	}
	for _, l := range listeners {
		l.From, l.Name = address.Address, address.Name
	}
	return listeners, nil
}

// unixListener is what a listener's path is to be free for.
var unixListener = Purpose{"process", "choose another path with --listen"}

func openUnix(address Address) (*Listener, error) {
	fd, file, err := Unix(address.Path, address.Mode, unixListener)
	if err != nil {
		return nil, err
	}
	l, err := startListening(fd)
	if err != nil {
		file.Remove()
		return nil, err
	}
	l.file = file
	return l, nil
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
func startListening(fd int) (*Listener, error) {
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
func describeSocket(fd int) (*Listener, error) {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return nil, os.NewSyscallError("getsockname", err)
	}
	l := &Listener{FD: fd}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		l.Bound = netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
		l.Address = l.Bound.String()
	case *unix.SockaddrInet6:
		l.Bound = netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port))
		l.Address = l.Bound.String()
	case *unix.SockaddrUnix:
		l.Address = "unix://" + sa.Name
	default:
		return nil, errors.New("neither a TCP nor a Unix socket")
	}
	return l, nil
}
