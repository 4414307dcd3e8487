package master

import (
	"context"
	"fmt"
	"runtime"

	"github.com/oklog/run"
	"github.com/usher-go/usher/internal/fdtable"
	"github.com/usher-go/usher/master/internal/child"
	"github.com/usher-go/usher/master/internal/dispatch"
	"github.com/usher-go/usher/master/internal/listen"
	"golang.org/x/sys/unix"
)

// Run serves until ctx is done or a signal asks for the end (see the README),
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
	_ = fdtable.Grow(unix.Stderr, roomForDescriptors) // without it, clients wait when the kernel must
	config.defaultCapacity = limit - min(workerReserve, limit/2)
	// Each accept goroutine's wait holds one: see package poller.
	runtime.GOMAXPROCS(max(1+config.Acceptors, runtime.GOMAXPROCS(0)))

	if _, ok := descriptorVariable(upgradeTestVariable); ok {
		return runSelfTest(&config)
	}
	m, err := start(&config, addresses, limit)
	if err != nil {
		return err
	}
	return m.run(ctx)
}

// roomForDescriptors is for how many the kernel's table has room from the start. A
// master holds a packet's and some for each worker.
const roomForDescriptors = 4096

// workerReserve is how many descriptors a worker that states no capacity is
// assumed to need for itself.
const workerReserve = 64

// start builds the actors: anew, or of what a program leaves that this one takes
// the place of.
func start(config *Config, addresses []Address, limit int) (*members, error) {
	if _, ok := descriptorVariable(upgradeVariable); ok {
		return takeOver(config, limit)
	}
	if err := enoughDescriptors(config, len(addresses), limit); err != nil {
		return nil, err
	}
	// First of all: whoever sees a socket or the pid file may send a signal.
	signals := newSignals()
	m, err := open(config, addresses, limit, signals)
	if err != nil {
		signals.release()
	}
	return m, err
}

// open is start for a server that was none before.
func open(config *Config, addresses []Address, limit int, signals *signals) (*members, error) {
	passed, err := listen.TakePassed()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	defer passed.Close()
	resolved, err := listen.Resolve(addresses, nil)
	if err != nil {
		return nil, err
	}
	signals.catchEnds() // not before: a name server may take its time
	listeners, err := listen.Open(listen.Settings{Addresses: resolved, Sockets: config.Acceptors}, passed)
	if err != nil {
		return nil, err
	}
	worker, err := openProgram(config)
	if err != nil {
		listen.CloseAll(listeners)
		return nil, err
	}
	m, err := newMembers(config, listeners, limit)
	if err != nil {
		worker.Close()
		listen.CloseAll(listeners)
		return nil, err
	}
	m.super.setProgram(m.super.generation, worker)
	m.signals = signals
	if config.Control != "" {
		if m.control, err = newControl(config, m.super); err != nil {
			m.close()
			return nil, err
		}
	}
	if config.PIDFile != "" {
		if err := writePIDFile(config.PIDFile); err != nil {
			m.close()
			return nil, err
		}
	}
	return m, nil
}

// contextDone: Run's context is done.
type contextDone struct{}

// members are the actors, before they run.
type members struct {
	accept  *dispatch.Acceptor
	reap    *child.Reaper
	super   *supervisor
	signals *signals
	control *control // nil: none
	pidFile string

	endSleep func() // of the supervisor, between two samples of its workers
	program  string // the path by which this program was started
}

// newMembers takes ownership of the listeners, unless it returns an error.
func newMembers(config *Config, listeners []*listen.Listener, limit int) (*members, error) {
	m := &members{reap: child.NewReaper(config.Logger), pidFile: config.PIDFile, program: programPath()}
	var err error
	var sleeper sleeper
	if sleeper, m.endSleep, err = newSleeper(); err != nil {
		return nil, err
	}
	sockets := socketsOf(config.Acceptors, listeners)
	m.accept, err = dispatch.New(dispatch.Setup{
		Settings: config.dispatchSettings(), Logger: config.Logger, Listeners: toAccept(listeners), Acceptors: sockets,
		DescriptorLimit: limit, Report: m.happened,
	})
	if err != nil {
		m.endSleep()
		return nil, err
	}
	launcher := child.Launcher{
		Reaper: m.reap, Log: config.Logger, AwaitRoom: config.LogWriter.awaitRoom, Private: managerVariables,
		Owner: func(e child.Event) { m.super.inbox.Put(e) },
	}
	m.super = newSupervisor(config, m.accept, processes{
		launch: func(s child.Spec) (process, error) {
			p, err := launcher.Launch(s)
			if err != nil {
				return nil, err
			}
			return p, nil
		},
		restore:      func(id child.ID, state child.State) process { return launcher.Restore(id, state) },
		signal:       m.reap.Signal,
		signalThread: m.reap.SignalThread,
		stopped:      child.Stopped,
	}, sleeper)
	m.super.listeners, m.super.sockets = listeners, sockets
	listen.SetBacklog(listeners, config.Backlog, config.Logger)
	return m, nil
}

// happened takes an event of the accept goroutine, which calls it. That it is alive
// the service manager hears at once: the supervisor was, when it asked, and need not be
// woken for it.
func (m *members) happened(e dispatch.Event) {
	if _, ok := e.(dispatch.Alive); ok {
		m.super.notifier.alive()
		return
	}
	m.super.inbox.Put(e)
}

// close undoes start.
func (m *members) close() {
	if m.control != nil {
		m.control.interrupt(nil)
	}
	m.accept.Close()
	listen.CloseAll(m.super.listeners)
	m.endSleep()
}

// run runs the actors, once.
func (m *members) run(ctx context.Context) error {
	defer m.signals.release() // when nothing is left that others can see
	defer m.endSleep()
	defer removePIDFile(m.pidFile)
	super := m.super
	defer super.notifier.flush(sayLimit)

	// The order of the interrupts is the order of the Adds. Whichever actor
	// ends first, the supervisor is told first, and has ended all workers when
	// its interrupt returns; only then do those end that it needs for that.
	// Normally it is the supervisor that ends first, when it was asked to stop.
	var actors run.Group
	actors.Add(super.run, super.interrupt)
	if m.control != nil {
		super.rebindControl = m.control.rebind
		defer m.control.interrupt(nil)
		actors.Add(m.control.run, m.control.interrupt)
	}
	m.signals.post = func(e signalled) { super.inbox.Put(e) }
	actors.Add(m.signals.run, m.signals.interrupt)
	done := make(chan struct{})
	actors.Add(func() error {
		select {
		case <-ctx.Done():
			super.inbox.Put(contextDone{})
			<-done
		case <-done:
		}
		return nil
	}, func(error) { close(done) })
	actors.Add(m.reap.Run, m.reap.Interrupt)
	actors.Add(m.accept.Run, m.accept.Interrupt)

	executable, err := openExecutable()
	super.upgrader = upgrader{unable: err}
	if err == nil {
		defer unix.Close(executable)
		super.upgrader = m.newUpgrader(executable)
	}
	err = actors.Run()
	m.reap.EndGroups(super.stopping == stopQuick)
	return err
}
