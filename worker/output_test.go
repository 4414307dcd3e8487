package worker_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/usher-go/usher/worker"
)

var errTest = errors.New("an error of the test")

// More than the kernel takes at once arrives whole, in order.
func TestPartialWrites(t *testing.T) {
	const parts, size = 100, 100_000
	h := newRecorder(func(c *worker.Conn, in []byte) (int, error) {
		for i := range parts {
			if _, err := c.Write(bytes.Repeat([]byte{byte(i)}, size)); err != nil {
				return 0, err
			}
			if _, err := fmt.Fprintf(c, "end of %d", i); err != nil {
				return 0, err
			}
		}
		return len(in), c.Close()
	})
	s := newSeat(t, h)
	c := s.connect()
	c.send("go")
	for i := range parts {
		c.expect(strings.Repeat(string([]byte{byte(i)}), size) + fmt.Sprintf("end of %d", i))
	}
	c.expectEnd()
	check(t, c.Close())
	h.expectClose(t, nil)
}

func TestWritevKeepsOrder(t *testing.T) {
	large := strings.Repeat("L", 50_000)
	s := newSeat(t, worker.DataFunc(func(c *worker.Conn, in []byte) (int, error) {
		n, err := c.Writev([]byte("a"), nil, []byte("b"), []byte(large), []byte("c"), []byte(large), in)
		if n != 2*len(large)+3+len(in) {
			t.Errorf("Writev returned %d", n)
		}
		return len(in), err
	}))
	c := s.connect()
	c.send("!")
	c.expect("ab" + large + "c" + large + "!")
}

func TestOutputBound(t *testing.T) {
	const bound = 1 << 20
	result := make(chan string, 1)
	h := newRecorder(func(c *worker.Conn, in []byte) (int, error) {
		piece := make([]byte, 10_000)
		taken := 0
		for {
			n, err := c.Write(piece)
			if errors.Is(err, worker.ErrFull) && n == 0 {
				break
			}
			if n != len(piece) || err != nil {
				return 0, fmt.Errorf("Write: %d, %w", n, err)
			}
			taken += n
			if c.Buffered() > bound {
				return 0, fmt.Errorf("%d bytes buffered", c.Buffered())
			}
		}
		if _, err := c.Write(make([]byte, bound-c.Buffered())); err != nil {
			return 0, fmt.Errorf("to the brim: %w", err)
		}
		if _, err := c.Writev(nil, []byte("x")); !errors.Is(err, worker.ErrFull) {
			return 0, fmt.Errorf("past the brim: %w", err)
		}
		result <- "ok"
		return len(in), c.Close()
	})
	s := newSeat(t, h, worker.WithMaxOutput(bound))
	c := s.connect()
	c.send("go")
	if got := await(t, result); got != "ok" {
		t.Fatal(got)
	}
	n, err := io.Copy(io.Discard, c)
	if err != nil || n < bound {
		t.Errorf("got %d bytes, %v", n, err)
	}
}

func TestOneWriteLargerThanTheBound(t *testing.T) {
	s := newSeat(t, worker.DataFunc(func(c *worker.Conn, in []byte) (int, error) {
		_, err := c.Write(make([]byte, 2000))
		return len(in), err
	}), worker.WithMaxOutput(1999))
	c := s.connect()
	c.send("go")
	c.expectEnd()
}

// flood answers each byte with much, counts the bytes it is given, and tells of
// Low.
type flood struct {
	in  chan int
	low chan int
}

func (f flood) Open(*worker.Conn) (worker.Session, error) { return f, nil }
func (f flood) Low(c *worker.Conn)                        { f.low <- c.Buffered() }
func (f flood) Data(c *worker.Conn, in []byte) (int, error) {
	f.in <- len(in)
	if _, err := c.Write(make([]byte, floodSize)); err != nil {
		return 0, err
	}
	return 1, nil
}

const floodSize = 12 << 20 // more than the kernel's buffers hold

// A client that does not read is not read either, until it has caught up: then
// what it had sent is served, and Low is called once for each time.
func TestHighWaterPausesInput(t *testing.T) {
	h := flood{in: make(chan int, 10), low: make(chan int, 10)}
	s := newSeat(t, h)
	c := s.connect()
	c.send("12") // Data consumes one byte at a time
	if n := await(t, h.in); n != 2 {
		t.Skipf("the client's bytes came apart, %d first", n)
	}
	c.send("3")
	s.connect().roundTripOfLoop(s)
	s.expectRest()
	if len(h.in) > 0 {
		t.Error("Data was called while output was above the high-water mark")
	}
	_, err := io.CopyN(io.Discard, c, floodSize)
	check(t, err)
	if low := await(t, h.low); low > worker.LowWater {
		t.Errorf("Low was called with %d bytes buffered", low)
	}
	if n := await(t, h.in); n < 1 {
		t.Error("nothing was left")
	}
}

// roundTripOfLoop sees the loop go round: this connection's end is counted.
func (c *client) roundTripOfLoop(s *seat) {
	c.t.Helper()
	before := s.entry.Closed.Load()
	check(c.t, c.Close())
	s.until(func() bool { return s.entry.Closed.Load() > before })
}

// A connection resets while output waits.
func TestResetWithOutputPending(t *testing.T) {
	h := newRecorder(func(c *worker.Conn, in []byte) (int, error) {
		_, err := c.Write(make([]byte, floodSize))
		return len(in), err
	})
	s := newSeat(t, h)
	c := s.connect()
	c.send("go")
	c.expect("\x00")
	c.reset()
	if err := await(t, h.closed); err == nil {
		t.Error("closed in order")
	}
}
