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
		th := newTheatreOf(2, 2, true)
		synctest.Wait()
		th.look(func() {
			for _, a := range th.actors {
				if a.spec.Slot == 1 {
					a.deaf = true // it does not say that it has given all
				}
			}
			th.drain(th.slots[1], "for the test")
		})
		synctest.Wait()
		th.look(func() { th.stop(stopGraceful) })
		th.look(func() {
			if th.stopping != stopLanding {
				t.Fatalf("stopping %v, want it to wait for the one that moves", th.stopping)
			}
			for _, a := range th.actors {
				if a.spec.Slot == 0 {
					th.exit(a.pid, unix.WaitStatus(unix.SIGKILL))
				}
			}
		})
		select {
		case err := <-th.ended:
			if err != nil || len(th.actors) > 0 {
				t.Errorf("%v, %d processes", err, len(th.actors))
			}
		case <-time.After(time.Hour):
			t.Error("it does not end")
			th.abandonStage()
		}
	})
}
