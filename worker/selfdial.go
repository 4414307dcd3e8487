package worker

import (
	"net/netip"
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// TCP lets a socket connect to itself. It happens when nobody listens on a port that the
// kernel may choose to dial from, and the kernel chooses that very port for a socket
// that dials it: the two handshakes cross (RFC 9293, section 3.5, simultaneous open).
// A program that redials a backend that is down comes to that after some thousand
// tries, reads what it has sent itself, and keeps the backend from its port.

// maxSelfDials is how often one Dial may be connected to itself. Each time has a chance
// of one in thousands, unless the kernel has few ports to choose from.
const maxSelfDials = 3

// reached is called when connect(2) has succeeded.
func (c *Conn) reached() {
	if c.isItsOwnPeer() {
		c.dialAgain()
		return
	}
	c.unfinished.dialling.connected = true
	c.touch()
}

// isItsOwnPeer reports whether c is connected to itself.
func (c *Conn) isItsOwnPeer() bool {
	to := &c.unfinished.dialling.to
	remote := netip.AddrPortFrom(to.Remote.Addr().Unmap().WithZone(""), to.Remote.Port())
	if to.Path != "" || to.Local.IsValid() && to.Local.Unmap().WithZone("") != remote.Addr() {
		return false // it cannot be, and need not be asked
	}
	name, err := unix.Getsockname(int(c.fd))
	switch name := name.(type) {
	case *unix.SockaddrInet4:
		return err == nil && netip.AddrPortFrom(netip.AddrFrom4(name.Addr), uint16(name.Port)) == remote
	case *unix.SockaddrInet6:
		return err == nil && netip.AddrPortFrom(netip.AddrFrom16(name.Addr).Unmap(), uint16(name.Port)) == remote
	}
	return false
}

// dialAgain replaces a socket that is connected to itself by another one, and frees its
// port at once. When that has not helped maxSelfDials times, the dial is refused: nobody
// listens there.
func (c *Conn) dialAgain() {
	d := c.unfinished.dialling
	// It is closed without TIME_WAIT, with a reset to itself.
	_ = unix.SetsockoptLinger(int(c.fd), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}) // it is a TCP socket
	if d.selfDials++; d.selfDials > maxSelfDials {
		c.fail(dialError(d.to, os.NewSyscallError("connect", unix.ECONNREFUSED)))
		return
	}
	fd, err := d.to.socket()
	if err != nil {
		c.fail(dialError(d.to, err))
		return
	}
	if c.state.watch() == watched {
		_ = c.loop.set.Del(int(c.fd)) // it is in the set
		c.state.setWatch(unwatched)
	}
	before := c.fd
	atomic.StoreInt32(&c.fd, int32(fd))
	_ = unix.Close(int(before)) // nothing was written
	c.connect()
}
