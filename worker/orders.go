package worker

import (
	"fmt"
	"time"

	"github.com/usher-go/usher/ipc"
)

// stopTime is how long a stop waits for the callback that runs.
const stopTime = 500 * time.Millisecond

// obey does what the master says. It is called on the listener's goroutine.
func (m *member) obey(message ipc.Message) {
	l := m.loop
	switch message := message.(type) {
	case ipc.Drain:
		deadline := never
		if message.DeadlineMS > 0 {
			deadline = l.now() + time.Duration(message.DeadlineMS)*time.Millisecond
		}
		l.calls.Put(func() {
			m.drain.told = true
			m.drain.begin(deadline, message.Mode == ipc.DrainMove)
		})
	case ipc.Move:
		l.calls.Put(func() { m.obeyMove(message) })
	case ipc.Stop:
		l.calls.Put(func() { m.stopped = true })
		select {
		case <-m.ended:
		case <-time.After(stopTime):
			m.exit(0) // a handler is stuck
		}
	default:
		l.log.Debug("control message ignored", "reason", fmt.Sprintf("%T", message))
	}
}

// obeyMove begins an order to move connections away, takes one back, or, without an
// id, keeps all that are still here.
func (m *member) obeyMove(order ipc.Move) {
	switch {
	case order.Count == 0 && order.ID == 0:
		m.drain.keep()
		m.control.send(ipc.Moved{Staying: m.loop.accepted()}) // those before it are on their way
	case order.Count == 0:
		m.mover.cancel(order.ID)
	case !m.drain.begun():
		m.mover.begin(order.ID, order.Count)
	}
}

// terminate is called on a goroutine of its own when this process alone, not by
// the master, was asked to end. The master says how: connections may have
// somewhere to go, at once or soon, and are not asked to finish before that is
// known. Until then they are served.
func (m *member) terminate() {
	m.control.send(ipc.Draining{})
	m.loop.calls.Put(func() {
		switch {
		case m.drain.begun():
		case movable(m.handler):
			m.drain.step = stepAlone
		default:
			m.drain.begin(never, false)
		}
	})
}
