package worker

import (
	"net"
	"net/netip"
	"os"
	"syscall"
	"weak"

	"golang.org/x/sys/unix"
)

// stream is one connection of a Streams handler. It owns its descriptor until Accept, on
// a goroutine of the program, makes a net.Conn of it, which is the program's; from then on
// the loop waits for its close.
type stream struct {
	id        uint64
	remote    netip.AddrPort
	listener  *streamListener
	transport transport // nil: none; else it goes to the program with the connection

	// The listener's mutex guards these.
	fd     int           // owned; -1 once accepted or closed
	socket func() socket // nil before Accept; returns the program's socket, or nil once that is collected
}

// socket is what *net.TCPConn and *net.UnixConn have in common.
type socket interface {
	net.Conn
	CloseRead() error
	CloseWrite() error
	SyscallConn() (syscall.RawConn, error)
}

// accept makes the program's connection of it, and gives it the descriptor. It runs on
// the goroutine that calls Accept.
func (c *stream) accept() (net.Conn, error) {
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
	if l.hurried {
		_ = conn.Close() // nothing was written
		return nil, ErrDrained
	}
	if c.transport != nil {
		return newTransportConn(conn, c.transport), nil
	}
	return conn, nil
}

// weakly returns a function that returns p as long as the program has it. One
// that it forgets to close is closed when it is collected, as everywhere in Go.
func weakly[T any, P interface {
	*T
	socket
}](p P) func() socket {
	w := weak.Make((*T)(p))
	return func() socket {
		if p := P(w.Value()); p != nil {
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
func netConn(fd int) (net.Conn, error) {
	file := os.NewFile(uintptr(fd), "")
	conn, err := net.FileConn(file)
	_ = file.Close() // the connection has its own descriptor
	if err != nil {
		return nil, err
	}
	if _, ok := conn.(socket); !ok || conn.RemoteAddr() == nil {
		_ = conn.Close() // nothing was written
		return nil, os.NewSyscallError("getpeername", unix.ENOTCONN)
	}
	return conn, nil
}

// inUse returns the program's socket, or nil: before Accept, and once the program has
// forgotten it. It and the following are for the loop's goroutine.
func (c *stream) inUse() socket {
	c.listener.mu.Lock()
	defer c.listener.mu.Unlock()
	if c.socket == nil {
		return nil
	}
	return c.socket()
}

// shutdown sends FIN, and ends reading for the program.
func (c *stream) shutdown() {
	if s := c.inUse(); s != nil {
		_ = s.CloseWrite() // it may be closed
		_ = s.CloseRead()  // likewise
	}
}

// close closes it for the program, at once: with SO_LINGER close(2) would wait for
// the client (socket(7)), and the loop with it.
func (c *stream) close() {
	if s := c.inUse(); s != nil {
		if tcp, ok := s.(*net.TCPConn); ok {
			_ = tcp.SetLinger(-1) // it may be closed
		}
		_ = s.Close() // likewise
	}
}

// closed reports whether the program has closed it, or it was closed before Accept.
func (c *stream) closed() bool {
	c.listener.mu.Lock()
	accepted := c.socket != nil
	pending := c.fd >= 0
	c.listener.mu.Unlock()
	if !accepted {
		return !pending
	}
	s := c.inUse()
	if s == nil {
		return true
	}
	raw, err := s.SyscallConn()
	return err != nil || raw.Control(func(uintptr) {}) != nil
}
