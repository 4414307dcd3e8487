package master

import (
	"testing"
	"testing/synctest"

	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/master/internal/child"
	"github.com/usher-go/usher/master/internal/dispatch"
	"golang.org/x/sys/unix"
)

// An account that ends between a worker's death and the last word on its queue leaves
// that worker out: there are no counts of it then, or those of another in its slot.
func TestAccountEndsAfterADeath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fm := newFakeMaster(2, 2)
		synctest.Wait()
		fm.look(func() {
			fm.counts = map[int]dispatch.WorkerCounts{0: {Said: ipc.Reading{Closed: 5}}}
			a := fm.openAccount([]*slot{fm.slots[0]})
			id := fm.slots[0].id()
			delete(fm.live, fm.slots[0].pid())
			fm.handle(child.Exited{ID: id, Status: unix.WaitStatus(unix.SIGKILL)})
			fm.counts = nil
			if sum, err := fm.closeAccount(a); sum != (departures{}) || err != nil {
				t.Errorf("%+v, %v; want nothing", sum, err)
			}
		})
		fm.abandon()
	})
}
