package worker

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// How input comes: an event has the loop read once (read), which hands what came to the
// session (deliver), and keeps what that leaves (keepInput). All of it runs on the loop's
// goroutine.

// inputSize is the size of the loop's one read buffer, and so the most that a connection
// is served before the others have their turn: there is one read for an event, and since
// epoll is level-triggered the rest comes in the next turn.
const inputSize = 64 << 10

// Peek returns the input that Data has left so far. It belongs to the loop, is valid
// until the callback returns, and must not be changed. It is nil when nothing is left,
// once the connection is closing, and within Data and EOF, which are given that input.
func (c *Conn) Peek() []byte {
	if !c.loop.here() {
		_ = c.loop.stray("Conn.Peek") // logged
		return nil
	}
	if c.unfinished == nil || c.loop.reading == c || c.ending() {
		return nil
	}
	return c.unfinished.in
}

// SetMaxInput bounds the bytes that this session may leave unconsumed, in place of
// WithMaxInput; 0 goes back to that. It counts when Data returns: a Data that has read
// how long its message is may make room for the rest, and later take that back. To
// leave more ends the connection with ErrInputFull.
//
// It does not move along: Open, which is called in the next worker too, or
// UnmarshalBinary sets it again.
func (c *Conn) SetMaxInput(bytes int) {
	if !c.loop.here() {
		_ = c.loop.stray("Conn.SetMaxInput") // logged
		return
	}
	if !c.ending() {
		c.addUnfinished().maxInput = max(bytes, 0)
		c.releaseUnfinished()
	}
}

// maxInput is the bound that counts.
func (c *Conn) maxInput() int {
	if c.unfinished != nil && c.unfinished.maxInput > 0 {
		return c.unfinished.maxInput
	}
	return c.loop.maxInput
}

// read takes what one recv(2) gives and hands it to the session. (Most reads are
// readPlain's.)
func (c *Conn) read() {
	switch {
	case c.state.phase() == phaseHandshaking:
		c.readHandshaking()
	case c.state.is(traitWrapped):
		c.readWrapped()
	default:
		c.received(c.recv(c.loop.input))
	}
}

// received acts on what recv has returned.
func (c *Conn) received(n int, errno syscall.Errno) {
	switch {
	case errno == unix.EAGAIN:
	case errno != 0:
		c.fail(os.NewSyscallError("read", errno))
	case n == 0:
		c.endInput()
	default:
		c.gotInput()
		c.deliver(c.loop.input[:n])
	}
}

// deliver calls Data with what it has left so far, and then fresh, which is in the
// loop's buffer and may be empty.
func (c *Conn) deliver(fresh []byte) {
	in, own := fresh, c.unfinished != nil && c.unfinished.in != nil
	if own {
		c.unfinished.in = c.loop.buffers.Append(c.unfinished.in, fresh)
		in = c.unfinished.in
	}
	c.loop.reading = c
	n, err := c.callData(in)
	c.loop.reading = nil
	c.delivered(in, own, n, err)
}

// delivered acts on what Data has returned. own says that the input is c's, and
// not in the loop's buffer.
func (c *Conn) delivered(in []byte, own bool, n int, err error) {
	c.state.clear(dueReplay) // a pause that began and ended within the call is none
	if err == nil && (n < 0 || n > len(in)) {
		err = fmt.Errorf("%w: %d of %d bytes", ErrConsumed, n, len(in))
	}
	if err != nil {
		c.end(err)
	}
	if c.ending() {
		n = len(in)
	}
	c.keepInput(in[n:], own)
}

// keepInput stores what Data did not consume.
func (c *Conn) keepInput(rest []byte, own bool) {
	if limit := c.maxInput(); len(rest) > limit {
		c.end(fmt.Errorf("%w: %d bytes, at most %d", ErrInputFull, len(rest), limit))
		rest = nil
	}
	switch {
	case len(rest) == 0:
		c.dropInput()
	case !own:
		c.addUnfinished().in = append(c.loop.buffers.Get(len(rest)), rest...)
	default:
		c.unfinished.in = c.loop.buffers.Fit(c.unfinished.in, len(c.unfinished.in)-len(rest))
	}
	c.loop.grew()
}

// dropInput forgets the input left over.
func (c *Conn) dropInput() {
	if c.unfinished != nil && c.unfinished.in != nil {
		c.loop.buffers.Put(c.unfinished.in)
		c.unfinished.in = nil
		c.releaseUnfinished()
	}
}

// endInput is called when the peer has finished sending, and once more if the connection was
// engaged then. A session without an EOF ends.
func (c *Conn) endInput() {
	c.state.hold(holdEOF)
	c.touch()
	session, ok := c.session.(EOFSession)
	if !ok {
		c.end(nil)
		return
	}
	var rest []byte
	if c.unfinished != nil {
		rest = c.unfinished.in
	}
	c.loop.reading = c
	err := c.callEOF(session, rest)
	c.loop.reading = nil
	if err != nil {
		c.end(err)
	}
	if c.state.is(traitEngaged) && !c.ending() {
		return // the end is told again when the request is over, with what is left then
	}
	c.dropInput()
}
