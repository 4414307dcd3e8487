package worker_test

import (
	"io"
	"testing"
	"time"

	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/worker"
)

// polite ends when it is asked to.
type polite struct{ *recorder }

func (p polite) Open(*worker.Conn) (worker.Session, error) { return p, nil }
func (p polite) Drain(c *worker.Conn) {
	if _, err := c.Write([]byte("bye")); err != nil {
		return
	}
	_ = c.Close() // the write would have failed first
}

func (s *rig) expectDrained() {
	s.t.Helper()
	s.wait()
	if s.err != nil {
		s.t.Fatal(s.err)
	}
}

func TestDrainWithNothingToDo(t *testing.T) {
	s := newRig(t, worker.DataFunc(echo))
	s.tell(ipc.Drain{Mode: ipc.DrainFinish})
	s.expectDrained()
}

func TestDrainAsksSessions(t *testing.T) {
	h := polite{newRecorder(echo)}
	s := newRig(t, h)
	c := s.connect()
	c.send("x")
	c.expect("x")
	s.tell(ipc.Drain{Mode: ipc.DrainFinish})
	c.expect("bye")
	c.expectEnd()
	check(t, c.Close())
	h.expectClose(t, nil)
	s.expectDrained()
}

// Without Drain and without a deadline, a session stays as long as its client.
func TestDrainWaitsForClients(t *testing.T) {
	s := newRig(t, worker.DataFunc(echo))
	c := s.connect()
	c.send("x")
	c.expect("x")
	s.tell(ipc.Drain{Mode: ipc.DrainFinish})
	late := s.connect()
	late.send("served while draining")
	late.expect("served while draining")
	check(t, late.Close())
	c.send("still here")
	c.expect("still here")
	check(t, c.Close())
	s.expectDrained()
}

// What the master had sent before is served, and asked to drain at once.
func TestQueueIsServedWhileDraining(t *testing.T) {
	block, blocked := make(chan bool), make(chan bool)
	h := polite{newRecorder(func(c *worker.Conn, in []byte) (int, error) {
		blocked <- true
		<-block
		return c.Write(in)
	})}
	s := newRig(t, h)
	c := s.connect()
	c.send("x")
	await(t, blocked)
	s.tell(ipc.Drain{Mode: ipc.DrainFinish}) // it may come before or after what follows
	var fds []int
	var late []*client
	for range 300 { // several packets
		c, fd := s.accept()
		late, fds = append(late, c), append(fds, fd)
		if len(fds) == 60 {
			s.hand(fds...)
			fds = nil
		}
	}
	block <- true
	c.expect("xbye")
	for _, c := range late {
		c.expect("bye")
		check(t, c.Close())
	}
	check(t, c.Close())
	s.expectDrained()
	if got := s.entry.Received.Load(); got != 301 {
		t.Errorf("received %d, want 301", got)
	}
}

// At the deadline connections are closed after flushing, with FIN and not RST.
func TestDrainDeadline(t *testing.T) {
	const size = 8 << 20
	h := newRecorder(func(c *worker.Conn, in []byte) (int, error) {
		_, err := c.Write(make([]byte, size))
		return len(in), err
	})
	s := newRig(t, h)
	idle, reading, stuck := s.connect(), s.connectNarrow(), s.connectNarrow()
	reading.send("x")
	stuck.send("x")
	reading.expect("\x00")
	stuck.expect("\x00")
	s.tell(ipc.Drain{Mode: ipc.DrainFinish, DeadlineMS: 1})
	idle.expectEnd()
	check(t, idle.Close())
	rest, err := io.ReadAll(reading)
	if err != nil || len(rest) != size-1 {
		t.Errorf("got %d bytes, %v", len(rest), err)
	}
	check(t, reading.Close())
	s.expectDrained() // though stuck does not read
	for range 3 {
		h.expectClose(t, worker.ErrDrained)
	}
}

// A later drain sets the deadline that counts.
func TestDrainAgainWithDeadline(t *testing.T) {
	h := newRecorder(echo)
	s := newRig(t, h)
	c := s.connect()
	c.send("x")
	c.expect("x")
	s.cancel()
	next[ipc.Draining](s)
	c.send("y")
	c.expect("y")
	s.tell(ipc.Drain{Mode: ipc.DrainFinish, DeadlineMS: 1})
	c.expectEnd()
	check(t, c.Close())
	s.expectDrained()
	h.expectClose(t, worker.ErrDrained)
}

// Those that are to move no more stay beyond the deadline, and until the master
// says that none comes back.
func TestDrainThatIsToMoveNoMore(t *testing.T) {
	const deadline = time.Second
	s := newRig(t, newRecorder(echo)) // which cannot move
	c := s.connect()
	c.send("x")
	c.expect("x")
	s.say(ipc.Drain{Mode: ipc.DrainMove, DeadlineMS: deadline.Milliseconds()})
	next[ipc.Moved](s)
	s.say(ipc.Move{})
	next[ipc.Moved](s)
	<-time.After(deadline) // that is what is to make no difference
	c.send("y")
	c.expect("y")
	check(t, c.Close())
	s.say(ipc.Drain{Mode: ipc.DrainFinish})
	s.expectDrained()
}

func TestStopClosesAll(t *testing.T) {
	h := newRecorder(echo)
	s := newRig(t, h)
	c := s.connect()
	c.send("x")
	c.expect("x")
	s.tell(ipc.Stop{})
	c.expectEnd()
	s.expectDrained()
	h.expectClose(t, worker.ErrStopped)
}
