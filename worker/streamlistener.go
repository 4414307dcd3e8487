package worker

import (
	"net"
	"os"
	"sync"
	"syscall"
	"weak"

	"golang.org/x/sys/unix"
)

// streamListener is the net.Listener of a Streams handler. The loop puts
// connections in, any goroutine accepts them. What waits in it is bounded by the
// worker's capacity, as all its connections are.
type streamListener struct {
	loop *loop // whose log and calls are used

	mu       sync.Mutex
	changed  sync.Cond // pending or draining
	pending  []*stream
	draining bool // Accept ends when nothing is pending
	ended    bool // Accept has ended
	hurried  bool // connections are to be closed
}

func newStreamListener(l *loop) *streamListener {
	s := &streamListener{loop: l}
	s.changed.L = &s.mu
	return s
}

// streamAddr is the address of a listener that is the master's.
type streamAddr struct{}

func (streamAddr) Network() string { return "usher" }
func (streamAddr) String() string  { return "usher" }

// Addr returns an address that is none.
func (l *streamListener) Addr() net.Addr { return streamAddr{} }

// Accept waits for a connection. Its error is a *net.OpError and net.ErrClosed:
// the worker drains, or Close was called.
func (l *streamListener) Accept() (net.Conn, error) {
	for {
		c := l.next()
		if c == nil {
			return nil, &net.OpError{Op: "accept", Net: "usher", Addr: l.Addr(), Err: net.ErrClosed}
		}
		conn, err := c.hand()
		if err == nil {
			return conn, nil
		}
		// One whose peer has reset it already is the usual case.
		l.loop.log.Debug("connection refused", "conn", c.id, "peer", c.remote, "error", err)
	}
}

// Close ends Accept; connections that it would have returned are closed. The
// worker then drains.
func (l *streamListener) Close() error {
	if !l.close() {
		l.loop.calls.Put(l.loop.streams.left)
	}
	return nil
}

// close is Close without telling the loop. It reports whether Accept was at its
// end already, or is to be by the loop's wish.
func (l *streamListener) close() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	was := l.draining
	l.draining, l.ended = true, true
	for _, c := range l.pending {
		_ = unix.Close(c.fd) // nothing was written
		c.fd = -1
	}
	if n := len(l.pending); n > 0 {
		l.loop.log.Warn("connections closed, nobody accepts them", "count", n)
	}
	l.pending = nil
	l.changed.Broadcast()
	return was
}

// drain ends Accept once nothing is pending.
func (l *streamListener) drain() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.draining = true
	l.changed.Broadcast()
}

// cut is close for the drain's deadline: what is accepted just now is closed too.
func (l *streamListener) cut() {
	l.mu.Lock()
	l.hurried = true
	l.mu.Unlock()
	l.close()
}

// put takes ownership of a connection that is watched.
func (l *streamListener) put(c *stream) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		l.loop.log.Warn("connections closed, nobody accepts them", "count", 1)
		_ = unix.Close(c.fd) // nothing was written
		c.fd = -1
		return
	}
	l.pending = append(l.pending, c)
	l.changed.Signal()
}

// next waits for a connection; nil is the end.
func (l *streamListener) next() *stream {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.pending) == 0 {
		if l.draining {
			l.ended = true
			return nil
		}
		l.changed.Wait()
	}
	c := l.pending[0]
	l.pending[0] = nil
	l.pending = l.pending[1:]
	return c
}

// socket is what *net.TCPConn and *net.UnixConn have in common.
type socket interface {
	net.Conn
	CloseRead() error
	CloseWrite() error
	SyscallConn() (syscall.RawConn, error)
}

// hand makes the program's connection of it, and gives it the descriptor.
func (c *stream) hand() (net.Conn, error) {
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

// held returns the program's socket, or nil: it has none yet, or no more.
func (c *stream) held() socket {
	c.listener.mu.Lock()
	defer c.listener.mu.Unlock()
	if c.socket == nil {
		return nil
	}
	return c.socket()
}

// shut sends FIN, and ends reading for the program.
func (c *stream) shut() {
	if s := c.held(); s != nil {
		_ = s.CloseWrite() // it may be closed
		_ = s.CloseRead()  // likewise
	}
}

// close closes it for the program, at once: with SO_LINGER close(2) would wait for
// the client (socket(7)), and the loop with it.
func (c *stream) close() {
	if s := c.held(); s != nil {
		if tcp, ok := s.(*net.TCPConn); ok {
			_ = tcp.SetLinger(-1) // it may be closed
		}
		_ = s.Close() // likewise
	}
}

// gone reports whether the program has closed it.
func (c *stream) gone() bool {
	c.listener.mu.Lock()
	handed := c.socket != nil
	waiting := c.fd >= 0
	c.listener.mu.Unlock()
	if !handed {
		return !waiting
	}
	s := c.held()
	if s == nil {
		return true
	}
	raw, err := s.SyscallConn()
	return err != nil || raw.Control(func(uintptr) {}) != nil
}
