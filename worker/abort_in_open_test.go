package worker_test

import (
	"testing"
	"time"

	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/worker"
)

// opening is a session whose Open does something; it cannot move, unless it is in
// a movable.
type opening struct {
	*recorder
	open func(c *worker.Conn)
}

func (o opening) Open(c *worker.Conn) (worker.Session, error) {
	o.open(c)
	return o, nil
}

// movable is an opening that can move.
type movable struct{ opening }

func (m movable) Open(c *worker.Conn) (worker.Session, error) {
	m.open(c)
	return m, nil
}
func (movable) MarshalBinary() ([]byte, error) { return nil, nil }
func (movable) UnmarshalBinary([]byte) error   { return nil }

// What an operator reads as staying is what is there.
func TestStayingAfterAbortInOpen(t *testing.T) {
	for name, end := range map[string]func(c *worker.Conn) error{"Abort": (*worker.Conn).Abort, "Close": (*worker.Conn).Close} {
		t.Run(name, func(t *testing.T) {
			h := opening{newRecorder(echo), func(c *worker.Conn) { check(t, end(c)) }}
			s := newRig(t, h)
			for range 3 {
				c := s.connect()
				check(t, c.Close()) // nobody lingers for it
				await(t, h.closed)
			}
			s.until(func() bool { return s.entry.Closed.Load() == 3 })
			if staying := s.entry.Staying.Load(); staying != 0 {
				t.Errorf("%d stay, of none", staying)
			}
		})
	}
}

// A connection that moves to a program whose Open aborts it is over, with nothing
// timed that would find another in its place.
func TestAbortInOpenOfMoved(t *testing.T) {
	const idle = 50 * time.Millisecond
	old := newRig(t, movable{opening{newRecorder(echo), func(c *worker.Conn) {
		c.SetIdleTimeout(idle)
		c.SetReadDeadline(time.Now().Add(idle))
		c.SetWriteDeadline(time.Now().Add(idle))
	}}})
	aborted := false
	h := movable{opening{newRecorder(echo), func(c *worker.Conn) {
		if c.Moved() {
			aborted = true
			check(t, c.Abort())
		}
	}}}
	next := newRig(t, h)
	c := old.connect()
	old.until(func() bool { return old.entry.Received.Load() == 1 })
	old.tell(ipc.Drain{Mode: ipc.DrainMove})
	old.route(next, 1)
	old.expectDrained()
	h.expectClose(t, worker.ErrAborted)
	check(t, c.Close())
	if !aborted {
		t.Error("not moved")
	}
	// The loop goes on past the moment at which the timeout would have come.
	ticks := newRig(t, worker.OpenFunc(func(c *worker.Conn) (worker.Session, error) {
		c.After(2*idle, func() { _, _ = c.Write([]byte("later")) }) // the client waits for it
		return worker.DataFunc(echo), nil
	}))
	later := ticks.connect()
	later.expect("later")
	check(t, later.Close())
	here := next.connect()
	here.send("x")
	here.expect("x")
	check(t, here.Close())
	h.expectClose(t, nil)
}
