package worker

import (
	"time"

	"github.com/usher-go/usher/internal/killpoint"
	"github.com/usher-go/usher/internal/poller"
)

// A turn of the loop is wait, act and mindMemory. A loop without a master makes it by
// loop.turn; a member, by member.turn, with its own business in between. All of this
// runs on the loop's goroutine.

// eventsPerTurn bounds the work between two looks at what is due by the clock.
const eventsPerTurn = 256

// turn is one turn of a loop without a master. It waits for timeout at most; next is
// what nextDeadline has returned. It returns how many events and messages it served.
func (l *loop) turn(next, timeout time.Duration) (int, error) {
	n, err := l.wait(timeout)
	if err != nil {
		return 0, err
	}
	if n, err = l.act(n, next); err != nil {
		return n, err
	}
	l.mindMemory()
	return n, nil
}

// wait begins a turn: it waits for events, not at all if messages are left, and returns
// how many came.
func (l *loop) wait(timeout time.Duration) (int, error) {
	l.letWork()
	if l.messages.Left() {
		timeout = 0
	}
	if l.handshakes.yields {
		l.mindYield()
	}
	l.endTurn()
	l.beat()
	n, err := l.set.Wait(l.events, timeout)
	l.beat()
	l.beginTurn(n)
	l.turnAtKnown = false
	l.messagesRead = false
	return n, err
}

// act serves n events, this turn's share of messages, and what is due by the clock,
// unless next is never: then nothing is. It returns how many events and messages it
// served.
func (l *loop) act(n int, next time.Duration) (int, error) {
	for i := range n {
		if i > 0 {
			l.progress()
		}
		if err := l.serve(&l.events[i]); err != nil {
			return n, err
		}
	}
	if l.messages.Left() { // of an earlier turn
		n += l.readMessages()
	}
	if next != never {
		l.expire()
	}
	return n, nil
}

// serve acts on one event. An error comes from serveOther, and ends the loop.
func (l *loop) serve(event *poller.Event) error {
	tag := event.Tag()
	if tag < reservedTags {
		return l.serveReserved(tag)
	}
	c := l.table.lookup(tag)
	if c == nil {
		return nil // it was closed earlier in this turn
	}
	if event.Ready() == poller.In && c.plain() {
		c.readPlain()
		if l.corked == c && len(l.dirty) == 0 && len(l.cork) > 0 {
			c.writePlain()
		} else {
			l.settle()
		}
	} else if event.Ready() == poller.In && c.sealed() {
		l.serveSealed(c)
	} else {
		c.ready(event.Ready())
		l.settle()
	}
	killpoint.Reach(killpoint.Answered)
	return nil
}

// serveReserved acts on the event of a descriptor that is no connection: the waker's,
// or one of the owner's.
func (l *loop) serveReserved(tag uint64) error {
	if tag != tagWaker {
		return l.serveOther(tag)
	}
	if !l.orders.Empty() {
		l.timeTurn()
	}
	l.obeyOrders()
	l.readMessages()
	return nil
}

// settle sends what the last callback wrote, and acts on each connection that it
// touched. That may run more callbacks, which may touch more connections.
func (l *loop) settle() {
	for i := 0; ; i++ {
		l.uncork()
		if i == len(l.dirty) {
			break
		}
		c := l.dirty[i]
		l.dirty[i] = nil
		c.settle()
	}
	l.dirty = l.dirty[:0]
}

// nextDeadline returns when the loop has something to do by the clock, or never.
func (l *loop) nextDeadline() time.Duration {
	next := min(l.nextTick(), l.memory.next())
	if deadline, ok := l.wheel.Next(); ok {
		next = min(next, deadline)
	}
	return next
}

// expire runs the alarms and ticks that are due.
func (l *loop) expire() {
	now := l.turnTime()
	l.expireAlarms()
	l.tick(now)
}
