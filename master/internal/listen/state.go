package listen

import (
	"net/netip"

	"github.com/usher-go/usher/master/internal/fileid"
	"golang.org/x/sys/unix"
)

// State is a listener as an upgrade in place hands it over, in JSON: the names of the
// fields are read by programs that are not written yet.
type State struct {
	FD      int   // descriptor
	More    []int // likewise: further sockets at the address
	From    Address
	Name    string
	Address string
	Addr    netip.AddrPort
	HasFile bool      // a Unix socket's, made by the master
	File    fileid.ID // zero: not known
}

// States describes listeners. The descriptors stay theirs.
func States(listeners []*Listener) (states []State) {
	for _, l := range listeners {
		states = append(states, State{l.FD, l.More, l.From, l.Name, l.Address, l.Bound, !l.file.isNone(), l.file.ID()})
	}
	return states
}

// Restore is the reverse. It takes ownership of the descriptors.
func Restore(states []State) (listeners []*Listener) {
	for _, s := range states {
		l := &Listener{FD: s.FD, More: s.More, From: s.From, Name: s.Name, Address: s.Address, Bound: s.Addr}
		if s.HasFile {
			l.file = RestoreSocketFile(s.From.Path, s.File)
		}
		for _, fd := range l.Sockets() {
			_ = dontLinger(fd) // it is a socket; a program before this one may not have cared
		}
		listeners = append(listeners, l)
	}
	return listeners
}

// dontLinger has close(2) of a socket, which it borrows, and of those that are
// accepted from it, not wait until everything is sent (socket(7)): the kernel sends
// it in any case.
func dontLinger(fd int) error {
	return unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{})
}
