package worker

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime/debug"

	"github.com/usher-go/usher/internal/closewatch"
	"github.com/usher-go/usher/internal/poller"
	"github.com/usher-go/usher/ipc"
	"golang.org/x/sys/unix"
)

// Streams is a Handler for code that was written for package net: serve is
// called once, on a goroutine of its own, with a listener whose Accept returns
// the connections of this worker as *net.TCPConn, or *net.UnixConn. They belong
// to the program: any goroutine may use them, and they may block. The loop never
// touches them; it counts them when they are closed. The worker's idle timeout
// is not theirs.
//
// When the worker is to end, Accept returns the connections that have come so
// far, and then an error that is net.ErrClosed. The worker ends once serve has
// returned and every connection is closed; at the drain's deadline it closes
// those that are left: FIN first, a second later in any case, whatever SetLinger
// says. Until then a Close that lingers holds up its own goroutine alone. For
// HTTP, package httpworker ends idle connections in between, and loses no request:
//
//	worker.Main(worker.Streams(func(l net.Listener) error {
//		return httpworker.Serve(l, &http.Server{Handler: mux}, 2*time.Second)
//	}))
//
// A program that closes the listener, or whose serve returns nil, asks to end:
// the worker drains. If serve panics, or returns another error before Accept has
// ended, that is the error of Main and Run, at once. The listener's Addr is no
// address of a socket, since there may be several.
//
// Closes are counted when they happen, by inotify(7): until the user has as many
// watches as it may (fs.inotify.max_user_watches), or without /proc. Then they are
// looked for, which finds them up to a second late, and counts a connection that was
// duplicated (File) when the original is closed. A warning says so.
func Streams(serve func(l net.Listener) error) Handler { return &streamHandler{serve} }

type streamHandler struct{ serve func(net.Listener) error }

var errNotOpened = errors.New("worker: Streams is to be the worker's handler, or ByListener's")

// Open is not called where Streams is used as described.
func (h *streamHandler) Open(*Conn) (Session, error) { return nil, errNotOpened }

// eachStreamHandler calls f for all that are in h.
func eachStreamHandler(h Handler, f func(*streamHandler)) {
	switch h := h.(type) {
	case *streamHandler:
		f(h)
	case byListener:
		for _, h := range h {
			eachStreamHandler(h, f)
		}
	}
}

// movable reports whether any connection of h could move.
func movable(h Handler) bool {
	switch h := h.(type) {
	case *streamHandler:
		return false
	case byListener:
		for _, h := range h {
			if movable(h) {
				return true
			}
		}
		return false
	}
	return true
}

// streams is the loop's part in streams; only listeners are shared with other
// goroutines. A nil one has none.
//
//	queue ─► adopt ─► listener.pending ─► Accept ─► the program ─► close(2) ─► watch ─► counted
//	                                                                      └──► looks ──┘
type streams struct {
	loop      *loop
	watch     *closewatch.Watch // nil: there is none, because of
	unwatches error
	listeners map[*streamHandler]*streamListener
	open      map[int32]*stream // by the number of the watch
	unwatched looks             // those without one
	running   int               // calls of serve
	shut      bool              // Accept is at its end: connections in the queue are left to others
	failure   error             // what serve returned
}

// stream is one connection.
type stream struct {
	id       uint64
	remote   netip.AddrPort
	listener *streamListener

	// The listener's mutex guards these.
	fd     int           // owned; -1 once the program has it
	socket func() socket // the program's, once it has one; it returns nil if that is garbage
}

// newStreams returns nil if h has no streams.
func newStreams(l *loop, h Handler) (*streams, error) {
	s := &streams{loop: l, listeners: make(map[*streamHandler]*streamListener), open: make(map[int32]*stream)}
	eachStreamHandler(h, func(h *streamHandler) { s.listeners[h] = newStreamListener(l) })
	if len(s.listeners) == 0 {
		return nil, nil
	}
	var err error
	if s.watch, err = closewatch.New(); err != nil {
		s.unwatches = err
		return s, nil
	}
	if err := l.set.Add(s.watch.FD(), poller.In, tagStreams); err != nil {
		s.watch.Close()
		return nil, err
	}
	return s, nil
}

// start calls each handler's function.
func (s *streams) start() {
	if s == nil {
		return
	}
	s.running = len(s.listeners)
	for handler, listener := range s.listeners {
		go func() {
			err := handler.call(listener)
			s.loop.calls.Put(func() { s.returned(listener, err) })
		}()
	}
}

func (h *streamHandler) call(l *streamListener) (err error) {
	defer func() {
		if value := recover(); value != nil {
			l.loop.log.Error("handler panicked", "reason", "Streams", "error", value, "stack", string(debug.Stack()))
			err = fmt.Errorf("%w in Streams: %v", ErrPanic, value)
		}
	}()
	return h.serve(l)
}

// returned is called when a handler's function has returned.
func (s *streams) returned(l *streamListener, err error) {
	s.running--
	closed := l.close()
	if errors.Is(err, ErrPanic) || err != nil && !closed {
		s.failure = fmt.Errorf("streams: %w", err)
		return
	}
	s.left()
}

// left is called when the program is done with a listener: the worker is to end.
func (s *streams) left() {
	l := s.loop
	if !l.drain.on {
		l.control.send(ipc.Draining{})
		l.beginDrain(never, false)
	}
	s.leaveQueue()
}

// leaveQueue ends Accept. What is in the queue from now on is the master's again.
func (s *streams) leaveQueue() {
	if s == nil || s.shut {
		return
	}
	s.shut = true
	s.loop.unwatchQueue()
	s.loop.queue.retry = 0
	for _, l := range s.listeners {
		l.drain()
	}
}

// route returns the listener for connections that came by that name, or nil:
// they are for sessions.
func (s *streams) route(name string) *streamListener {
	if s == nil {
		return nil
	}
	if h, ok := handlerFor(s.loop.handler, name).(*streamHandler); ok {
		return s.listeners[h]
	}
	return nil
}

// adopt passes a connection to Accept. It takes ownership of fd.
func (s *streams) adopt(l *streamListener, e *ipc.Envelope, fd int) {
	switch {
	case len(e.State) > 0: // a session's, in a worker where there were no streams
		s.loop.log.Error("connection lost: it could not be thawed", "conn", e.ID, "peer", e.Remote,
			"listener", e.Listener, "error", errNotMovable)
		s.loop.countLost(errNotMovable)
		s.refuse(e.ID, fd)
		s.loop.countThawed(0)
		return
	case s.loop.tooLate():
		s.refuse(e.ID, fd)
		return
	}
	c := &stream{id: e.ID, remote: e.Remote, listener: l, fd: fd}
	if watch, err := s.watchClose(fd); err != nil {
		s.lookAfter(c, err)
	} else {
		s.open[watch] = c
	}
	s.loop.station.entry.Staying.Add(1)
	if s.loop.log.IsTrace() {
		s.loop.log.Trace("connection opened", "conn", c.id, "peer", c.remote, "listener", e.Listener)
	}
	l.put(c)
}

func (s *streams) watchClose(fd int) (watch int32, err error) {
	if s.watch == nil {
		return 0, s.unwatches
	}
	return s.watch.Add(fd)
}

// refuse closes and counts a connection that the program has not seen.
func (s *streams) refuse(id uint64, fd int) {
	_ = unix.Close(fd) // nothing was written
	s.loop.countClosed(id)
}

// ready takes note of what was closed.
func (s *streams) ready() {
	if s.watch != nil {
		s.watch.Take(s.closed, s.missed)
	}
}

func (s *streams) closed(watch int32) {
	c := s.open[watch]
	if c == nil {
		return // missed, and found
	}
	delete(s.open, watch)
	s.count(c)
}

// count takes note that a connection is closed.
func (s *streams) count(c *stream) {
	s.loop.station.entry.Staying.Add(^uint64(0))
	s.loop.countClosed(c.id)
	if s.loop.log.IsTrace() {
		s.loop.log.Trace("connection closed", "conn", c.id, "peer", c.remote)
	}
}

// missed looks for what was closed and not told.
func (s *streams) missed() {
	for watch, c := range s.open {
		if c.gone() {
			s.closed(watch)
		}
	}
}

func (s *streams) failed() error {
	if s == nil {
		return nil
	}
	return s.failure
}

func (s *streams) live() int {
	if s == nil {
		return 0
	}
	return len(s.open) + len(s.unwatched.open)
}

func (s *streams) busy() bool { return s != nil && s.live()+s.running > 0 }

// cutShort has every connection finish: FIN, and no more input.
func (s *streams) cutShort() {
	if s == nil {
		return
	}
	s.leaveQueue()
	for _, l := range s.listeners {
		l.cut()
	}
	s.each((*stream).shut)
}

// each calls f for every connection.
func (s *streams) each(f func(*stream)) {
	for _, c := range s.open {
		f(c)
	}
	for c := range s.unwatched.open {
		f(c)
	}
}

// end closes all that is open, and waits for nothing.
func (s *streams) end() {
	if s == nil {
		return
	}
	s.leaveQueue()
	for _, l := range s.listeners {
		l.cut()
	}
	s.each((*stream).close)
	s.ready()
	for watch := range s.open {
		s.closed(watch) // another process has a descriptor of it, or this one is at it
	}
	for c := range s.unwatched.open {
		s.count(c)
	}
	s.unwatched = looks{}
	s.running = 0
}

func (s *streams) close() {
	if s != nil && s.watch != nil {
		s.watch.Close()
	}
}
