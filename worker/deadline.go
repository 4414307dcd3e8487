package worker

import (
	"math"
	"time"
)

// What is timed about a connection takes one alarm in the loop's wheel, set to the
// earliest of
//
//	idle      no progress for the idle timeout ──► end(ErrIdleTimeout); work of Go, and a request under way, is progress
//	read      no input by the read deadline    ──► end(ErrReadTimeout)
//	write     output at the write deadline     ──► fail(ErrWriteTimeout)
//	phase     the bound for dialling, for header and handshake, for flushing after Close, or
//	          for lingering (overstayed)
//
// It is lazy: progress only stores the turn's time, and a deadline that moves
// away leaves the wheel alone. An alarm that the wheel finds due too early is armed
// again. All of it belongs to the loop's goroutine.

// alarm is an entry of the wheel: a connection's, with its idle timeout, or a Timer's.
// It has no pointers, and with the wheel's part takes 32 bytes: 100,000 idle
// connections have one each.
type alarm struct {
	active time.Duration // the turn that last saw progress, on the loop's clock
	idleMS uint32        // the idle timeout; 0: none
	owner  uint32        // the connection's index in the table, or timerMark and the Timer's
}

// maxIdleMS is the longest idle timeout: 49 days.
const maxIdleMS = math.MaxUint32

// deadlines are times on the loop's clock; 0: none.
type deadlines struct{ read, write, phase time.Duration }

const (
	// flushTime is how long a closing connection may take to flush, for each
	// flushBytes of its output. So the slowest peer is held to 17 kbit/s, and
	// the time for all is bounded since output is.
	flushTime  = 30 * time.Second
	flushBytes = 64 << 10
)

// SetIdleTimeout has the connection closed in order once there has been no
// progress for d, from now on: no input, and no output taken by the kernel. The
// session's Close gets ErrIdleTimeout. It replaces the timeout that the worker
// was started with (usher serve --idle-timeout); 0 is none. d is rounded up to a
// millisecond, and cut to 49 days.
//
// The time goes on during a pause. It does not during work of Go: it begins anew when
// that is done.
//
// All timeouts of this package are late by at most 10 ms or 1 %, whichever is more, and
// by what callbacks take. They are never early; progress counts from the beginning of
// the turn of the loop that sees it.
func (c *Conn) SetIdleTimeout(d time.Duration) {
	if !c.loop.here() {
		_ = c.loop.stray("Conn.SetIdleTimeout") // logged
		return
	}
	if c.ending() {
		return
	}
	c.loop.refresh()
	c.state.mark(traitOwnIdle)
	c.setIdle(millis(d))
}

// SetReadDeadline has the connection closed in order, with ErrReadTimeout,
// unless input comes before t. Any input meets the deadline, and ends it: to
// bound the time for a whole request, use After. A zero t is no deadline; one in
// the past comes at once, but not before the callback has returned.
func (c *Conn) SetReadDeadline(t time.Time) {
	if !c.loop.here() {
		_ = c.loop.stray("Conn.SetReadDeadline") // logged
		return
	}
	if !c.ending() {
		c.addUnfinished().deadlines.read = c.loop.clockTime(t)
		c.schedule()
		c.releaseUnfinished()
	}
}

// SetWriteDeadline has the connection closed with ErrWriteTimeout if output is
// still buffered at t. It is not flushed, since the peer does not read. If nothing
// is buffered then, the deadline is over. It stays in force after Close. A zero t
// is no deadline.
func (c *Conn) SetWriteDeadline(t time.Time) {
	if !c.loop.here() {
		_ = c.loop.stray("Conn.SetWriteDeadline") // logged
		return
	}
	if !c.ending() {
		c.addUnfinished().deadlines.write = c.loop.clockTime(t)
		c.schedule()
		c.releaseUnfinished()
	}
}

// setIdle sets the idle timeout and counts from this turn.
func (c *Conn) setIdle(ms uint32) {
	if c.alarm == 0 && ms == 0 {
		return
	}
	a := c.getAlarm()
	a.active = c.loop.turnTime()
	a.idleMS = ms
	c.schedule()
}

// getAlarm returns c's alarm, a new one if it had none.
func (c *Conn) getAlarm() *alarm {
	if c.alarm == 0 {
		c.alarm = c.loop.wheel.Add()
		c.loop.wheel.Value(c.alarm).owner = c.index
	}
	return c.loop.wheel.Value(c.alarm)
}

// progressed is called when the kernel has given or taken something.
func (c *Conn) progressed() {
	if c.alarm != 0 {
		c.stamp()
	}
}

// stamp is apart from progressed so that the compiler inlines that.
func (c *Conn) stamp() { c.loop.wheel.Value(c.alarm).active = c.loop.turnTime() }

// gotInput is called when input has come: that is progress, and meets the read deadline.
func (c *Conn) gotInput() {
	c.progressed()
	if c.unfinished != nil && c.unfinished.deadlines.read != 0 {
		c.unfinished.deadlines.read = 0
		c.releaseUnfinished()
	}
}

// setPhaseDeadline bounds how long c may dial, shake hands, flush after Close, or linger.
func (c *Conn) setPhaseDeadline(deadline time.Duration) {
	c.addUnfinished().deadlines.phase = deadline
	c.schedule()
}

// boundFlush bounds the flushing of a closing connection, the first time.
func (c *Conn) boundFlush() {
	if c.unfinished.deadlines.phase == 0 {
		c.unfinished.unsentBefore = c.unsent()
		c.setPhaseDeadline(c.loop.turnTime() + c.loop.flushTime)
	}
}

// schedule has the wheel come back to c in time, and drops the alarm if there is no need.
func (c *Conn) schedule() {
	due, l := c.due(), c.loop
	if due == never {
		if c.alarm != 0 {
			l.wheel.Remove(c.alarm)
			c.alarm = 0
		}
		return
	}
	c.getAlarm()
	if present, ok := l.wheel.Due(c.alarm); !ok || due < present {
		l.wheel.Arm(c.alarm, l.turnTime(), due)
	}
}

// due returns the earliest deadline, or never.
func (c *Conn) due() time.Duration {
	due := never
	if !c.ending() {
		due = c.idleDeadline()
	}
	if c.unfinished == nil {
		return due
	}
	d := &c.unfinished.deadlines
	if d.read != 0 && !c.ending() && !c.state.held(holdEOF) {
		due = min(due, d.read)
	}
	if d.write != 0 {
		due = min(due, d.write)
	}
	if d.phase != 0 {
		due = min(due, d.phase)
	}
	return due
}

// idleDeadline returns when the idle timeout is due, or never.
func (c *Conn) idleDeadline() time.Duration {
	if c.alarm == 0 {
		return never
	}
	a := c.loop.wheel.Value(c.alarm)
	if a.idleMS == 0 {
		return never
	}
	return a.active + time.Duration(a.idleMS)*time.Millisecond
}

// expire acts on what is due; the loop calls it when c's alarm is. It first tries to write: epoll reports room only once
// a third of the kernel's buffer is free, and a slow peer may have taken much
// since it did.
func (c *Conn) expire(now time.Duration) {
	if c.hasOutput() && c.state.allows(mayFlush) {
		c.flush()
	}
	if u := c.unfinished; u != nil {
		d := &u.deadlines
		if d.write != 0 && d.write <= now {
			d.write = 0
			if c.hasOutput() {
				c.fail(ErrWriteTimeout)
			}
		}
		if d.phase != 0 && d.phase <= now {
			d.phase = 0
			c.overstayed(now)
		}
		if d.read != 0 && d.read <= now {
			d.read = 0
			if !c.state.held(holdEOF) {
				c.end(ErrReadTimeout)
			}
		}
	}
	if c.state.held(holdWork) || c.state.is(traitEngaged) {
		c.progressed() // work of Go is progress, and so is a request
	}
	if c.idleDeadline() <= now {
		c.end(ErrIdleTimeout)
	}
	c.releaseUnfinished()
	c.schedule()
}

// overstayed is called when the phase's deadline has come. The phase ends in failure,
// unless the peer has taken enough since the deadline was set.
func (c *Conn) overstayed(now time.Duration) {
	switch unsent := c.unsent(); {
	case c.state.phase() == phaseLingering:
		if !c.lingerOn(now) {
			c.state.step(eventFail) // it has lingered for long enough
			c.touch()
		}
	case c.state.phase() == phaseHandshaking:
		c.refuse(c.unfinished.handshaking.late())
	case c.state.phase() == phaseDialling:
		c.fail(dialError(c.unfinished.dialling.to, ErrDialTimeout))
	case !c.hasOutput(): // flushed just now
	case unsent+flushBytes <= c.unfinished.unsentBefore:
		c.boundFlush()
	default:
		c.fail(ErrWriteTimeout)
	}
}

// stopTiming ends all that is timed about a connection, timers included.
func (c *Conn) stopTiming() {
	if c.alarm != 0 {
		c.loop.wheel.Remove(c.alarm)
		c.alarm = 0
	}
	for c.unfinished != nil && c.unfinished.timers != nil {
		c.unfinished.timers.remove()
	}
}

// alarmsPerTurn bounds how long alarms that are due keep events waiting.
const alarmsPerTurn = 256

// expireAlarms acts on the alarms that are due. It is a part of each turn of the loop in
// which something may be.
func (l *loop) expireAlarms() {
	l.wheel.Advance(l.turnTime())
	for range alarmsPerTurn {
		id := l.wheel.Take()
		if id == 0 {
			return
		}
		l.progress()
		if owner := l.wheel.Value(id).owner; owner&timerMark != 0 {
			l.timers[owner&^timerMark].run()
		} else {
			l.table.at(owner).expire(l.turnTime())
		}
		l.settle()
	}
}

// millis rounds up to what an idle timeout can be; 0 is none.
func millis(d time.Duration) uint32 {
	switch ms := d / time.Millisecond; {
	case d <= 0:
		return 0
	case ms >= maxIdleMS:
		return maxIdleMS
	case d%time.Millisecond > 0:
		return uint32(ms) + 1
	default:
		return uint32(ms)
	}
}
