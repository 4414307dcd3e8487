package worker

import (
	"fmt"
	"iter"
	"runtime/debug"
	"time"
)

// Hooks are calls about the worker, not a connection. Each is optional, and made
// at most once, in the order in which they stand here. With Streams, or without
// any connection, they are the same. All run on the goroutine that Run was called
// in, the loop's: never beside one another, nor beside a callback of a session.
//
// Only Start may block. A panic in one is logged with its stack; the worker goes
// on, but for Start.
type Hooks struct {
	// Start is called before the master is told that the worker is ready, so
	// before any connection comes and any function of Streams is called. Here
	// a program opens what all of its connections use. An error, or a panic, is
	// that of Main and Run: the worker ends, and no other hook is called.
	Start func() error
	// Ready is called when the master was told so.
	Ready func()
	// Drain is called when the worker begins to drain, before any session is
	// asked to, and before Accept of Streams ends unless that is what began it.
	// New connections may come still. A worker told to stop does not drain.
	Drain func()
	// Stop is called when all is over: every session had its Close, and
	// every connection is closed. The functions of Streams have returned if
	// the worker was drained, not if it was told to stop. After an error of
	// the loop it is called too; not when the process is ended from outside,
	// or because its master is gone, or a callback is stuck.
	Stop func()
}

// WithHooks sets the hooks, in place of those set before.
func WithHooks(hooks Hooks) Option {
	return func(o *options) { o.hooks = hooks }
}

// WithTick has f called every d, first when d has passed since the worker was
// ready, until its end, and while it drains too. Like Hooks, f runs on the
// loop's goroutine and must not block; a panic in it is logged, costs no
// connection and does not end the ticks. A tick that is late puts off those
// behind it: none is made up for.
//
// conns gives the open connections of this worker, in no order and valid until f
// returns; f may write to, close or abort any. Those of Streams and those dialled are not among
// them.
//
// It may be given more than once, for several ticks. A d that is not positive
// panics.
func WithTick(d time.Duration, f func(conns iter.Seq[*Conn])) Option {
	if d <= 0 {
		panic(fmt.Sprintf("worker: a tick every %v", d))
	}
	return func(o *options) { o.ticks = append(o.ticks, tick{every: d, due: never, f: f}) }
}

// tick is a call that comes again and again.
type tick struct {
	every time.Duration
	due   time.Duration // on the loop's clock
	f     func(conns iter.Seq[*Conn])
}

// starting calls Start, and returns its error.
func (l *loop) starting() (err error) {
	if l.hooks.Start != nil {
		l.callHook("Start", func() { err = l.hooks.Start() }, &err)
	}
	if err != nil {
		return fmt.Errorf("start: %w", err)
	}
	return nil
}

// ready calls Ready, and begins the ticks.
func (l *loop) ready() {
	l.hook("Ready", l.hooks.Ready)
	now := l.now()
	for i := range l.ticks {
		l.ticks[i].due = now + min(l.ticks[i].every, never-now)
	}
}

// stopped calls Stop, when all is over.
func (l *loop) stopped() { l.hook("Stop", l.hooks.Stop) }

// hook calls f, which may be nil.
func (l *loop) hook(name string, f func()) {
	if f != nil {
		var ignored error // the worker goes on
		l.callHook(name, f, &ignored)
	}
}

func (l *loop) callHook(name string, f func(), err *error) {
	defer func() {
		if value := recover(); value != nil {
			l.log.Error("hook panicked", "reason", name, "error", value, "stack", string(debug.Stack()))
			*err = fmt.Errorf("%w in %s: %v", ErrPanic, name, value)
		}
	}()
	f()
}

func (l *loop) nextTick() time.Duration {
	next := never
	for i := range l.ticks {
		next = min(next, l.ticks[i].due)
	}
	return next
}

// tick calls what is due.
func (l *loop) tick(now time.Duration) {
	for i := range l.ticks {
		if t := &l.ticks[i]; t.due <= now {
			l.hook("Tick", func() { t.f(l.conns) })
			l.settle()
			t.due = now + min(t.every, never-now)
		}
	}
}

// conns is a sequence of those connections that callbacks may use.
func (l *loop) conns(yield func(c *Conn) bool) {
	for index := range l.table.size {
		c := l.table.at(index)
		if c != nil && c.session != nil && !c.ending() && !c.state.is(traitDialled) && !yield(c) {
			return
		}
	}
}
