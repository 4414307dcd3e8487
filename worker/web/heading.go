package web

import (
	"encoding/binary"
	"time"

	"github.com/usher-go/usher/internal/forweb"
	"github.com/usher-go/usher/worker"
)

// heading is the session of a connection about which there is something to remember
// between requests: a part of the next one has come, or its time is bounded. It belongs
// to the loop's goroutine.
type heading struct {
	server   *server
	before   previous
	last     bool          // the connection is to end: there is one more request at most
	searched int           // bytes of the head that were searched for its end
	whole    int           // bytes that are to be here before it is looked at again: a body's
	attempts int           // at having a chunked body whole
	began    time.Time     // when the request began; zero: none has
	opened   time.Time     // when the connection was, if this is its first request and ReadTimeout counts from there; else zero
	due      time.Time     // when its time is over
	timer    *worker.Timer // for that; nil: none
}

// farewell is how long a client has for one more request when the worker leaves and the
// connection cannot move.
const farewell = 2 * time.Second

// Data begins with what has come.
func (h *heading) Data(c *worker.Conn, in []byte) (int, error) {
	if len(in) < h.whole {
		return 0, nil
	}
	t := incoming{server: h.server, conn: c, before: h.before, heading: h}
	return t.take(in)
}

// EOF ends a connection whose client has gone: with an answer if it has sent a part of a
// head, as net/http has it. A request that waits for the rest of its body has its handler
// called, which is to see that there is none.
func (h *heading) EOF(c *worker.Conn, rest []byte) error {
	h.stop()
	if h.whole > 0 {
		t := incoming{server: h.server, conn: c, before: h.before, heading: h, ended: true}
		_, err := t.take(rest)
		return err
	}
	if err := h.server.parser.atEOF(rest, h.before); err != nil {
		h.server.refuse(c, err, rest)
		return nil
	}
	closeQuietly(c)
	return nil
}

// Close is the end of its time.
func (h *heading) Close(*worker.Conn, error) { h.timer = nil }

// Drain is as idle's. A body that comes is waited for as long as the drain takes.
func (h *heading) Drain(c *worker.Conn) {
	h.last = true
	if h.whole > 0 {
		return
	}
	if h.timer == nil || time.Until(h.due) > farewell {
		h.bound(c, farewell)
	}
}

// begin is called at the first byte of a request.
func (h *heading) begin(c *worker.Conn) {
	h.began = time.Now()
	if d := h.server.readHeaderTimeout; d > 0 && !h.last && h.timer == nil { // else it began in another worker, or with the connection
		h.bound(c, d)
	}
}

// bound closes the connection unless the head is here after d.
func (h *heading) bound(c *worker.Conn, d time.Duration) {
	h.stop()
	h.due = time.Now().Add(d)
	h.timer = c.After(d, func() {
		h.timer = nil
		closeQuietly(c) // as net/http: without an answer
	})
}

// stop ends the bound.
func (h *heading) stop() {
	if h.timer != nil {
		h.timer.Stop()
		h.timer = nil
	}
}

// MarshalBinary says how much of its time is left.
func (h *heading) MarshalBinary() ([]byte, error) {
	b := append(make([]byte, 0, 10), frozenHeading, byte(h.before))
	if h.timer == nil {
		return b, nil
	}
	return binary.LittleEndian.AppendUint64(b, uint64(max(time.Until(h.due), 0))), nil
}

// UnmarshalBinary is thawed's.
func (h *heading) UnmarshalBinary([]byte) error { return errFrozen }

// sayFarewell gives a connection between requests that is to end the time for one more.
func (s *server) sayFarewell(c *worker.Conn, before previous) {
	h := &heading{server: s, before: before, last: true}
	h.bound(c, farewell)
	forweb.Of(c).Become(h)
}

// thawed is the session of a connection that comes from another worker, until its state
// does. It becomes what it was there.
type thawed struct {
	server *server
	conn   *worker.Conn
}

// UnmarshalBinary swaps the session.
func (t *thawed) UnmarshalBinary(state []byte) error {
	session, err := t.thaw(state)
	if err != nil {
		return err
	}
	forweb.Of(t.conn).Become(session)
	if _, partly := session.(*heading); partly {
		t.conn.Pause() // so that Data looks at what has come: what was known of it has stayed behind
		t.conn.Resume()
	}
	return nil
}

func (t *thawed) thaw(state []byte) (worker.Session, error) {
	s := t.server
	switch {
	case len(state) == 0:
		return &s.idle[anything], nil
	case len(state) == 1 && state[0] == frozenNothing:
		return &s.idle[nothing], nil
	case len(state) == 1 && state[0] == frozenPost:
		return &s.idle[aPost], nil
	case len(state) != 2 && len(state) != 10, state[0] != frozenHeading, state[1] > byte(aPost):
		return nil, errFrozen
	}
	h := &heading{server: s, before: previous(state[1])}
	if len(state) == 10 {
		left := time.Duration(min(binary.LittleEndian.Uint64(state[2:]), 1<<62))
		h.bound(t.conn, min(left, max(s.readHeaderTimeout, farewell)))
	}
	return h, nil
}

// MarshalBinary is never called: the state comes right behind Open.
func (t *thawed) MarshalBinary() ([]byte, error) { return nil, errFrozen }

// Data is never called, likewise.
func (t *thawed) Data(*worker.Conn, []byte) (int, error) { return 0, errFrozen }
