package worker

import "golang.org/x/sys/unix"

// sealed.go is for connections with TLS what plain.go is for plain ones: the short way of
// an event that is input, all of it whole records that Data consumes, and whose answer, one
// record as a rule, the kernel takes. A record's cost is that of the kernel and of its
// cipher; what this program adds is to be little beside those.

// A connection goes the short way if its state is plainState but for traitWrapped.
const sealedState = plainState | state(traitWrapped)

// sealed reports whether nothing is unfinished about a connection with a transport. It may
// have output in the cork.
func (c *Conn) sealed() bool { return c.state&^aside == sealedState && c.unfinished == nil }

// serveSealed serves an event that is input for a connection which is sealed.
func (l *loop) serveSealed(c *Conn) {
	t, ok := c.origin.transport.(tlsTransport)
	if !ok {
		c.readWrapped()
		l.settle()
		return
	}
	c.readSealed(t)
	if l.corked == c && len(l.dirty) == 0 && len(l.cork) > 0 {
		c.writeSealed(t)
	} else {
		l.settle()
	}
}

// readSealed is readWrapped for such a connection.
func (c *Conn) readSealed(t tlsTransport) {
	l := c.loop
	in := l.input
	got, _, errno := rawRecv(c.fd, in)
	if errno != 0 {
		if errno != unix.EINTR { // else epoll reports it again
			c.received(0, errno)
		}
		return
	}
	l.meter.read(got)
	l.keepSwept()
	in = in[:got]
	o := t.Open(in)
	if o.Used != len(in) || len(o.Plain) == 0 || o.Reply != nil || o.End || o.Err != nil {
		c.decoded(in, t.decoded(&o, got == 0), got == 0)
		return
	}
	c.progressed()
	l.reading = c
	n, err := c.callData(o.Plain)
	l.reading = nil
	if err != nil || n != len(o.Plain) || c.state&^aside != sealedState {
		c.delivered(o.Plain, false, n, err)
	}
}

// writeSealed sends what is corked for c when nothing else is to be settled.
func (c *Conn) writeSealed(t tlsTransport) {
	l := c.loop
	l.corked = nil
	wire := t.Seal(l.wire[:0], l.takeCork())
	l.wire = wire
	n, _, errno := rawSend(c.fd, wire, sendFlags)
	if errno == 0 {
		l.meter.sent(n)
		c.progressed()
		wire = wire[n:]
	}
	if len(wire) > 0 || t.Err() != nil {
		_ = c.sendSealed(t, wire) // the connection remembers an error
		l.settle()
	}
}

// sendSealed sends what the kernel has not taken of what was sealed last. An error is the
// end of the connection.
func (c *Conn) sendSealed(t transport, wire []byte) error {
	if err := c.sendWire(wire); err != nil {
		return err
	}
	err := t.fault()
	if err != nil {
		c.end(err) // the last of what was sealed says so to the peer
	}
	return err
}
