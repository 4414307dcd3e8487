package worker

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// dialling is what a connection has while it is dialled. It belongs to the loop's
// goroutine. connect asks the kernel, which answers at once or by an event
// (dialAnswered); reached (selfdial.go) takes note of success, settleDial opens the
// connection, and reportDial tells of failure.
type dialling struct {
	to        Destination
	handler   Handler
	failed    func(error) // may be nil
	connected bool        // connect(2) has succeeded
	selfDials int         // how often it was connected to itself
}

// dialRetry is how long connect waits when the backlog of a Unix socket is full: nothing
// tells when there is room.
const dialRetry = 5 * time.Millisecond

// connect asks the kernel for the connection, unless that has been given up meanwhile.
func (c *Conn) connect() {
	if c.ending() {
		return
	}
	d := c.unfinished.dialling
	var address unix.Sockaddr = &unix.SockaddrUnix{Name: d.to.Path}
	if d.to.Path == "" {
		address = sockaddr(d.to.Remote)
	}
	err := unix.Connect(int(c.fd), address)
	if err == unix.EINPROGRESS && d.to.Remote.Addr().IsLoopback() {
		err = unix.Connect(int(c.fd), address) // it is there already, most likely
	}
	switch err {
	case nil:
		c.reached()
	case unix.EINPROGRESS, unix.EALREADY:
		c.arm()
	case unix.EAGAIN: // the backlog of a Unix socket is full (connect(2))
		c.After(dialRetry, c.connect)
	default:
		c.fail(dialError(d.to, os.NewSyscallError("connect", err)))
	}
}

// dialAnswered is called when the socket is writable, or has failed.
func (c *Conn) dialAnswered() {
	d := c.unfinished.dialling
	errno, err := unix.GetsockoptInt(int(c.fd), unix.SOL_SOCKET, unix.SO_ERROR)
	switch {
	case err != nil:
		c.fail(dialError(d.to, os.NewSyscallError("getsockopt", err)))
	case errno != 0:
		c.fail(dialError(d.to, os.NewSyscallError("connect", unix.Errno(errno))))
	default:
		c.reached()
	}
}

// settleDial opens the connection once it is connected.
func (c *Conn) settleDial() {
	d := c.unfinished.dialling
	if !d.connected {
		return
	}
	c.state.step(eventReached)
	c.unfinished.dialling = nil
	c.unfinished.deadlines.phase = 0
	c.schedule()
	c.releaseUnfinished()
	if err := c.open(d.handler); err != nil {
		c.end(err)
	}
	c.touch()
}

// reportDial says why a connection has not come to be.
func (c *Conn) reportDial(cause error) {
	d := c.unfinished.dialling
	c.unfinished.dialling = nil
	if d.failed != nil {
		_ = c.callAfter(func() { d.failed(cause) }) // a panic is logged
	}
}
