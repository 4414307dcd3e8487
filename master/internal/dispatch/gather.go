package dispatch

import (
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// gathering lets clients gather for a moment before the accept goroutine looks
// for them again, while they come by the ten thousand a second, as network cards
// hold back their interrupts. A turn has a price of its own, some 10 µs: it is
// woken, sends a packet to each worker, and wakes them. Where nothing else delays
// the turns each brings one connection or two, and that price is a sixth of what a
// connection costs the server.
//
// A moment more makes no difference to clients of which there are many. But those
// that connect one after the other wait for each answer, and would come more
// slowly: if fewer come, gathering was wrong, and rests for a while that doubles
// each time.
//
// It is the accept goroutine's. The zero value is ready for use; times are on one
// monotonic clock.
type gathering struct {
	since    time.Duration // the beginning of this window
	conns    int           // accepted in it
	turns    int           // that accepted any of them
	on       bool
	before   float64       // connections a second in the window before it was on
	resting  time.Duration // it is not tried before
	patience time.Duration // how long it rested last
}

const (
	gatherWindow = 100 * time.Millisecond
	// gatherFor is the moment. The kernel may add its timer slack, 50 µs by default
	// (PR_SET_TIMERSLACK in prctl(2)).
	gatherFor = 150 * time.Microsecond
	// gatherFrom is connections a second, from which on that moment is expected to
	// bring more than one; gatherUpTo is connections in a turn, from which on there
	// is nothing to be gained.
	gatherFrom = 10_000
	gatherUpTo = 4
	// gatherWorse is the share of the connections from before that is too few.
	gatherWorse = 0.9
	// gatherRestMin and gatherRestMax bound the rest.
	gatherRestMin = 200 * time.Millisecond
	gatherRestMax = 10 * time.Second
)

// came takes note of a turn that accepted n connections.
func (g *gathering) came(n int, now time.Duration) {
	g.conns += n
	g.turns++
	if now-g.since >= gatherWindow {
		g.judge(float64(g.conns)/(now-g.since).Seconds(), now)
		g.since, g.conns, g.turns = now, 0, 0
	}
}

// judge decides about the next window by the connections a second of this one.
func (g *gathering) judge(rate float64, now time.Duration) {
	switch {
	case g.on && rate < gatherWorse*g.before:
		g.on = false
		g.patience = min(max(2*g.patience, gatherRestMin), gatherRestMax)
		g.resting = now + g.patience
	case g.on:
		g.patience = 0
	case rate >= gatherFrom && g.conns < gatherUpTo*g.turns && now >= g.resting:
		g.on, g.before = true, rate
	}
}

// gather lets the moment pass, on this thread, if it is time to gather and nothing
// else is to be done before. A signal may end it earlier.
func (a *Acceptor) gather() {
	if !a.gathering.on || a.dispatcher.handful() > 0 {
		return
	}
	if wait := a.timeout(); wait >= 0 && wait < gatherFor {
		return
	}
	moment := unix.NsecToTimespec(int64(gatherFor))
	_, _, _ = syscall.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&moment)), 0, 0) // EINTR is as good
}
