// Package backoff is the pause after accept4(2) found no descriptors or no memory:
// accepting goes on by itself when there are some again. Each goroutine of the master
// that accepts has one, for clients and for the control socket. It waits for nothing
// itself.
package backoff

import "time"

// Backoff is a pause that grows: 5 ms doubling to 1 s, until Reset. The zero value is
// none. It belongs to one goroutine.
type Backoff struct {
	delay time.Duration
	until time.Time // zero: not pausing
}

const (
	delayMin = 5 * time.Millisecond
	delayMax = time.Second
)

// Grow begins a pause, longer than the one before, and returns how long it is.
func (b *Backoff) Grow(now time.Time) time.Duration {
	b.delay = min(max(2*b.delay, delayMin), delayMax)
	b.until = now.Add(b.delay)
	return b.delay
}

// Over reports whether accepting may go on. It asks for the time only while pausing.
func (b *Backoff) Over(now func() time.Time) bool {
	if !b.until.IsZero() && !now().Before(b.until) {
		b.until = time.Time{}
	}
	return b.until.IsZero()
}

// Until returns when the pause ends; zero: there is none.
func (b *Backoff) Until() time.Time { return b.until }

// Reset ends the growth: accepting was possible. A pause goes on.
func (b *Backoff) Reset() { b.delay = 0 }
