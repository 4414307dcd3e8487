package worker

import (
	"fmt"
	"os"
	"syscall"

	"github.com/usher-go/usher/internal/buffers"
	"golang.org/x/sys/unix"
)

// How output goes: while a callback runs, its small writes gather in the cork, of which
// the loop has one. The cork goes out in one send(2) when the callback returns, when
// another connection is written to, or when it is full. What the kernel does not take
// becomes the connection's own output (unfinished.out), and only then is EPOLLOUT armed.
// All of it runs on the loop's goroutine.
//
// The order of bytes holds because a plain connection that has output of its own adds to
// that, and not to the cork. A connection with a transport may have both: what is in
// the cork is encoded when it leaves that, and its own output is encoded already.

const (
	corkSize = 64 << 10
	// directSize is the length from which copying a write costs more than a system call.
	directSize = 16 << 10
)

// Write sends b. It takes all of b or nothing, never blocks, and keeps no
// reference to b. Many small writes within one callback cost one system call.
//
// What the peer is slow to take is buffered. Above the high-water mark (256 KiB)
// the connection's input is paused, as by Pause, until output falls below the
// low-water mark (64 KiB). Then Low is called, and Data if it had left input. While
// the worker's buffers are full (WithMemory) both marks are lower. Past the bound
// (WithMaxOutput) Write returns ErrFull; what this callback has written before counts
// if the kernel does not take it.
//
// Other errors: ErrClosed after Close or CloseWrite, and once the connection has
// ended for whatever reason; and what ends it here, which is what send(2) says, or
// ErrMemory.
func (c *Conn) Write(b []byte) (int, error) {
	if !c.loop.here() {
		return 0, c.loop.stray("Conn.Write")
	}
	if c.corkPlain(b) {
		return len(b), nil
	}
	if err := c.admit(len(b)); err != nil {
		return 0, err
	}
	if err := c.push(b); err != nil {
		return 0, err
	}
	return len(b), nil
}

// Writev is Write of all bs joined: all of them or nothing.
func (c *Conn) Writev(bs ...[]byte) (int, error) {
	if !c.loop.here() {
		return 0, c.loop.stray("Conn.Writev")
	}
	total := 0
	for _, b := range bs {
		total += len(b)
	}
	if err := c.admit(total); err != nil {
		return 0, err
	}
	for _, b := range bs {
		if err := c.push(b); err != nil {
			return 0, err
		}
	}
	return total, nil
}

// Buffered returns how many bytes were written and not yet taken by the kernel;
// those of SendFile are not among them. With TLS they count as they are sent: with 22 to
// 29 more for each record, of 16 KiB at most.
func (c *Conn) Buffered() int {
	if !c.loop.here() {
		_ = c.loop.stray("Conn.Buffered") // logged
		return 0
	}
	return c.buffered()
}

func (c *Conn) buffered() int {
	n := 0
	if c.unfinished != nil {
		n = len(c.unfinished.out) - c.unfinished.written
		for i := range c.unfinished.files {
			n += len(c.unfinished.files[i].after)
		}
	}
	if c.loop.corked == c {
		n += len(c.loop.cork)
	}
	return n
}

// admit says whether n bytes may be written.
func (c *Conn) admit(n int) error {
	switch {
	case c.state.phase() == phaseBroken && c.cause() != nil:
		return c.cause() // until the callback has returned, and the connection is closed
	case !c.state.allows(mayWrite) || c.state.fin() != finNone:
		return ErrClosed
	case c.buffered()+n > c.loop.maxOutput:
		if c.loop.corked == c {
			c.loop.uncork()
			return c.admit(n) // what the kernel has taken does not count
		}
		return fmt.Errorf("%w: %d bytes after %d, at most %d", ErrFull, n, c.buffered(), c.loop.maxOutput)
	}
	return nil
}

// hasOutput reports whether c has output of its own, beside what is in the cork.
func (c *Conn) hasOutput() bool {
	return c.unfinished != nil && (c.unfinished.out != nil || c.unfinished.files != nil)
}

// push takes b, which admit has let in: into the cork, past it to the kernel, or behind
// c's own output.
func (c *Conn) push(b []byte) error {
	if c.loop.opening == c {
		return nil // it greeted its peer where it was opened first
	}
	if c.hasOutput() && !c.state.is(traitWrapped) {
		return c.spill(nil, b)
	}
	l := c.loop
	if l.corked != c {
		l.uncork()
		l.corked = c
	}
	// A large write goes straight from the caller's memory, together with what
	// is corked before it. It never waits in the cork: half the copies.
	if len(b) < directSize && len(l.cork)+len(b) <= corkSize {
		l.cork = append(l.cork, b...)
		return nil
	}
	l.corked = nil
	return c.send(l.takeCork(), b)
}

// uncork sends what is in the cork.
func (l *loop) uncork() {
	if c := l.corked; c != nil {
		l.corked = nil
		_ = c.send(l.takeCork(), nil) // the connection remembers an error, and ends when it is settled
	}
}

// uncorkBefore is uncork ahead of a file, with which the cork's bytes may share a segment.
// Something is corked.
func (l *loop) uncorkBefore() {
	c := l.corked
	if c.state.is(traitWrapped) || len(l.cork) == 0 {
		l.uncork()
		return
	}
	l.corked = nil
	b := l.takeCork()
	n, errno := c.sendMore(b)
	_ = c.wrote(n, errno, b, nil) // as in uncork
}

// takeCork empties the cork. Its bytes are valid until the next append to it.
func (l *loop) takeCork() []byte {
	b := l.cork
	l.cork = l.cork[:0]
	return b
}

// send writes first and second to a connection without output of its own, and
// keeps what the kernel does not take.
func (c *Conn) send(first, second []byte) error {
	if c.state.is(traitWrapped) {
		return c.sendWrapped(first, second)
	}
	n, errno := c.sendv(first, second)
	return c.wrote(n, errno, first, second)
}

// wrote acts on what sendv has returned.
func (c *Conn) wrote(n int, errno syscall.Errno, first, second []byte) error {
	if n > 0 {
		c.progressed()
	}
	switch {
	case errno != 0 && errno != unix.EAGAIN:
		err := os.NewSyscallError("write", errno)
		c.fail(err)
		return err
	case n < len(first):
		return c.spill(first[n:], second)
	case n < len(first)+len(second):
		return c.spill(second[n-len(first):], nil)
	}
	return nil
}

// spill adds to the connection's own output. Its error is ErrMemory, and the end of the
// connection: the worker's buffers were too full for that.
func (c *Conn) spill(first, second []byte) error {
	c.keepOutput(first, second)
	if c.loop.grew(); c.state.phase() >= phaseBroken {
		return c.cause()
	}
	return nil
}

// keepOutput adds to what is to be sent, behind the last file if any waits.
func (c *Conn) keepOutput(first, second []byte) {
	u, store := c.addUnfinished(), &c.loop.buffers
	if n := len(u.files); n > 0 {
		last := &u.files[n-1]
		last.after = store.Append(store.Append(last.after, first), second)
		c.touch()
		return // choked until the file is sent
	}
	c.appendOutput(first, second)
}

// appendOutput adds to what is to be sent before any file.
func (c *Conn) appendOutput(first, second []byte) {
	u, store := c.addUnfinished(), &c.loop.buffers
	need := len(u.out) + len(first) + len(second)
	if u.written > 0 && need > cap(u.out) {
		u.out = u.out[:copy(u.out, u.out[u.written:])]
		u.written = 0
	}
	u.out = store.Append(u.out, first)
	u.out = store.Append(u.out, second)
	if len(u.out)-u.written >= c.loop.highMark() {
		c.state.hold(holdChoked)
	}
	c.touch()
}

// flush writes the connection's own output once: when epoll says that there is room, and
// before a deadline is found to have passed (expire).
func (c *Conn) flush() {
	u := c.unfinished
	if u.out != nil {
		n, errno := c.sendv(u.out[u.written:], nil)
		if errno != 0 {
			if errno != unix.EAGAIN {
				c.fail(os.NewSyscallError("write", errno))
			}
			return
		}
		c.progressed()
		u.written += n
		switch rest := len(u.out) - u.written; {
		case rest == 0:
			c.loop.buffers.Put(u.out)
			u.out, u.written = nil, 0
		case buffers.TooLarge(u.out, rest):
			u.out, u.written = c.loop.buffers.Fit(u.out, u.written), 0
		}
	}
	if u.out == nil && u.files != nil {
		if c.flushFile(); c.state.phase() >= phaseBroken {
			return
		}
	}
	choked := u.files != nil || c.buffered() > c.loop.lowMark()
	if !c.hasOutput() {
		c.releaseUnfinished()
		c.touch()
	}
	if c.state.held(holdChoked) && !choked {
		c.state.unhold(holdChoked)
		c.state.owe(dueLow | dueReplay)
		c.touch()
	}
}

// The water marks of buffered output. A loop with a low bound has lower ones (newLoop).
const (
	highWater = 256 << 10
	lowWater  = 64 << 10
)

// highMark is the high-water mark: low while the worker's buffers are full.
func (l *loop) highMark() int {
	if l.memory.full {
		return min(fullInput, l.highWater)
	}
	return l.highWater
}

// lowMark is the low-water mark: while the worker's buffers are full, nothing is to be
// left.
func (l *loop) lowMark() int {
	if l.memory.full {
		return 0
	}
	return l.lowWater
}
