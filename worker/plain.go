package worker

import "golang.org/x/sys/unix"

// Most events are input for a connection about which nothing is unfinished, all of
// which Data consumes, and whose answer the kernel takes. This file is the short
// way through read, deliver, settle and send for those: the same steps without
// their branches. After each system call the processor has little of this program's
// code at hand, and fetching that is what most of the time outside of the kernel
// goes to.

// A plain connection's state is plainState; the traits in aside make no difference.
const (
	aside      = state(traitDialled | traitMoved | traitPinned | traitOwnIdle | traitDrained | traitLarge | traitEngaged)
	plainState = state(phaseOpen) | state(watched)<<watchShift
)

// plain reports whether nothing is unfinished about a connection. It may have output in
// the cork.
func (c *Conn) plain() bool { return c.state&^aside == plainState && c.unfinished == nil }

// readPlain is read for a plain connection. The loop calls it for an event (loop.serve),
// and then settles, by writePlain if it can.
func (c *Conn) readPlain() {
	l := c.loop
	in := l.input
	got, _, errno := rawRecv(c.fd, in)
	if errno != 0 || got == 0 {
		if errno != unix.EINTR { // else epoll reports it again
			c.received(0, errno)
		}
		return
	}
	c.progressed()
	l.meter.read(got)
	in = in[:got]
	l.reading = c
	n, err := c.callData(in)
	l.reading = nil
	if err != nil || n != len(in) || c.state&^aside != plainState {
		c.delivered(in, false, n, err)
	}
}

// corkPlain is Write for a plain connection while the cork is empty: it takes b into
// that. It returns false, and has done nothing, in every other case.
func (c *Conn) corkPlain(b []byte) bool {
	l := c.loop
	if !c.plain() || l.corked != nil || len(b) >= directSize || len(b) > l.maxOutput {
		return false
	}
	l.corked = c
	l.cork = append(l.cork, b...)
	return true
}

// writePlain sends what is corked for c when nothing else is to be settled.
func (c *Conn) writePlain() {
	l := c.loop
	l.corked = nil
	b := l.takeCork()
	n, _, errno := rawSend(c.fd, b, sendFlags)
	if errno == 0 {
		l.meter.sent(n)
	}
	switch {
	case errno == 0 && int(n) == len(b):
		c.progressed()
		return
	case errno == 0:
		_ = c.wrote(int(n), 0, b, nil) // it keeps the rest
	case errno == unix.EINTR:
		_ = c.send(b, nil) // the connection remembers an error
	default:
		_ = c.wrote(0, errno, b, nil) // likewise
	}
	l.settle()
}
