package dispatch

import "github.com/usher-go/usher/ipc"

// Totals are what there has been since the start, upgrades included.
type Totals struct {
	Conns
	Said ipc.Reading // every kept counter of all workers together, those that are gone included
}

// Conns are all connections since the start:
// Accepted = Queued + Active + Closed + Refused + Lost.
type Conns struct {
	Accepted uint64
	Active   uint64 // received by a worker that lives, and neither closed nor given back
	Queued   uint64 // in a queue, or in the batch
	Closed   uint64 // by their workers
	Refused  uint64 // closed by the master, beyond a limit or at a stop
	Moved    uint64 // from one worker to another, each time
	Lost     uint64 // closed by the death of a worker, or by what went wrong in a move
	Cut      uint64 // of those closed: by the deadline of a drain, while their clients had more to say
}

// sum is what there has been since the start.
func (d *dispatcher) sum() Totals {
	c := Totals{Conns: Conns{Accepted: d.totals.accepted, Refused: d.totals.refused, Moved: d.totals.moved, Lost: d.totals.lost}}
	c.addSaid(&d.totals.said)
	c.Queued = uint64(d.held())
	for _, q := range d.all {
		c.add(q)
	}
	return c
}

// WorkerCounts are the connections of one worker at one moment. What the worker
// itself counts is bounded by what it was given: nothing here is negative.
type WorkerCounts struct {
	Queued   int // sent to it, and not yet received
	Active   int // received, and neither closed nor given back
	Received uint64
	MovedIn  uint64      // of those sent: they moved here
	GaveBack uint64      // given back by it
	Returned uint64      // of those given back: returned to it, since they had nowhere to go
	Stuck    bool        // it takes nothing from its queue
	Said     ipc.Reading // every counter of its own
}

// Load is how many connections it has, queued ones included.
func (c WorkerCounts) Load() int { return c.Queued + c.Active }

// Done is a number that grows with each connection that leaves the worker for good.
func (c WorkerCounts) Done() uint64 { return c.GaveBack - c.Returned + c.Said.Closed }

func (t tally) counts() WorkerCounts {
	return WorkerCounts{
		Queued: t.queued(), Active: t.active(), Received: t.received,
		MovedIn: t.movedIn, GaveBack: t.back, Returned: t.returned, Stuck: t.stuck, Said: t.said,
	}
}

// snapshot is the answer to Snapshot.
type snapshot struct {
	totals  Totals
	workers map[int]WorkerCounts // of the living ones, by slot
}

func (d *dispatcher) snapshot() snapshot {
	s := snapshot{d.sum(), make(map[int]WorkerCounts)}
	for _, q := range d.all {
		if q.phase != QueueReaped {
			s.workers[q.spec.Slot] = q.tally().counts()
		}
	}
	return s
}

// loads is Loads.
func (d *dispatcher) loads() map[int]int {
	loads := make(map[int]int)
	for _, q := range d.open {
		loads[q.spec.Slot] = q.weigh().load
	}
	return loads
}

// connsClosed is ConnsClosed.
func (d *dispatcher) connsClosed(slot int, closed ipc.Closed) {
	if q := d.find(slot); q != nil && !q.keepsBoard() {
		q.reported = min(q.reported+uint64(max(closed.Count, len(closed.IDs))), q.sent-q.drained-q.back)
	}
	for _, id := range closed.IDs {
		d.perIP.forget(id)
	}
}

// add adds a queue. What a reaped worker leaves counts as queued until its queue is
// empty: only then is it known what died with it, and lost never goes down.
func (c *Totals) add(q *workerQueue) {
	t := q.tally()
	if !q.closes {
		c.addSilent(q, t)
		return
	}
	c.addSaid(&t.said)
	c.Queued += uint64(t.queued())
	if q.phase == QueueReaped {
		c.Queued += uint64(t.active())
	} else {
		c.Active += uint64(t.active())
	}
}

// addSaid adds what workers have counted.
func (c *Totals) addSaid(said *ipc.Reading) {
	c.Closed += said.Closed - said.Lost
	c.Lost += said.Lost
	c.Cut += said.Cut
	c.Said.AddKept(said)
}

// addSilent adds a queue whose worker does not say what it closes. Its connections
// count as closed once they are known to be out of its queue, where others could
// still get them; of one that may give them back, once it is reaped.
func (c *Totals) addSilent(q *workerQueue, t tally) {
	all := t.sent - t.drained - t.back
	if q.phase != QueueReaped && !q.spec.Moves && ipc.Front(q.spec.WorkerEnd) == 0 {
		q.said.Closed = all
	}
	c.Closed += q.said.Closed
	t.said.Closed, t.said.Lost, t.said.Cut = q.said.Closed, min(t.said.Lost, q.said.Closed), min(t.said.Cut, q.said.Closed)
	c.Said.AddKept(&t.said)
	if q.spec.Moves && q.phase != QueueReaped {
		c.Active += all - q.said.Closed
	} else {
		c.Queued += all - q.said.Closed
	}
}
