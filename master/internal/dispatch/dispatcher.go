package dispatch

import (
	"errors"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/internal/killpoint"
	"github.com/usher-go/usher/ipc"
	"golang.org/x/sys/unix"
)

// dispatcher places connections on seats. It belongs to the accept goroutine.
//
// The hand is one packet of connections that the master owns and has not yet
// placed: just accepted, taken out of a dead worker's queue, or given back by
// a worker. There is never a second one: the hand is placed before anything
// more is accepted or received, and only as much is accepted as there is room
// for. So the master holds at most ipc.MaxConns connections at any time, and
// whatever else waits, waits in a kernel queue.
type dispatcher struct {
	log      hclog.Logger
	packets  ipc.PacketConn
	discards discarder
	batch    ipc.Packet
	out      ipc.Packet // what one send carries: descriptors borrowed from the hand
	// stages says of each connection in the hand whose it is: held, until a queue
	// took it.
	stages [ipc.MaxConns]ipc.Stage

	from, to int // of the moved connections in the hand: whose they were, whose they are to be; or nobody
	// movedBefore: the moved ones in the hand are in the total of those moved already.
	movedBefore bool

	guard moveGuard

	policy   Policy
	envelope ipc.Envelope // scratch space for the client's address

	open       []*workerQueue             // open ones, in the order of candidates
	closed     []*workerQueue             // retired and dead ones whose queue may hold connections
	all        []*workerQueue             // leaving and then seats: what is in those moves first
	capacity   capacity                   // as of the latest measure, less what was placed since
	candidates []candidate                // likewise
	target     [ipc.MaxConns]*workerQueue // whom each connection in the hand is for; nil: nobody
	turn       int

	inspectAgain bool // some queue held connections, or was stuck, since the last inspection

	perIP          perIPLimiter
	maxQueuedTotal int // over all slots: descriptors in flight are counted per user
	totals         totals

	report     func(Event)        // tells the supervisor
	watchQueue func(*workerQueue) // has epoll report again what a worker gives back
}

// Nobody is no slot: where a move may go to whoever has fewest.
const Nobody = -1

// totals are the connections of workers that are gone, and of none.
type totals struct {
	accepted, refused, moved uint64
	lost                     uint64      // with workers that died, or with none: beside those in said
	said                     ipc.Reading // every kept counter of the workers that are gone
}

// What a worker is replaced for.
var (
	errQueueBroken = errors.New("queue closed by the worker")
	errNoStream    = errors.New("gave back what is no stream socket")
	errNoMemfd     = errors.New("gave back a state that is no memfd")
	errUntrue      = errors.New("counted more connections than it was given")
	errForged      = errors.New("gave back more connections than it was given")
)

// open adds a seat for a worker that is ready.
func (d *dispatcher) openQueue(spec Queue, serial uint64) *workerQueue {
	q := &workerQueue{spec: spec, serial: serial, ledger: ledger{entry: spec.Entry, closes: spec.Closes}}
	d.open = append(d.open, q)
	d.relist()
	return q
}

// relist is to be called when a seat has come, gone or begun to leave.
func (d *dispatcher) relist() { d.all = append(append(d.all[:0], d.closed...), d.open...) }

// retire stops sending to a slot. What waits in its queue goes to others while
// they have room, or stays for the worker.
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

// bury takes note that a slot's worker is reaped: what it had not received is
// to be placed anew.
func (d *dispatcher) reaped(slot int) *workerQueue {
	d.closeQueue(slot)
	for _, q := range d.closed {
		if q.spec.Slot == slot && q.phase == QueueClosed {
			q.final = q.tally()
			q.phase, q.emptied = QueueReaped, false // what the worker gave back may be left
			// A process that it left behind may have its end, and could go on giving.
			_ = unix.Shutdown(q.spec.FD, unix.SHUT_RD) // a pair can be
			return q
		}
	}
	return nil
}

// find returns the seat of a slot whose worker is alive, or nil.
func (d *dispatcher) find(slot int) *workerQueue {
	for _, q := range d.all {
		if q.spec.Slot == slot && q.phase != QueueReaped {
			return q
		}
	}
	return nil
}

// place sends the hand to seats, by the latest survey, and reports whether all
// of it went. What finds no seat, or is refused, stays.
func (d *dispatcher) place() bool {
	for i := range d.batch.Len() {
		d.target[i] = nil
		if d.owns(i) {
			if k := d.choose(i); k >= 0 {
				d.target[i] = d.open[k]
			}
		}
	}
	return d.sendTargets()
}

// handful returns how many connections the hand holds.
func (d *dispatcher) held() (n int) {
	for i := range d.batch.Len() {
		if d.owns(i) {
			n++
		}
	}
	return n
}

// holds reports whether connection i in the hand is the master's still.
func (d *dispatcher) owns(i int) bool { return d.stages[i].Owner() == ipc.OwnerMaster }

// got has an event happen to all in the hand, which has just been filled.
func (d *dispatcher) stepAll(from ipc.Stage, event ipc.Event) {
	for i := range d.batch.Len() {
		d.stages[i] = from
		d.stages[i].Step(event)
	}
}

// hold adds a connection that was just accepted to the hand, and takes ownership
// of fd. As many as a batch fit.
func (d *dispatcher) addAccepted(e *ipc.Envelope, fd int) {
	i := d.batch.Len()
	d.batch.Add(e, fd)
	d.stages[i] = ipc.StageBacklog
	d.stages[i].Step(ipc.EventAccept)
}

// sendTargets sends each connection in the hand to its target, if it has one, and
// reports whether the hand is empty then.
func (d *dispatcher) sendTargets() bool {
	for i := range d.batch.Len() {
		if q := d.target[i]; q != nil {
			d.send(q, i)
		}
	}
	if d.held() > 0 {
		return false
	}
	d.batch.Reset()
	return true
}

// send sends every connection in the hand, from first on, whose target is a seat. None
// has it as a target any more then.
func (d *dispatcher) send(q *workerQueue, first int) {
	for i := first; i < d.batch.Len(); i++ {
		if d.target[i] != q {
			continue
		}
		if !d.out.AddFrom(&d.batch, i) {
			d.flush(q, first, i)
			if q.blocked {
				return
			}
			first = i
			d.out.AddFrom(&d.batch, i) // fits into an empty packet, as it did into the hand
		}
	}
	d.flush(q, first, d.batch.Len())
}

// flush sends the packet for a seat, which holds the connections that are for
// it from first to before end. If it is refused, nothing more is for that seat.
func (d *dispatcher) flush(q *workerQueue, first, end int) {
	count := d.out.Len()
	err := d.packets.Send(q.spec.FD, &d.out)
	event := ipc.EventSend
	if err == nil {
		q.sent += uint64(count)
		d.inspectAgain = true // until it is received
		killpoint.Reach(killpoint.Sent)
	} else {
		event = ipc.EventRefuse
		d.out.Reset() // the hand still owns them
		d.refused(q, err)
	}
	for i := first; i < d.batch.Len(); i++ {
		if d.target[i] != q {
			continue
		}
		if i < end && d.stages[i].Step(event) == ipc.StageQueued {
			if d.batch.Frozen(i) {
				d.countMoved(q)
			}
			d.batch.Forget(i) // the send closed it
			d.perIP.sent(d.batch.ID(i), q.serial)
		}
		if err != nil || i < end {
			d.target[i] = nil
		}
	}
}

// moved counts a moved connection that was sent to a seat: it has moved, or, to one that
// is not open, gone home.
func (d *dispatcher) countMoved(q *workerQueue) {
	switch {
	case q.phase == QueueOpen:
		q.movedIn++
		if !d.movedBefore {
			d.totals.moved++
		}
	case q.spec.Slot == d.from:
		q.returned++
	}
}

// refused takes note that a seat's queue did not take a packet.
func (d *dispatcher) refused(q *workerQueue, err error) {
	q.blocked = true
	switch {
	case errors.Is(err, fdpass.ErrWouldBlock), errors.Is(err, fdpass.ErrTooManyRefs):
		d.log.Trace("queue full", "slot", q.spec.Slot, "error", err)
	case errors.Is(err, fdpass.ErrPeerClosed):
		d.fail(q, errQueueBroken)
	default:
		d.log.Warn("queue refused a packet, retrying", "slot", q.spec.Slot, "error", err)
	}
}

// unchoke lets every queue be tried again.
func (d *dispatcher) unblock() {
	for _, q := range d.all {
		q.blocked = false
	}
}

// choked reports whether some queue waits to be tried again.
func (d *dispatcher) anyBlocked() bool {
	for _, q := range d.all {
		if q.blocked {
			return true
		}
	}
	return false
}

// inspect looks for workers that take nothing from their queue. It is called
// once in a stuckAfter while some queue is waiting. A stuck worker gets nothing
// more, and what is in its queue goes to others; it is back once it moves, or, if
// that cannot be seen, once its queue is empty. It reports whether any is stuck.
func (d *dispatcher) inspectQueues() (stuck bool) {
	for _, q := range d.open {
		was := q.stuck
		if q.inspect() {
			d.reportIdle(q)
		}
		stuck = stuck || q.stuck
		switch {
		case was == q.stuck:
		case q.stuck:
			d.log.Warn("worker takes nothing from its queue, which goes to others", "slot", q.spec.Slot)
		case q.keepsBoard():
			d.log.Warn("worker moves again", "slot", q.spec.Slot)
		default:
			d.log.Warn("worker gets connections again, to see whether it takes them", "slot", q.spec.Slot)
		}
	}
	return stuck
}

// reportIdle tells that a worker took nothing from its queue.
func (d *dispatcher) reportIdle(q *workerQueue) {
	var stat unix.Stat_t
	if err := unix.Fstat(q.spec.WorkerEnd, &stat); err == nil { // it is open
		d.report(QueueIdle{q.spec.Worker, stat.Ino})
	}
}

// retryDelay is how long to wait before what the kernel refused is tried
// again: 1 ms doubling to 100 ms.
func retryDelay(tries int) time.Duration {
	return min(time.Millisecond<<min(tries, 10), 100*time.Millisecond)
}
