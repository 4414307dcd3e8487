package worker

import (
	"math"
	"time"
)

// never is a deadline that does not come, on the loop's clock.
const never = time.Duration(math.MaxInt64)

// now reads the loop's clock. Any goroutine may.
func (l *loop) now() time.Duration { return l.clock() }

// turnTime returns the time of this turn. The first call in a turn reads the clock: a
// turn in which nobody asks for the time does not read it.
func (l *loop) turnTime() time.Duration {
	if !l.turnAtKnown {
		return l.refresh()
	}
	return l.turnAt
}

// refresh reads the clock again: a timeout that is set late in a turn would otherwise
// be early by the part of the turn that has passed.
func (l *loop) refresh() time.Duration {
	l.turnAt, l.turnAtKnown = l.now(), true
	return l.turnAt
}

// clockTime returns t on the loop's clock. The zero time, and no other, gives 0.
func (l *loop) clockTime(t time.Time) time.Duration {
	if t.IsZero() {
		return 0
	}
	return min(max(t.Sub(l.epoch), 1), never-1)
}

// wallTime returns a time on the loop's clock as others read it; of never, the zero time.
func (l *loop) wallTime(d time.Duration) time.Time {
	if d == never {
		return time.Time{}
	}
	return l.epoch.Add(d)
}

// until makes a timeout for wait of a deadline.
func (l *loop) until(deadline time.Duration) time.Duration {
	if deadline == never {
		return -1
	}
	return max(0, deadline-l.turnTime())
}
