package poller

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func newWaker(t testing.TB, s *Set, tag uint64) *Waker {
	t.Helper()
	w, err := NewWaker(s, tag)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// The loop wakes from a blocked wait, and many wakes before it clears are one event.
func TestWaker(t *testing.T) {
	eachWay(t, func(t *testing.T, s *Set) {
		w := newWaker(t, s, 42)
		if got := ready(t, s, 0); got != "" {
			t.Errorf("before Wake: %q", got)
		}
		w.Clear() // of nothing
		var running sync.WaitGroup
		running.Go(w.Wake)
		want := fmt.Sprintf("42:%x", In)
		if got := ready(t, s, -1); got != want {
			t.Errorf("after Wake: %q, want %q", got, want)
		}
		running.Wait()
		w.Wake()
		if got := ready(t, s, -1); got != want {
			t.Errorf("not cleared: %q, want %q", got, want)
		}
		w.Clear()
		if got := ready(t, s, 0); got != "" {
			t.Errorf("cleared: %q", got)
		}
		w.Wake()
		if got := ready(t, s, -1); got != want {
			t.Errorf("after the next Wake: %q, want %q", got, want)
		}
	})
}

// A limit ends with its wait: the next one, without, waits for an event.
func TestLimitsDoNotStay(t *testing.T) {
	eachWay(t, func(t *testing.T, s *Set) {
		w := newWaker(t, s, 1)
		for _, limit := range []time.Duration{-1, time.Minute} {
			if got := ready(t, s, time.Millisecond); got != "" {
				t.Errorf("%q before Wake", got)
			}
			var running sync.WaitGroup
			running.Go(w.Wake)
			if got, want := ready(t, s, limit), fmt.Sprintf("1:%x", In); got != want {
				t.Errorf("limit %v: %q, want %q", limit, got, want)
			}
			running.Wait()
			w.Clear()
		}
	})
}

// Goroutines publish and wake, the loop clears and looks. A wake that is lost
// would hang the test.
func TestNoWakeIsLost(t *testing.T) {
	const goroutines, wakes = 16, 2_000
	eachWay(t, func(t *testing.T, s *Set) {
		w := newWaker(t, s, 1)
		var published atomic.Int64
		var running sync.WaitGroup
		for range goroutines {
			running.Go(func() {
				for range wakes {
					published.Add(1)
					w.Wake()
				}
			})
		}
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		events := make([]Event, 4)
		waits := 0
		for seen := int64(0); seen < goroutines*wakes; seen = published.Load() {
			if _, err := s.Wait(events, -1); err != nil {
				t.Fatal(err)
			}
			w.Clear()
			waits++
		}
		running.Wait()
		t.Logf("%d wakes, %d waits", goroutines*wakes, waits)
	})
}

func BenchmarkWake(b *testing.B) {
	s := newSet(b)
	w := newWaker(b, s, 1)
	events := make([]Event, 4)
	b.ReportAllocs()
	for b.Loop() {
		w.Wake()
		if _, err := s.Wait(events, -1); err != nil {
			b.Fatal(err)
		}
		w.Clear()
	}
}
