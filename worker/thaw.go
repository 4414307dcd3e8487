package worker

import "errors"

// How a connection goes on that was frozen in another worker. intake.go takes it from the
// queue, on the loop's goroutine, and adopts its socket; then thaw makes its session.

// errNotMovable: a connection with a state came to a session that takes none.
var errNotMovable = errors.New("worker: this handler's sessions cannot be restored")

// Moved reports whether this connection comes from another worker. For Open that means
// that UnmarshalBinary follows.
func (c *Conn) Moved() bool {
	if !c.loop.here() {
		_ = c.loop.stray("Conn.Moved") // logged
		return false
	}
	return c.state.is(traitMoved)
}

// StateVersion returns what WithStateVersion was given in the worker that froze this
// connection. It is for UnmarshalBinary, and Open before it; elsewhere it is empty.
func (c *Conn) StateVersion() string {
	if !c.loop.here() {
		_ = c.loop.stray("Conn.StateVersion") // logged
		return ""
	}
	if c.loop.thawing != c {
		return ""
	}
	return c.loop.thawingVersion
}

// thaw brings a connection back to life: it calls Open, restores all that was unfinished
// in the place of what Open has set, and calls UnmarshalBinary. What Open writes is
// dropped: it has greeted the peer already. After an error the caller closes c.
func (c *Conn) thaw(f *frozen, h Handler) error {
	l := c.loop
	if f.wrapped {
		if open, err := c.thawPassage(f, h); !open || err != nil {
			return err
		}
	} else if c.state.phase() == phaseHandshaking {
		return errPassage
	}
	if c.state.phase() == phaseHandshaking {
		c.becomesOpen()
	}
	c.state.mark(traitMoved)
	l.thawing, l.thawingVersion, l.opening = c, f.version, c
	err := c.callOpen(h)
	l.opening = nil
	if err == nil && c.state.phase() < phaseClosed { // else Open has aborted it, and nothing of it is to go on
		c.restoreUnfinished(f)
		err = c.restoreSession(f.sessionState)
	}
	l.thawing = nil
	return err
}

// restoreSession gives the session its state.
func (c *Conn) restoreSession(state []byte) error {
	switch session := c.session.(type) {
	case MovableSession:
		return c.callUnmarshal(session, state)
	case DataFunc:
		if len(state) == 0 {
			return nil
		}
	}
	return errNotMovable
}

// restoreUnfinished puts back what f says of the connection. Buffers are copied: f's
// bytes are the packet's.
func (c *Conn) restoreUnfinished(f *frozen) {
	ownIdle := c.state.is(traitOwnIdle) // by Open, just now: that holds unless it had one of its own before
	c.state.thaw(f.flags)
	l := c.loop
	if len(f.raw) > 0 {
		c.addUnfinished().raw = append(l.buffers.Get(len(f.raw)), f.raw...)
	}
	if len(f.in) > 0 {
		c.addUnfinished().in = append(l.buffers.Get(len(f.in)), f.in...)
	}
	if len(f.out) > 0 {
		c.addUnfinished().out = append(l.buffers.Get(len(f.out)), f.out...)
	}
	now := l.turnTime()
	if c.state.is(traitOwnIdle) {
		c.setIdle(f.idleMS)
	}
	if ownIdle {
		c.state.mark(traitOwnIdle)
	}
	if c.alarm != 0 {
		l.wheel.Value(c.alarm).active = now - f.quiet
	}
	l.grew()
	d := &c.addUnfinished().deadlines
	d.read, d.write = 0, 0
	if f.read != frozenNever {
		d.read = max(1, now+min(f.read, never-1-now))
	}
	if f.write != frozenNever {
		d.write = max(1, now+min(f.write, never-1-now))
	}
	c.schedule()
	c.releaseUnfinished()
}
