package web

import (
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/usher-go/usher/worker"
)

// hijackedConn is a hijacked connection as a net.Conn. Its methods are for any goroutine;
// Read and Write block. It stays on the worker's loop, and in this worker: it is cut when
// that leaves (see DrainDeadline).
type hijackedConn struct {
	session       *hijackedSession
	writes        sync.Mutex // held by one Write
	finished      bool       // CloseWrite was called; guarded by writes
	local, remote net.Addr
}

// Read is net.Conn's. Errors: io.EOF, os.ErrDeadlineExceeded, net.ErrClosed behind Close,
// and what ended the connection.
func (c *hijackedConn) Read(b []byte) (int, error) {
	n, err := c.session.feed.Read(b)
	if errors.Is(err, io.ErrClosedPipe) {
		err = net.ErrClosed
	}
	return n, err
}

// Write is net.Conn's. It waits while the peer is slow. Errors: os.ErrDeadlineExceeded,
// net.ErrClosed behind Close, and what ended the connection.
func (c *hijackedConn) Write(b []byte) (n int, err error) {
	c.writes.Lock()
	defer c.writes.Unlock()
	if c.finished {
		return 0, syscall.EPIPE
	}
	for n < len(b) {
		get := getLargeBuffer
		if len(b)-n <= smallBuffer {
			get = getBuffer
		}
		part := get()
		part = append(part, b[n:min(len(b), n+cap(part))]...)
		size := len(part)
		if err := c.session.pipe.send(part); err != nil {
			return n, err
		}
		n += size
	}
	return n, nil
}

// Close is net.Conn's. What was written is sent; it does not wait for that.
func (c *hijackedConn) Close() error {
	err := c.session.pipe.shut(closeQuietly)
	_ = c.session.feed.take(nil) // nobody wants it any more
	return err
}

// CloseWrite tells the peer that no more comes, as that of a net.TCPConn.
func (c *hijackedConn) CloseWrite() error {
	c.writes.Lock()
	defer c.writes.Unlock()
	c.finished = true
	return c.session.pipe.end(nil, func(c *worker.Conn) { _ = c.CloseWrite() }, nil) // else it has ended
}

// LocalAddr is net.Conn's.
func (c *hijackedConn) LocalAddr() net.Addr { return c.local }

// RemoteAddr is net.Conn's.
func (c *hijackedConn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline is net.Conn's.
func (c *hijackedConn) SetDeadline(t time.Time) error {
	c.session.feed.setDeadline(t)
	return c.session.pipe.setWriteDeadline(t)
}

// SetReadDeadline is net.Conn's.
func (c *hijackedConn) SetReadDeadline(t time.Time) error {
	c.session.feed.setDeadline(t)
	return nil
}

// SetWriteDeadline is net.Conn's.
func (c *hijackedConn) SetWriteDeadline(t time.Time) error {
	return c.session.pipe.setWriteDeadline(t)
}
