package poller

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What a blocked wait costs: the ticks of CPU that its thread used in a second.
// The bound is wide: a loop that spins would use all hundred.
func TestAtRest(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a second")
	}
	s := newSet(t)
	w := newWaker(t, s, 1)
	thread, done := make(chan int), make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		thread <- unix.Gettid()
		if _, err := s.Wait(make([]Event, 1), -1); err != nil {
			t.Error(err)
		}
	}()
	id := <-thread
	before := ticks(t, id)
	<-time.After(time.Second) // the span that is measured
	used := ticks(t, id) - before
	w.Wake()
	<-done
	t.Logf("a blocked wait used %d ticks of CPU in a second", used)
	if used > 50 {
		t.Errorf("a blocked wait used %d ticks of CPU in a second", used)
	}
}

// ticks returns user and system time of a thread of this process (proc(5)).
func ticks(t *testing.T, thread int) int {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/stat", thread))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(stat), ") ") // past the name, which may hold anything
	fields := strings.Fields(rest)
	user, err := strconv.Atoi(fields[11])
	if err != nil {
		t.Fatal(err)
	}
	system, err := strconv.Atoi(fields[12])
	if err != nil {
		t.Fatal(err)
	}
	return user + system
}

// The wait's own bookkeeping: what an interrupted raw wait leads to.
func TestCooling(t *testing.T) {
	set := newSet(t)
	a, b := stream(t)
	write(t, b)
	if err := set.Add(a, In, 1); err != nil {
		t.Fatal(err)
	}
	events := make([]Event, 1)
	w := waiter{cool: coolWaits}
	for i := range coolWaits {
		if n, errno := w.wait(set, events, -1); n != 1 || errno != 0 || w.worked {
			t.Fatalf("cool wait %d: %d, %v, %+v", i, n, errno, w)
		}
	}
	if n, errno := w.wait(set, events, -1); n != 1 || errno != 0 || w.cool != 0 || !w.worked {
		t.Errorf("then: %d, %v, %+v; want a raw wait", n, errno, w)
	}
}

// The runtime's monitor interrupts every raw wait that lasts: the first after
// work is followed by another raw one, the next by waits through the scheduler.
func TestInterrupted(t *testing.T) {
	set := newSet(t)
	events := make([]Event, 1)
	const millis = 20_000 // the monitor signals after 10 to 20
	w := waiter{worked: true}
	if n, errno := w.wait(set, events, millis); n != 0 || errno != 0 || w != (waiter{}) {
		t.Fatalf("after work: %d, %v, %+v; want raw waits to go on", n, errno, w)
	}
	if n, errno := w.wait(set, events, millis); n != 0 || errno != 0 || w != (waiter{cool: coolWaits}) {
		t.Errorf("after none: %d, %v, %+v; want %d waits through the scheduler", n, errno, w, coolWaits)
	}
}
