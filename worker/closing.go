package worker

import (
	"sync/atomic"
	"syscall"

	"github.com/usher-go/usher/internal/killpoint"
	"golang.org/x/sys/unix"
)

// How a connection ends. Callbacks only set facts and touch the connection; the
// loop settles what was touched once the callback has returned:
//
//	Close, an error from a callback ──► closing ──(flushed)──► FIN ──► linger ──► closed
//	the peer's end of file, no EOF  ──► closing ──(flushed)──────────────────────► closed
//	failed input or output          ──► broken ──────────────────────────────────► closed
//	Abort                           ──► closed (RST)
//
// What takes time has a bound in time: see deadline.go, and linger.go.

// Close ends the connection once its output is flushed. No callback but the
// session's Close follows. A second Close returns ErrClosed.
//
// A peer that does not read is waited for 30 seconds, and as long again for each
// 64 KiB that it takes; then what is left of the output is lost, and the
// session's Close gets ErrWriteTimeout if it was to get nil. When all is handed to
// the kernel, the peer is waited for to finish too: for 2 seconds, and as long
// again while it takes what is in the kernel still, 30 at most.
func (c *Conn) Close() error {
	if !c.loop.here() {
		return c.loop.stray("Conn.Close")
	}
	if c.state.has(stateEnding) {
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
	if c.state.has(stateEnding | stateShut) {
		return ErrClosed
	}
	c.state |= stateShut
	c.touch()
	return nil
}

// Abort ends the connection at once. Output that the peer has not got is lost,
// and a TCP peer gets a reset. The session's Close follows with ErrAborted.
func (c *Conn) Abort() error {
	if !c.loop.here() {
		return c.loop.stray("Conn.Abort")
	}
	if c.state.has(stateDead) {
		return ErrClosed
	}
	c.blame(ErrAborted)
	// Without effect on a Unix socket, whose end is no less abrupt.
	_ = unix.SetsockoptLinger(int(c.fd), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	c.release()
	c.touch()
	return nil
}

// end asks for the end after flushing, because of cause, or in order.
func (c *Conn) end(cause error) {
	if c.state.has(stateEnding) {
		return
	}
	if c.state.has(stateDialling) {
		if cause == nil {
			cause = ErrClosed
		}
		c.fail(cause)
		return
	}
	c.blame(cause)
	c.state |= stateClosing
	c.touch()
}

// fail asks for the end without flushing.
func (c *Conn) fail(cause error) {
	if c.state.has(stateBroken | stateDead) {
		return
	}
	c.blame(cause)
	c.state |= stateBroken
	c.touch()
}

// blame records what ended the connection; the first cause stands.
func (c *Conn) blame(cause error) {
	if cause != nil && c.cause() == nil {
		c.leave().cause = cause
	}
}

// touch has the loop settle c after the callback.
func (c *Conn) touch() {
	if !c.state.has(stateDirty) {
		c.state |= stateDirty
		c.loop.dirty = append(c.loop.dirty, c)
	}
}

// settle acts on what a callback, or an event, has changed. It runs outside of
// callbacks, with nothing corked, and may make them.
func (c *Conn) settle() {
	c.state &^= stateDirty
	switch {
	case c.state.has(stateDead):
		c.report()
	case c.state.has(stateBroken):
		c.finish()
	case c.state.has(stateLinger):
	case c.state.has(stateDialling):
		c.settleDial()
	case c.hasOutput():
		if c.state.has(stateClosing) {
			c.boundFlush()
		}
		c.proceed()
	case c.state.has(stateClosing):
		if c.state.has(stateEOF) {
			c.finish()
		} else {
			c.linger()
		}
	case c.state.has(stateShut) && !c.shut():
		c.finish()
	case c.state.has(stateShut) && c.state.has(stateEOF):
		c.finish()
	default:
		c.proceed()
	}
}

// proceed makes the callbacks that are due on a connection that goes on.
func (c *Conn) proceed() {
	if c.state.has(stateLow) {
		c.state &^= stateLow
		if session, ok := c.session.(LowSession); ok && !c.state.has(stateEnding) {
			if err := c.callLow(session); err != nil {
				c.end(err)
			}
			c.touch() // what was due beside it is due still
			return
		}
	}
	replay := c.state.has(stateReplay) && !c.state.has(statePaused|stateChoked|stateHeld)
	if replay {
		c.state &^= stateReplay
	}
	if replay && !c.state.has(stateEnding) && c.left != nil && c.left.in != nil {
		c.deliver(nil)
	}
	c.flowed()
	c.arm()
}

// shut sends FIN, once. It reports whether the connection is still good.
func (c *Conn) shut() bool {
	if c.state.has(stateShutDone) {
		return true
	}
	c.state |= stateShutDone
	if unix.Shutdown(int(c.fd), unix.SHUT_WR) != nil {
		c.blame(c.socketError()) // ENOTCONN: the peer has reset it, and this says how
		return false
	}
	return true
}

// finish closes the connection and tells its session.
func (c *Conn) finish() {
	c.release()
	c.report()
}

// release closes the descriptor and forgets the connection. DEL comes first:
// the descriptor was passed, and may have another owner still (package poller).
func (c *Conn) release() {
	l := c.loop
	if c.state.has(stateInSet) {
		_ = l.set.Del(int(c.fd)) // it is in the set, and about to be closed in any case
	}
	if l.corked == c {
		l.corked = nil
		l.takeCork()
	}
	c.refusePosts()
	c.dropFiles()
	c.stopTiming()
	l.table.remove(c)
	if c.state.has(stateStays) {
		l.station.entry.Staying.Add(^uint64(0))
	}
	killpoint.Reach(killpoint.Closing)
	fd := c.fd
	atomic.StoreInt32(&c.fd, -1)
	_, _, _ = syscall.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0) // nothing can be done about a failed close
	c.state = c.state&^stateInSet | stateDead
	killpoint.Reach(killpoint.Closed)
	if c.state.has(stateDialled) {
		l.dialled--
		return
	}
	l.countClosed(c.id)
	killpoint.Reach(killpoint.Settled)
}

// report makes the session's last call.
func (c *Conn) report() {
	if c.state.has(stateReported) {
		return
	}
	c.state |= stateReported
	session, cause := c.session, c.cause()
	if c.state.has(stateDialling) {
		c.reportDial(cause)
	}
	c.session = nil
	if session, ok := session.(CloseSession); ok {
		c.callClose(session, cause)
	}
	if c.loop.ending != nil {
		c.loop.ending(c.id, cause)
	}
	if c.loop.log.IsTrace() {
		c.loop.log.Trace("connection closed", "conn", c.id, "peer", c.RemoteAddr(), "listener", c.origin.listener, "reason", cause)
	}
	if left := c.left; left != nil {
		c.left = nil
		c.loop.buffers.Put(left.in)
		c.loop.buffers.Put(left.out)
		c.loop.freeLeftovers(left)
	}
}
