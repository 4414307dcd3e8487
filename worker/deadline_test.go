package worker

import (
	"errors"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const stuck = 4 << 20 // bytes that no kernel here takes at once

func TestTimeouts(t *testing.T) {
	const s, ms = time.Second, time.Millisecond
	at := func(c *still, d time.Duration) time.Time { return c.l.epoch.Add(c.time + d) }
	tests := []struct {
		name string
		idle time.Duration
		run  func(c *still)
	}{
		{"idle from the start", 10 * s, func(c *still) { c.expectAt(10*s, ErrIdleTimeout) }},
		{"input is progress", 10 * s, func(c *still) {
			for range 20 {
				c.pass(9 * s)
				c.send("x")
			}
			c.expectAt(10*s, ErrIdleTimeout)
		}},
		{"output is progress", 10 * s, func(c *still) {
			for range 20 {
				c.pass(9 * s)
				c.write(1)
			}
			c.expectAt(10*s, ErrIdleTimeout)
		}},
		{"flushing is progress", 10 * s, func(c *still) {
			c.write(stuck)
			for range 20 {
				c.pass(9 * s)
				c.read(64 << 10) // too little for epoll to tell
				c.expectOpen()
			}
			c.pass(11 * s) // the last of them is found out
			c.expectOpen()
			c.pass(11 * s)
			c.pass(flushTime + s)
			c.expectClose(ErrIdleTimeout)
		}},
		{"output that stays is none", 10 * s, func(c *still) {
			c.write(stuck)
			c.pass(9 * s)
			c.write(1)
			c.pass(s + late(10*s))
			if c.state.phase() != phaseClosing {
				c.t.Error("open")
			}
			c.pass(flushTime + s)
			c.expectClose(ErrIdleTimeout)
		}},
		{"one's own idle timeout, shorter", 10 * s, func(c *still) {
			c.SetIdleTimeout(2 * s)
			c.expectAt(2*s, ErrIdleTimeout)
		}},
		{"one's own idle timeout, late in a turn", 10 * s, func(c *still) {
			c.time += s // a callback takes so long
			c.SetIdleTimeout(2 * s)
			c.expectAt(2*s, ErrIdleTimeout)
		}},
		{"one's own idle timeout, longer", 10 * s, func(c *still) {
			c.SetIdleTimeout(time.Hour)
			c.expectAt(time.Hour, ErrIdleTimeout)
		}},
		{"one's own idle timeout alone", 0, func(c *still) {
			c.pass(time.Hour)
			c.SetIdleTimeout(1) // rounded up
			c.expectAt(ms, ErrIdleTimeout)
		}},
		{"no idle timeout after all", 10 * s, func(c *still) {
			c.SetIdleTimeout(0)
			c.pass(1000 * time.Hour)
			c.expectOpen()
			if _, armed := c.l.wheel.Next(); armed || c.alarm != 0 || c.unfinished != nil {
				c.t.Error("something is timed")
			}
		}},
		{"the longest idle timeout", 0, func(c *still) {
			c.SetIdleTimeout(1<<63 - 1)
			c.pass(49 * 24 * time.Hour)
			c.expectOpen()
		}},
		{"read deadline", 0, func(c *still) {
			c.SetReadDeadline(at(c, 10*s))
			c.expectAt(10*s, ErrReadTimeout)
		}},
		{"read deadline before idle", 20 * s, func(c *still) {
			c.SetReadDeadline(at(c, 10*s))
			c.expectAt(10*s, ErrReadTimeout)
		}},
		{"read deadline in the past", 0, func(c *still) {
			c.SetReadDeadline(time.Unix(1, 0))
			c.expectOpen()
			c.pass(ms)
			c.expectClose(ErrReadTimeout)
		}},
		{"input meets the read deadline", 0, func(c *still) {
			c.SetReadDeadline(at(c, 10*s))
			c.pass(9 * s)
			c.send("x")
			c.pass(time.Hour)
			c.expectOpen()
			c.SetReadDeadline(at(c, 10*s))
			c.expectAt(10*s, ErrReadTimeout)
		}},
		{"output does not", 0, func(c *still) {
			c.SetReadDeadline(at(c, 10*s))
			c.write(1)
			c.expectAt(10*s, ErrReadTimeout)
		}},
		{"read deadline moved away and back", 0, func(c *still) {
			c.SetReadDeadline(at(c, 10*s))
			before, _ := c.l.wheel.Due(c.alarm)
			c.SetReadDeadline(at(c, time.Hour))
			if after, _ := c.l.wheel.Due(c.alarm); after != before {
				c.t.Error("work for the wheel")
			}
			c.pass(time.Minute)
			c.SetReadDeadline(at(c, s))
			c.expectAt(s, ErrReadTimeout)
		}},
		{"no deadlines after all", 0, func(c *still) {
			c.SetReadDeadline(at(c, 10*s))
			c.SetWriteDeadline(at(c, 10*s))
			c.SetReadDeadline(time.Time{})
			c.SetWriteDeadline(time.Time{})
			if _, armed := c.l.wheel.Next(); armed || c.alarm != 0 || c.unfinished != nil {
				c.t.Error("something is timed")
			}
		}},
		{"write deadline", 0, func(c *still) {
			c.write(stuck)
			c.SetWriteDeadline(at(c, 10*s))
			c.expectAt(10*s, ErrWriteTimeout)
			if c.Buffered() > 0 || c.fd != -1 {
				c.t.Error("not closed")
			}
		}},
		{"write deadline after Close", 0, func(c *still) {
			c.write(stuck)
			c.SetWriteDeadline(at(c, 10*s))
			must(c.t, c.Close())
			c.l.settle()
			c.pass(10*s - 1)
			if c.closed {
				c.t.Error("closed early")
			}
			c.pass(1 + late(10*s))
			c.expectClose(ErrWriteTimeout)
		}},
		{"write deadline met", 0, func(c *still) {
			c.write(stuck)
			c.SetWriteDeadline(at(c, 10*s))
			c.pass(9 * s)
			c.read(stuck)
			c.pass(time.Hour)
			c.write(stuck) // the deadline is over
			c.pass(time.Hour)
			c.expectOpen()
		}},
		{"lingering is bounded", 0, func(c *still) {
			must(c.t, c.Close())
			c.l.settle()
			c.pass(lingerTime - 1)
			if c.closed {
				c.t.Error("closed early")
			}
			c.pass(1 + late(lingerTime))
			if !c.closed || c.err != nil {
				c.t.Error(c.closed, c.err)
			}
		}},
		{"flushing is bounded", 0, func(c *still) {
			c.write(stuck)
			must(c.t, c.Close())
			c.l.settle()
			c.pass(flushTime - 1)
			if c.closed {
				c.t.Error("closed early")
			}
			c.pass(1 + late(flushTime))
			if !c.closed || !errors.Is(c.err, ErrWriteTimeout) {
				c.t.Error(c.closed, c.err)
			}
		}},
		{"a slow reader gets all", 0, func(c *still) {
			const piece = 256 << 10 // more than flushBytes and what the kernel holds back
			c.write(stuck)
			must(c.t, c.Close())
			c.l.settle()
			for range stuck / piece {
				c.pass(flushTime - s)
				c.read(piece)
			}
			c.expectClose(nil)
		}},
		{"a very slow reader does not", 0, func(c *still) {
			c.write(stuck)
			must(c.t, c.Close())
			c.l.settle()
			c.read(40_000) // the kernel takes as much again, which is less than flushBytes
			c.pass(flushTime + s)
			if !c.closed || !errors.Is(c.err, ErrWriteTimeout) {
				c.t.Error(c.closed, c.err)
			}
		}},
		{"flushed as the bound comes", 0, func(c *still) {
			for c.Buffered() == 0 {
				c.write(1000)
			}
			must(c.t, c.Close())
			c.l.settle()
			c.read(40_000) // too little for epoll to tell
			if c.Buffered() == 0 {
				c.t.Error("flushed already")
			}
			c.pass(flushTime + s)
			if c.state.phase() != phaseLingering || c.closed {
				c.t.Error("does not linger")
			}
			c.expectClose(nil)
		}},
		{"nothing is set once it is closing", 10 * s, func(c *still) {
			c.write(stuck)
			must(c.t, c.Close())
			c.SetIdleTimeout(ms)
			c.SetReadDeadline(at(c, ms))
			c.SetWriteDeadline(at(c, ms))
			c.l.settle()
			c.pass(20 * s)
			if c.closed {
				c.t.Error("closed early:", c.err)
			}
			c.read(stuck)
			c.expectClose(nil)
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.run(newStill(t, test.idle)) })
	}
}

// The peer's end of file leaves nothing to wait for; EOFSession lets it stay.
type stayer struct{ stillSession }

func (s stayer) EOF(*Conn, []byte) error { return nil }

func TestReadDeadlineAfterEOF(t *testing.T) {
	c := newStill(t, 0)
	c.session = stayer{stillSession{c}}
	c.SetReadDeadline(c.l.epoch.Add(c.time + time.Second))
	must(t, unix.Shutdown(c.peer, unix.SHUT_WR))
	c.turn()
	c.pass(time.Hour)
	c.expectOpen()
}

// An event of a connection with an idle timeout is no work for the wheel.
func TestIdleTimeoutIsLazy(t *testing.T) {
	c := newStill(t, time.Minute)
	armed, _ := c.l.wheel.Due(c.alarm)
	for range 10 {
		c.pass(time.Second)
		c.send("x")
		c.write(1)
		if due, _ := c.l.wheel.Due(c.alarm); due != armed {
			t.Fatalf("armed for %v, then for %v", armed, due)
		}
	}
}

// At rest the loop sleeps until a slot of the wheel is due.
func TestSleepsUntilTheNextSlot(t *testing.T) {
	c := newStill(t, time.Minute)
	if got := c.l.until(c.l.nextDeadline()); got < time.Minute || got > time.Minute+late(time.Minute) {
		t.Errorf("sleeps for %v", got)
	}
	c.SetIdleTimeout(0)
	if got := c.l.until(c.l.nextDeadline()); got >= 0 {
		t.Errorf("sleeps for %v, with nothing to wake up for", got)
	}
}

// The clock is read once in a turn, and not at all if nothing is timed.
func TestClockReads(t *testing.T) {
	for _, test := range []struct {
		idle time.Duration
		want int
	}{{0, 0}, {time.Minute, 1}} {
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		must(t, err)
		c := newStillMember(t, test.idle, pair)
		clock, reads := c.l.clock, 0
		_, err = unix.Write(c.peer, []byte("x"))
		must(t, err)
		c.l.clock = func() time.Duration { reads++; return clock() }
		// The turn that serves this is the last: the handler says so.
		c.data = func(in []byte) error { c.member.stopped = true; _, err := c.Write(in); return err }
		c.l.turnAtKnown = true // as of the turn before
		must(t, c.member.run())
		if reads != test.want {
			t.Errorf("idle timeout %v: %d reads of the clock in a turn, want %d", test.idle, reads, test.want)
		}
	}
}

func TestMillis(t *testing.T) {
	for d, want := range map[time.Duration]uint32{
		-1: 0, 0: 0, 1: 1, time.Millisecond: 1, time.Millisecond + 1: 2, time.Minute: 60_000,
		1<<32*time.Millisecond - 1: 1<<32 - 1, 1<<63 - 1: 1<<32 - 1,
	} {
		if got := millis(d); got != want {
			t.Errorf("%v: %d, want %d", d, got, want)
		}
	}
}

// What 100,000 idle connections with a timeout take is these, 16 bytes of the
// table, and what their sessions take.
func TestSizes(t *testing.T) {
	if size := unsafe.Sizeof(Conn{}); size > 96 {
		t.Errorf("a connection takes %d bytes", size)
	}
	if size := unsafe.Sizeof(alarm{}); size > 16 { // and the wheel adds as much
		t.Errorf("an idle timeout takes %d bytes", size)
	}
	if size := unsafe.Sizeof(secured{}); size > 208 { // the allocator's next size
		t.Errorf("what a connection with TLS has beside takes %d bytes", size)
	}
}
