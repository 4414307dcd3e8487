package worker

import (
	"time"

	"golang.org/x/sys/unix"
)

// Linger, because close(2) with input unread, or arriving afterwards, sends a
// reset, and that can destroy the reply before the peer has read it: so FIN is
// sent and input is read and thrown away until the peer finishes too, or a bound.
//
// The bound is short for a peer that has got everything. One that reads slowly has
// much of it before it still, in the kernel's queue: as long as that becomes
// shorter, it is waited for.

const (
	lingerTime  = 2 * time.Second  // without anything taken
	lingerMost  = 30 * time.Second // in all; the end of a drain may come before (cutShort)
	lingerBytes = 1 << 20          // of input
)

// linger sends FIN and waits for the peer's.
func (c *Conn) linger() {
	c.dropInput()
	c.dropRaw()
	now := c.loop.turnTime()
	c.setPhaseDeadline(now + lingerTime)
	c.unfinished.lingerEnd, c.unfinished.unsentBefore = now+lingerMost, 0
	c.state.step(eventFlushed)
	if !c.sendFIN() {
		c.closeNow()
		return
	}
	c.state.unhold(holdAny)
	c.arm()
}

// lingerOn is called when the bound has come. It reports whether the peer has taken
// something since the last time, and puts the bound off if so. The first time
// there is nothing to compare with: that there is a queue will do.
func (c *Conn) lingerOn(now time.Duration) bool {
	u := c.unfinished
	before := u.unsentBefore
	queued, err := unix.IoctlGetInt(int(c.fd), unix.SIOCOUTQ) // what the peer's kernel has not acknowledged: tcp(7)
	if err != nil || now >= u.lingerEnd || before == 0 && queued == 0 || before > 0 && queued >= before {
		return false
	}
	u.unsentBefore = queued
	c.setPhaseDeadline(min(now+lingerTime, u.lingerEnd))
	return true
}

// discard reads on a connection that lingers.
func (c *Conn) discard() {
	n, errno := recv(c.fd, c.loop.input)
	if errno == unix.EAGAIN {
		return
	}
	c.unfinished.discarded += n
	if errno != 0 || n == 0 || c.unfinished.discarded > lingerBytes {
		c.closeNow()
	}
}
