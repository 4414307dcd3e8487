package worker_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"

	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/worker"
	"golang.org/x/sys/unix"
)

// garble has the rigs and clients of a test pass a garbler.
func garble(t *testing.T) {
	garbling = true
	t.Cleanup(func() { garbling = false })
}

func (c *client) garbled() *worker.GarbledPeer { return c.Conn.(*worker.GarbledPeer) }

// move has the one connection of a worker go to another.
func (s *rig) move(to *rig) {
	s.t.Helper()
	s.tell(ipc.Drain{Mode: ipc.DrainMove})
	s.route(to, 1)
	s.expectDrained()
}

// A connection moves with a part of a unit, wherever it is cut.
func TestMoveInTheMiddleOfAUnit(t *testing.T) {
	garble(t)
	old := newRig(t, worker.DataFunc(echo))
	c := old.connect()
	c.send("before")
	c.expect("before")
	unit := c.garbled().Raw([]byte("in the middle"))
	for i := range len(unit) {
		_, err := c.garbled().Conn.Write(unit[i : i+1])
		check(t, err)
		next := newRig(t, worker.DataFunc(echo))
		old.move(next)
		old = next
	}
	c.expect("in the middle")
	check(t, c.Close())
}

// What the transport owes goes out by itself, in its place among what the session
// writes, whether output waits or a file does, or the connection has moved.
func TestTransportAnswers(t *testing.T) {
	garble(t)
	const size = 2 << 20
	f, content := randomFile(t, size)
	h := worker.DataFunc(func(c *worker.Conn, in []byte) (int, error) {
		switch in[0] {
		case 'f':
			return 1, c.SendFile(f, 0, size)
		case 'w':
			_, err := c.Write(content)
			return 1, err
		}
		return 1, nil
	})
	old, next := newRig(t, h), newRig(t, h)
	c := old.connectNarrow()
	check(t, c.garbled().Ask())
	c.send("w")
	check(t, c.garbled().Ask())
	c.expect(string(content))
	c.send("f")
	check(t, c.garbled().Ask())
	c.expect(string(content))
	check(t, c.garbled().Ask())
	c.send("_")
	old.move(next)
	check(t, c.garbled().Ask())
	c.closeWrite()
	c.expectEnd()
	if n := c.garbled().Answers(); n != 5 {
		t.Errorf("%d answers, want 5", n)
	}
}

// An answer does not wait for something else to be written.
func TestTransportAnswersAtOnce(t *testing.T) {
	garble(t)
	s := newRig(t, worker.DataFunc(echo))
	c := s.connect()
	for range 3 {
		check(t, c.garbled().Ask())
		check(t, c.garbled().AwaitAnswer())
	}
	c.send("x")
	c.expect("x")
	c.closeWrite()
	c.expectEnd()
	check(t, c.garbled().Conn.Close())
	s.untilEven(1)
}

// A peer that has said its end may send on, which is thrown away, and has the answer
// all the same: closing with it unread would reset the connection.
func TestPeerGoesOnAfterItsEnd(t *testing.T) {
	garble(t)
	answer := string(bytes.Repeat([]byte("answer"), 8000)) // more than the client's kernel takes, less than the worker's
	h := &collector{closed: make(chan error, 1), after: func(c *worker.Conn) error {
		_, err := c.Write([]byte(answer))
		return errors.Join(err, c.Close())
	}}
	s := newRig(t, h)
	c, fd := s.acceptWith(&net.Dialer{Control: func(_, _ string, raw syscall.RawConn) error {
		return raw.Control(func(fd uintptr) {
			check(t, unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 4<<10))
		})
	}})
	s.hand(fd)
	check(t, c.garbled().End())
	c.expect("got ")
	for range 10 {
		_, err := c.garbled().Conn.Write(make([]byte, 1000))
		check(t, err)
	}
	c.expect(answer)
	c.expectEnd()
	check(t, c.garbled().Conn.Close())
	expectClose(t, h.closed, nil)
}

// The end that the transport tells is the end of the input, without the socket's.
func TestEndByTheTransportsWord(t *testing.T) {
	garble(t)
	t.Run("closes", func(t *testing.T) {
		h := newRecorder(echo)
		s := newRig(t, h)
		c := s.connect()
		c.send("last words")
		check(t, c.garbled().End())
		c.expect("last words")
		c.expectEnd()
		check(t, c.Conn.(*worker.GarbledPeer).Conn.Close())
		h.expectClose(t, nil)
	})
	t.Run("is half of it", func(t *testing.T) {
		h := &collector{closed: make(chan error, 1), after: (*worker.Conn).CloseWrite}
		s := newRig(t, h)
		c := s.connect()
		c.send("all of this")
		check(t, c.garbled().End())
		c.expect("got all of this")
		c.expectEnd()
		check(t, c.garbled().Conn.Close())
		expectClose(t, h.closed, nil)
	})
}

// pausing pauses at its first input, and is told of the end only after Resume.
type pausing struct {
	c      *worker.Conn
	paused chan *worker.Conn
}

func (p *pausing) Open(c *worker.Conn) (worker.Session, error) {
	return &pausing{c, p.paused}, nil
}

func (p *pausing) Data(c *worker.Conn, in []byte) (int, error) {
	c.Pause()
	p.paused <- c
	return len(in), nil
}

func (p *pausing) EOF(c *worker.Conn, rest []byte) error {
	if !c.Flowing() {
		return errors.New("the end came in a pause")
	}
	_, err := c.Write([]byte("heard"))
	return errors.Join(err, c.Close())
}

func (p *pausing) MarshalBinary() ([]byte, error) { return nil, nil }
func (p *pausing) UnmarshalBinary([]byte) error {
	p.paused <- p.c
	return nil
}

// An end that has come in a pause waits for the end of the pause, here and in the next
// worker, though nothing more comes by the socket.
func TestEndWaitsForThePauseToEnd(t *testing.T) {
	garble(t)
	for _, moves := range []bool{false, true} {
		h := &pausing{paused: make(chan *worker.Conn, 1)}
		s := newRig(t, h)
		c := s.connect()
		unit := c.garbled().Raw([]byte("x"))
		both := append(unit, c.garbled().RawEnd()...)
		_, err := c.garbled().Conn.Write(both) // in one read
		check(t, err)
		conn := await(t, h.paused)
		if moves {
			next := newRig(t, h)
			s.move(next)
			conn = await(t, h.paused)
		}
		conn.Post((*worker.Conn).Resume)
		c.expect("heard")
		c.expectEnd()
		check(t, c.garbled().Conn.Close())
	}
}

// What the transport cannot read ends the connection, after all that came before it.
func TestGarbledOtherwise(t *testing.T) {
	garble(t)
	tests := []struct {
		name string
		send func(c *worker.GarbledPeer) error
		want error
	}{
		{"not garbled", func(c *worker.GarbledPeer) error {
			_, err := c.Conn.Write([]byte("GET / HTTP/1.0\r\n\r\n"))
			return err
		}, worker.ErrGarbled},
		{"a unit twice", func(c *worker.GarbledPeer) error {
			unit := c.Raw([]byte("twice"))
			_, err := c.Conn.Write(append(unit, unit...))
			return err
		}, worker.ErrGarbled},
		{"a unit is missing", func(c *worker.GarbledPeer) error {
			_, _ = c.Raw([]byte("lost")), c.Raw([]byte("lost"))
			_, err := c.Write([]byte("found"))
			return err
		}, worker.ErrGarbled},
		{"cut", func(c *worker.GarbledPeer) error {
			unit := c.Raw([]byte("not all of this"))
			_, err := c.Conn.Write(unit[:len(unit)-1])
			return errors.Join(err, c.Conn.(*net.TCPConn).CloseWrite())
		}, io.ErrUnexpectedEOF},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := newRecorder(echo)
			s := newRig(t, h)
			c := s.connect()
			_, err := c.Write([]byte("before"))
			check(t, err)
			check(t, test.send(c.garbled()))
			c.expect("before")
			for {
				if _, err = c.Read(make([]byte, 100)); err != nil { // the end, after what could be read
					break
				}
			}
			check(t, c.garbled().Conn.Close())
			h.expectClose(t, test.want)
		})
	}
}

// Who moves keeps what it had: a plain connection stays plain where new ones are
// not, and one with a transport is lost where there is none for it.
func TestMoveKeepsTheTransport(t *testing.T) {
	t.Run("plain", func(t *testing.T) {
		old := newRig(t, worker.DataFunc(echo))
		c := old.connect()
		next := newRig(t, worker.DataFunc(echo), worker.WithGarbler())
		c.send("here")
		c.expect("here")
		old.move(next)
		c.send("there")
		c.expect("there")
		check(t, c.Close())
	})
	t.Run("none there", func(t *testing.T) {
		next := newRig(t, worker.DataFunc(echo))
		garble(t)
		old := newRig(t, worker.DataFunc(echo))
		c := old.connect()
		c.send("here")
		c.expect("here")
		old.move(next)
		if rest, err := io.ReadAll(c.garbled().Conn); err != nil || len(rest) > 0 {
			t.Errorf("got %d bytes and %v, want the bare end", len(rest), err)
		}
		check(t, c.Close())
		next.until(func() bool { return next.entry.Closed.Load() == 1 })
		if lost := next.entry.Lost.Load(); lost != 1 {
			t.Errorf("%d lost, want 1", lost)
		}
	})
}
