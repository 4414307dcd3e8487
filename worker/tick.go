package worker

import (
	"fmt"
	"iter"
	"time"
)

// WithTick has f called every d, first when d has passed since the worker was
// ready, until its end, and while it drains too. Like Hooks, f runs on the
// loop's goroutine and must not block; a panic in it is logged, costs no
// connection and does not end the ticks. A tick that is late puts off those
// behind it: none is made up for.
//
// conns gives the open connections of this worker, in no order and valid until f
// returns; f may write to, close or abort any. Those of Streams and those dialled
// are not among them.
//
// It may be given more than once, for several ticks. A d that is not positive
// panics.
func WithTick(d time.Duration, f func(conns iter.Seq[*Conn])) Option {
	if d <= 0 {
		panic(fmt.Sprintf("worker: a tick every %v", d))
	}
	return func(o *options) { o.ticks = append(o.ticks, tick{every: d, due: never, f: f}) }
}

// tick is a function of WithTick. It belongs to the loop's goroutine.
type tick struct {
	every time.Duration
	due   time.Duration // on the loop's clock
	f     func(conns iter.Seq[*Conn])
}

// beginTicks makes each tick due when its time has passed from now.
func (l *loop) beginTicks() {
	now := l.now()
	for i := range l.ticks {
		l.ticks[i].due = now + min(l.ticks[i].every, never-now)
	}
}

// nextTick returns when the next tick is due, or never.
func (l *loop) nextTick() time.Duration {
	next := never
	for i := range l.ticks {
		next = min(next, l.ticks[i].due)
	}
	return next
}

// tick calls the functions that are due.
func (l *loop) tick(now time.Duration) {
	for i := range l.ticks {
		if t := &l.ticks[i]; t.due <= now {
			l.hook("Tick", func() { t.f(l.conns) })
			l.settle()
			t.due = now + min(t.every, never-now)
		}
	}
}

// conns is a sequence of the open connections, without those that were dialled.
func (l *loop) conns(yield func(c *Conn) bool) {
	for index := range l.table.size {
		c := l.table.at(index)
		if c != nil && c.session != nil && !c.ending() && !c.state.is(traitDialled) && !yield(c) {
			return
		}
	}
}
