package worker

import (
	"math"
	"time"
)

// never is a deadline that does not come, on the loop's clock.
const never = time.Duration(math.MaxInt64)

// now reads the loop's clock. Any goroutine may.
func (l *loop) now() time.Duration { return l.clock() }

// turnTime is the time of this turn of the loop. The clock is read when it is
// first asked for, so once for a turn that times anything, and never at rest.
func (l *loop) turnTime() time.Duration {
	if !l.turnAtKnown {
		return l.refresh()
	}
	return l.turnAt
}

// refresh reads the clock again, for what must not be early by the part of the
// turn that has passed.
func (l *loop) refresh() time.Duration {
	l.turnAt, l.turnAtKnown = l.now(), true
	return l.turnAt
}

// clockTime returns t on the loop's clock, 0 for the zero time; no other is.
func (l *loop) clockTime(t time.Time) time.Duration {
	if t.IsZero() {
		return 0
	}
	return min(max(t.Sub(l.epoch), 1), never-1)
}

// until turns a deadline into a timeout for Wait.
func (l *loop) until(deadline time.Duration) time.Duration {
	if deadline == never {
		return -1
	}
	return max(0, deadline-l.turnTime())
}
