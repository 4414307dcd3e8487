package worker_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/usher-go/usher/worker"
	"golang.org/x/sys/unix"
)

var errTest = errors.New("an error of the test")

// More than the kernel takes at once arrives whole, in order.
func TestPartialWrites(t *testing.T) {
	const parts, size = 50, 100_000
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
	s := newRig(t, h)
	c := s.connectNarrow()
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
	s := newRig(t, worker.DataFunc(func(c *worker.Conn, in []byte) (int, error) {
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
	s := newRig(t, h, worker.WithMaxOutput(bound))
	c := s.connectNarrow()
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
	s := newRig(t, worker.DataFunc(func(c *worker.Conn, in []byte) (int, error) {
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

const floodSize = 4 << 20 // more than a narrow connection holds in the kernel

// A client that does not read is not read either, until it has caught up: then
// Low is called, and Data with what it had left, be there more or not.
func TestHighWaterPausesInput(t *testing.T) {
	for _, more := range []string{"", "3"} {
		t.Run("more:"+more, func(t *testing.T) {
			h := flood{in: make(chan int, 10), low: make(chan int, 10)}
			s := newRig(t, h)
			c := s.connectNarrow()
			c.send("12") // Data consumes one byte at a time
			if n := await(t, h.in); n != 2 {
				t.Fatalf("given %d bytes, want 2", n)
			}
			c.send(more)
			c.connectRest(s)
			if len(h.in) > 0 {
				t.Error("Data was called while output was above the high-water mark")
			}
			for given := 1; given <= 1+len(more); given++ {
				_, err := io.CopyN(io.Discard, c, floodSize)
				check(t, err)
				if low := await(t, h.low); low > worker.LowWater {
					t.Errorf("Low was called with %d bytes buffered", low)
				}
				await(t, h.in)
			}
		})
	}
}

// roundTripOfLoop sees the loop go round: this connection's end is counted.
func (c *client) roundTripOfLoop(s *rig) {
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
	s := newRig(t, h)
	c := s.connectNarrow()
	c.send("go")
	c.expect("\x00")
	c.reset()
	if err := await(t, h.closed); err == nil {
		t.Error("closed in order")
	}
}

// packetPair makes a connection on which each send(2) of the worker is a packet
// of its own, and hands it over.
func (s *rig) packetPair() (fd int) {
	s.t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	check(s.t, err)
	check(s.t, unix.SetNonblock(pair[1], true))
	s.hand(pair[1])
	s.t.Cleanup(func() { check(s.t, unix.Close(pair[0])) })
	return pair[0]
}

func expectPacket(t *testing.T, fd int, want string) {
	t.Helper()
	buffer := make([]byte, 1<<20)
	n, err := unix.Read(fd, buffer)
	if err != nil || string(buffer[:n]) != want {
		t.Errorf("got %.80q (%d bytes), %v; want %.80q (%d bytes)", buffer[:n], n, err, want, len(want))
	}
}

// All that a callback writes to a connection costs one system call, and so does
// what it writes to each of several in turn.
func TestSmallWritesAreOneSystemCall(t *testing.T) {
	large := strings.Repeat("L", 20_000)
	s := newRig(t, worker.DataFunc(func(c *worker.Conn, in []byte) (int, error) {
		c.Each(func(other *worker.Conn) {
			for _, b := range in {
				if _, err := other.Write([]byte{b}); err != nil {
					t.Error(err)
				}
			}
		})
		if string(in) == "large" {
			_, err := c.Write([]byte(large))
			return len(in), err
		}
		return len(in), nil
	}))
	a, b := s.packetPair(), s.packetPair()
	s.until(func() bool { return s.entry.Received.Load() == 2 })
	for _, text := range []string{"pipelined", "again"} {
		_, err := unix.Write(a, []byte(text))
		check(t, err)
		expectPacket(t, a, text)
		expectPacket(t, b, text)
	}
	// b is the later one: what is corked for it goes out with the large write.
	_, err := unix.Write(b, []byte("large"))
	check(t, err)
	expectPacket(t, a, "large")
	expectPacket(t, b, "large"+large)
}

func TestEchoDoesNotAllocate(t *testing.T) {
	s := newRig(t, worker.DataFunc(echo))
	fd := s.rawClient()
	var buffer [64]byte
	// With one processor, as this has it, a round trip waits 20 ms for the loop's raw wait.
	allocs := testing.AllocsPerRun(100, func() {
		if n, err := unix.Write(fd, buffer[:]); n != len(buffer) || err != nil {
			t.Fatal(n, err)
		}
		if n, err := unix.Read(fd, buffer[:]); n != len(buffer) || err != nil {
			t.Fatal(n, err)
		}
	})
	if allocs > 0 {
		t.Errorf("%v allocations for a round trip", allocs)
	}
	check(t, unix.Close(fd))
}

// The kernel takes less than what is corked, while a large write follows it; and
// more is written again and again to one that reads a part each time.
func TestOutputOfASlowReader(t *testing.T) {
	var slow *worker.Conn
	next := byte(0)
	count := func(n int) []byte { // the bytes that follow the last
		b := make([]byte, n)
		for i := range b {
			b[i] = next
			next++
		}
		return b
	}
	s := newRig(t, worker.DataFunc(func(c *worker.Conn, in []byte) (int, error) {
		if slow == nil {
			slow = c
			return len(in), nil
		}
		for range 6 {
			if _, err := slow.Write(count(10_001)); err != nil {
				return 0, err
			}
		}
		if _, err := slow.Write(count(30_000)); err != nil {
			return 0, err
		}
		return c.Write(in)
	}))
	c, ticks := s.connectNarrow(), s.connect()
	c.send("x")
	c.connectRest(s)
	const round = 6*10_001 + 30_000
	got := 0
	read := func(n int) {
		b := make([]byte, n)
		_, err := io.ReadFull(c, b)
		check(t, err)
		for _, b := range b {
			if b != byte(got) {
				t.Fatalf("byte %d is %d", got, b)
			}
			got++
		}
	}
	for range 30 {
		ticks.send("tick")
		ticks.expect("tick")
		read(round / 3)
	}
	read(30*round - got)
}

// A write of nothing is nothing, alone and beside others.
func TestWriteOfNothing(t *testing.T) {
	s := newRig(t, worker.DataFunc(func(c *worker.Conn, in []byte) (int, error) {
		for _, b := range [][]byte{nil, bytes.Trim(in, "-"), {}} {
			if n, err := c.Write(b); n != len(b) || err != nil {
				t.Errorf("%d, %v of %d bytes", n, err, len(b))
			}
		}
		return len(in), nil
	}))
	c := s.connect()
	c.send("-")
	c.send("x")
	c.expect("x")
	check(t, c.Close())
}
