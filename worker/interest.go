package worker

import (
	"os"

	"github.com/usher-go/usher/internal/poller"
	"golang.org/x/sys/unix"
)

// wants returns what epoll is to report of a connection. Nothing else decides that.
func (c *Conn) wants() (conditions uint32) {
	if c.state.phase() == phaseDialling || c.hasOutput() {
		conditions |= poller.Out
	}
	if c.state.reads() {
		conditions |= poller.In
	}
	return conditions
}

// arm tells epoll what the connection wants, if that has changed.
//
// EPOLLERR and EPOLLHUP cannot be masked, and epoll is level-triggered: a
// connection that hangs up while it does not read would be reported for ever. Such a
// one leaves the set until it wants something again (hangUp).
func (c *Conn) arm() {
	if !c.state.allows(mayWatch) {
		return // it is closed, or about to be
	}
	wants, set := c.wants(), c.loop.set
	var err error
	switch {
	case c.state.watch() == watched && wants == uint32(c.armed):
		return
	case c.state.watch() == watched:
		err = set.Modify(int(c.fd), wants, c.loop.table.tag(c))
	case c.state.watch() == hungUp && wants == 0:
		return
	default:
		c.state.setWatch(watched)
		err = set.Add(int(c.fd), wants, c.loop.table.tag(c))
	}
	c.armed = uint16(wants)
	if err != nil {
		c.fail(err)
	}
}

// ready acts on one event; the loop calls it (loop.serve). The conditions asked for go
// first: reading finds what came before an error, and then the error itself.
func (c *Conn) ready(conditions uint32) {
	unasked := conditions & (poller.Err | poller.Hup)
	if c.armed&poller.Out != 0 && conditions&(poller.Out|unasked) != 0 {
		if c.state.phase() == phaseDialling {
			c.dialAnswered()
		} else {
			c.flush()
		}
		if !c.state.allows(mayWatch) {
			return
		}
	}
	switch {
	case conditions&(poller.In|unasked) == 0:
	case c.state.phase() == phaseLingering:
		c.discard()
	case c.armed&poller.In != 0:
		c.read()
	case conditions&poller.Err != 0:
		c.fail(c.socketError())
	case conditions&poller.Hup != 0:
		c.hangUp()
	}
}

// socketError takes the pending error of the socket.
func (c *Conn) socketError() error {
	errno, err := unix.GetsockoptInt(int(c.fd), unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return os.NewSyscallError("getsockopt", err)
	}
	if errno == 0 {
		return os.NewSyscallError("epoll_wait", unix.ECONNABORTED) // an error that someone else has taken
	}
	return os.NewSyscallError("epoll_wait", unix.Errno(errno))
}

// hangUp is called when both directions are shut on a connection that does not
// read.
func (c *Conn) hangUp() {
	if c.state.held(holdEOF) {
		c.end(nil) // nothing can come or go
		return
	}
	_ = c.loop.set.Del(int(c.fd)) // it is in the set
	c.state.setWatch(hungUp)
}
