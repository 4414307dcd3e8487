package ipc_test

import (
	"testing"
	"time"

	"github.com/usher-go/usher/ipc"
	"golang.org/x/sys/unix"
)

// Its readings lie between two of the kernel's.
func TestClock(t *testing.T) {
	kernel := func() time.Duration {
		var ts unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
			t.Fatal(err)
		}
		return time.Duration(ts.Nano())
	}
	clock := ipc.NewClock()
	for range 100 {
		before, now, after := kernel(), clock.Now(), kernel()
		// The two readings that NewClock takes may be a moment apart.
		if moment := time.Millisecond; now < before-moment || now > after+moment {
			t.Fatalf("%v, the kernel says %v to %v", now, before, after)
		}
	}
}
