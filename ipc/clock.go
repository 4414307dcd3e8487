package ipc

import (
	"math"
	"time"

	"golang.org/x/sys/unix"
)

// Clock reads CLOCK_MONOTONIC, which all processes of a machine share, at the
// cost of time.Now: Go's monotonic readings are of that clock, but relative.
// It is what Envelope.Accepted is read from. Any goroutine may use it.
type Clock struct {
	start  time.Time
	offset time.Duration // of CLOCK_MONOTONIC at start
}

// clockReadings is how often NewClock compares the clocks: whoever is preempted between
// two readings once is hardly so each time.
const clockReadings = 8

// NewClock returns a clock. It is as exact as a system call is quick.
func NewClock() Clock {
	start := time.Now()
	return Clock{start: start, offset: clockOffset(monotonic, func() time.Duration { return time.Since(start) })}
}

// clockOffset returns how much a clock is ahead of another one that goes as fast. It reads
// the other between two readings of the first, a few times, and believes the time when
// those two were closest: it is off by half of what was between them at most.
func clockOffset(clock, other func() time.Duration) (offset time.Duration) {
	closest := time.Duration(math.MaxInt64)
	for range clockReadings {
		before, at, after := clock(), other(), clock()
		if apart := after - before; apart < closest {
			closest, offset = apart, before+apart/2-at
		}
	}
	return offset
}

func monotonic() time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) // cannot fail for this clock (clock_gettime(2))
	return time.Duration(ts.Nano())
}

// Now returns CLOCK_MONOTONIC.
func (c Clock) Now() time.Duration { return c.offset + time.Since(c.start) }
