package worker

import (
	"encoding"
	"sync/atomic"
	"time"
)

// How a connection leaves for another worker. On the loop's goroutine, the mover chooses
// connections and parcel.go packs them. One that is at rest, outside of any callback, goes
// through
//
//	serving ──(out of the epoll set, packed)──► frozen ──(the kernel took the packet)──► queued: gone from here
//	   ▲                                          │
//	   └───────(would block: as if nothing had been)
//
// ipc.Stage is the rule of it. Ownership passes when the kernel takes the packet. Until
// then the connection is this worker's and can go on here; from then on this worker has
// no copy of the descriptor, and the session gets no further call but Leave. The packet
// goes to the master, which passes it to another worker. Bytes that arrive meanwhile
// wait in the kernel.
//
// A state that is too long for a packet is sealed in a memfd, of which there is
// one at a time: the connection is alone in its packet, which is offered at once.
//
// This file has what a connection says and does on that way: whether it may go, what
// goes with it, and how it is forgotten.

// MovableSession is a Session that can go on in another worker: MarshalBinary returns
// its state here, Open makes a session there, and UnmarshalBinary gives that the state.
// A DataFunc has no state and needs neither method.
//
// The session that has left gets no further call but Leave (see LeaveSession), so not
// Close: its Conn's methods return ErrClosed, and Post false.
//
// MarshalBinary may be called in vain: if the connection cannot leave now, it
// goes on here. After an error it stays until its end. With a state that is, with all
// that is buffered, beyond 64 MiB it stays for now: that is tried again at growing
// intervals, of 30 seconds at most. A state of more than about 15 KiB travels in
// memory of its own, of which one turn of the loop moves some MiB.
// Timers do not travel: the session arms its own again in UnmarshalBinary.
type MovableSession interface {
	Session
	encoding.BinaryMarshaler
	encoding.BinaryUnmarshaler
}

// LeaveSession is a Session that hears that its connection has left for another worker.
type LeaveSession interface {
	Session
	// Leave is the last call, in the place of Close: a program that keeps a list of
	// its connections takes this one off. The Conn's methods return ErrClosed.
	Leave(c *Conn)
}

// movable reports whether a connection could move, if not now then later.
func (c *Conn) movable() bool {
	return (c.session != nil || c.state.phase() == phaseHandshaking) && !c.state.is(traitPinned|traitDialled)
}

// pin takes note, for good, that the connection does not move. The master is to know how
// many do not.
func (c *Conn) pin() {
	c.state.mark(traitPinned)
	if c.loop.ledger != nil {
		c.loop.ledger.pinned()
	}
}

// classify is called once Open has returned the session, and pins a connection whose
// session cannot move.
func (c *Conn) classify() {
	if c.state.is(traitDialled) || c.state.phase() >= phaseClosed {
		return // no dialled one moves, and the master counts none; or Open has aborted it
	}
	switch c.session.(type) {
	case DataFunc, MovableSession:
	default:
		c.pin()
	}
}

// busy reports whether a connection cannot move now, though it is movable: it is about
// to end, or something of it would be lost.
func (c *Conn) busy() bool {
	if !c.state.allows(mayMove) || c.state.watch() == hungUp || c.state.held(holdWork) || c.state.is(traitEngaged) || c.hasPosts() {
		return true
	}
	u := c.unfinished
	if u == nil {
		return false
	}
	_, forgets := c.session.(DataFunc) // it would not arm its timers again
	if u.handshaking != nil {
		return u.handshaking.stage == stageShaking
	}
	return forgets && u.timers != nil || u.cause != nil || u.files != nil || u.flowing != nil || u.deadlines.phase != 0
}

// postponed is how long a connection is left alone whose state was too large to go, and
// until when, on the loop's clock. To make the state is work, and most likely in vain.
type postponed struct{ pause, until time.Duration }

// postponeMin and postponeMax bound that pause.
const (
	postponeMin = 100 * time.Millisecond // as often as the mover comes by
	postponeMax = 30 * time.Second
)

// postponeMove has a connection stay because of its large state, for twice as long as it
// did the time before.
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

// movePostponed reports whether c is left alone still.
func (c *Conn) movePostponed() bool {
	return c.unfinished != nil && c.loop.turnTime() < c.unfinished.postponed.until
}

// describe fills in what f says of the connection: all but the session's state, its
// version, and the time. A deadline that is not set stays what it is in f. The bytes are
// still c's: f is encoded before c does anything.
func (c *Conn) describe(f *frozen, now time.Duration) {
	f.flags = c.state.freeze()
	if c.passes() {
		l := c.loop
		l.wire = c.freezePassage(l.wire[:0], now)
		f.wrapped, f.transport = true, l.wire
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

// gone forgets a connection that the kernel has taken; the send has closed its
// descriptor. What was posted to it has run, and Post is false already.
func (c *Conn) gone() {
	l := c.loop
	c.stopTiming()
	c.stopShaking()
	c.dropUnfinished()
	c.dropTransport()
	l.table.remove(c)
	atomic.StoreInt32(&c.fd, -1)
	c.session = nil
	c.state.step(eventLeave)
}
