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
		th := newTheatreOf(2, 2, true)
		synctest.Wait()
		var id uint64
		th.look(func() {
			for _, a := range th.actors {
				a.deaf = true
			}
			id = th.giveOrder(th.slots[0], dispatch.Nobody, 1).id
		})
		busy := func() (busy bool) {
			th.look(func() { busy = th.busy() })
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
		th.look(func() {
			slots := th.slots
			defer func() { th.slots = slots }()
			th.slots = nil
			if state := th.state(dispatch.State{}); state.LastMove != id {
				t.Errorf("the last order's id in the upgrade state is %d, want %d: a late answer would look like another order's", state.LastMove, id)
			}
		})
		th.abandonStage()
	})
}
