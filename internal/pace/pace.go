// Package pace lets the thread of a loop give way while connections come fast.
//
// Where processors are short, a thread that is woken for one connection
// displaces the one that was about to bring more: the master takes the core from
// its clients, the worker from the master, and each turn of a loop does little.
// As a batch task (SCHED_BATCH, sched(7)) a thread that wakes waits until the
// running one sleeps or its slice is over, and then finds a full batch. On an
// idle core nothing changes. Connecting, echoing and closing, on one core with
// the clients, costs 30 % less CPU (see worker/PERFORMANCE.md).
//
// The price: next to a program that computes without end on the same core, each
// wake-up waits for that one's slice, some 3 ms. So it is for the time in which
// connections come by the thousand and no longer, and the bytes of open
// connections, however many, never bring it about.
package pace

import (
	"math"
	"time"

	"golang.org/x/sys/unix"
)

const (
	window = 10 * time.Millisecond
	// fast and slow are connections in a second, from which on, and below
	// which, the thread gives way and no longer does. At fast a connection's
	// own cost is some tenth of a core.
	fast = 5000
	slow = 2500
)

// Pace belongs to one goroutine, locked to its thread. Times are on any
// monotonic clock, always the same. The zero value is ready for use.
type Pace struct {
	since  time.Duration // the beginning of this window
	count  int           // connections in it
	giving bool          // the thread is a batch task
	denied bool          // it cannot be, or is of another kind by an operator's will
}

// Came takes note of n connections.
func (p *Pace) Came(n int, now time.Duration) {
	p.count += n
	if now-p.since >= window {
		p.Judge(now)
	}
}

// Due returns when Judge is to be called if nothing comes before; the largest
// Duration, never, unless the thread gives way.
func (p *Pace) Due() time.Duration {
	if !p.giving {
		return math.MaxInt64
	}
	return p.since + window
}

// Judge ends the window, and with it perhaps the giving way, or begins it.
func (p *Pace) Judge(now time.Duration) {
	giving := p.next(now)
	p.since, p.count = now, 0
	if giving != p.giving && !p.denied {
		p.denied = !change(giving)
		p.giving = giving && !p.denied
	}
}

// next says whether the thread is to give way in the next window.
func (p *Pace) next(now time.Duration) bool {
	limit := fast
	if p.giving {
		limit = slow
	}
	return float64(p.count) >= float64(limit)*(now-p.since).Seconds()
}

// change makes this thread a batch task, or one like others again, and reports
// whether it is. Neither takes a privilege. A thread that is of another kind
// already was meant to be.
func change(batch bool) bool {
	from, to := uint32(unix.SCHED_BATCH), uint32(unix.SCHED_NORMAL)
	if batch {
		from, to = to, from
	}
	attr, err := unix.SchedGetAttr(0, 0)
	if err != nil || attr.Policy != from {
		return false
	}
	attr.Policy = to
	return unix.SchedSetAttr(0, attr, 0) == nil
}
