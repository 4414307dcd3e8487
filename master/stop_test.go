package master

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/usher-go/usher/master/internal/dispatch"
	"golang.org/x/sys/unix"
)

// A worker that dies while a stop waits for connections to arrive is not started
// again: the master ends.
func TestDeathWhileStopping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fm := newFakeMasterOf(2, 2, true)
		synctest.Wait()
		fm.look(func() {
			for _, w := range fm.live {
				if w.spec.Slot == 1 {
					w.deaf = true // it does not say that it has given all
				}
			}
			fm.drain(fm.slots[1], "for the test")
		})
		synctest.Wait()
		fm.look(func() { fm.stop(stopGraceful) })
		fm.look(func() {
			if fm.stopping != stopLanding {
				t.Fatalf("stopping %v, want it to wait for the one that moves", fm.stopping)
			}
			for _, w := range fm.live {
				if w.spec.Slot == 0 {
					fm.exit(w.pid, unix.WaitStatus(unix.SIGKILL))
				}
			}
		})
		select {
		case err := <-fm.ended:
			if err != nil || len(fm.live) > 0 {
				t.Errorf("%v, %d processes", err, len(fm.live))
			}
		case <-time.After(time.Hour):
			t.Error("it does not end")
			fm.abandon()
		}
	})
}

// A move guard that trips while a stop waits for connections to arrive changes nothing
// of it: the old workers still have the stop's deadline.
func TestGuardTripsWhileStopping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fm := newFakeMasterOf(1, 1, true)
		synctest.Wait()
		fm.look(func() {
			for _, w := range fm.live {
				w.deaf, w.stubborn = true, true // its connections last
			}
			fm.askReload(nil)
		})
		synctest.Wait()
		fm.look(func() {
			if got := fm.slots[0].life; got != lifeMoving {
				t.Fatalf("the old worker is %v, want it to be %v", got, lifeMoving)
			}
			fm.stop(stopGraceful)
			fm.guardTripped(dispatch.GuardTripped{Tried: 3, Failed: 3})
		})
		select {
		case err := <-fm.ended:
			if err != nil || len(fm.live) > 0 {
				t.Errorf("%v, %d processes", err, len(fm.live))
			}
		case <-time.After(time.Hour):
			t.Error("it does not end")
			fm.abandon()
		}
	})
}

// A stop while the last connections of a reload are on their way ends the reload's
// account, too.
func TestStopWhileArriving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fm := newFakeMasterOf(1, 1, true)
		synctest.Wait()
		fm.look(func() {
			fm.holdsArrival = true
			fm.askReload(nil)
		})
		synctest.Wait()
		fm.look(func() {
			r := fm.reload
			if r == nil || r.stage != reloadArriving {
				t.Fatalf("the reload is %+v, want it to wait for connections to arrive", r)
			}
			fm.stop(stopGraceful)
			if !r.account.closed {
				t.Error("its account is open")
			}
		})
		if err := <-fm.ended; err != nil {
			t.Error(err)
		}
	})
}
