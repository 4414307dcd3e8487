package worker

import "time"

// unfinished is the record of what a connection has only while something about it is
// unfinished. An idle connection has none, and costs that much less memory. A record
// belongs to one connection, until that gives it back to the loop, which keeps some.
type unfinished struct {
	raw          []byte        // input that the transport did not use: less than a unit of it
	in           []byte        // input that Data did not consume
	out          []byte        // output that the kernel did not take, from written on
	written      int           // bytes of out
	files        []filePart    // to send after out
	cause        error         // what ended the connection, when not in order
	deadlines    deadlines     // see deadline.go
	unsentBefore int           // bytes unsent when the phase's deadline was last set: of output while closing, of the kernel's queue while lingering
	discarded    int           // bytes of input, while lingering
	lingerEnd    time.Duration // when lingering is over in any case, on the loop's clock
	timers       *Timer        // the first of those that are to run
	jobs         int           // calls of Go that are outstanding
	maxInput     int           // by SetMaxInput; 0: the worker's
	flowing      func() error  // by WhenFlowing; nil: none
	dialling     *dialling     // until the connection is open
	handshaking  *handshaking  // likewise
	postponed    postponed     // see freeze.go
}

// empty reports whether nothing is unfinished.
func (u *unfinished) empty() bool {
	return u.raw == nil && u.in == nil && u.out == nil && u.files == nil && u.cause == nil &&
		u.deadlines == (deadlines{}) && u.timers == nil && u.jobs == 0 && u.maxInput == 0 &&
		u.flowing == nil && u.dialling == nil && u.handshaking == nil && u.postponed == (postponed{})
}

// addUnfinished returns c's record, a new one if it had none, to add to it.
func (c *Conn) addUnfinished() *unfinished {
	if c.unfinished == nil {
		c.unfinished = c.loop.newUnfinished()
	}
	return c.unfinished
}

// releaseUnfinished gives c's record back once nothing is in it.
func (c *Conn) releaseUnfinished() {
	if u := c.unfinished; u != nil && u.empty() {
		c.unfinished = nil
		c.loop.freeUnfinished(u)
	}
}

// dropUnfinished gives back c's record and its buffers, whatever is in them. Its files
// and timers are gone by then.
func (c *Conn) dropUnfinished() {
	if u := c.unfinished; u != nil {
		c.unfinished = nil
		c.loop.buffers.Put(u.raw)
		c.loop.buffers.Put(u.in)
		c.loop.buffers.Put(u.out)
		c.loop.freeUnfinished(u)
	}
}

// freeUnfinishedKept bounds the free list.
const freeUnfinishedKept = 256

func (l *loop) newUnfinished() *unfinished {
	n := len(l.freeRecords)
	if n == 0 {
		return new(unfinished)
	}
	u := l.freeRecords[n-1]
	l.freeRecords = l.freeRecords[:n-1]
	return u
}

func (l *loop) freeUnfinished(u *unfinished) {
	*u = unfinished{}
	if len(l.freeRecords) < freeUnfinishedKept {
		l.freeRecords = append(l.freeRecords, u)
	}
}
