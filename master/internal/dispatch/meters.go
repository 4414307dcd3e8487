package dispatch

import (
	"maps"

	"github.com/usher-go/usher/ipc"
)

// Meters are all that is counted, at one moment: by the accept goroutine, and by the workers
// for people (ipc.Further). No total in it goes down, whatever becomes of a worker.
type Meters struct {
	Totals    Totals
	Workers   map[int]WorkerCounts        // of the living ones, by slot
	Further   ipc.FurtherReading          // of all workers together, those that are gone included
	Listeners []ListenerCount             // those in force, and any before them since the start
	RefusedBy map[string]uint64           // of Totals.Refused: see RefusalReasons; nil: none
	Failed    map[string]uint64           // errors of accept4(2), by the name of the errno
	FurtherOf map[int]*ipc.FurtherReading // of the living ones, by slot; of one that keeps nothing, with no row
}

// Meters returns what is counted.
func (a *Acceptor) Meters() Meters { return a.ask(metersRequest{}).(Meters) }

// meters is the answer to Meters.
func (d *dispatcher) meters() Meters {
	s := d.snapshot()
	m := Meters{Totals: s.totals, Workers: s.workers, Further: d.totals.further, RefusedBy: maps.Clone(d.totals.refusedBy), FurtherOf: make(map[int]*ipc.FurtherReading)}
	for _, q := range d.all {
		q.readFurther()
		m.Further.AddKept(&q.further)
		if q.phase != QueueReaped {
			reading := q.further
			m.FurtherOf[q.spec.Slot] = &reading
		}
	}
	return m
}

// readFurther reads what the worker counts for people. Of a reaped worker it has been read:
// its memory is another's.
func (q *workerQueue) readFurther() {
	if q.spec.Further == nil || q.phase == QueueReaped {
		return
	}
	now := q.spec.Further.Load()
	now.Bound(&q.further)
	q.further = now
}
