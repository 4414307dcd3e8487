package master

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestRespawnDelay(t *testing.T) {
	const ms = time.Millisecond
	for deaths, want := range map[int]time.Duration{
		1: 0, 2: 100 * ms, 3: 200 * ms, 4: 400 * ms, 5: 800 * ms, 6: 1600 * ms,
		7: 3200 * ms, 8: 6400 * ms, 9: 10 * time.Second, 1000: 10 * time.Second,
	} {
		if got := respawnDelay(deaths, 0.5); got != want {
			t.Errorf("respawnDelay(%d) = %v, want %v", deaths, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		deaths := rapid.IntRange(2, 1<<40).Draw(t, "deaths")
		mean := respawnDelay(deaths, 0.5)
		got := respawnDelay(deaths, rapid.Float64Range(0, 0.999).Draw(t, "random"))
		if got < mean*8/10 || got > mean*12/10 {
			t.Errorf("respawnDelay(%d) = %v, not within 20 %% of %v", deaths, got, mean)
		}
	})
}
