package master

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/usher-go/usher/ipc"
)

// The slot that connections are to move to leaves before all have: no more of them
// move, and who asked for it is told at once.
func TestMoveToSlotThatLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fm := newFakeMasterOf(3, 3, true)
		synctest.Wait()
		done, start := make(chan moveAnswer, 1), time.Now()
		fm.look(func() {
			from, to := fm.live[fm.slots[0].pid()], fm.live[fm.slots[1].pid()]
			from.deaf = true // it is busy for now
			fm.giveOrder(fm.slots[0], 1, 5).request = &moveRequest{from: 0, to: 1, count: 5, done: done}
			from.deaf = false
			to.say(ipc.Draining{})
		})
		result := <-done
		if result.incomplete == nil {
			t.Errorf("got %+v, want it to say that the slot has left", result)
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("answered after %v, want at once", took)
		}
		fm.abandon()
	})
}
