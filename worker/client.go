package worker

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
)

// clients counts the loops of RunClient that run in this process.
var clients atomic.Int32

// RunClient runs a loop without a master, for a program that dials: a client, a
// load generator. It calls start on the loop's goroutine, which is the caller's,
// and blocks until no connection, timer or work of Conn.Go is left, or ctx is
// done: then all connections are closed, their sessions get ErrStopped, and it
// returns nil as well. A program may run several, each on a goroutine of its own;
// nothing of them is shared.
//
// Signals are left alone. GOMAXPROCS is raised, if need be, to one more than the number
// of these loops in the process. The options are those of Run.
//
// Errors: that of start, that of the hook Start, or what the kernel refuses.
func RunClient(ctx context.Context, start func(d *Dialer) error, opts ...Option) error {
	running := int(clients.Add(1))
	defer clients.Add(-1)
	if runtime.GOMAXPROCS(0) <= running {
		runtime.GOMAXPROCS(running + 1) // a waiting loop may hold one: see package poller
	}
	o := newOptions(opts)
	l, err := newLoop(o)
	if err != nil {
		return fmt.Errorf("worker: %w", err)
	}
	defer l.close()
	if err := l.hookStart(); err != nil {
		return fmt.Errorf("worker: %w", err)
	}
	defer l.hookStop()
	l.boundMemory(ownLimit(o.memory))
	stopped := false
	l.obey = func(order) { stopped = true } // a client gets no other order than stopOrder
	l.start()
	defer l.end()
	l.hookReady()
	if err := start(l.dialer); err != nil {
		return err
	}
	l.settle()
	defer context.AfterFunc(ctx, func() { l.orders.Put(stopOrder{}) })()
	if err := l.run(&stopped); err != nil {
		return fmt.Errorf("worker: %w", err)
	}
	return nil
}

// run makes turns until an order has set stopped, or no connection, timer or work is
// left.
func (l *loop) run(stopped *bool) error {
	for !*stopped && (l.table.live > 0 || l.dialer.failures > 0 || len(l.timers) > 0 || l.offloop.working > 0) {
		next := l.nextDeadline()
		if _, err := l.turn(next, l.until(next)); err != nil {
			return err
		}
	}
	return nil
}
