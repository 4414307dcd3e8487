package master

import (
	"time"

	"golang.org/x/sys/unix"
)

// clock reads CLOCK_MONOTONIC, which all processes of a machine share, at the
// cost of time.Now: Go's monotonic readings are of that clock, but relative.
type clock struct {
	start  time.Time
	offset time.Duration // of CLOCK_MONOTONIC at start
}

func newClock() clock {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) // cannot fail for this clock (clock_gettime(2))
	return clock{start: time.Now(), offset: time.Duration(ts.Nano())}
}

func (c clock) monotonic() time.Duration { return c.offset + time.Since(c.start) }
