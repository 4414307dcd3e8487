package master

import "time"

// acceptRate is how many connections a worker receives in a second, between two samples of
// the supervisor's. The zero value has seen nothing yet.
type acceptRate struct {
	received uint64 // as of the latest sample
	at       time.Time
	perSec   float64 // between that and the one before
}

// observe takes a sample.
func (r *acceptRate) observe(now time.Time, received uint64) {
	r.perSec = r.since(now, received)
	r.received, r.at = received, now
}

// since is the rate since the latest sample.
func (r *acceptRate) since(now time.Time, received uint64) float64 {
	elapsed := now.Sub(r.at).Seconds()
	if r.at.IsZero() || elapsed <= 0 || received < r.received {
		return 0
	}
	return float64(received-r.received) / elapsed
}

// now is the rate to tell: that between the latest two samples, or since then, if that is
// longer ago, since the workers rested.
func (r *acceptRate) now(now time.Time, received uint64) float64 {
	if now.Sub(r.at) > sampleLate {
		return r.since(now, received)
	}
	return r.perSec
}
