package master

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/usher-go/usher/master/internal/dispatch"
)

// A worker that is stopped does not answer an order to give connections back. An
// upgrade waits for that as long as the order's limits say, and no longer: the
// worker may stay stopped for ever.
func TestUpgradeDoesNotWaitForWhoDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fm := newFakeMasterOf(2, 2, true)
		synctest.Wait()
		var id uint64
		fm.look(func() {
			for _, w := range fm.live {
				w.deaf = true
			}
			id = fm.giveOrder(fm.slots[0], dispatch.Nobody, 1).id
		})
		busy := func() (busy bool) {
			fm.look(func() { busy = fm.busy() })
			return busy
		}
		if !busy() {
			t.Error("an upgrade does not wait for an order that was just given")
		}
		time.Sleep(moveLimit + cancelLimit)
		synctest.Wait()
		if busy() {
			t.Error("an upgrade waits for an order that nobody waits for")
		}
		fm.look(func() {
			slots := fm.slots
			defer func() { fm.slots = slots }()
			fm.slots = nil
			if state, err := fm.state(dispatch.State{}); err != nil || state.LastMove != id {
				t.Errorf("the last order's id in the upgrade state is %d, want %d: a late answer would look like another order's", state.LastMove, id)
			}
		})
		fm.abandon()
	})
}
