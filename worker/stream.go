package worker

import (
	"crypto/tls"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
	"weak"

	"golang.org/x/sys/unix"
)

// stream is one connection of a Streams handler. It owns its descriptor until Accept, on
// a goroutine of the program, makes a net.Conn of it, or its passage does (streampassage.go).
// That is the program's; from then on the loop waits for its close.
type stream struct {
	id       uint64
	remote   netip.AddrPort // by the socket
	name     string         // of the master's listener
	listener *streamListener
	passage  *passage     // nil: Accept is the next that happens to it
	place    passingPlace // if it has a passage

	// The listener's mutex guards these.
	fd      int              // owned; -1 once there is a socket, or it is closed
	socket  func() socket    // nil before that; returns the socket, or nil once that is collected
	secure  func() *tls.Conn // likewise, of what is around it; nil: there is no TLS, or not yet
	passes  bool             // its passage is under way
	ready   net.Conn         // what its passage has made of it, until Accept returns that
	dropped bool             // it was closed while it passed
}

// socket is what *net.TCPConn and *net.UnixConn have in common.
type socket interface {
	net.Conn
	CloseRead() error
	CloseWrite() error
	SyscallConn() (syscall.RawConn, error)
}

// accept makes the program's connection of it. It runs on the goroutine that calls Accept.
func (c *stream) accept() (net.Conn, error) {
	if c.passage == nil {
		return c.open()
	}
	l := c.listener
	l.mu.Lock()
	conn := c.ready
	c.ready = nil
	l.mu.Unlock()
	if conn == nil {
		return nil, ErrDrained
	}
	return conn, nil
}

// open makes a socket of the descriptor, which that owns from then on.
func (c *stream) open() (socket, error) {
	conn, err := netConn(c.fd)
	l := c.listener
	l.mu.Lock()
	defer l.mu.Unlock()
	c.fd = -1
	if err != nil {
		return nil, err
	}
	switch conn := conn.(type) {
	case *net.TCPConn:
		c.socket = weakly(conn)
	case *net.UnixConn:
		c.socket = weakly(conn)
	}
	if l.hurried || c.dropped {
		_ = conn.Close() // nothing was written
		return nil, ErrDrained
	}
	return conn, nil
}

// discard closes one that nobody has accepted. The listener's mutex is held, and nothing
// here waits.
func (c *stream) discard() {
	if conn := c.ready; conn != nil {
		c.ready = nil
		// TLS says so to its peer, which may be gone.
		c.listener.streams.passing.goroutines.Go(func() { _ = conn.Close() })
		return
	}
	_ = unix.Close(c.fd) // nothing was written
	c.fd = -1
}

// drop has one closed whose passage is under way, by the goroutine of that. It reports
// whether it was. The listener's mutex is held, and nothing here waits.
func (c *stream) drop() bool {
	if !c.passes || c.dropped {
		return false
	}
	c.dropped = true
	if c.socket != nil {
		if s := c.socket(); s != nil {
			shutdown(s)
		}
	}
	return true
}

// weakly returns a function that returns p as long as somebody has it. One that the
// program forgets to close is closed when it is collected, as everywhere in Go.
func weakly[T any, P interface {
	*T
	socket
}](p P) func() socket {
	value := weak.Make((*T)(p)).Value
	return func() socket {
		if p := P(value()); p != nil {
			return p
		}
		return nil
	}
}

// netConn makes a *net.TCPConn or *net.UnixConn of a non-blocking socket. It
// takes ownership of fd, even on error.
//
// Package net has one way to do so, and it duplicates the descriptor: a dozen
// system calls more than Accept of a listener of its own, for each connection.
func netConn(fd int) (socket, error) {
	file := os.NewFile(uintptr(fd), "")
	conn, err := net.FileConn(file)
	_ = file.Close() // the connection has its own descriptor
	if err != nil {
		return nil, err
	}
	s, ok := conn.(socket)
	if !ok || conn.RemoteAddr() == nil {
		_ = conn.Close() // nothing was written
		return nil, os.NewSyscallError("getpeername", unix.ENOTCONN)
	}
	return s, nil
}

// inUse returns the socket, or nil: before there is one, and once the program has
// forgotten it. secure is what is around it, or nil. It and the following are for the
// loop's goroutine.
func (c *stream) inUse() (s socket, secure *tls.Conn) {
	c.listener.mu.Lock()
	defer c.listener.mu.Unlock()
	if c.socket == nil {
		return nil, nil
	}
	if c.secure != nil {
		secure = c.secure()
	}
	return c.socket(), secure
}

// shutdown sends FIN, after close_notify if there is TLS, and ends reading for the program.
func (c *stream) shutdown() {
	s, secure := c.inUse()
	switch {
	case s == nil:
	case secure == nil:
		shutdown(s)
	default:
		// It waits for a Write that is under way, and the peer may take nothing.
		c.listener.streams.passing.goroutines.Go(func() {
			_ = secure.SetWriteDeadline(time.Now().Add(drainFlushTime)) // it may be closed
			_ = secure.CloseWrite()                                     // likewise
			shutdown(s)
		})
	}
}

func shutdown(s socket) {
	_ = s.CloseWrite() // it may be closed
	_ = s.CloseRead()  // likewise
}

// close closes it for the program, at once: with SO_LINGER close(2) would wait for
// the client (socket(7)), and the loop with it.
func (c *stream) close() {
	if s, _ := c.inUse(); s != nil {
		if tcp, ok := s.(*net.TCPConn); ok {
			_ = tcp.SetLinger(-1) // it may be closed
		}
		_ = s.Close() // likewise
	}
}

// closed reports whether the program has closed it, or it was closed before Accept.
func (c *stream) closed() bool {
	c.listener.mu.Lock()
	opened := c.socket != nil
	pending := c.fd >= 0
	c.listener.mu.Unlock()
	if !opened {
		return !pending
	}
	s, _ := c.inUse()
	if s == nil {
		return true
	}
	raw, err := s.SyscallConn()
	return err != nil || raw.Control(func(uintptr) {}) != nil
}
