package pollertest

import (
	"errors"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/usher-go/usher/internal/poller"
	"golang.org/x/sys/unix"
)

var wakerChecks = []check{
	{"many wakes before a clear are one event", func(r *rig) {
		w := r.newWaker(42)
		r.quiet(r.set)
		w.Clear() // of nothing
		r.wokenByAnother(w, event{42, poller.In})
		w.Wake()
		r.await(r.set, event{42, poller.In})
		w.Clear()
		r.quiet(r.set)
		w.Wake()
		r.await(r.set, event{42, poller.In})
	}},
	{"a limit ends with its wait", func(r *rig) {
		w := r.newWaker(1)
		for range 2 {
			if got := wait(r.set, time.Millisecond); got != nil {
				fail("%v, want nothing", got)
			}
			r.wokenByAnother(w, event{1, poller.In})
			w.Clear()
		}
	}},
	{"what was published before a wake is seen after the clear", func(r *rig) {
		const goroutines, wakes = 16, 1_000
		w := r.newWaker(1)
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
		defer running.Wait()
		for seen := int64(0); seen < goroutines*wakes; seen = published.Load() {
			if wait(r.set, patience) == nil {
				running.Wait() // they are slow, or a wake is lost: now it must be there
				if wait(r.set, patience) == nil {
					fail("a wake is lost: %d seen", seen)
				}
			}
			w.Clear()
		}
	}},
	{"signals end no wait without limit, and are no error", func(r *rig) {
		w := r.newWaker(1)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		thread := unix.Gettid()
		var wrong error
		var running sync.WaitGroup
		running.Go(func() {
			for range 1_000 {
				wrong = errors.Join(wrong, unix.Tgkill(os.Getpid(), thread, unix.SIGURG))
			}
			w.Wake()
		})
		defer running.Wait()
		r.awaitForEver(event{1, poller.In})
		running.Wait()
		must(wrong)
	}},
}

// wokenByAnother is awaitForEver while another goroutine wakes. That has ended when this
// returns or fails: else it would wake later, by the number of a descriptor that is
// another's then.
func (r *rig) wokenByAnother(w Waker, want event) {
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(w.Wake)
	r.awaitForEver(want)
}

// awaitForEver is await by one Wait without limit: something must end it.
func (r *rig) awaitForEver(want event) {
	if got := wait(r.set, -1); len(got) != 1 || got[0] != want {
		fail("%v by a wait without limit, want %v", got, events{want})
	}
}

var costChecks = []check{
	{"nothing is allocated", func(r *rig) {
		w := r.newWaker(1)
		a, _ := r.pair()
		buffer := make([]poller.Event, 4)
		round := func() {
			w.Wake()
			_, err := r.set.Wait(buffer, -1)
			w.Clear()
			if err = errors.Join(err, r.set.Add(a, poller.In, 2), r.set.Modify(a, poller.In|poller.Out, 3), r.set.Del(a)); err != nil {
				must(err)
			}
		}
		if n := testing.AllocsPerRun(100, round); n != 0 {
			fail("%v allocations", n)
		}
	}},
}
