package web

import (
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/usher-go/usher/internal/forweb"
	"github.com/usher-go/usher/worker"
)

// exchange is a request that is served on a goroutine, and its answer: the session of the
// connection meanwhile.
//
//	loop                                  handler's goroutine
//	begin, go serve ────────────────────► ServeHTTP
//	Data ──► feed ──────────────────────► r.Body
//	obey ◄── pipe ◄────────────────────── ResponseWriter
//	answered: idle, next request ◄─────── response.end, the last of the pipe's
//	EOF, Close, DrainBegins, LastCall ──► context, errors of feed and pipe
//
// A connection whose next request comes before this one is answered is paused: input is
// bounded, and requests are answered in order.
type exchange struct {
	*requestContext
	own requestContext // unless there was one before
	pipe
	request  *http.Request
	response response
	body     *body // nil: none
	began    time.Time

	finishing atomic.Bool // the connection is to end behind this answer
	counts    atomic.Bool // among server.running
	waits     bool        // for a goroutine; running's
	ending    ending      // set before the pipe's end

	ended atomic.Bool // the peer has finished sending

	// The loop's:
	paused bool
	held   bool // the connection's input has a bound of its own (SetMaxInput)
}

// start makes x the connection's session and has its handler called, now or when it is
// its turn. It returns false when there are too many.
func (x *exchange) start() bool {
	s, c := x.server, forweb.Of(x.pipe.conn)
	x.response.open(x.request, x.body, x, &s.settings)
	x.counts.Store(true)
	start, refuse := s.running.enter(x, s.maxRunning)
	if refuse {
		return false
	}
	c.Become(x)
	c.Engage()
	if deadline, draining := c.Draining(); draining {
		x.DrainBegins(x.pipe.conn, deadline)
	}
	if start {
		s.runners.serve(x)
	}
	return true
}

// serve calls the handler, on a goroutine of its own.
func (x *exchange) serve() {
	returned := false
	defer func() {
		panicked := recover()
		if !returned && panicked == nil {
			panicked = http.ErrAbortHandler // runtime.Goexit
		}
		x.requestContext.end(nil)
		x.response.end(panicked)
		x.leave()
		x.server.answered(x.pipe.conn, x.request, &x.response, x.began)
	}()
	x.server.handlerFor(x.request).ServeHTTP(&x.response, x.request)
	returned = true
}

// leave gives the goroutine's place to one that waits. It is for any goroutine.
func (x *exchange) leave() {
	if x.counts.CompareAndSwap(true, false) {
		if next := x.server.running.leave(); next != nil {
			x.server.runners.serve(next)
		}
	}
}

// finish is wire's.
func (x *exchange) finish(b []byte, e ending) error {
	if len(b) > 0 && x.pipe.late() {
		putBuffer(b)
		b, e = nil, abort
	}
	x.ending = e
	return x.pipe.end(b, x.answered, nil)
}

// last is wire's.
func (x *exchange) last() bool { return x.finishing.Load() }

// streams is wire's.
func (x *exchange) streams() { x.leave() }

// answered goes on with the next request, on the loop.
func (x *exchange) answered(c *worker.Conn) {
	switch x.ending {
	case closeAfter:
		closeQuietly(c)
		return
	case abort:
		cut(c)
		return
	}
	conn := forweb.Of(c)
	if x.held {
		c.SetMaxInput(0)
	}
	conn.Become(&x.server.idle[after(x.request)])
	if rest := x.response.rest; len(rest) > 0 {
		conn.Unread(rest)
	}
	conn.Release()
	if x.paused {
		c.Resume() // where it goes on, if it is leaving: a pause would travel along
	}
}

// cut ends the connection by a reset, behind what the kernel takes of its output. Nothing
// that has come is served meanwhile.
func cut(c *worker.Conn) {
	c.Pause()
	abort := func(c *worker.Conn) { _ = c.Abort() } // unless it has ended already
	if c.Buffered() == 0 || !forweb.Of(c).Put(abort) {
		abort(c)
	}
}

// Data takes what comes of the body. What comes behind it waits.
func (x *exchange) Data(c *worker.Conn, in []byte) (n int, err error) {
	if x.body != nil {
		n = x.body.feed.put(in)
	}
	if n < len(in) {
		x.paused = true
		x.hold(c)
		c.Pause()
	}
	return n, nil
}

// hold makes room for input that waits.
func (x *exchange) hold(c *worker.Conn) {
	if !x.held {
		x.held = true
		c.SetMaxInput(x.server.maxInput())
	}
}

// resume reads on: the feed has room again. It is for any goroutine.
func (x *exchange) resume() {
	forweb.Of(x.pipe.conn).Put(func(c *worker.Conn) { // if not, it is closed
		x.paused = false
		c.Resume()
	})
}

// EOF says that the client has finished sending. As with net/http that may mean that it
// has gone, so the context ends; what the handler writes is sent all the same.
func (x *exchange) EOF(*worker.Conn, []byte) error {
	x.ended.Store(true)
	if x.body == nil {
		x.requestContext.end(io.EOF)
		return nil
	}
	x.body.feed.end(io.EOF)
	if x.body.whole.Load() {
		x.bodyRead()
	}
	return nil
}

// bodyRead is called when the handler has read its body: if the client has finished
// sending, the context ends, but not before that. It is for any goroutine.
func (x *exchange) bodyRead() {
	if x.ended.Load() {
		x.requestContext.end(io.EOF)
	}
}

// Low lets the handler write on.
func (x *exchange) Low(*worker.Conn) { x.pipe.setChoked(false) }

// Close lets the handler know that the connection is gone.
func (x *exchange) Close(_ *worker.Conn, err error) {
	if err == nil {
		err = worker.ErrClosed
	}
	x.pipe.fail(err)
	if x.body != nil {
		x.body.feed.end(err)
	}
	x.requestContext.end(err)
	x.server.running.giveUp(x)
}

// DrainBegins says that the worker is on its way out, by deadline.
func (x *exchange) DrainBegins(c *worker.Conn, deadline time.Time) {
	if forweb.Of(c).Finishing() {
		x.finishing.Store(true)
	}
	x.requestContext.drain(deadline)
}

// LastCall says that the drain's deadline is there. What the handler writes in the second
// that is left is sent.
func (x *exchange) LastCall(*worker.Conn) (stay bool) {
	x.requestContext.end(worker.ErrDrained)
	return true
}
