package worker

import "time"

// message is what another goroutine of the program has for the loop: a job that is done
// (Conn.Go), a function for a connection (Conn.Post), or one for the loop (Dialer.Post).
// Messages wait in loop.messages, which is bounded for all connections together. In each
// turn the loop delivers a share of them, so that those who post do not have it to
// themselves. What the master says comes by control, becomes an order, and goes first.
type message struct {
	job  *job
	conn *Conn         // nil for a job, and for the loop
	f    func(c *Conn) // called with conn
}

const (
	// maxMessages bounds how many wait: 24 MiB, and what the functions hold.
	maxMessages = 1 << 20
	// messagesPerTurn and messageTime bound for how long messages keep events and timers
	// waiting. The clock is read once for every messagesPerClock messages.
	messagesPerTurn  = eventsPerTurn
	messageTime      = time.Millisecond
	messagesPerClock = 16
)

// order is what another goroutine wants of the loop's owner, a member or a client. It is
// a value that says all there is to it. Orders wait in loop.orders; the loop's goroutine
// passes them to obey, before all messages.
type order interface{ order() }

// stopOrder says: end at once. It comes from the master, or from a client's context.
type stopOrder struct{}

func (stopOrder) order() {}

// obeyOrders passes the orders that have come to the owner, and collects the messages.
// It is called when the waker has ended a wait.
func (l *loop) obeyOrders() {
	l.waker.Clear()
	l.messages.Collect()
	for _, o := range l.orders.Take() {
		l.obey(o)
		l.settle()
		l.progress()
	}
}

// readMessages delivers this turn's share of the messages, and returns how many those
// were: none when it was called in this turn already.
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
	if n > 0 {
		l.meter.told.Posts.Add(uint64(n))
	}
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
