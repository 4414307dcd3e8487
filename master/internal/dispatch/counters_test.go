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

// As TestEveryKeptCounterSurvivesItsWorker, of what is counted for people. A total of which
// no worker has ever kept a row does not have it.
func TestEveryFurtherCounterSurvivesItsWorker(t *testing.T) {
	r := newRig(t, 1000)
	var before ipc.FurtherReading
	read := func() (m Meters) {
		r.do(func() { m = r.dispatcher.meters() })
		return m
	}
	spectator := r.addWorker(1, 100) // there to take what others leave
	defer spectator.die()
	r.addWorker(0, 100).die() // one that knows of none
	r.until(func(Totals) bool { return len(r.dispatcher.all) == 1 })
	if m := read(); m.Further.Kept != 0 {
		t.Errorf("kept before any worker does: %+v", m.Further)
	}
	for _, row := range ipc.FurtherRows()[1:] { // kept is for the master alone
		t.Logf("row %s", row.Name)
		for _, value := range []uint64{0, 4, 1 << 40, math.MaxUint64, 1} {
			w := r.addWorker(0, 100)
			block := new(ipc.FurtherCounters)
			block.Keep()
			r.do(func() { r.dispatcher.find(0).spec.Further = block })
			block.Store(row, value)
			alive := read()
			block.Store(row, 0) // no worker takes anything back
			again := read()
			w.die()
			*block = ipc.FurtherCounters{} // the next one's
			r.until(func(Totals) bool { return len(r.dispatcher.all) == 1 })
			dead := read()
			var handedOver ipc.FurtherReading
			r.do(func() {
				state := r.dispatcher.totals.state()
				next := state.totals()
				handedOver = next.further
			})
			if _, ok := alive.FurtherOf[0]; !ok || len(dead.FurtherOf) != 1 {
				t.Errorf("%s: of living workers: %v, and then %v", row.Name, alive.FurtherOf, dead.FurtherOf)
			}
			was := alive.Further
			for name, later := range map[string]ipc.FurtherReading{"taken back": again.Further, "dead": dead.Further, "handed over": handedOver} {
				if later != was {
					t.Errorf("%s, counted as %d: %+v, and when %s %+v", row.Name, value, was, name, later)
				}
			}
			if row.Kept() == (was == before) && value != 0 && before.Kept != 0 && value < math.MaxUint64 {
				t.Errorf("%s, counted as %d: the total was %+v, and is %+v", row.Name, value, before, was)
			}
			before = was
		}
	}
}
