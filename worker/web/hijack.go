package web

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"time"

	"github.com/usher-go/usher/internal/forweb"
	"github.com/usher-go/usher/worker"
)

// hijackedSession is the session of a connection that a handler has taken over. The handler has a
// hijackedConn; the bytes still go over the loop.
//
//	loop                          goroutines of the handler, by hijackedConn
//	Data, EOF, Close ──► feed ──► Read
//	obey ◄── pipe ◄────────────── Write
//
// It does not move, and is cut at the drain's deadline.
type hijackedSession struct {
	conn    *worker.Conn
	context *requestContext
	pipe    *pipe
	feed    feed

	skip int // bytes of input that are in the handler's reader already; the loop's
}

// ioBuffer is the size of the buffers that a handler gets with the connection, as
// net/http's.
const ioBuffer = 4 << 10

// hijack is hijacker's. It waits for the loop.
func (x *exchange) hijack(rest []byte) (net.Conn, *bufio.ReadWriter, error) {
	h := &hijackedSession{conn: x.pipe.conn, context: x.requestContext, pipe: &x.pipe}
	h.feed.open(-1)
	h.feed.resume = h.resume
	if err := x.pipe.setWriteDeadline(time.Time{}); err != nil { // the handler sets its own
		return nil, nil, err
	}
	taken := make(chan error, 1)
	takeOver := func(c *worker.Conn) {
		rest = append(rest, c.Peek()...)
		h.skip = len(c.Peek())
		c.SetIdleTimeout(0)
		c.SetWriteDeadline(time.Time{})
		c.SetMaxInput(x.server.maxInput())
		if x.ended.Load() {
			h.feed.end(io.EOF)
		}
		conn := forweb.Of(c)
		conn.Become(h)
		conn.Pin()
		c.Resume()
	}
	if err := x.pipe.end(nil, takeOver, taken); err != nil {
		return nil, nil, err
	}
	if err := <-taken; err != nil {
		return nil, nil, err
	}
	x.leave()
	conn := &hijackedConn{session: h, local: netAddr(h.conn.LocalAddr()), remote: netAddr(h.conn.RemoteAddr())}
	in := bufio.NewReaderSize(conn, ioBuffer)
	if len(rest) > 0 {
		in = bufio.NewReaderSize(io.MultiReader(bytes.NewReader(rest), conn), max(ioBuffer, len(rest)))
		_, _ = in.Peek(len(rest)) // they are there: the reader has them buffered from now on
	}
	return conn, bufio.NewReadWriter(in, bufio.NewWriterSize(conn, ioBuffer)), nil
}

// Data takes what comes.
func (h *hijackedSession) Data(c *worker.Conn, in []byte) (n int, err error) {
	n = min(h.skip, len(in))
	h.skip -= n
	n += h.feed.put(in[n:])
	if n < len(in) {
		c.Pause()
	}
	return n, nil
}

// resume reads on: the feed has room again. It is for any goroutine.
func (h *hijackedSession) resume() {
	forweb.Of(h.conn).Put(func(c *worker.Conn) { c.Resume() }) // if not, it is closed
}

// EOF says that the peer has finished sending.
func (h *hijackedSession) EOF(*worker.Conn, []byte) error {
	h.feed.end(io.EOF)
	return nil
}

// Low lets who writes go on.
func (h *hijackedSession) Low(*worker.Conn) { h.pipe.setChoked(false) }

// DrainBegins says nothing: the handler sees it by its context (Draining).
func (h *hijackedSession) DrainBegins(_ *worker.Conn, deadline time.Time) { h.context.drain(deadline) }

// LastCall says that it ends now.
func (h *hijackedSession) LastCall(*worker.Conn) (stay bool) { return false }

// Close ends the handler's part: what it reads and writes fails from now on.
func (h *hijackedSession) Close(_ *worker.Conn, err error) {
	if err == nil {
		err = net.ErrClosed
	}
	h.pipe.fail(err)
	h.feed.end(err)
	h.context.end(err)
}
