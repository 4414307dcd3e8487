package master

import (
	"testing"
	"time"

	"github.com/usher-go/usher/internal/leaktest"
)

// goSleeper is a sleeper on Go's clock, which a test may fake.
func goSleeper() sleeper {
	over := make(chan struct{}, 1)
	timer := time.AfterFunc(time.Hour, func() {
		select {
		case over <- struct{}{}:
		default:
		}
	})
	timer.Stop()
	return sleeper{over, func(d time.Duration) { timer.Reset(d) }}
}

func TestSleeper(t *testing.T) {
	leaktest.Descriptors(t)
	a, end, err := newSleeper()
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	for _, after := range []time.Duration{0, time.Nanosecond, 20 * time.Millisecond} {
		start := time.Now()
		a.set(time.Hour)
		a.set(after)
		<-a.over
		if took := time.Since(start); took < after {
			t.Errorf("it is over after %v, want %v", took, after)
		}
	}
	a.set(time.Nanosecond)
	<-a.over
	select {
	case <-a.over:
		t.Error("it is over twice")
	default:
	}
}

// Ended while it is set, it leaves nothing behind (see TestMain).
func TestSleeperEnds(t *testing.T) {
	leaktest.Descriptors(t)
	a, end, err := newSleeper()
	if err != nil {
		t.Fatal(err)
	}
	a.set(time.Hour)
	end()
}
