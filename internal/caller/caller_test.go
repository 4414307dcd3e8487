package caller

import (
	"runtime"
	"sync"
	"testing"
)

// Goroutines that live at the same time differ, and each stays what it is however
// its stack grows and whichever thread runs it.
func TestID(t *testing.T) {
	const goroutines = 100
	var here, over sync.WaitGroup
	here.Add(goroutines)
	ids := make([]uintptr, goroutines)
	for i := range ids {
		over.Go(func() {
			if ByThread {
				runtime.LockOSThread()
				defer runtime.UnlockOSThread()
			}
			ids[i] = ID()
			here.Done()
			here.Wait() // all of them live
			for range 10 {
				runtime.Gosched()
				if deep(1000) != ids[i] {
					t.Error("it has changed")
				}
			}
		})
	}
	over.Wait()
	seen := make(map[uintptr]bool)
	for _, id := range ids {
		if id == 0 || seen[id] {
			t.Errorf("%#x is that of two, or none", id)
		}
		seen[id] = true
	}
}

// deep is ID, further down the stack.
func deep(calls int) uintptr {
	var room [128]byte
	room[calls%len(room)] = 1
	if calls > 0 {
		return deep(calls - int(room[calls%len(room)]))
	}
	return ID()
}

func BenchmarkID(b *testing.B) {
	for b.Loop() {
		ID()
	}
}
