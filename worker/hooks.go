package worker

import (
	"fmt"
	"runtime/debug"
)

// Hooks are functions that are called about the worker, not about a connection. Each is
// optional, and called at most once, in the order in which they stand here, also with
// Streams and also when no connection comes. All run on the goroutine that Run was
// called in, the loop's: never beside one another, nor beside a callback of a session.
//
// Only Start may block. A panic in one is logged with its stack; the worker goes
// on, but for Start.
type Hooks struct {
	// Start is called before the master is told that the worker is ready, so
	// before any connection comes and any function of Streams is called. Here
	// a program opens what all of its connections use. An error, or a panic, is
	// that of Main and Run: the worker ends, and no other hook is called.
	Start func() error
	// Ready is called when the master was told that the worker is ready.
	Ready func()
	// Drain is called when the worker begins to drain, before any session is
	// asked to, and before Accept of Streams ends unless that is what began it.
	// New connections may still come. A worker told to stop does not drain.
	Drain func()
	// Stop is called at the end: every session had its Close, and
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

// hookStart calls Start, before any connection, and returns its error.
func (l *loop) hookStart() (err error) {
	if l.hooks.Start != nil {
		l.callHook("Start", func() { err = l.hooks.Start() }, &err)
	}
	if err != nil {
		return fmt.Errorf("start: %w", err)
	}
	return nil
}

// hookReady calls Ready, and begins the ticks: from now on connections may come.
func (l *loop) hookReady() {
	l.hook("Ready", l.hooks.Ready)
	l.beginTicks()
}

// hookStop calls Stop, after the loop's end.
func (l *loop) hookStop() { l.hook("Stop", l.hooks.Stop) }

// hook calls f, unless it is nil. A panic in it is logged, and no more.
func (l *loop) hook(name string, f func()) {
	if f != nil {
		var ignored error // the worker goes on
		l.callHook(name, f, &ignored)
	}
}

// callHook calls f. A panic in it is logged, and is then the error.
func (l *loop) callHook(name string, f func(), err *error) {
	defer func() {
		if value := recover(); value != nil {
			l.log.Error("hook panicked", "reason", name, "error", value, "stack", string(debug.Stack()))
			*err = fmt.Errorf("%w in %s: %v", ErrPanic, name, value)
		}
	}()
	f()
}
