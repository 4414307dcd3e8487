package dispatch

import (
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/ipc"
)

// Room that connections of a worker that leaves are still to come to is not given to new
// clients: they wait, and live ones are not cut. It is what of those cannot move, and what
// nobody is to come from.
func TestRoomForThoseStillToMove(t *testing.T) {
	for _, test := range []struct {
		name             string
		load             uint64 // of the worker that leaves
		staying          uint64 // of those
		oldMoves, movers bool   // the worker that leaves, and that to which they may go, can move connections
		tripped          bool   // the guard has
		forNew           int
	}{
		{name: "all of the room", load: 16, oldMoves: true, movers: true, forNew: 0},
		{name: "more than the room", load: 100, oldMoves: true, movers: true, forNew: 0},
		{name: "some of it", load: 10, oldMoves: true, movers: true, forNew: 6},
		{name: "some stay", load: 16, staying: 12, oldMoves: true, movers: true, forNew: 12},
		{name: "all stay, as it says", load: 16, staying: 1 << 40, oldMoves: true, movers: true, forNew: 16},
		{name: "none can be moved", load: 16, movers: true, forNew: 16},
		{name: "nobody can take them", load: 16, oldMoves: true, forNew: 16},
		{name: "they go back", load: 16, oldMoves: true, movers: true, tripped: true, forNew: 16},
	} {
		d := &dispatcher{log: hclog.NewNullLogger(), report: func(Event) {}, maxQueuedTotal: 1000}
		if test.tripped {
			d.guardMoves(2, 0.5)
			d.guard.tripped = true
		}
		old, next := new(ipc.Entry), new(ipc.Entry)
		for _, entry := range []*ipc.Entry{old, next} {
			entry.Sequence.Store(1)
		}
		q := d.openQueue(Queue{Worker: Worker{Generation: 1}, FD: -1, WorkerEnd: -1, Capacity: 200, Closes: true, Moves: test.oldMoves, Memory: Memory{Entry: old}}, 1)
		q.sent = test.load
		old.Received.Store(test.load)
		old.Staying.Store(test.staying)
		d.closeQueue(0)
		d.openQueue(Queue{Worker: Worker{Slot: 1, Generation: 2}, FD: -1, WorkerEnd: -1, Capacity: 16, Closes: true, Moves: test.movers, Memory: Memory{Entry: next}}, 2)
		c := d.measure()
		if c.room != 16 || c.forNew() != test.forNew {
			t.Errorf("%s: room for %d, %d of them new; want 16, %d", test.name, c.room, c.forNew(), test.forNew)
		}
		if stalled := c.forNew() == 0; c.stalled != stalled {
			t.Errorf("%s: it is to look again: %t, want %t", test.name, c.stalled, stalled)
		}
		d.reaped(0)
		if c := d.measure(); c.forNew() != 16 {
			t.Errorf("%s: room for %d new ones when it is gone", test.name, c.forNew())
		}
	}
}
