package master

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A service manager that does not read holds up nobody. When it reads again, it
// hears the latest in order, and that we are alive once.
func TestNotifierNobodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reads := make(chan struct{})
		var said []string
		n := notifier{watchdog: time.Second, messages: &messages{send: func(state string) {
			<-reads
			said = append(said, strings.SplitN(state, "\n", 2)[0])
		}}}
		n.ready()
		synctest.Wait() // that one is on its way
		for range maxMessages {
			n.reloading(0)
			n.ready()
			n.alive()
			n.alive()
		}
		n.stopping()
		start := time.Now()
		n.flush(sayLimit)
		if got := time.Since(start); got != sayLimit {
			t.Errorf("the end waited for %v, want %v", got, sayLimit)
		}
		close(reads)
		n.flush(sayLimit)
		if got := time.Since(start); got != sayLimit {
			t.Errorf("with a manager that reads the end waited, for %v", got-sayLimit)
		}
		if len(said) != 1+maxMessages {
			t.Fatalf("%d messages, want %d", len(said), 1+maxMessages)
		}
		want := []string{"STOPPING=1", "WATCHDOG=1", "READY=1", "RELOADING=1", "WATCHDOG=1", "READY=1", "RELOADING=1"}
		slices.Reverse(want)
		if got := said[len(said)-len(want):]; !slices.Equal(got, want) {
			t.Errorf("the last are %q, want %q", got, want)
		}
	})
}

// The service manager hears at half of its time, or more often, that the master is
// alive, and no more once the supervisor or the accept goroutine stands still:
// however short that time, and though the master rests.
func TestWatchdog(t *testing.T) {
	for name, watchdog := range map[string]time.Duration{"shorter than a sample": 500 * time.Millisecond, "longer than a rest": time.Minute} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fm := rest(t, 30*time.Second)
				var pings atomic.Int64
				fm.look(func() {
					fm.notifier.watchdog = watchdog
					fm.notifier.messages.send = func(string) { pings.Add(1) }
					fm.alive(time.Now())
				})
				pingsIn := func(d time.Duration) int {
					synctest.Wait()
					before := pings.Load()
					time.Sleep(d)
					synctest.Wait()
					return int(pings.Load() - before)
				}
				fm.samplesIn(time.Minute) // to rest again
				samples := fm.samples.Load()
				if got, want := pingsIn(time.Hour), int(time.Hour/(watchdog/2)); got != want {
					t.Errorf("%d signs of life in an hour, want %d", got, want)
				}
				if got := fm.samples.Load() - samples; got != 480 {
					t.Errorf("%d samples in an hour, want 480, as without a watchdog", got)
				}
				stands := make(chan struct{})
				fm.inbox.Put(postponed(func() { <-stands }))
				if got := pingsIn(time.Hour); got != 0 {
					t.Errorf("%d signs of life of a supervisor that stands still", got)
				}
				close(stands)
				if got := pingsIn(watchdog); got == 0 {
					t.Error("no sign of life of a supervisor that goes on")
				}
				fm.look(func() { fm.acceptStands = true })
				if got := pingsIn(time.Hour); got != 0 {
					t.Errorf("%d signs of life of an accept goroutine that stands still", got)
				}
			})
		})
	}
}
