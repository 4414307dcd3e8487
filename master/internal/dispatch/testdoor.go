//go:build testdoors

package dispatch

import (
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/internal/poller"
	"github.com/usher-go/usher/ipc"
)

// TestDispatcher is the accept goroutine's code without the goroutine, listeners
// or processes, for the test of package handover. It exists only in builds with
// the tag testdoors. It runs in the calling goroutine and only within these
// methods.
type TestDispatcher struct {
	acceptor *Acceptor
	wrong    error // the first that Turn is to return
}

// testDescriptors is the limit that a TestDispatcher believes in.
const testDescriptors = 1000

// NewTestDispatcher makes one. broken is called about a worker that is to be
// replaced.
func NewTestDispatcher(broken func(slot int, err error)) (*TestDispatcher, error) {
	a, err := New(Setup{
		Logger: hclog.NewNullLogger(), Acceptors: 1, DescriptorLimit: testDescriptors,
		Report: func(e Event) {
			if b, ok := e.(QueueBroken); ok {
				broken(b.Slot, b.Err)
			}
		},
	})
	if err != nil {
		return nil, err
	}
	return &TestDispatcher{acceptor: a}, nil
}

// Open opens the queue of a worker that is ready and can move connections. It
// takes ownership of both ends of the queue.
func (t *TestDispatcher) Open(slot, queue, workerEnd, capacity int, entry *ipc.Entry) {
	g := t.acceptor.goroutine
	g.serial++
	q := g.dispatcher.openQueue(Queue{
		Worker: Worker{Slot: slot}, FD: queue, WorkerEnd: workerEnd, Capacity: capacity, Closes: true, Moves: true, Memory: Memory{Entry: entry},
	}, g.serial)
	t.wrong = g.set.Add(queue, poller.In, tagQueue|q.serial)
}

// Accept takes ownership of fd as a connection just accepted, or returns false
// and does not: there is no room.
func (t *TestDispatcher) Accept(id uint64, fd int) bool {
	d := &t.acceptor.goroutine.dispatcher
	if d.capacity = d.measure(); t.acceptor.goroutine.quota() == 0 {
		return false
	}
	d.addAccepted(&ipc.Envelope{ID: id, Accepted: t.acceptor.goroutine.clock.Now()}, fd)
	d.totals.accepted++
	return true
}

// CloseQueue has a slot get nothing more.
func (t *TestDispatcher) CloseQueue(slot int) { t.acceptor.goroutine.dispatcher.closeQueue(slot) }

// Reaped is to be called when a slot's worker is dead.
func (t *TestDispatcher) Reaped(slot int) {
	if q := t.acceptor.goroutine.dispatcher.reaped(slot); q != nil {
		_ = t.acceptor.goroutine.set.Del(q.spec.FD) // it may have been taken out
	}
}

// Turn does all that can be done now. Time has passed since the last one.
func (t *TestDispatcher) Turn() error {
	g := t.acceptor.goroutine
	n, err := g.set.Wait(g.events[:], 0)
	if err != nil || t.wrong != nil {
		return err
	}
	for i := range g.events[:n] {
		g.handle(g.events[i].Tag())
	}
	g.timers.retryAt = time.Time{}
	g.dispatcher.unblock()
	g.turn()
	return nil
}

// IDs returns the ids of the connections that the master owns.
func (t *TestDispatcher) IDs() (ids []uint64) {
	d := &t.acceptor.goroutine.dispatcher
	for i := range d.batch.Len() {
		if d.owns(i) {
			ids = append(ids, d.batch.ID(i))
		}
	}
	return ids
}

// Counts returns what became of the connections.
func (t *TestDispatcher) Counts() Totals { return t.acceptor.goroutine.dispatcher.sum() }

// Close closes all that it owns.
func (t *TestDispatcher) Close() { t.acceptor.Close() }
