package worker

import (
	"errors"
	"time"
)

// Connections that this program asks for, beside those that the master hands over. One
// that is dialled is in the loop's table as soon as it has a socket:
//
//	dialling ──(the kernel says: connected)──► Open is called, and on as any other
//	    └─────(refused, too late, given up)──► failed is called
//
// The master does not know of it, and does not count it. It does not move, and it does
// not keep a worker from its end.

// ErrDialTimeout: the connection was not there within Destination.Timeout.
var ErrDialTimeout = errors.New("worker: dial timeout")

// Dialer asks for connections on one loop. Its methods but Post are for that
// loop's goroutine: for callbacks, hooks, and the function that RunClient is given.
// Elsewhere After does nothing, and Dial fails with ErrWrongGoroutine.
type Dialer struct {
	loop     *loop
	self     *Conn  // has no socket: it carries the timers and functions of the Dialer itself
	last     uint64 // the id given last
	run      int    // connections dialled in a row (dialRun)
	failures int    // calls of failed that are in loop.messages
	closed   bool   // the loop ends: nothing more is dialled, unless one more connection comes
}

// firstDialled is the first id of dialled connections: the master's never come so far.
// Its low half, which the table's tags are made of, is far from the master's first ones.
const firstDialled = 1<<63 | 1<<31

func newDialer(l *loop) *Dialer {
	d := &Dialer{loop: l, last: firstDialled}
	d.self = &Conn{loop: l, origin: &origin{place: new(place)}, id: firstDialled, fd: -1, state: newState(phaseDialling, 0)} // for ever
	return d
}

// Dialer returns the Dialer of the loop that serves c, for a session that needs
// another connection to answer: a proxy.
func (c *Conn) Dialer() *Dialer {
	if !c.loop.here() {
		_ = c.loop.stray("Conn.Dialer") // logged; the Dialer's methods look for themselves
	}
	return c.loop.dialer
}

// dialRun is how many connections are dialled in a row. The next ones wait in
// loop.messages until the loop has looked at other events: else a server that refuses
// at once, and a failed that dials at once, would have the loop to themselves.
const dialRun = 64

// Dial asks for a connection. It does not block, and calls nothing. Later one of two is
// called, once: h's Open, with the connection that Dial returned, and all that follows is
// as for an accepted one; or failed, unless it is nil, with the reason. The reason is, by
// errors.Is, unix.ECONNREFUSED or the like; ErrDialTimeout; ErrClosed or ErrAborted after
// Close or Abort of the returned Conn; or ErrStopped when the worker ends. What is
// dialled when the loop has come to its end is forgotten, and nothing is called.
//
// A socket that the kernel has connected to itself, as it may where nobody listens, is
// tried anew, and refused. A failed or Close that dials again does not keep the loop from
// other work; it should wait a little all the same (After).
//
// Until Open, nothing can be written to the connection. Afterwards it differs from
// an accepted one in this: the worker's idle timeout is not set, Each and WithTick
// leave it out, it does not move to another worker, and when the last accepted
// connection of a draining worker has gone, it is closed, with ErrDrained.
//
// It takes one of the process's descriptors, and leaves one less for clients. The master
// sends as many clients as there are descriptors for, counting what each will have
// dialled, and the others wait in the kernel.
func (d *Dialer) Dial(to Destination, h Handler, failed func(error)) *Conn {
	l := d.loop
	if !l.here() {
		return d.strayDial(l.stray("Dialer.Dial"), failed)
	}
	d.last++
	c := &Conn{
		loop: l, origin: d.self.origin, remote: to.Remote.Addr(), port: to.Remote.Port(),
		id: d.last, fd: -1, state: newState(phaseDialling, traitDialled),
	}
	c.addUnfinished().dialling = &dialling{to: to, handler: h, failed: failed}
	fd, err := -1, error(ErrStopped)
	if !d.closed {
		fd, err = to.socket()
	}
	if err != nil {
		c.blame(dialError(to, err))
		c.state.step(eventRelease)
		d.failLater(c)
		return c
	}
	c.fd = int32(fd)
	l.table.add(c)
	l.dialled++
	if to.Timeout > 0 {
		now := l.refresh()
		c.setPhaseDeadline(now + min(to.Timeout, never-now))
	}
	if d.run == dialRun {
		l.messages.Put(message{f: func(*Conn) { d.run = 0 }})
	}
	if d.run++; d.run <= dialRun {
		c.connect()
	} else {
		l.messages.Put(message{f: func(*Conn) { c.connect() }})
	}
	return c
}

// strayDial is Dial on another goroutine than the loop's: it touches nothing of the loop,
// which is to call failed.
func (d *Dialer) strayDial(err error, failed func(error)) *Conn {
	if failed != nil {
		d.Post(func() { failed(err) })
	}
	return &Conn{loop: d.loop, origin: d.self.origin, id: firstDialled, fd: -1, state: newState(phaseOver, traitDialled)}
}

// failLater has failed called for a connection that has no socket: in another turn, since
// a failed that dials again may have none either.
func (d *Dialer) failLater(c *Conn) {
	d.failures++
	d.loop.messages.Put(message{f: func(*Conn) {
		d.failures--
		c.touch()
	}})
}

// After has the loop call f once wait has passed, or later by at most 10 ms or 1 %,
// whichever is more. A panic in it is logged, and has no other effect. It is Conn.After
// without a connection.
func (d *Dialer) After(wait time.Duration, f func()) *Timer {
	if !d.loop.here() {
		_ = d.loop.stray("Dialer.After") // logged
		return &Timer{loop: d.loop}
	}
	return d.self.After(wait, f)
}

// Post has the loop call f, as After does. It is for any goroutine, and does not
// block. It returns false, and f is not called, once the loop has ended, or when too
// many functions wait (see Conn.Post); while the loop ends f may not be called either.
func (d *Dialer) Post(f func()) bool {
	return d.loop.messages.Offer(message{f: func(*Conn) {
		_ = d.self.callAfter(f) // a panic is logged
	}})
}

// isDialers reports whether c stands for the Dialer, and not for a connection.
func (c *Conn) isDialers() bool { return c.loop.dialer.self == c }

// endDialled ends the dialled connections of a worker that has no others, and
// reports whether none is left.
func (l *loop) endDialled() bool {
	if !l.dialer.closed {
		l.dialer.closed = true
		l.table.each(func(c *Conn) { c.end(ErrDrained) })
		l.settle()
	}
	return l.table.live == 0
}

// accepted returns how many connections there are that the master counts.
func (l *loop) accepted() int { return l.table.live - l.dialled }
