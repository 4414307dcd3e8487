package worker

import "github.com/usher-go/usher/ipc"

// adopt makes a connection of an accepted, non-blocking socket; the envelope says who
// the peer is and where it was accepted. It takes ownership of fd. The caller, an intake
// or a test's loop, then opens the connection: by openNew, or as what it was in another
// worker (intake.open).
func (l *loop) adopt(e *ipc.Envelope, fd int) *Conn {
	begins := phaseOpen
	if e.Transport != 0 {
		begins = phaseHandshaking
	}
	c := l.freshConns.take(l.table.live)
	*c = Conn{
		loop:   l,
		origin: l.originOf(place{e.Listener, e.Local, e.Transport}),
		remote: e.Remote.Addr(),
		port:   e.Remote.Port(),
		id:     e.ID,
		fd:     int32(fd),
		state:  newState(begins, 0),
	}
	l.table.add(c)
	*l.table.since(c.index) = sinceOf(e.Accepted)
	l.dialer.closed = false // its session may dial, though a drain has closed the dialer before
	if begins == phaseOpen {
		c.setIdle(l.idleMS)
	}
	if l.log.IsTrace() {
		l.log.Trace("connection opened", "conn", c.id, "peer", c.RemoteAddr(), "listener", c.origin.listener)
	}
	return c
}

// openNew opens a connection that no other worker had, and settles.
func (c *Conn) openNew(h Handler) {
	if err := c.open(h); err != nil {
		c.refused(err)
	}
	c.touch()
	c.loop.settle()
}

// open has h open c, if its place calls for that after a header or a handshake. It is called
// for each connection but those that thaw: for one that was dialled, by settleDial.
func (c *Conn) open(h Handler) error {
	switch p, err := c.loop.transports.passage(c.origin.number); {
	case err != nil:
		c.refuse(refusedTransport(err))
		return nil
	case p != nil:
		c.shakeHands(p, h)
		return nil
	}
	if t := c.loop.transports.forPlace(*c.origin.place, c.state.is(traitDialled)); t != nil {
		c.wrap(t)
	}
	return c.callOpen(h)
}

// refused ends a connection whose handler's Open returned an error.
func (c *Conn) refused(err error) {
	c.loop.log.Debug("connection refused", "conn", c.id, "peer", c.RemoteAddr(), "error", err)
	c.end(err)
}
