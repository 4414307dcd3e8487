package worker

import (
	"crypto/tls"
	"net"
	"sync"
	"weak"

	"github.com/hashicorp/go-hclog"
)

// streamListener is the net.Listener that a Streams handler's function gets. The loop's
// goroutine puts connections in, and ends it; goroutines of the program call Accept and
// Close. What waits in it is bounded by the worker's capacity, as all connections are.
type streamListener struct {
	streams *streams // to send orders to its loop by; all else in it is that goroutine's
	log     hclog.Logger

	mu       sync.Mutex // guards the following, and what each stream says
	changed  sync.Cond  // signalled when pending, passing or draining has changed
	pending  []*stream
	passing  int  // connections that are to be pending, once their passage is over
	draining bool // Accept ends when nothing is pending or passing
	ended    bool // Accept has ended
	hurried  bool // the deadline has come: what is accepted now is closed at once
}

func newStreamListener(s *streams) *streamListener {
	l := &streamListener{streams: s, log: s.member.loop.log}
	l.changed.L = &l.mu
	return l
}

// streamAddr stands for the address of a streamListener, whose sockets are the master's.
type streamAddr struct{}

func (streamAddr) Network() string { return "usher" }
func (streamAddr) String() string  { return "usher" }

// Addr returns an address that is no socket's.
func (l *streamListener) Addr() net.Addr { return streamAddr{} }

// Accept waits for a connection. Its error is a *net.OpError and net.ErrClosed:
// the worker drains, or Close was called.
func (l *streamListener) Accept() (net.Conn, error) {
	for {
		c := l.next()
		if c == nil {
			return nil, &net.OpError{Op: "accept", Net: "usher", Addr: l.Addr(), Err: net.ErrClosed}
		}
		conn, err := c.accept()
		if err == nil {
			return conn, nil
		}
		// One whose peer has reset it already is the usual case.
		l.log.Debug("connection refused", "conn", c.id, "peer", c.remote, "error", err)
	}
}

// Close ends Accept, and closes the connections that it would have returned. The
// worker then drains. The program calls it, on any goroutine.
func (l *streamListener) Close() error {
	if !l.close() {
		l.streams.member.loop.orders.Put(listenerClosedOrder{l})
	}
	return nil
}

// close is Close without an order to the loop. It reports whether the listener was closed
// before, or is draining.
func (l *streamListener) close() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	was := l.draining
	l.draining, l.ended = true, true
	n := len(l.pending)
	for _, c := range l.pending {
		c.discard()
	}
	for _, c := range l.streams.passing.of(l) {
		if c.drop() {
			n++
		}
	}
	if n > 0 {
		l.log.Warn("connections closed, nobody accepts them", "count", n)
	}
	l.pending = nil
	l.changed.Broadcast()
	return was
}

// drain ends Accept once nothing is pending, and nothing on its way.
func (l *streamListener) drain() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.draining = true
	l.changed.Broadcast()
}

// cut is close at the drain's deadline: what a goroutine is accepting is closed too.
func (l *streamListener) cut() {
	l.mu.Lock()
	l.hurried = true
	l.mu.Unlock()
	l.close()
}

// put adds a connection for Accept, or closes it if Accept has ended.
func (l *streamListener) put(c *stream) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		l.refuse(c)
		return
	}
	l.pending = append(l.pending, c)
	l.changed.Signal()
}

// expect is put for one that has to pass something first: passed follows. It reports
// whether the connection is still open.
func (l *streamListener) expect(c *stream) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		l.refuse(c)
		return false
	}
	c.passes = true
	l.passing++
	return true
}

// refuse closes a connection that comes after Accept's end. The mutex is held.
func (l *streamListener) refuse(c *stream) {
	l.log.Warn("connections closed, nobody accepts them", "count", 1)
	c.discard()
}

// passed adds the connection that a passage has led to, for Accept; secure is that too, if
// it has TLS. It reports whether Accept will return it. It and failed end a passage, on the
// goroutine of that.
func (l *streamListener) passed(c *stream, conn net.Conn, secure *tls.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.endPassage(c) || l.ended {
		return false
	}
	if secure != nil {
		c.secure = weak.Make(secure).Value
	}
	c.ready = conn
	l.pending = append(l.pending, c)
	return true
}

// failed is passed for a connection that Accept is not to return. It reports whether that is
// its own doing: it was not dropped.
func (l *streamListener) failed(c *stream) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.endPassage(c)
}

// endPassage reports whether a passage that is over was not dropped. The mutex is held.
func (l *streamListener) endPassage(c *stream) bool {
	c.passes = false
	l.passing--
	l.changed.Broadcast()
	return !c.dropped
}

// next waits for a connection; nil means that Accept has ended.
func (l *streamListener) next() *stream {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.pending) == 0 {
		if l.ended || l.draining && l.passing == 0 {
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
