package master

import (
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/master/internal/child"
	"github.com/usher-go/usher/master/internal/dispatch"
	"github.com/usher-go/usher/master/internal/listen"
)

// start builds the actors: anew, or, in an upgrade, from the state of the program that
// this one takes over from. Like all of this file it is called by Run, before any of
// them runs.
func start(config *Config, addresses []Address, limit int) (*actors, error) {
	if _, ok := descriptorVariable(upgradeVariable); ok {
		return takeOver(config, limit)
	}
	if err := enoughDescriptors(config, len(addresses), limit); err != nil {
		return nil, err
	}
	// First of all: whoever sees a socket or the pid file may send a signal.
	signals := newSignals()
	a, err := open(config, addresses, limit, signals)
	if err != nil {
		signals.release()
	}
	return a, err
}

// open builds the actors of a new server. It takes ownership of nothing: the caller
// releases signals if there is an error.
func open(config *Config, addresses []Address, limit int, signals *signals) (_ *actors, err error) {
	if err := config.loadTLS(time.Now()); err != nil {
		return nil, err
	}
	config.logTLSWarnings()
	if err := config.openAccessLog(nil); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			config.access.close()
		}
	}()
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
	listeners, err := listen.Open(config.listenSettings(resolved, config.Acceptors), passed)
	if err != nil {
		return nil, err
	}
	worker, err := openProgram(config)
	if err != nil {
		listen.CloseAll(listeners)
		return nil, err
	}
	a, err := newActors(config, listeners, listen.Numbers{}, limit)
	if err != nil {
		worker.Close()
		listen.CloseAll(listeners)
		return nil, err
	}
	a.super.setProgram(a.super.generation, worker)
	a.signals = signals
	if config.Control != "" {
		if a.control, err = newControl(config, a.super); err != nil {
			a.close()
			return nil, err
		}
	}
	if config.Admin != "" {
		if a.admin, err = newAdmin(config, a.super); err != nil {
			a.close()
			return nil, err
		}
	}
	if config.PIDFile != "" {
		if err := writePIDFile(config.PIDFile); err != nil {
			a.close()
			return nil, err
		}
	}
	return a, nil
}

// newActors takes ownership of the listeners, unless it returns an error. numbers are those
// that the program before has given to transports.
func newActors(config *Config, listeners []*listen.Listener, numbers listen.Numbers, limit int) (*actors, error) {
	if err := numbers.Use(transportsOf(listeners)); err != nil {
		return nil, err
	}
	events := new(eventLog)
	log := events.logger(config.Logger, hclog.Info)
	a := &actors{reap: child.NewReaper(log), pidFile: config.PIDFile, program: programPath()}
	var err error
	var sleeper sleeper
	if sleeper, a.endSleep, err = newSleeper(); err != nil {
		return nil, err
	}
	sockets := socketsOf(config.Acceptors, listeners)
	a.accept, err = dispatch.New(dispatch.Setup{
		Settings: config.dispatchSettings(), Logger: log, Listeners: toAccept(listeners, &numbers), Acceptors: sockets,
		DescriptorLimit: limit, Report: a.happened,
	})
	if err != nil {
		a.endSleep()
		return nil, err
	}
	launcher := child.Launcher{
		Reaper: a.reap, Log: config.Logger, AwaitRoom: config.LogWriter.awaitRoom, Private: managerVariables,
		Owner: func(e child.Event) { a.super.inbox.Put(e) },
	}
	a.super = newSupervisor(config, events, a.accept, processes{
		launch: func(s child.Spec) (process, error) {
			p, err := launcher.Launch(s)
			if err != nil {
				return nil, err
			}
			return p, nil
		},
		restore:      func(id child.ID, state child.State) process { return launcher.Restore(id, state) },
		signal:       a.reap.Signal,
		signalThread: a.reap.SignalThread,
		stopped:      child.Stopped,
	}, sleeper)
	a.super.listeners, a.super.sockets, a.super.numbers = listeners, sockets, numbers
	listen.SetBacklog(listeners, config.Backlog, config.Logger)
	return a, nil
}

// happened takes an event of the accept goroutine, which calls it. That this goroutine is
// alive it tells the service manager itself: the supervisor has asked for that, and need
// not be woken to hear it.
func (a *actors) happened(e dispatch.Event) {
	if _, ok := e.(dispatch.Alive); ok {
		a.super.notifier.alive()
		return
	}
	a.super.inbox.Put(e)
}

// close undoes start.
func (a *actors) close() {
	if a.control != nil {
		a.control.interrupt(nil)
	}
	if a.admin != nil {
		a.admin.interrupt(nil)
	}
	a.accept.Close()
	listen.CloseAll(a.super.listeners)
	a.endSleep()
}
