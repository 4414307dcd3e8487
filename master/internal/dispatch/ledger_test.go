package dispatch

import (
	"math"
	"testing"

	"github.com/usher-go/usher/ipc"
	"pgregory.net/rapid"
)

// A worker may write anything into its entry, at any time: whatever it is, the
// books balance, no number is below 0, and no total goes down.
func TestLedgerOfALiar(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		entry := new(ipc.Entry)
		q := &workerQueue{spec: Queue{Capacity: 1000, Moves: true}, ledger: ledger{entry: entry, closes: true}}
		anything := rapid.OneOf(rapid.Uint64(), rapid.Uint64Range(0, 20), rapid.Just[uint64](math.MaxUint64))
		accepted, elsewhere := uint64(0), uint64(0) // with others: drained or given back
		var before Totals
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			n := rapid.Uint64Range(1, 5).Draw(t, "n")
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0:
				if q.phase == QueueReaped {
					break
				}
				q.sent += n
				accepted += n
			case 1:
				if n <= q.canGiveBack() { // else it is forged
					accepted += q.bookTaken(false, int(n))
					elsewhere += n
				}
			case 2: // whatever it has said: its queue may hold all that it was sent
				accepted += q.bookTaken(true, int(n))
				elsewhere += n
			case 3:
				if q.phase == QueueOpen && rapid.IntRange(0, 9).Draw(t, "dies") == 0 {
					q.final, q.phase = q.tally(), QueueReaped
				}
			default:
				entry.Store(rapid.SampledFrom(ipc.Rows()).Draw(t, "row"), anything.Draw(t, "value"))
			}
			tally := q.tally()
			if tally.queued() < 0 || tally.active() < 0 || tally.load() < 0 || int64(tally.said.Pause) < 0 || tally.said.Lost > tally.said.Closed ||
				tally.said.Cut > tally.said.Closed || tally.received > tally.sent || q.phase != QueueReaped && tally.said.Staying > uint64(tally.active()) || q.room(q.weigh()) > 1000 {
				t.Fatalf("%+v", tally)
			}
			if w := q.weigh(); w.queued != tally.queued() || w.load != tally.load() || q.phase != QueueReaped && w.withheld != int(tally.said.Withheld) {
				t.Fatalf("weighed %+v, want %+v", w, tally)
			}
			c := Totals{Conns: Conns{Accepted: accepted}}
			c.add(q)
			if c.Queued+c.Active+c.Closed+c.Lost+elsewhere != accepted {
				t.Fatalf("the books do not balance: %+v, %d elsewhere", c, elsewhere)
			}
			if c.Closed < before.Closed || c.Lost < before.Lost || c.Cut < before.Cut {
				t.Fatalf("%+v, before it was %+v", c, before)
			}
			for row, value := range c.Said.All() {
				if was := row.Of(&before.Said); value < was {
					t.Fatalf("%s: %d, before it was %d", row.Name, value, was)
				}
			}
			before = c
		}
	})
}

// A worker counts a connection as lost before it counts it as closed, and closes
// others in between: a status read at any moment of that says what is true.
func TestLedgerBetweenLostAndClosed(t *testing.T) {
	entry := new(ipc.Entry)
	entry.Sequence.Store(1)
	entry.Received.Store(3)
	q := &workerQueue{ledger: ledger{entry: entry, closes: true, sent: 3, movedIn: 3}}
	for i, step := range []struct {
		do           func()
		closed, lost uint64
	}{
		{func() { entry.Lost.Add(1) }, 0, 0},
		{func() { entry.Closed.Add(1) }, 0, 1},
		{func() { entry.Closed.Add(1) }, 1, 1},
		{func() { entry.Lost.Add(1) }, 1, 1},
		{func() { entry.Closed.Add(1) }, 1, 2},
	} {
		step.do()
		c := Totals{}
		if c.add(q); c.Closed != step.closed || c.Lost != step.lost {
			t.Errorf("step %d: %+v, want %d closed and %d lost", i, c, step.closed, step.lost)
		}
	}
}

// A worker that does not say what it closes is taken at its queue: what is still in
// there is queued, and goes to others when it dies, and nothing that was counted is
// taken back.
func TestSilentWorkerIsCountedOnce(t *testing.T) {
	r := newRig(t, 1000)
	w := r.addWorker(0, 100)
	r.do(func() { r.dispatcher.find(0).closes = false })
	r.dial(4)
	counts := r.until(func(c Totals) bool { return c.Accepted == 4 })
	if counts.Closed != 0 || counts.Queued != 4 {
		t.Errorf("%+v, want all queued", counts)
	}
	w.await()
	other := r.addWorker(1, 100)
	defer other.die()
	w.die()
	r.until(func(c Totals) bool {
		if c.Closed > 0 || c.Said.Closed > 0 {
			t.Errorf("%+v", c)
		}
		other.receive(4)
		return c.Active == 4
	})
}
