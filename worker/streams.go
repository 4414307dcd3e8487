package worker

import (
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/usher-go/usher/internal/closewatch"
	"github.com/usher-go/usher/internal/poller"
	"github.com/usher-go/usher/ipc"
	"golang.org/x/sys/unix"
)

// streams is the kind of a member that serves Streams handlers, and sessions too if
// ByListener mixes them. It passes connections to the program, which accepts them on its
// own goroutines, and counts each when the program has closed it. It belongs to the
// loop's goroutine; only its listeners are shared with others.
//
//	queue ─► adopt ─► listener.pending ─► Accept ─► the program ─► close(2) ─► closewatch ─► counted
//	           │             ▲                                            └──► looks ───────┘
//	           └─► passing ──┘ a PROXY header is read, a TLS handshake done
type streams struct {
	member     *member
	watch      *closewatch.Watch // nil: there is none
	watchErr   error             // why there is none
	listeners  map[*streamHandler]*streamListener
	watched    map[int32]*stream // open connections, by the numbers that watch has given
	unwatched  looks             // open connections that watch does not watch
	passing    passing           // open connections that are on their way to Accept
	running    int               // handlers whose function has not returned
	acceptOver bool              // Accept comes to its end: connections in the queue are left to the master
}

// chooseKind makes the member one of streams if there is a Streams handler in its handler,
// and else one of sessions. newMember calls it.
func (m *member) chooseKind() error {
	m.kind = sessions{m}
	s := &streams{member: m, listeners: make(map[*streamHandler]*streamListener), watched: make(map[int32]*stream)}
	s.passing.most = m.loop.handshakes.most
	eachStreamHandler(m.handler, func(h *streamHandler) { s.listeners[h] = newStreamListener(s) })
	if len(s.listeners) == 0 {
		return nil
	}
	var err error
	if s.watch, err = closewatch.New(); err != nil {
		s.watchErr = err
	} else if err := m.loop.set.Add(s.watch.FD(), poller.In, tagStreams); err != nil {
		s.watch.Close()
		return err
	}
	m.kind, m.intake.streams = s, s
	m.loop.mustYield = true
	m.loop.set.Yield(true)
	return nil
}

// start calls the function of each handler, on a goroutine of its own.
func (s *streams) start() {
	s.running = len(s.listeners)
	for handler, listener := range s.listeners {
		go func() {
			err := handler.call(listener)
			s.member.loop.orders.Put(returnedOrder{listener, err})
		}()
	}
}

// call calls the program's function, on the goroutine that start has made for it.
func (h *streamHandler) call(l *streamListener) (err error) {
	defer func() {
		if value := recover(); value != nil {
			l.log.Error("handler panicked", "reason", "Streams", "error", value, "stack", string(debug.Stack()))
			err = fmt.Errorf("%w in Streams: %v", ErrPanic, value)
		}
	}()
	return h.serve(l)
}

// returned is called when the function of a handler has returned. An error before the
// end of Accept ends the member.
func (s *streams) returned(l *streamListener, err error) {
	s.running--
	closed := l.close()
	if errors.Is(err, ErrPanic) || err != nil && !closed {
		s.member.failure = fmt.Errorf("streams: %w", err)
		return
	}
	s.programDone()
}

// programDone is called when the program has closed a listener, or its function has
// returned: it wants the worker to end.
func (s *streams) programDone() {
	m := s.member
	if !m.drain.begun() {
		m.control.send(ipc.Draining{})
		m.drain.begin(never, false)
	}
	s.endAccept()
}

// endAccept ends Accept of all listeners, once it has returned the connections that have
// come. What is in the queue from now on is the master's again.
func (s *streams) endAccept() {
	if s.acceptOver {
		return
	}
	s.acceptOver = true
	s.member.intake.stop()
	for _, l := range s.listeners {
		l.drain()
	}
}

// route returns the listener of the program for connections that came by the master's
// listener of that name, or nil: then they are for sessions.
func (s *streams) route(name string) *streamListener {
	if h, ok := handlerFor(s.member.handler, name).(*streamHandler); ok {
		return s.listeners[h]
	}
	return nil
}

// adopt passes a connection to Accept if a Streams handler serves its listener, and
// reports whether it does; then it takes ownership of fd. frozen says that the connection
// comes from another worker, where sessions served its listener: it is lost, since no
// stream can go on with it.
func (s *streams) adopt(e *ipc.Envelope, fd int, frozen bool) bool {
	listener := s.route(e.Listener)
	if listener == nil {
		return false
	}
	m := s.member
	switch {
	case frozen:
		m.loop.log.Error("connection lost: it could not be thawed", "conn", e.ID, "peer", e.Remote,
			"listener", e.Listener, "error", errNotMovable)
		m.ledger.lost(errNotMovable)
		m.ledger.thawed(0)
		s.refuse(e.ID, fd)
		return true
	case m.intake.tooLate():
		s.refuse(e.ID, fd)
		return true
	}
	passage, err := m.loop.transports.passage(e.Transport)
	if err != nil {
		m.loop.refusals.note(e.ID, e.Remote, e.Listener, refusedTransport(err))
		s.refuse(e.ID, fd)
		return true
	}
	c := &stream{id: e.ID, remote: e.Remote, name: e.Listener, listener: listener, passage: passage, fd: fd}
	if watch, err := s.watchClose(fd); err != nil {
		s.addUnwatched(c, err)
	} else {
		s.watched[watch] = c
	}
	m.streaming++
	m.ledger.pinned()
	if m.loop.log.IsTrace() {
		m.loop.log.Trace("connection opened", "conn", c.id, "peer", c.remote, "listener", e.Listener)
	}
	if passage == nil {
		listener.put(c)
	} else {
		s.pass(c)
	}
	return true
}

// watchClose has the close of fd reported, and returns the number by which it will be.
func (s *streams) watchClose(fd int) (watch int32, err error) {
	if s.watch == nil {
		return 0, s.watchErr
	}
	return s.watch.Add(fd)
}

// refuse closes and counts a connection that the program has not seen.
func (s *streams) refuse(id uint64, fd int) {
	_ = unix.Close(fd) // nothing was written
	s.member.ledger.closed(id, false)
}

// ready is called when the watch is readable: it counts connections that were closed.
func (s *streams) ready() {
	if s.watch != nil {
		s.watch.Take(s.closed, s.missed)
	}
}

// closed counts the connection of that number of the watch.
func (s *streams) closed(watch int32) {
	c := s.watched[watch]
	if c == nil {
		return // missed has found it before
	}
	delete(s.watched, watch)
	s.count(c)
}

// count books that a connection is closed.
func (s *streams) count(c *stream) {
	m := s.member
	m.streaming--
	m.ledger.closed(c.id, true)
	if m.loop.log.IsTrace() {
		m.loop.log.Trace("connection closed", "conn", c.id, "peer", c.remote)
	}
}

// missed looks for closed connections after the kernel has dropped reports of them.
func (s *streams) missed() {
	for watch, c := range s.watched {
		if c.closed() {
			s.closed(watch)
		}
	}
}

// over first ends Accept: once the master has said that it sends no more, and what it
// sent is taken from the queue. Then it is true when no connection is left and no
// handler's function runs.
func (s *streams) over() (bool, error) {
	m := s.member
	if m.drain.told && !s.acceptOver {
		empty, err := m.intake.take()
		if !empty || err != nil {
			return false, err
		}
		s.endAccept()
	}
	return s.acceptOver && m.loop.accepted() == 0 && m.streaming+s.running == 0 && m.loop.endDialled(), nil
}

// cutShort makes every connection finish: it sends FIN, and reads no more.
func (s *streams) cutShort() {
	s.endAccept()
	for _, l := range s.listeners {
		l.cut()
	}
	s.each((*stream).shutdown)
}

// each calls f for every connection.
func (s *streams) each(f func(*stream)) {
	for _, c := range s.watched {
		f(c)
	}
	for c := range s.unwatched.open {
		f(c)
	}
}

// end closes every connection for the program, and counts it, whatever the kernel says.
func (s *streams) end() {
	s.endAccept()
	for _, l := range s.listeners {
		l.cut()
	}
	s.each((*stream).close)
	s.ready()
	for watch := range s.watched {
		s.closed(watch) // another process has a descriptor of it, or a goroutine is still closing it
	}
	for c := range s.unwatched.open {
		s.count(c)
	}
	s.unwatched, s.member.lookAt = looks{}, never
	s.running = 0
}

// close closes the watch, and waits for the goroutines of passing: their connections are
// closed, so they end at once, or when they have computed.
func (s *streams) close() {
	s.passing.goroutines.Wait()
	if s.watch != nil {
		s.watch.Close()
	}
}
