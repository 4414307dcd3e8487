package worker

import "time"

// message is what another goroutine has for the loop: work that is done, a function
// for a connection, or a function for the loop. Messages wait in loop.messages, which
// is bounded for all connections together. The loop acts on a share of them in each
// turn, so that those who post do not have it to themselves. What its owner is to
// do, at a master's word say, is in loop.orders, and comes before all messages.
type message struct {
	job  *job
	conn *Conn
	f    func(c *Conn) // c is nil without conn
}

const (
	// maxMessages bounds what waits, at 24 MiB beside what the functions hold.
	maxMessages = 1 << 20
	// messagesPerTurn and messageTime bound how long messages keep events and timers
	// waiting. The clock is read for every few messages.
	messagesPerTurn  = eventsPerTurn
	messageTime      = time.Millisecond
	messagesPerClock = 16
)

// order is what another goroutine wants of the loop's owner, a member or a client. It is
// a value that says all there is to it; the loop's goroutine has it obeyed, before all
// messages.
type order interface{ order() }

// stopOrder is the master's, or that of a client's context: end at once.
type stopOrder struct{}

func (stopOrder) order() {}

// obeyOrders has the orders that have come obeyed, and collects the messages.
func (l *loop) obeyOrders() {
	l.waker.Clear()
	l.messages.Collect()
	for _, o := range l.orders.Take() {
		l.obey(o)
		l.settle()
		l.progress()
	}
}

// readMessages acts on this turn's share of the messages, once, and returns how many
// those were.
func (l *loop) readMessages() (n int) {
	if l.messagesRead {
		return 0
	}
	l.messagesRead = true
	begun := time.Duration(0)
	for n < messagesPerTurn && l.messages.Left() {
		l.deliver(l.messages.Next())
		l.settle()
		l.progress()
		if n++; n%messagesPerClock == 0 {
			now := l.now()
			if n == messagesPerClock {
				begun = now
			} else if now-begun > messageTime {
				break
			}
		}
	}
	l.messages.Done(n)
	return n
}

// deliver acts on one message.
func (l *loop) deliver(m message) {
	switch {
	case m.job != nil:
		l.workDone(m.job)
	case m.conn != nil:
		m.conn.receive(m.f)
	default:
		m.f(nil)
	}
}
