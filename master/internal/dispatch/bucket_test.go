package dispatch

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestBucket(t *testing.T) {
	now := time.Unix(0, 0)
	b := newBucket(10, now)
	if got := b.room(now); got != 10 {
		t.Fatalf("room for %d at the start, want 10", got)
	}
	b.take(10)
	if got, wait := b.room(now), b.wait(); got != 0 || wait != 100*time.Millisecond {
		t.Errorf("empty: room for %d, wait %v; want 0, 100ms", got, wait)
	}
	now = now.Add(b.wait())
	if got := b.room(now); got != 1 {
		t.Errorf("after the wait: room for %d, want 1", got)
	}
	if got := b.room(now.Add(time.Hour)); got != 10 {
		t.Errorf("after an hour: room for %d, want 10", got)
	}
}

// However the time is cut up: in any span, no more than the rate and one
// second's worth; and whoever waits as told gets one.
func TestBucketHoldsTheRate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := rapid.IntRange(1, 1000).Draw(t, "rate")
		start := time.Unix(0, 0)
		b, now, taken := newBucket(rate, start), start, 0
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(2*time.Second)).Draw(t, "pass")))
			n := rapid.IntRange(0, b.room(now)).Draw(t, "take")
			b.take(n)
			taken += n
			if most := float64(rate) * (now.Sub(start).Seconds() + 1); float64(taken) > most+0.001 {
				t.Fatalf("%d taken in %v at %d a second", taken, now.Sub(start), rate)
			}
			if b.room(now) == 0 {
				now = now.Add(b.wait() + time.Nanosecond)
				if b.room(now) < 1 {
					t.Fatalf("nothing after the wait")
				}
			}
		}
	})
}
