package worker

import (
	"time"

	"golang.org/x/sys/unix"
)

// Why a connection lingers: close(2) sends a reset when input is unread or arrives
// afterwards, and a reset can destroy the reply before the peer has read it. So FIN is
// sent, and input is read and thrown away, until the peer finishes too or a bound comes. Of
// a peer that sends and sends no more than some is read: the rest stays with the kernel,
// and then with the peer, which has time to find the reply all the same.
//
// The bound is short for a peer that has got everything. For one that reads slowly,
// much of the reply is in the kernel's queue still: as long as that becomes shorter, the
// loop waits.

const (
	lingerTime  = 2 * time.Second  // while the peer takes nothing
	lingerMost  = 30 * time.Second // in all; a drain's deadline may come before
	lingerBytes = 1 << 20          // of input, about
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

// lingerOn is called when the phase's deadline has come. It reports whether the peer has
// taken something since the last time, and puts the deadline off if so. The first time
// there is nothing to compare with: it is enough that something is queued.
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

// discard reads, and throws away, on a connection that lingers. When it has read enough, it
// is called no more but when the peer is gone.
func (c *Conn) discard() {
	n, errno := c.recv(c.loop.input)
	if errno == unix.EAGAIN {
		return
	}
	c.unfinished.discarded += n
	switch {
	case errno != 0 || n == 0:
		c.closeNow()
	case c.unfinished.discarded >= lingerBytes:
		c.state.hold(holdPaused)
		c.arm()
	}
}
