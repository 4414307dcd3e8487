// Package batchsched makes the thread of a loop a batch task (SCHED_BATCH, sched(7))
// while connections come fast: it gives way to others.
//
// Where processors are short, a thread that is woken for one connection
// displaces the one that was about to bring more: the master takes the core from
// its clients, the worker from the master, and each turn of a loop does little.
// A batch task that wakes waits until the running one sleeps or its slice is
// over, and then finds a full batch. On an idle core nothing changes. Connecting,
// echoing and closing, on one core with the clients, costs 30 % less CPU (see
// docs/performance.md).
//
// The price: next to a program that computes without end on the same core, each
// wake-up waits for that one's slice, some 3 ms. So a thread is a batch task only while
// connections come by the thousand; the bytes of open connections, however many, do not
// make it one.
package batchsched

import (
	"math"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// window is the time over which connections are counted.
	window = 10 * time.Millisecond
	// fast and slow are connections in a second: from fast on the thread gives way, and
	// below slow it no longer does. At fast, what the connections themselves cost is some
	// tenth of a core.
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
	denied bool          // it cannot be one, or an operator has made it one of another kind
}

// Came takes note of n connections.
func (t *Thread) Came(n int, now time.Duration) {
	t.count += n
	if now-t.since >= window {
		t.EndWindow(now)
	}
}

// Due returns when EndWindow is to be called if no connection comes before. Unless the
// thread gives way that is never, the largest Duration.
func (t *Thread) Due() time.Duration {
	if !t.giving {
		return math.MaxInt64
	}
	return t.since + window
}

// EndWindow ends the window: by how many connections came in it the thread becomes a
// batch task, or an ordinary one again, or stays what it is.
func (t *Thread) EndWindow(now time.Duration) {
	giving := t.next(now)
	t.since, t.count = now, 0
	if giving != t.giving && !t.denied {
		t.denied = !change(giving)
		t.giving = giving && !t.denied
	}
}

// End has the thread give way no more. It is the last call.
func (t *Thread) End() {
	if t.giving {
		t.giving = !change(false)
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

// change makes the calling thread a batch task, or an ordinary one again, and reports
// whether it did. Neither takes a privilege. It leaves a thread alone whose policy
// somebody else has changed.
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
