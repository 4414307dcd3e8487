package backoff

import (
	"testing"
	"time"
)

func TestBackoff(t *testing.T) {
	now := time.Unix(0, 0)
	clock := func() time.Time { return now }
	var b Backoff
	if !b.Over(clock) {
		t.Fatal("the zero value pauses")
	}
	for _, want := range []time.Duration{5, 10, 20, 40, 80, 160, 320, 640, 1000, 1000} {
		want *= time.Millisecond
		if got := b.Grow(now); got != want || b.Until() != now.Add(want) {
			t.Errorf("pause of %v until %v, want %v", got, b.Until(), want)
		}
		if now = now.Add(want - 1); b.Over(clock) {
			t.Errorf("over before %v", want)
		}
		if now = now.Add(1); !b.Over(clock) || !b.Until().IsZero() {
			t.Errorf("not over after %v", want)
		}
	}
	if got := b.Grow(now); got != time.Second {
		t.Errorf("after a further failure: %v, want 1s", got)
	}
	b.Reset()
	if got := b.Grow(now); got != 5*time.Millisecond {
		t.Errorf("after a success: %v, want 5ms", got)
	}
}
