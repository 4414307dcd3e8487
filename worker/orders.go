package worker

import (
	"fmt"
	"time"

	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/ipc"
)

// The orders that a member obeys, beside stopOrder.
type (
	// drainOrder comes from the master: see ipc.Drain.
	drainOrder struct {
		deadline time.Duration // on the loop's clock, or never
		move     bool          // connections are to move
	}
	// moveOrder comes from the master: see ipc.Move.
	moveOrder ipc.Move
	// listOrder comes from the master: see ipc.List.
	listOrder ipc.List
	// terminateOrder says that this process was asked to end, and not by the master.
	terminateOrder struct{}
	// returnedOrder says that the function of a Streams handler has returned.
	returnedOrder struct {
		listener *streamListener
		err      error
	}
	// listenerClosedOrder says that the program has closed the listener of a Streams handler.
	listenerClosedOrder struct{ listener *streamListener }
)

func (drainOrder) order()          {}
func (moveOrder) order()           {}
func (listOrder) order()           {}
func (terminateOrder) order()      {}
func (returnedOrder) order()       {}
func (listenerClosedOrder) order() {}

// stopTime is how long a stop waits for a callback that is running.
const stopTime = 500 * time.Millisecond

// hear makes an order of a message from the master. It is called on the goroutine of
// control's listener. It does not wait for the loop, but for a stop: if the loop does
// not obey that in time, it ends the process. It takes ownership of fd.
func (m *member) hear(message ipc.Message, fd int) {
	l := m.loop
	switch message := message.(type) {
	case ipc.TicketKeys:
		if err := l.transports.renewTicketKeys(fd); err != nil {
			l.log.Error("ticket keys not renewed", "error", err)
		}
		return
	case ipc.AccessLog:
		m.takeAccessLog(message, fd)
	case ipc.Drain:
		deadline := never
		if message.DeadlineMS > 0 {
			deadline = l.now() + time.Duration(message.DeadlineMS)*time.Millisecond
		}
		l.orders.Put(drainOrder{deadline, message.Mode == ipc.DrainMove})
	case ipc.Move:
		l.orders.Put(moveOrder(message))
	case ipc.List:
		l.orders.Put(listOrder(message))
	case ipc.Stacks, ipc.Profile, ipc.LogLevel:
		m.questions.answer(message)
	case ipc.Stop:
		l.orders.Put(stopOrder{})
		select {
		case <-m.ended:
		case <-time.After(stopTime):
			l.accessLog.end(hastyAccessWrites)
			m.exit(0) // a handler is stuck
		}
	default:
		fdpass.CloseAll([]int{fd})
		l.log.Debug("control message ignored", "reason", fmt.Sprintf("%T", message))
	}
}

// terminate is called when this process was asked to end, by SIGTERM or Run's context
// and not by the master. It runs on a goroutine of its own.
func (m *member) terminate() {
	m.control.send(ipc.Draining{})
	m.loop.orders.Put(terminateOrder{})
}

// obey acts on an order, on the loop's goroutine.
func (m *member) obey(o order) {
	switch o := o.(type) {
	case drainOrder:
		m.drain.told = true
		m.drain.begin(o.deadline, o.move)
	case moveOrder:
		m.obeyMove(ipc.Move(o))
	case listOrder:
		m.lister.put(ipc.List(o))
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

// obeyMove begins to move connections away; with a count of 0 it takes the order of that
// id back, or, without an id, keeps all connections that are still here.
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

// obeyTerminate waits for the master to say how the member ends, if connections could
// move: another worker may have room for them, now or soon. Until then they are served.
// Otherwise the drain begins.
func (m *member) obeyTerminate() {
	switch {
	case m.drain.begun():
	case movable(m.handler):
		m.drain.step = stepAlone
	default:
		m.drain.begin(never, false)
	}
}
