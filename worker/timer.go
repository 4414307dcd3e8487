package worker

import "time"

// Timer is a call that Conn.After or Dialer.After has arranged. It belongs to the loop's
// goroutine.
type Timer struct { // in the list of its connection's timers, in the loop's, and in the wheel, until it has run or is stopped
	loop       *loop  // does not change
	conn       *Conn  // nil once it has run or was stopped
	f          func() // nil likewise
	next, prev *Timer // of the same connection
	alarm      uint32 // in the wheel
	index      uint32 // in loop.timers
}

// timerMark in an alarm's owner says that the alarm is a Timer's; the rest is its index.
const timerMark = 1 << 31

// After has the loop call f once d has passed, as a callback of this connection:
// if f panics, the connection ends with ErrPanic. f is not called from within
// After, nor once the connection is closing, so never after the session's Close.
//
// Arming and stopping take constant time, and the Timer is the only allocation.
func (c *Conn) After(d time.Duration, f func()) *Timer {
	if !c.loop.here() {
		_ = c.loop.stray("Conn.After") // logged
		return &Timer{loop: c.loop}
	}
	t, l := &Timer{loop: c.loop}, c.loop
	if c.ending() {
		return t
	}
	now := l.refresh()
	*t = Timer{loop: l, conn: c, f: f, next: c.addUnfinished().timers, alarm: l.wheel.Add(), index: uint32(len(l.timers))}
	if t.next != nil {
		t.next.prev = t
	}
	c.unfinished.timers = t
	l.timers = append(l.timers, t)
	l.wheel.Value(t.alarm).owner = timerMark | t.index
	l.wheel.Arm(t.alarm, now, now+min(max(d, 0), never-now))
	return t
}

// Stop keeps f from being called. It returns false when f was not to be called any
// more: it was called already, or the timer was stopped, or the connection has ended.
//
// Like a Conn's methods it is for callbacks, on the loop's goroutine; elsewhere it
// does nothing, and returns false.
func (t *Timer) Stop() bool {
	if t.loop != nil && !t.loop.here() {
		_ = t.loop.stray("Timer.Stop") // logged
		return false
	}
	c := t.conn
	if c == nil {
		return false
	}
	t.remove()
	return !c.ending()
}

// remove takes t out of the lists and the wheel. The last of the loop's timers takes its
// index.
func (t *Timer) remove() {
	c := t.conn
	l := c.loop
	l.wheel.Remove(t.alarm)
	last := len(l.timers) - 1
	moved := l.timers[last]
	moved.index = t.index
	l.timers[t.index] = moved
	l.timers[last] = nil
	l.timers = l.timers[:last]
	l.wheel.Value(moved.alarm).owner = timerMark | moved.index

	if t.next != nil {
		t.next.prev = t.prev
	}
	if t.prev != nil {
		t.prev.next = t.next
	} else {
		c.unfinished.timers = t.next
	}
	t.conn, t.f, t.next, t.prev = nil, nil, nil, nil
	c.releaseUnfinished()
}

// run is called when t is due.
func (t *Timer) run() {
	c, f := t.conn, t.f
	t.remove()
	if c.ending() {
		return
	}
	if err := c.callAfter(f); err != nil && !c.isDialers() { // a Dialer's has no connection to end
		c.end(err)
	}
}
