package worker

import (
	"runtime"
	"time"

	"github.com/usher-go/usher/internal/caller"
)

// A connection is engaged while a request of it is under way on another goroutine: one of
// package web's. What it has come for is done there, and the loop goes on reading for it.
// It stays in this worker meanwhile, and when connections move it leaves as soon as that is
// over (mover.leave):
//
//	at rest ──engage──► engaged ──disengage──┬─(none move)──────────────────► at rest
//	   ▲                                     └─► leaving ──(turn's end)──┬──► frozen
//	   └─────────────────────────────────────────────(it cannot)─────────┘
//
// It is told of a drain by two calls, which other sessions do not get: they have no
// goroutine that could mind them. All of this runs on the loop's goroutine.

// engagedSession is a Session that hears of a drain while its connection is engaged.
type engagedSession interface {
	Session
	// DrainBegins is called when the worker's drain begins, whether connections move or
	// are to finish, and again when its deadline changes. A zero deadline: none is known.
	DrainBegins(c *Conn, deadline time.Time)
	// LastCall is called when the deadline has come. If it returns true, the connection may
	// go on until drainFlushTime is over; if it is engaged then, it is closed, and counted
	// as cut. If not, that happens now.
	LastCall(c *Conn) (stay bool)
}

// The goroutines that serve requests, and those of handshakes, share the loop's thread. One
// that begins is started by the scheduler when a thread is free, and a loop that is locked
// to its own would leave it to another: to wake that, and to be woken by it, costs more than
// a short handler does, and twice as many switches of threads in a handshake. So the loop
// lets go of its thread, for good, with the first connection that is engaged or shakes
// hands (loosen), and before each wait it lets the goroutines run first (letWork). What they
// post meanwhile it finds without being woken.

// loosen frees the loop from its thread.
func (l *loop) loosen() {
	if !l.locked || caller.ByThread {
		return
	}
	if l.loosened != nil {
		l.loosened()
	}
	l.locked = false
	runtime.UnlockOSThread()
}

// letWork lets goroutines that serve requests or handshakes run, if there are any, before the
// loop waits.
func (l *loop) letWork() {
	if l.engaged == 0 && !l.handshakes.yields || l.locked || l.messages.Left() || !l.waker.Mute() {
		return
	}
	runtime.Gosched()
	l.waker.Unmute()
	l.messages.Collect()
	if !l.orders.Empty() {
		l.waker.Wake() // orders are obeyed when it rings
	}
}

// engage says that a request is under way.
func (c *Conn) engage() {
	if c.ending() || c.state.is(traitEngaged) {
		return
	}
	c.state.mark(traitEngaged)
	l := c.loop
	if l.engaged++; l.engaged == 1 {
		l.mindYield()
		l.loosen()
	}
}

// forgetEngaged takes c off the account of those that are engaged, and reports whether it was.
func (c *Conn) forgetEngaged() bool {
	if !c.state.is(traitEngaged) {
		return false
	}
	c.state.unmark(traitEngaged)
	l := c.loop
	if l.engaged--; l.engaged == 0 {
		l.mindYield()
	}
	return true
}

// disengage says that it is over, and reports whether c is about to leave.
func (c *Conn) disengage() (leaving bool) {
	if !c.forgetEngaged() || c.ending() {
		return false
	}
	l := c.loop
	c.progressed()
	if l.called {
		c.end(ErrDrained)
		return false
	}
	if c.state.held(holdEOF) {
		c.state.owe(dueEnd) // it was told to the session that the connection had then
		c.touch()
	}
	if c.unfinished != nil && c.unfinished.in != nil {
		c.state.owe(dueReplay)
		c.touch()
	}
	if l.leaves != nil && l.leaves(c) {
		c.state.hold(holdLeaving)
		c.touch()
		return true
	}
	if l.drains {
		c.state.owe(dueDrain)
		c.touch()
	}
	return false
}

// drainBegins takes note of a drain's deadline, on the loop's clock, and tells those that
// are engaged.
func (l *loop) drainBegins(deadline time.Duration) {
	l.draining, l.drainBy = true, deadline
	if l.engaged == 0 {
		return
	}
	at := l.wallTime(deadline)
	l.table.each(func(c *Conn) {
		if session, ok := c.session.(engagedSession); ok && c.state.is(traitEngaged) && !c.ending() {
			if err := c.callDrainBegins(session, at); err != nil {
				c.end(err)
			}
			l.uncork()
		}
	})
}

// lastCall asks c, at the drain's deadline, whether it stays on for a moment.
func (c *Conn) lastCall() (stays bool) {
	session, ok := c.session.(engagedSession)
	if !ok || !c.state.is(traitEngaged) || c.ending() {
		return false
	}
	stays, err := c.callLastCall(session)
	if err != nil {
		c.end(err)
	}
	c.loop.uncork()
	return stays && err == nil
}
