// Package batchsched makes the thread of a loop a batch task (SCHED_BATCH, sched(7))
// while connections come fast: it gives way to others.
//
// Where processors are short, a thread that is woken for one connection
// displaces the one that was about to bring more: the master takes the core from
// its clients, the worker from the master, and each turn of a loop does little.
// A batch task that wakes waits until the running one sleeps or its slice is
// over, and then finds a full batch. On an idle core nothing changes. Connecting,
// echoing and closing, on one core with the clients, costs 30 % less CPU (see
// worker/PERFORMANCE.md).
//
// The price: next to a program that computes without end on the same core, each
// wake-up waits for that one's slice, some 3 ms. So it is for the time in which
// connections come by the thousand and no longer, and the bytes of open
// connections, however many, never bring it about.
package batchsched

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

// Thread is the thread of one loop. It belongs to the loop's goroutine, which is locked
// to it. Times are on any monotonic clock, always the same. The zero value, an ordinary
// thread, is ready for use.
type Thread struct {
	since  time.Duration // the beginning of this window
	count  int           // connections in it
	giving bool          // the thread is a batch task
	denied bool          // it cannot be, or is of another kind by an operator's will
}

// Came takes note of n connections.
func (t *Thread) Came(n int, now time.Duration) {
	t.count += n
	if now-t.since >= window {
		t.EndWindow(now)
	}
}

// Due returns when EndWindow is to be called if nothing comes before; the largest
// Duration, never, unless the thread gives way.
func (t *Thread) Due() time.Duration {
	if !t.giving {
		return math.MaxInt64
	}
	return t.since + window
}

// EndWindow ends the window: by what came in it the thread becomes a batch task, or an
// ordinary one again, or stays what it is.
func (t *Thread) EndWindow(now time.Duration) {
	giving := t.next(now)
	t.since, t.count = now, 0
	if giving != t.giving && !t.denied {
		t.denied = !change(giving)
		t.giving = giving && !t.denied
	}
}

// next says whether the thread is to give way in the next window.
func (t *Thread) next(now time.Duration) bool {
	limit := fast
	if t.giving {
		limit = slow
	}
	return float64(t.count) >= float64(limit)*(now-t.since).Seconds()
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
