package dispatch

import (
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// coalescing lets clients come for a moment before the accept goroutine looks for them
// again, while they come by the ten thousand a second, as network cards hold back their
// interrupts. A turn has a price of its own, some 10 µs: it is woken, sends a packet to
// each worker, and wakes them. Where nothing else delays the turns each brings one
// connection or two, and that price is a sixth of what a connection costs the server.
//
// A moment more makes no difference to clients of which there are many. But those that
// connect one after the other wait for each answer, and would come more slowly: if fewer
// come, coalescing was wrong, and rests for a while that doubles each time.
//
// It is the accept goroutine's. The zero value is ready for use; times are on one
// monotonic clock.
type coalescing struct {
	since     time.Duration // the beginning of this window
	conns     int           // accepted in it
	turns     int           // that accepted any of them
	on        bool
	before    float64       // connections a second in the window before it was on
	restUntil time.Duration // it is not tried before
	restFor   time.Duration // how long it rested last
}

const (
	coalesceWindow = 100 * time.Millisecond
	// coalesceFor is the moment. The kernel may add its timer slack, 50 µs by default
	// (PR_SET_TIMERSLACK in prctl(2)).
	coalesceFor = 150 * time.Microsecond
	// coalesceFrom is connections a second, from which on that moment is expected to
	// bring more than one; coalesceUpTo is connections in a turn, from which on there
	// is nothing to be gained.
	coalesceFrom = 10_000
	coalesceUpTo = 4
	// coalesceWorse is the share of the connections from before that is too few.
	coalesceWorse = 0.9
	// coalesceRestMin and coalesceRestMax bound the rest.
	coalesceRestMin = 200 * time.Millisecond
	coalesceRestMax = 10 * time.Second
)

// came takes note of a turn that accepted n connections.
func (c *coalescing) came(n int, now time.Duration) {
	c.conns += n
	c.turns++
	if now-c.since >= coalesceWindow {
		c.decide(float64(c.conns)/(now-c.since).Seconds(), now)
		c.since, c.conns, c.turns = now, 0, 0
	}
}

// decide decides about the next window by the connections a second of this one.
func (c *coalescing) decide(rate float64, now time.Duration) {
	switch {
	case c.on && rate < coalesceWorse*c.before:
		c.on = false
		c.restFor = min(max(2*c.restFor, coalesceRestMin), coalesceRestMax)
		c.restUntil = now + c.restFor
	case c.on:
		c.restFor = 0
	case rate >= coalesceFrom && c.conns < coalesceUpTo*c.turns && now >= c.restUntil:
		c.on, c.before = true, rate
	}
}

// coalesce lets the moment pass, on this thread, if coalescing is on and nothing else is
// to be done before. A signal may end it earlier.
func (g *acceptGoroutine) coalesce() {
	if !g.coalescing.on || g.dispatcher.held() > 0 {
		return
	}
	if wait := g.timeout(); wait >= 0 && wait < coalesceFor {
		return
	}
	moment := unix.NsecToTimespec(int64(coalesceFor))
	_, _, _ = syscall.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&moment)), 0, 0) // EINTR is as good
}
