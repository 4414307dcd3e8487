package listen

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// portTries is how many free ports are tried for one that is free in both families.
const portTries = 100

// openBoth binds an address and the one beside it, of the other family, at the same
// port; or one of them alone, where this machine lacks the other family.
func openBoth(address Resolved, sockets int) (listeners []*Listener, err error) {
	for range portTries {
		listeners, err = openPair(address, sockets)
		if address.bind.Port() != 0 || !errors.Is(err, unix.EADDRINUSE) {
			break
		} // else another program has the port in one family
	}
	return listeners, err
}

func openPair(address Resolved, sockets int) (listeners []*Listener, err error) {
	for _, bind := range []netip.AddrPort{address.bind, address.also} {
		one := address
		one.bind = bind
		if len(listeners) > 0 {
			one.bind = netip.AddrPortFrom(bind.Addr(), listeners[0].Bound.Port())
		}
		var l *Listener
		l, err = openTCP(one, sockets)
		switch {
		case err == nil:
			listeners = append(listeners, l)
		case !lacksFamily(err):
			CloseAll(listeners)
			return nil, fmt.Errorf("%s: %w", one.bind, err)
		}
	}
	if len(listeners) == 0 {
		return nil, err
	}
	return listeners, nil
}

// openHalf binds the one of two addresses that is missing beside the other, where this
// machine has it.
func openHalf(address Resolved, sockets int) ([]*Listener, error) {
	l, err := openTCP(address, sockets)
	switch {
	case err == nil:
		return []*Listener{l}, nil
	case lacksFamily(err):
		return nil, nil
	}
	return nil, fmt.Errorf("%s: %w", address.bind, err)
}

// lacksFamily reports whether an address could not be bound since this machine has none
// of its family.
func lacksFamily(err error) bool {
	return errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.EAFNOSUPPORT)
}
