package dispatch

import (
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/ipc"
)

// guarding returns a dispatcher that guards generation 2, with one queue of it, whose
// worker was sent so many moved connections.
func guarding(moved uint64) (*dispatcher, *ipc.Entry) {
	entry := new(ipc.Entry)
	entry.Sequence.Store(1)
	d := &dispatcher{log: hclog.NewNullLogger(), report: func(Event) {}}
	d.guardMoves(2, 0.5)
	q := d.openQueue(Queue{Worker: Worker{Generation: 2}, FD: -1, WorkerEnd: -1, Memory: Memory{Entry: entry}, Closes: true}, 1)
	q.sent, q.movedIn = moved, moved
	return d, entry
}

// step is what a worker counts next, whether any is on its way then, and how many are
// lost.
type step struct {
	what string
	do   func(*ipc.Entry)
	way  bool
	lost uint64
}

func receives(n uint64) func(*ipc.Entry) { return func(e *ipc.Entry) { e.Received.Add(n) } }

func loses(e *ipc.Entry)  { e.Lost.Add(1) }
func thaws(e *ipc.Entry)  { e.Thawed.Add(1) }
func closes(e *ipc.Entry) { e.Closed.Add(1) }

// A connection is on its way until it is thawed, or in the totals as lost: whoever is told
// that nothing is on the way, and then reads the totals, has all that were lost.
func TestOnTheWayUntilLostIsBooked(t *testing.T) {
	for _, test := range []struct {
		name  string
		moved uint64
		steps []step
	}{
		{"thawed", 1, []step{
			{"received", receives(1), true, 0}, {"thawed", thaws, false, 0}, {"closed in order", closes, false, 0},
		}},
		{"lost, and closed at last", 1, []step{
			{"received", receives(1), true, 0}, {"lost", loses, true, 0}, {"thawed", thaws, true, 0}, {"closed", closes, false, 1},
		}},
		{"lost, and thawed at last", 1, []step{
			{"received", receives(1), true, 0}, {"lost", loses, true, 0}, {"closed", closes, true, 1}, {"thawed", thaws, false, 1},
		}},
		{"another one is closed meanwhile", 2, []step{
			{"received", receives(2), true, 0}, {"thawed", thaws, true, 0}, {"lost", loses, true, 0}, {"thawed", thaws, true, 0},
			{"the other closed", closes, false, 1}, {"closed", closes, false, 1},
		}},
		{"a lie: all are lost, and none is open", 1, []step{
			{"received", receives(1), true, 0}, {"thawed", thaws, false, 0}, {"closed in order", closes, false, 0},
			{"lost", func(e *ipc.Entry) { e.Lost.Store(1 << 60) }, false, 0},
		}},
	} {
		d, entry := guarding(test.moved)
		for _, step := range test.steps {
			step.do(entry)
			way := d.onTheWay()
			if lost := d.sum().Lost; way != step.way || lost != step.lost {
				t.Errorf("%s: %s: on the way: %t, %d lost; want %t and %d", test.name, step.what, way, lost, step.way, step.lost)
			}
		}
	}
}

// What a dead worker had is on its way until its queue is empty, since it is known only
// then what was lost with it.
func TestOnTheWayUntilDeathIsBooked(t *testing.T) {
	d, entry := guarding(3)
	receives(2)(entry)
	thaws(entry)
	q := d.reaped(0)
	if way, lost := d.onTheWay(), d.sum().Lost; !way || lost != 0 {
		t.Errorf("on the way: %t, %d lost; want true and 0", way, lost)
	}
	q.bookTaken(true, 1)
	q.movedIn--
	d.closed = nil
	d.relist()
	d.bookReaped(q)
	if way, lost := d.onTheWay(), d.sum().Lost; way || lost != 2 {
		t.Errorf("on the way: %t, %d lost; want false and 2", way, lost)
	}
}
