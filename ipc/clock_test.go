package ipc

import (
	"testing"
	"time"
)

// Its readings lie between two of the kernel's.
func TestClock(t *testing.T) {
	clock := NewClock()
	for range 100 {
		before, now, after := monotonic(), clock.Now(), monotonic()
		// NewClock is preempted now and then, and might be each time that it compares.
		if moment := time.Millisecond; now < before-moment || now > after+moment {
			t.Fatalf("%v, the kernel says %v to %v", now, before, after)
		}
	}
}

// Who compares two clocks may be preempted between any two readings, and is not misled
// as long as that does not happen once.
func TestClockOffset(t *testing.T) {
	const ahead = time.Hour
	for calm := range clockReadings {
		now, readings := time.Duration(0), 0
		clock := func(ahead time.Duration) func() time.Duration {
			return func() time.Duration {
				if readings/3 != calm {
					now += time.Second << readings
				}
				now += time.Nanosecond
				readings++
				return ahead + now
			}
		}
		if offset := clockOffset(clock(ahead), clock(0)); offset != ahead {
			t.Errorf("left alone the %d. time: %v, want %v", calm+1, offset, ahead)
		}
	}
}
