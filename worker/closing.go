package worker

import (
	"sync/atomic"
	"syscall"

	"github.com/usher-go/usher/internal/killpoint"
	"golang.org/x/sys/unix"
)

// How a connection ends. phase.go has the rule; this file has what brings each event
// about, on the loop's goroutine. A callback only takes note of what it wants (end,
// fail), and touches the connection; the loop settles it once the callback has returned:
//
//	Close, an error from a callback  closing: output is flushed, FIN is sent, and the
//	                                 peer's is awaited (linger.go)
//	the peer's end, without an EOF   closing: output is flushed, and nothing is awaited
//	failed input or output           broken: nothing is flushed
//	Abort                            closed at once, with RST
//
// Flushing and lingering are bounded in time: see deadline.go and linger.go.

// Close ends the connection once its output is flushed. No callback but the
// session's Close follows. A second Close returns ErrClosed.
//
// The loop waits for a peer that does not read: for 30 seconds, and as long again for
// each 64 KiB that the peer takes. Then what is left of the output is lost, and the
// session's Close gets ErrWriteTimeout if it was to get nil. When all is handed to
// the kernel, the loop waits for the peer to finish too: for 2 seconds, and as long
// again while the peer takes what is in the kernel still, 30 at most.
func (c *Conn) Close() error {
	if !c.loop.here() {
		return c.loop.stray("Conn.Close")
	}
	if c.ending() {
		return ErrClosed
	}
	c.end(nil)
	return nil
}

// CloseWrite tells the peer, once output is flushed, that no more will come
// (FIN). Input goes on; when the peer finishes too, the connection ends in
// order. A second call returns ErrClosed.
func (c *Conn) CloseWrite() error {
	if !c.loop.here() {
		return c.loop.stray("Conn.CloseWrite")
	}
	if c.ending() || c.state.fin() != finNone {
		return ErrClosed
	}
	c.state.setFin(finDue)
	c.touch()
	return nil
}

// Abort ends the connection at once. Output that the peer has not got is lost,
// and a TCP peer gets a reset. The session's Close follows with ErrAborted.
func (c *Conn) Abort() error {
	if !c.loop.here() {
		return c.loop.stray("Conn.Abort")
	}
	if c.state.phase() >= phaseClosed {
		return ErrClosed
	}
	c.blame(ErrAborted)
	// Without effect on a Unix socket, whose end is no less abrupt.
	_ = unix.SetsockoptLinger(int(c.fd), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	c.release()
	c.touch()
	return nil
}

// ending reports whether c is to end, or has ended, in whatever way: no callback but the
// session's Close follows.
func (c *Conn) ending() bool { return !c.state.allows(mayCall) }

// end asks for the end after flushing, because of cause, or in order.
func (c *Conn) end(cause error) {
	if c.ending() {
		return
	}
	if c.state.phase() == phaseDialling && cause == nil {
		cause = ErrClosed // for what Dial was given as failed
	}
	c.blame(cause)
	c.state.step(eventClose)
	c.touch()
}

// fail asks for the end without flushing.
func (c *Conn) fail(cause error) {
	if c.state.phase() >= phaseBroken {
		return
	}
	c.blame(cause)
	c.state.step(eventFail)
	c.touch()
}

// blame records what ended the connection; the first cause stands.
func (c *Conn) blame(cause error) {
	if cause != nil && c.cause() == nil {
		c.addUnfinished().cause = cause
	}
}

// touch has the loop settle c after the callback.
func (c *Conn) touch() {
	if !c.state.due(dueSettle) {
		c.state.owe(dueSettle)
		c.loop.dirty = append(c.loop.dirty, c)
	}
}

// settle acts on what a callback, or an event, has changed. Only loop.settle calls it,
// outside of callbacks and with nothing corked. It may make callbacks itself.
func (c *Conn) settle() {
	c.state.clear(dueSettle)
	switch {
	case c.state.phase() >= phaseClosed:
		c.report()
	case c.state.phase() >= phaseBroken:
		c.closeNow()
	case c.state.phase() == phaseLingering: // discard, or its deadline, ends it
	case c.state.phase() == phaseDialling:
		c.settleDial()
	case c.hasOutput() || c.sendEndMark(): // FIN, if it is to follow, waits for output
		if c.state.phase() == phaseClosing {
			c.boundFlush()
		}
		c.proceed()
	case c.state.phase() == phaseClosing:
		c.endFlushed()
	case c.state.fin() != finNone && !c.sendFIN():
		c.closeNow()
	case c.state.fin() != finNone && c.state.held(holdEOF): // both sides have finished
		c.state.step(eventClose)
		c.endFlushed()
	default:
		c.proceed()
	}
}

// endFlushed ends a connection whose output is sent. With a transport, the end of its
// input may be the transport's word alone, and the peer's FIN still to come.
func (c *Conn) endFlushed() {
	if c.state.held(holdEOF) && !c.state.is(traitWrapped) {
		c.closeNow()
		return
	}
	c.linger()
}

// proceed makes the callbacks that are due on a connection that goes on, and has epoll
// report what it waits for.
func (c *Conn) proceed() {
	if c.state.due(dueLow) {
		c.state.clear(dueLow)
		if session, ok := c.session.(LowSession); ok && !c.ending() {
			if err := c.callLow(session); err != nil {
				c.end(err)
			}
			c.touch() // what else was due is due still
			return
		}
	}
	if c.state.due(dueDrain) {
		c.state.clear(dueDrain)
		c.askToDrain()
	}
	replay := c.state.due(dueReplay) && !c.state.held(holdPassing)
	if replay {
		c.state.clear(dueReplay)
	}
	if replay && !c.ending() && c.unfinished != nil && c.unfinished.in != nil {
		c.deliver(nil)
	}
	c.endDueInput()
	c.flowed()
	c.arm()
}

// sendFIN sends FIN, once. It reports whether the connection is still good.
func (c *Conn) sendFIN() bool {
	if c.state.fin() == finSent {
		return true
	}
	c.state.setFin(finSent)
	if unix.Shutdown(int(c.fd), unix.SHUT_WR) != nil {
		if err := c.socketError(); !c.state.is(traitWrapped) || !c.state.held(holdEOF) { // else in order: see sendEndMark
			c.blame(err) // ENOTCONN: the peer has reset it, and this says how
		}
		return false
	}
	return true
}

// closeNow closes the connection and tells its session.
func (c *Conn) closeNow() {
	c.release()
	c.report()
}

// release closes the descriptor and forgets the connection, whose session has not heard
// of it yet. The descriptor leaves the epoll set before it is closed: it was passed, and
// another process may have a copy still, which would keep it in the set (package poller).
func (c *Conn) release() {
	l := c.loop
	if c.state.watch() == watched {
		_ = l.set.Del(int(c.fd)) // it is in the set, and about to be closed in any case
	}
	if l.corked == c {
		l.corked = nil
		l.takeCork()
	}
	c.closePosts()
	c.forgetEngaged()
	c.stopShaking()
	c.dropTransport()
	c.dropFiles()
	c.stopTiming()
	l.table.remove(c)
	killpoint.Reach(killpoint.Closing)
	fd := c.fd
	atomic.StoreInt32(&c.fd, -1)
	_, _, _ = syscall.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0) // nothing can be done about a failed close
	c.state.setWatch(unwatched)
	c.state.step(eventRelease)
	killpoint.Reach(killpoint.Closed)
	if c.state.is(traitDialled) {
		l.dialled--
		return
	}
	if l.ledger != nil {
		l.ledger.closed(c.id, c.state.is(traitPinned))
		killpoint.Reach(killpoint.Settled)
	}
}

// report tells of the end, once: whoever has dialled, or the session by its last call.
func (c *Conn) report() {
	if c.state.phase() == phaseOver {
		return
	}
	c.state.step(eventReport)
	session, cause := c.session, c.cause()
	if c.unfinished != nil && c.unfinished.dialling != nil {
		c.reportDial(cause)
	}
	c.session = nil
	if session, ok := session.(CloseSession); ok {
		c.callClose(session, cause)
	}
	if c.loop.reported != nil {
		c.loop.reported(c.id, cause)
	}
	if c.loop.log.IsTrace() {
		c.loop.log.Trace("connection closed", "conn", c.id, "peer", c.RemoteAddr(), "listener", c.origin.listener, "reason", cause)
	}
	c.dropUnfinished()
}
