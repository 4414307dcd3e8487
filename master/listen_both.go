package master

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// portTries is how many free ports are tried for one that is free in both families.
const portTries = 100

// listenBoth binds an address and the one beside it, of another family, at the same
// port; or one of them, where this machine has no other.
func listenBoth(address resolved, sockets int) (listeners []*listener, err error) {
	for range portTries {
		listeners, err = listenPair(address, sockets)
		if address.bind.Port() != 0 || !errors.Is(err, unix.EADDRINUSE) {
			break
		} // else another program has the port in one family
	}
	return listeners, err
}

func listenPair(address resolved, sockets int) (listeners []*listener, err error) {
	for _, bind := range []netip.AddrPort{address.bind, address.also} {
		one := address
		one.bind = bind
		if len(listeners) > 0 {
			one.bind = netip.AddrPortFrom(bind.Addr(), listeners[0].addr.Port())
		}
		var l *listener
		l, err = listenTCP(one, sockets)
		switch {
		case err == nil:
			listeners = append(listeners, l)
		case !errors.Is(err, unix.EADDRNOTAVAIL) && !errors.Is(err, unix.EAFNOSUPPORT):
			closeListeners(listeners)
			return nil, fmt.Errorf("%s: %w", one.bind, err)
		}
	}
	if len(listeners) == 0 {
		return nil, err
	}
	return listeners, nil
}
