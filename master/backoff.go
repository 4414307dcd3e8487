package master

import "time"

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
