package worker

import (
	"encoding"
	"sync/atomic"
	"time"
)

// How a connection leaves for another worker. A connection at rest, outside of
// any callback, goes through
//
//	serving ──(out of the epoll set, packed)──► frozen ──(the kernel took the packet)──► queued: gone from here
//	   ▲                                          │
//	   └───────(would block: as if nothing had been)
//
// ipc.Stage is the rule of it. The packet in the kernel is the point of
// ownership: until then the connection is this worker's and can go on here; from
// then on this worker has no copy of the descriptor, and its session gets no
// further call. Bytes that arrive meanwhile wait in the kernel.
//
// A state that is too long for a packet is sealed in a memfd, of which there is
// one at a time: the connection is alone in its packet, which is offered at once.

// MovableSession is a Session that can go on in another worker: as the state
// that MarshalBinary returns, from which the session that Open makes there is
// restored by UnmarshalBinary. A DataFunc has no state and needs neither.
//
// The session that has left gets no further call, Close neither: its Conn's
// methods return ErrClosed, and Post false.
//
// MarshalBinary may be called in vain: if the connection cannot leave now, it
// goes on here. An error has it stay and finish; so has a state beyond 64 MiB with
// all that is buffered, for as long as it is: that is looked at again at growing
// intervals, of 30 seconds at most. What is more than about 15 KiB
// travels in memory of its own, of which one turn of the loop moves some MiB.
// Timers do not travel: the session arms its own again in UnmarshalBinary.
type MovableSession interface {
	Session
	encoding.BinaryMarshaler
	encoding.BinaryUnmarshaler
}

// LeaveSession is a Session that hears that its connection has left for another
// worker: the last call, in the place of Close, for a program that keeps a list of
// its connections to take this one off. The Conn's methods return ErrClosed.
type LeaveSession interface {
	Session
	Leave(c *Conn)
}

// movable reports whether a connection could move, if not now then later.
func (c *Conn) movable() bool {
	return c.session != nil && !c.state.is(traitPinned|traitDialled)
}

// pin takes note that the connection does not move.
func (c *Conn) pin() {
	c.state.mark(traitPinned)
	if c.loop.ledger != nil {
		c.loop.ledger.pinned()
	}
}

// classify is called when the session is there, and says whether it moves.
func (c *Conn) classify() {
	if c.state.is(traitDialled) || c.state.phase() >= phaseClosed {
		return // it is this worker's, whatever its session; or Open has aborted it
	}
	switch c.session.(type) {
	case DataFunc, MovableSession:
	default:
		c.pin()
	}
}

// busy reports whether a connection cannot move now, though it is movable:
// it ends, or something of it would be lost.
func (c *Conn) busy() bool {
	if !c.state.allows(mayMove) || c.state.watch() == hungUp || c.state.held(holdWork) || c.hasPosts() {
		return true
	}
	u := c.unfinished
	if u == nil {
		return false
	}
	_, forgets := c.session.(DataFunc) // nobody arms its timers again
	return forgets && u.timers != nil || u.cause != nil || u.files != nil || u.flowing != nil || u.deadlines.phase != 0
}

// postponeMin and postponeMax bound how long a connection is left alone whose
// state was too large to go: to make the state is work, and most likely in vain.
const (
	postponeMin = 100 * time.Millisecond // as often as the mover comes by
	postponeMax = 30 * time.Second
)

// postponeMove has a connection stay because of its large state, for twice as long
// as the time before.
func (c *Conn) postponeMove(err error) {
	l := c.loop
	if !c.state.is(traitLarge) {
		l.log.Warn("connection stays for now, its state is large", "conn", c.id, "peer", c.RemoteAddr(), "error", err)
	}
	c.state.mark(traitLarge)
	rest := &c.addUnfinished().postponed
	rest.pause = min(max(2*rest.pause, postponeMin), postponeMax)
	rest.until = l.turnTime() + rest.pause
}

// movePostponed reports whether c is left alone because its state was large.
func (c *Conn) movePostponed() bool {
	return c.unfinished != nil && c.loop.turnTime() < c.unfinished.postponed.until
}

// postponed is how long a connection with a large state is left alone, and until
// when, on the loop's clock.
type postponed struct{ pause, until time.Duration }

// describe fills in all of f but the session's state.
func (c *Conn) describe(f *frozen, now time.Duration) {
	f.flags = c.state.freeze()
	if c.state.is(traitWrapped) {
		f.wrapped, f.transport = true, c.origin.transport.freeze(nil)
	}
	if c.alarm != 0 {
		a := c.loop.wheel.Value(c.alarm)
		if f.idleMS = a.idleMS; f.idleMS != 0 { // else nobody kept account
			f.quiet = now - a.active
		}
	}
	u := c.unfinished
	if u == nil {
		return
	}
	f.raw, f.in, f.out = u.raw, u.in, u.out[u.written:]
	if d := u.deadlines.read; d != 0 {
		f.read = d - now
	}
	if d := u.deadlines.write; d != 0 {
		f.write = d - now
	}
}

// gone forgets a connection that is another's now; the send has closed its
// descriptor. Its posts have run, and no more are taken.
func (c *Conn) gone() {
	l := c.loop
	c.stopTiming()
	c.dropUnfinished()
	l.table.remove(c)
	atomic.StoreInt32(&c.fd, -1)
	c.session = nil
	c.state.step(eventLeave)
}
