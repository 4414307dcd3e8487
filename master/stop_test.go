package master

import (
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// A worker that dies while a stop waits for connections to arrive is not started
// again: the master ends.
func TestDeathWhileStopping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fm := newFakeMasterOf(2, 2, true)
		synctest.Wait()
		fm.look(func() {
			for _, a := range fm.live {
				if a.spec.Slot == 1 {
					a.deaf = true // it does not say that it has given all
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
			for _, a := range fm.live {
				if a.spec.Slot == 0 {
					fm.exit(a.pid, unix.WaitStatus(unix.SIGKILL))
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
