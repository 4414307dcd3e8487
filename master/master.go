package master

import (
	"context"
	"runtime"

	"github.com/oklog/run"
	"github.com/usher-go/usher/internal/fdtable"
	"github.com/usher-go/usher/master/internal/child"
	"github.com/usher-go/usher/master/internal/dispatch"
	"golang.org/x/sys/unix"
)

// Run serves until ctx is done or a signal asks for the end (see docs/operations.md),
// and returns nil then. It blocks; a process runs one at a time, and must not
// wait for children of its own elsewhere: Run reaps them all.
//
// Errors wrap ErrConfig (nothing was started), ErrWorkersWouldNotStart, or say
// what failed: an address that is in use, for one.
func Run(ctx context.Context, config Config) error {
	addresses, err := config.check()
	if err != nil {
		return err
	}
	limit, err := raiseDescriptorLimit()
	if err != nil {
		return err
	}
	_ = fdtable.Grow(unix.Stderr, roomForDescriptors) // if it fails, clients wait while the table grows
	config.defaultCapacity = limit - min(workerReserve, limit/2)
	// An accept goroutine with work keeps one processor of Go's to itself: see package poller.
	runtime.GOMAXPROCS(max(1+config.Acceptors, runtime.GOMAXPROCS(0)))

	if _, ok := descriptorVariable(upgradeTestVariable); ok {
		return runSelfTest(&config)
	}
	a, err := start(&config, addresses, limit)
	if err != nil {
		return err
	}
	return a.run(ctx)
}

// actors are a master's goroutines, each of which owns its state: the others send it
// values, and ask for answers. This is the order in which they are started, and told
// to end.
//
//	supervisor  owns the slots: starts, watches, replaces and drains workers. Ends when
//	            it was asked to stop and the last worker is gone, or if none gets ready;
//	            told to end, it stops quickly. See supervisor.go, and life.go for a slot.
//	control     answers clients of the control socket. Ends when told, with all
//	            answered that were accepted, or given up after a second. See control.go.
//	admin       likewise those of the admin address. See admin.go.
//	signals     turns signals into events for the supervisor. Ends when told.
//	context     turns the end of Run's context into a graceful stop. Ends when told.
//	reaper      waits for children, the only one to do so. Ends when told.
//	            See package child.
//	acceptor    accepts, dispatches, owns the workers' queues and their ledgers; may have
//	            subacceptors beside it (Config.Acceptors). Ends when told, or if it cannot
//	            wait for events. See package dispatch.
//
// Whichever ends first, normally the supervisor, has all told to end, one after the
// other. Telling the supervisor returns when it has ended, and with it the workers: so
// the reaper and the acceptor, which it needs for that, are there until then.
//
// Beside them a goroutine reads the supervisor's timer (sleeper.go), and one may be
// reading a configuration, reopening the log, or testing the next program: each does
// one thing that can block, and tells the supervisor.
type actors struct {
	super   *supervisor
	control *control // nil: none
	admin   *control // likewise: the admin address
	signals *signals
	reap    *child.Reaper
	accept  *dispatch.Acceptor

	pidFile  string
	endSleep func() // ends the supervisor's sleeper
	program  string // the path by which this program was started
}

// run runs the actors, once, in the order that actors has them.
func (a *actors) run(ctx context.Context) error {
	defer a.signals.release() // last, when no file or socket is left: whoever sees one may send a signal
	defer a.endSleep()
	defer removePIDFile(a.pidFile)
	super := a.super
	defer super.notifier.flush(sayLimit)

	var group run.Group
	group.Add(super.run, super.interrupt)
	if a.control != nil {
		super.rebindControl = a.control.rebind
		defer a.control.interrupt(nil)
		group.Add(a.control.run, a.control.interrupt)
	}
	if a.admin != nil {
		defer a.admin.interrupt(nil)
		group.Add(a.admin.run, a.admin.interrupt)
	}
	a.signals.post = func(e signalled) { super.inbox.Put(e) }
	group.Add(a.signals.run, a.signals.interrupt)
	group.Add(super.awaitContext(ctx))
	group.Add(a.reap.Run, a.reap.Interrupt)
	group.Add(a.accept.Run, a.accept.Interrupt)

	executable, err := openExecutable()
	super.upgrader = upgrader{unable: err}
	if err == nil {
		defer unix.Close(executable)
		super.upgrader = a.newUpgrader(executable)
	}
	err = group.Run()
	a.reap.EndGroups(super.stopping == stopQuick)
	return err
}

// contextDone: Run's context is done.
type contextDone struct{}

// awaitContext returns the actor that waits for the end of Run's context.
func (s *supervisor) awaitContext(ctx context.Context) (run func() error, interrupt func(error)) {
	told := make(chan struct{})
	return func() error {
		select {
		case <-ctx.Done():
			s.inbox.Put(contextDone{})
			<-told
		case <-told:
		}
		return nil
	}, func(error) { close(told) }
}
