package worker

import (
	"fmt"
	"time"

	"github.com/usher-go/usher/ipc"
)

// The orders that a member obeys, beside stopOrder.
type (
	// drainOrder is the master's: drain, until then on the loop's clock.
	drainOrder struct {
		deadline time.Duration
		move     bool
	}
	// moveOrder is the master's: see ipc.Move.
	moveOrder ipc.Move
	// terminateOrder: this process alone, not by the master, was asked to end.
	terminateOrder struct{}
	// returnedOrder: the function of a Streams handler has returned.
	returnedOrder struct {
		listener *streamListener
		err      error
	}
	// listenerClosedOrder: the program has closed the listener of a Streams handler.
	listenerClosedOrder struct{ listener *streamListener }
)

func (drainOrder) order()          {}
func (moveOrder) order()           {}
func (terminateOrder) order()      {}
func (returnedOrder) order()       {}
func (listenerClosedOrder) order() {}

// stopTime is how long a stop waits for the callback that runs.
const stopTime = 500 * time.Millisecond

// hear makes an order of what the master says. It is called on the listener's
// goroutine, and waits only for a stop to be obeyed.
func (m *member) hear(message ipc.Message) {
	l := m.loop
	switch message := message.(type) {
	case ipc.Drain:
		deadline := never
		if message.DeadlineMS > 0 {
			deadline = l.now() + time.Duration(message.DeadlineMS)*time.Millisecond
		}
		l.orders.Put(drainOrder{deadline, message.Mode == ipc.DrainMove})
	case ipc.Move:
		l.orders.Put(moveOrder(message))
	case ipc.Stop:
		l.orders.Put(stopOrder{})
		select {
		case <-m.ended:
		case <-time.After(stopTime):
			m.exit(0) // a handler is stuck
		}
	default:
		l.log.Debug("control message ignored", "reason", fmt.Sprintf("%T", message))
	}
}

// terminate is called on a goroutine of its own when this process alone, not by
// the master, was asked to end.
func (m *member) terminate() {
	m.control.send(ipc.Draining{})
	m.loop.orders.Put(terminateOrder{})
}

// obey acts on an order.
func (m *member) obey(o order) {
	switch o := o.(type) {
	case drainOrder:
		m.drain.told = true
		m.drain.begin(o.deadline, o.move)
	case moveOrder:
		m.obeyMove(ipc.Move(o))
	case stopOrder:
		m.stopped = true
	case terminateOrder:
		m.obeyTerminate()
	case returnedOrder:
		o.listener.streams.returned(o.listener, o.err)
	case listenerClosedOrder:
		o.listener.streams.programDone()
	default:
		panic(fmt.Sprintf("worker: nobody obeys %T", o)) // a mistake in this package
	}
}

// obeyMove begins to move connections away, takes an order to do so back, or, without
// an id, keeps all that are still here.
func (m *member) obeyMove(move ipc.Move) {
	switch {
	case move.Count == 0 && move.ID == 0:
		m.drain.keep()
		m.control.send(ipc.Moved{Staying: m.loop.accepted()}) // those before it are on their way
	case move.Count == 0:
		m.mover.cancel(move.ID)
	case !m.drain.begun():
		m.mover.begin(move.ID, move.Count)
	}
}

// obeyTerminate leaves it to the master how the member ends: connections may have
// somewhere to go, at once or soon, and are not asked to finish before that is
// known. Until then they are served.
func (m *member) obeyTerminate() {
	switch {
	case m.drain.begun():
	case movable(m.handler):
		m.drain.step = stepAlone
	default:
		m.drain.begin(never, false)
	}
}
