package dispatch

import (
	"errors"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/ipc"
	"golang.org/x/sys/unix"
)

// dispatcher is that part of the accept goroutine which has no listeners and no clock: the
// workers' queues, the batch, and the books, which say what became of each connection. It
// belongs to the accept goroutine.
//
// The batch is one packet of connections that the master owns and has not yet placed:
// just accepted, taken out of a queue whose worker does not read it, or given back by a
// worker. There is never a second one: the batch is placed before anything more is
// accepted or received, and only as much is accepted as there is room for. So the accept
// goroutine holds at most ipc.MaxConns connections at any time, and whatever else waits,
// waits in a kernel queue.
type dispatcher struct {
	log        hclog.Logger
	report     func(Event)        // see Setup.Report
	watchQueue func(*workerQueue) // has epoll report again what a worker gives back

	// The batch:
	batch       ipc.Packet
	stages      [ipc.MaxConns]ipc.Stage    // of each connection in it: how far it is; see batch.go
	target      [ipc.MaxConns]*workerQueue // of each: where it is to go; nil: nowhere
	from, to    int                        // slots, of the moved ones in it: whose they were, whose they are to be; or Nobody
	movedBefore bool                       // the moved ones in it are counted in totals.moved already
	out         ipc.Packet                 // what one send carries: descriptors borrowed from the batch
	packets     ipc.PacketConn
	discards    discarder

	// The queues, and whom a connection goes to:
	open           []*workerQueue // in the order of candidates
	closed         []*workerQueue // those that are closed or of reaped workers, until they are removed
	all            []*workerQueue // closed and then open: what is in the closed ones moves first
	policy         Policy
	candidates     []candidate  // as of the latest measure, less what was placed since
	capacity       capacity     // likewise
	turn           int          // where a policy begins to search: see chooser
	envelope       ipc.Envelope // scratch space for the client's address
	guard          moveGuard
	maxQueuedTotal int  // over all slots: descriptors in flight are counted per user
	inspectAgain   bool // some queue held connections, or was stuck, since the last inspection

	// The books, beside the ledger of each queue:
	totals totals
	perIP  perIPLimiter
}

// Nobody is no slot: where a move may go to whoever has fewest.
const Nobody = -1

// totals are the books of connections that no queue has: what workers that are gone leave,
// and what never had a worker.
type totals struct {
	refusedBy                map[string]uint64  // of those refused: by the limit, as the log names it
	accepted, refused, moved uint64             // of all connections, whoever has them
	lost                     uint64             // with workers that died, or with none: beside those in said
	said                     ipc.Reading        // every kept counter of the workers that are gone
	further                  ipc.FurtherReading // likewise
}

// What a worker is replaced for.
var (
	errQueueBroken = errors.New("queue closed by the worker")
	errNoStream    = errors.New("gave back what is no stream socket")
	errNoMemfd     = errors.New("gave back a state that is no memfd")
	errUntrue      = errors.New("counted more connections than it was given")
	errForged      = errors.New("gave back more connections than it was given")
)

// openQueue opens the queue of a worker that is ready.
func (d *dispatcher) openQueue(spec Queue, serial uint64) *workerQueue {
	q := &workerQueue{spec: spec, serial: serial, ledger: ledger{entry: spec.Entry, closes: spec.Closes}}
	d.open = append(d.open, q)
	d.relist()
	return q
}

// relist brings all up to date, when a queue was opened, closed or removed.
func (d *dispatcher) relist() { d.all = append(append(d.all[:0], d.closed...), d.open...) }

// closeQueue stops sending to a slot, and returns its queue, or nil if none is open. What
// waits in it goes to others while they have room, or stays for the worker.
func (d *dispatcher) closeQueue(slot int) *workerQueue {
	for i, q := range d.open {
		if q.spec.Slot == slot {
			d.open = append(d.open[:i], d.open[i+1:]...)
			d.closed = append(d.closed, q)
			d.relist()
			q.phase, q.emptied = QueueClosed, false
			return q
		}
	}
	return nil
}

// reaped takes note that a slot's worker is reaped: what it had not received is to be
// placed anew. It returns the queue, or nil if there is none.
func (d *dispatcher) reaped(slot int) *workerQueue {
	d.closeQueue(slot)
	for _, q := range d.closed {
		if q.spec.Slot == slot && q.phase == QueueClosed {
			q.final = q.tally()
			q.readFurther()
			q.phase, q.emptied = QueueReaped, false // what the worker gave back may be left
			// A process that it left behind may have its end, and could go on giving.
			_ = unix.Shutdown(q.spec.FD, unix.SHUT_RD) // it cannot fail: they are a connected pair
			return q
		}
	}
	return nil
}

// find returns the queue of the living worker in a slot, or nil.
func (d *dispatcher) find(slot int) *workerQueue {
	for _, q := range d.all {
		if q.spec.Slot == slot && q.phase != QueueReaped {
			return q
		}
	}
	return nil
}
