package dispatch

import (
	"math"
	"testing"

	"github.com/usher-go/usher/ipc"
)

// countedAlike has a worker count in every row what can be, and so much more in one.
func countedAlike(entry *ipc.Entry, row ipc.Counter, value uint64) {
	for _, r := range ipc.Rows() {
		entry.Store(r, 4)
	}
	entry.Store(row, value)
}

// Whatever a worker has counted, in whichever row that is kept: the total of all does
// not go down by it, and is the same when the worker is dead, and in the program that
// takes over then. The other rows have no total.
func TestEveryKeptCounterSurvivesItsWorker(t *testing.T) {
	r := newRig(t, 1000)
	var before Totals
	for _, row := range ipc.Rows() {
		t.Logf("row %s", row.Name)
		for _, value := range []uint64{0, 4, 8, 1 << 40, math.MaxUint64} {
			w := r.addWorker(0, 100)
			r.dial(8)
			w.await()
			w.receive(8)
			other := r.addWorker(1, 100) // for what w may still have in its queue, by its own count
			var alive, handedOver Totals
			r.do(func() {
				countedAlike(w.entry, row, value)
				alive = r.dispatcher.snapshot().totals
			})
			w.die()
			w.entry.Reset() // the next one's
			dead := r.until(func(c Totals) bool { return c.Active == 0 && c.Queued == 0 })
			r.do(func() {
				state := r.dispatcher.totals.state()
				next := state.totals()
				handedOver.addSaid(&next.said)
			})
			was := row.Of(&alive.Said)
			if was < row.Of(&before.Said) {
				t.Errorf("%s, counted as %d: the total is %d, it was %d", row.Name, value, was, row.Of(&before.Said))
			}
			if counted := was - row.Of(&before.Said); row.Kept() && value <= 4 && row.Name != "received" && counted != value || !row.Kept() && was != 0 {
				t.Errorf("%s, counted as %d, adds %d to the total", row.Name, value, counted)
			}
			for name, later := range map[string]Totals{"dead": dead, "handed over": handedOver} {
				if is := row.Of(&later.Said); was != is {
					t.Errorf("%s, counted as %d: %d, and %d when %s", row.Name, value, was, is, name)
				}
			}
			before = dead
			other.die()
		}
	}
}
