package worker_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/worker"
	"golang.org/x/sys/unix"
)

// route passes on connections that a worker gives back, as the master does,
// until n have gone to another.
func (s *rig) route(to *rig, n int) {
	s.t.Helper()
	var packet ipc.Packet
	for n > 0 {
		if err := whenReady(s.queue, unix.POLLIN, func() error { return s.packets.Receive(s.queue, &packet) }); err != nil {
			s.t.Fatalf("%d connections did not come back: %v", n, err)
		}
		n -= packet.Len()
		s.back += uint64(packet.Len())
		check(s.t, to.packets.Send(to.queue, &packet))
	}
}

// counting is a session with state: it answers each line with its number.
type counting struct {
	c      *worker.Conn
	lines  uint32
	closed chan error
	fail   error // of UnmarshalBinary
	seen   chan string
}

func newCounting() *counting {
	return &counting{closed: make(chan error, 100), seen: make(chan string, 100)}
}

// Open of a counting that stands for all: the handler.
func (h *counting) Open(c *worker.Conn) (worker.Session, error) {
	_, err := c.Write([]byte("hello\n"))
	return &counting{c: c, closed: h.closed, fail: h.fail, seen: h.seen}, err
}

func (h *counting) Data(c *worker.Conn, in []byte) (n int, err error) {
	for {
		end := bytes.IndexByte(in[n:], '\n')
		if end < 0 {
			return n, err
		}
		h.lines++
		_, err = fmt.Fprintf(c, "%d %s\n", h.lines, in[n:n+end])
		n += end + 1
	}
}

func (h *counting) Close(_ *worker.Conn, err error) { h.closed <- err }

func (h *counting) MarshalBinary() ([]byte, error) {
	return binary.LittleEndian.AppendUint32(nil, h.lines), nil
}

func (h *counting) UnmarshalBinary(b []byte) error {
	h.seen <- h.c.StateVersion()
	if h.fail != nil {
		return h.fail
	}
	h.lines = binary.LittleEndian.Uint32(b)
	return nil
}

func TestMoveWithoutState(t *testing.T) {
	old, next := newRig(t, worker.DataFunc(echo)), newRig(t, worker.DataFunc(echo))
	clients := old.connectAll(100)
	old.tell(ipc.Drain{Mode: ipc.DrainMove, DeadlineMS: patience.Milliseconds()})
	for i, c := range clients { // while they move
		c.send(fmt.Sprint("during ", i))
	}
	old.route(next, len(clients))
	old.expectDrained()
	for i, c := range clients {
		c.expect(fmt.Sprint("during ", i))
		c.send("after")
		c.expect("after")
		check(t, c.Close())
	}
}

// A session goes on where it was, in the middle of a line; it does not greet
// again, and the worker that it left makes no further call.
func TestMoveWithState(t *testing.T) {
	h, there := newCounting(), newCounting()
	old := newRig(t, h, worker.WithStateVersion("v1"))
	next := newRig(t, there, worker.WithStateVersion("v2"))
	c := old.connect()
	c.expect("hello\n")
	c.send("a\nb\nc")
	c.expect("1 a\n2 b\n")
	old.tell(ipc.Drain{Mode: ipc.DrainMove})
	old.route(next, 1)
	old.expectDrained()
	c.send("d\ne\n")
	c.expect("3 cd\n4 e\n")
	if version := await(t, there.seen); version != "v1" {
		t.Errorf("state of version %q, want v1", version)
	}
	check(t, c.Close())
	expectClose(t, there.closed, nil)
	if len(h.closed) > 0 {
		t.Errorf("the session that left was closed: %v", <-h.closed)
	}
}

// A peer that has finished sending, and one whose reader is paused, are so
// still.
func TestMoveKeepsHalfClosed(t *testing.T) {
	h, there := newHalf(), newHalf()
	old, next := newRig(t, h), newRig(t, there)
	c := old.connect()
	c.send("said")
	c.closeWrite()
	await(t, h.eof)
	old.tell(ipc.Drain{Mode: ipc.DrainMove})
	old.route(next, 1)
	old.expectDrained()
	c.expect("said") // by an idle timer that the restored session has armed
	c.expectEnd()
	check(t, c.Close())
}

// half answers what was said some time after its peer has finished.
type half struct {
	c    *worker.Conn
	said []byte
	eof  chan struct{}
}

func newHalf() *half { return &half{eof: make(chan struct{}, 1)} }

func (h *half) Open(c *worker.Conn) (worker.Session, error) { return &half{c: c, eof: h.eof}, nil }
func (h *half) Data(_ *worker.Conn, in []byte) (int, error) {
	h.said = append(h.said, in...)
	return len(in), nil
}
func (h *half) EOF(*worker.Conn, []byte) error {
	h.eof <- struct{}{}
	return nil
}
func (h *half) MarshalBinary() ([]byte, error) { return h.said, nil }
func (h *half) UnmarshalBinary(b []byte) error {
	h.said = bytes.Clone(b)
	h.c.After(time.Millisecond, func() {
		if _, err := h.c.Write(h.said); err == nil {
			_ = h.c.Close() // the write would have failed first
		}
	})
	return nil
}

// What cannot be brought back to life is closed, counted as lost, and told why.
func TestThawFails(t *testing.T) {
	there := newCounting()
	there.fail = errors.New("unknown state")
	old, next := newRig(t, newCounting()), newRig(t, there)
	c := old.connect()
	c.expect("hello\n")
	old.tell(ipc.Drain{Mode: ipc.DrainMove})
	old.route(next, 1)
	old.expectDrained()
	c.expectEnd()
	check(t, c.Close())
	expectClose(t, there.closed, there.fail)
	if lost := next.entry.Lost.Load(); lost != 1 {
		t.Errorf("%d lost, want 1", lost)
	}
}

// A session that cannot move is asked to finish instead.
func TestMoveAsksOthersToDrain(t *testing.T) {
	h := polite{newRecorder(echo)}
	s := newRig(t, h)
	c := s.connect()
	c.send("x")
	c.expect("x")
	s.tell(ipc.Drain{Mode: ipc.DrainMove})
	c.expect("bye")
	c.expectEnd()
	check(t, c.Close())
	h.expectClose(t, nil)
	s.expectDrained()
}

// While nobody takes them, connections go on where they are; later they move.
func TestMoveWaitsForRoom(t *testing.T) {
	old, next := newRig(t, worker.DataFunc(echo)), newRig(t, worker.DataFunc(echo))
	check(t, unix.SetsockoptInt(old.workerEnd, unix.SOL_SOCKET, unix.SO_SNDBUF, 16<<10)) // two packets or so
	clients := old.connectAll(400)                                                       // the queue holds fewer at a time
	old.tell(ipc.Drain{Mode: ipc.DrainMove})
	// Those that stay are served meanwhile: the last one did not fit.
	last := clients[len(clients)-1]
	for i := range 10 {
		last.send(fmt.Sprint("meanwhile ", i))
		last.expect(fmt.Sprint("meanwhile ", i))
	}
	old.route(next, len(clients))
	old.expectDrained()
	for _, c := range clients {
		c.send("y")
		c.expect("y")
		check(t, c.Close())
	}
}

// What Open sets for a new connection is not in force for one that has moved:
// its deadline was met where it was opened first.
func TestMoveEndsWhatOpenSet(t *testing.T) {
	const soon = 100 * time.Millisecond
	h, there := &deadlined{soon}, &deadlined{soon}
	old, next := newRig(t, h), newRig(t, there)
	c := old.connect()
	c.send("x")
	c.expect("x")
	old.tell(ipc.Drain{Mode: ipc.DrainMove})
	old.route(next, 1)
	old.expectDrained()
	fresh := next.connect() // its deadline comes after the one that the moved one's Open has set
	fresh.expectEnd()
	c.send("y")
	c.expect("y")
	check(t, c.Close())
	check(t, fresh.Close())
}

// deadlined wants the first input soon.
type deadlined struct{ limit time.Duration }

func (d *deadlined) Open(c *worker.Conn) (worker.Session, error) {
	c.SetReadDeadline(time.Now().Add(d.limit))
	return d, nil
}
func (d *deadlined) Data(c *worker.Conn, in []byte) (int, error) { return c.Write(in) }
func (d *deadlined) MarshalBinary() ([]byte, error)              { return nil, nil }
func (d *deadlined) UnmarshalBinary([]byte) error                { return nil }

// A session that cannot be marshalled stays, is asked to finish, and does not
// keep the master waiting for it.
func TestMoveOfWhatCannotBePacked(t *testing.T) {
	h := &unpackable{polite{newRecorder(echo)}}
	s := newRig(t, h)
	c := s.connect()
	c.send("x")
	c.expect("x")
	s.tell(ipc.Drain{Mode: ipc.DrainMove})
	c.expect("bye")
	c.expectEnd()
	check(t, c.Close())
	h.expectClose(t, nil)
	s.expectDrained()
}

type unpackable struct{ polite }

func (u *unpackable) Open(*worker.Conn) (worker.Session, error) { return u, nil }
func (u *unpackable) MarshalBinary() ([]byte, error)            { return nil, errors.New("not today") }
func (u *unpackable) UnmarshalBinary([]byte) error              { return nil }

// A move of some begins with the first connection each time.
func TestMoveSomeAgain(t *testing.T) {
	old, next := newRig(t, worker.DataFunc(echo)), newRig(t, worker.DataFunc(echo))
	clients := old.connectAll(10)
	old.tell(ipc.Move{Count: 5})
	old.route(next, 5)
	old.tell(ipc.Move{Count: 5})
	old.route(next, 5)
	for _, c := range clients {
		c.send("y")
		c.expect("y")
		check(t, c.Close())
	}
}
