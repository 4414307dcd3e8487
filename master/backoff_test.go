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

func TestAcceptBackoff(t *testing.T) {
	now := time.Unix(0, 0)
	clock := func() time.Time { return now }
	var b acceptBackoff
	if !b.over(clock) {
		t.Fatal("the zero value pauses")
	}
	for _, want := range []time.Duration{5, 10, 20, 40, 80, 160, 320, 640, 1000, 1000} {
		want *= time.Millisecond
		if got := b.grow(now); got != want {
			t.Errorf("pause of %v, want %v", got, want)
		}
		if now = now.Add(want - 1); b.over(clock) {
			t.Errorf("over before %v", want)
		}
		if now = now.Add(1); !b.over(clock) {
			t.Errorf("not over after %v", want)
		}
	}
	b.note(acceptPause)
	if got := b.grow(now); got != time.Second {
		t.Errorf("after a further failure: %v, want 1s", got)
	}
	b.note(acceptEmpty)
	if got := b.grow(now); got != 5*time.Millisecond {
		t.Errorf("after a success: %v, want 5ms", got)
	}
}
