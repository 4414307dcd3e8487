package master

import "time"

// acceptBackoff is the pause after accept4(2) found no descriptors or memory:
// 5 ms doubling to 1 s, over at the first success. The zero value is none.
type acceptBackoff struct {
	delay time.Duration
	until time.Time // zero: not pausing
}

const (
	acceptDelayMin = 5 * time.Millisecond
	acceptDelayMax = time.Second
)

func (b *acceptBackoff) grow(now time.Time) time.Duration {
	b.delay = min(max(2*b.delay, acceptDelayMin), acceptDelayMax)
	b.until = now.Add(b.delay)
	return b.delay
}

// over reports whether accepting may go on. It asks for the time only while pausing.
func (b *acceptBackoff) over(now func() time.Time) bool {
	if !b.until.IsZero() && !now().Before(b.until) {
		b.until = time.Time{}
	}
	return b.until.IsZero()
}

// note ends the growth once a connection was accepted, or none was waiting.
func (b *acceptBackoff) note(v verdict) {
	if v != acceptPause {
		b.delay = 0
	}
}

// The pause before a worker that died young is started again.
const (
	respawnDelayMin = 100 * time.Millisecond
	respawnDelayMax = 10 * time.Second
	// healthyAfter is how long a worker must have been ready for its death to
	// count as the first.
	healthyAfter = 10 * time.Second
)

// respawnDelay returns the pause after so many deaths in a row, at least 1:
// none after the first, then 100 ms doubling to 10 s, each ±20 % by random,
// which is in [0,1), so that slots that died together do not return together.
func respawnDelay(deaths int, random float64) time.Duration {
	if deaths <= 1 {
		return 0
	}
	delay := respawnDelayMax
	if doublings := deaths - 2; doublings < 7 {
		delay = min(respawnDelayMin<<doublings, respawnDelayMax)
	}
	return time.Duration(float64(delay) * (0.8 + 0.4*random))
}
