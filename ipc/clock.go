package ipc

import (
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

// NewClock returns a clock.
func NewClock() Clock {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) // cannot fail for this clock (clock_gettime(2))
	return Clock{start: time.Now(), offset: time.Duration(ts.Nano())}
}

// Now returns CLOCK_MONOTONIC.
func (c Clock) Now() time.Duration { return c.offset + time.Since(c.start) }
