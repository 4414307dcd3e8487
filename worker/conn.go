package worker

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// The errors that callers tell apart with errors.Is.
var (
	// ErrClosed is what methods of a Conn return after Close, Abort or the
	// end of the connection, and writing ones after CloseWrite. It is also a
	// net.ErrClosed.
	ErrClosed = fmt.Errorf("worker: %w", net.ErrClosed)
	// ErrFull: the output would go past its bound (WithMaxOutput).
	ErrFull = errors.New("worker: output full")
	// ErrInputFull: Data left more input unconsumed than WithMaxInput, or the
	// connection's SetMaxInput, allows.
	ErrInputFull = errors.New("worker: too much unconsumed input")
	// ErrConsumed: Data returned a number of bytes that it was not given.
	ErrConsumed = errors.New("worker: handler consumed what it was not given")
	// ErrPanic: a callback of this connection panicked.
	ErrPanic = errors.New("worker: handler panicked")
	// ErrAborted: Abort was called.
	ErrAborted = errors.New("worker: connection aborted")
	// ErrIdleTimeout: there was no progress for the idle timeout.
	ErrIdleTimeout = errors.New("worker: idle timeout")
	// ErrReadTimeout: no input came by the read deadline.
	ErrReadTimeout = errors.New("worker: read timeout")
	// ErrWriteTimeout: output was still buffered at the write deadline, or for
	// too long after Close.
	ErrWriteTimeout = errors.New("worker: write timeout")
	// ErrDrained: the drain's deadline came.
	ErrDrained = errors.New("worker: drain deadline")
	// ErrStopped: the worker stopped with the connection open.
	ErrStopped = errors.New("worker: stopped")
)

// Conn is one connection. Its methods are for callbacks, on the loop's goroutine, and
// none of them blocks. On another goroutine they do nothing, and those that return an
// error return ErrWrongGoroutine; but Post, ID, Listener, RemoteAddr, LocalAddr, TLS,
// Proxy and AccessLog are for any goroutine.
//
// A Conn may be kept after its end: it is never used for another connection, its
// methods then return ErrClosed or do nothing, and ID, Listener and RemoteAddr still
// answer.
type Conn struct {
	// It belongs to its loop, and owns its socket. Only its loop's goroutine touches it, but
	// for fd and posted, and what never changes: origin (once opened), remote, port and id.
	//
	// Where to read on: phase.go has its life, state.go what is known of it, unfinished.go
	// what it has only at times; input.go and output.go its bytes, plain.go the short way
	// of most of them, transport.go what they may pass, handshaking.go what comes before that; closing.go its end, freeze.go and
	// thaw.go its way to another worker.

	loop       *loop
	session    Session // nil until Open has succeeded, and after the end
	origin     *origin
	unfinished *unfinished // nil while nothing is
	remote     netip.Addr
	id         uint64
	fd         int32  // -1 just before it is closed; another goroutine may load it, by atomics
	index      uint32 // in the loop's table
	alarm      uint32 // in the wheel; 0: nothing about it is timed
	state      state
	armed      uint16       // the conditions that epoll was asked for, while watched
	port       uint16       // of remote
	posted     atomic.Int32 // functions that wait (post.go); negative once no more are taken
}

// ID returns the connection's number, which is never 0. An accepted connection's is
// unique for the life of the master; a dialled one's is unique in its loop, and above
// 1<<63.
func (c *Conn) ID() uint64 { return c.id }

// Listener returns the name of the listener it came by. The name may be empty; that of
// a dialled connection is.
func (c *Conn) Listener() string { return c.origin.listener }

// RemoteAddr returns the peer's address, by its PROXY header if it has one (see Proxy); the
// zero AddrPort, which is invalid, for a Unix socket.
func (c *Conn) RemoteAddr() netip.AddrPort { return netip.AddrPortFrom(c.remote, c.port) }

// LocalAddr returns the address that the peer connected to, by its PROXY header if it has
// one (see Proxy), or that was dialled from; the zero AddrPort, which is invalid, for a
// Unix socket. For a connection of a listener
// on all addresses, and a dialled one, each call costs a system call; after the end it
// is the listener's address for the one, and invalid for the other.
func (c *Conn) LocalAddr() netip.AddrPort {
	if p := c.origin.proxy; p != nil && !p.Local {
		return p.Destination
	}
	listener := c.origin.local
	dialled := c.id >= firstDialled // not by state, which is the loop's
	fd := atomic.LoadInt32(&c.fd)
	if fd < 0 || !dialled && !(listener.IsValid() && listener.Addr().IsUnspecified()) {
		return listener
	}
	name, err := unix.Getsockname(int(fd))
	if err != nil || atomic.LoadInt32(&c.fd) != fd {
		return listener // the next best answer: the socket that was asked may be another's
	}
	switch name := name.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(name.Addr), uint16(name.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(name.Addr).Unmap(), uint16(name.Port))
	}
	return listener
}

// Each calls f for every open connection of this worker but those that it has dialled,
// c included, in no order. f may write to, close or abort any of them: those that end
// on the way are left out.
func (c *Conn) Each(f func(c *Conn)) {
	if !c.loop.here() {
		_ = c.loop.stray("Conn.Each") // logged
		return
	}
	for other := range c.loop.conns {
		f(other)
	}
}

// Pause stops input: Data is not called and nothing is read until Resume, so
// that the peer is held up once the kernel's buffers are full. The peer's end is
// not noticed either, unless it is a reset. A second Pause changes nothing: one Resume
// ends both.
func (c *Conn) Pause() {
	if !c.loop.here() {
		_ = c.loop.stray("Conn.Pause") // logged
		return
	}
	if !c.ending() {
		c.state.hold(holdPaused)
		c.touch()
	}
}

// Resume ends a pause by Pause, and does nothing without one. Input that Data had left is
// given to it again, from the loop, not from within Resume.
func (c *Conn) Resume() {
	if !c.loop.here() {
		_ = c.loop.stray("Conn.Resume") // logged
		return
	}
	if !c.ending() && c.state.held(holdPaused) {
		c.state.unhold(holdPaused)
		c.state.owe(dueReplay)
		c.touch()
	}
}

// cause returns what ended the connection; nil: nothing yet, or it ended in order.
func (c *Conn) cause() error {
	if c.unfinished == nil {
		return nil
	}
	return c.unfinished.cause
}
