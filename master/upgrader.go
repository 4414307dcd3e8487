package master

import (
	"strconv"
	"sync"

	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/master/internal/child"
	"github.com/usher-go/usher/master/internal/fileid"
	"golang.org/x/sys/unix"
)

// upgrader is what an upgrade in place needs of this process, and of the actors beside
// the supervisor and the accept goroutine. It is functions, so that a test can have its
// own; where there is nothing to be done, as without a control socket, they do nothing.
// The supervisor calls them all, those that block from a goroutine of its own.
type upgrader struct {
	unable error // why this master cannot upgrade in place; nil: it can

	program           string // the path by which this program was started: a link in it may lead elsewhere by now
	executable        int    // descriptor, borrowed: this program's file, to go back to
	ignoresInterrupts bool   // see signals

	startTest     func(*upgradeState) (selfTest, error)                   // has a child of the new program read it; blocks
	pauseControl  func()                                                  // no request is under way when it returns; blocks
	resumeControl func()                                                  // ends that
	controlSocket func() (socket int, file fileid.ID)                     // borrowed; -1: none
	admin         int                                                     // descriptor, borrowed: the admin address's socket; 0: none
	holdChildren  func(pids []int) (release func(), ok bool)              // none is started or reaped until release; not ok: one of these is reaped already, and nothing is held
	groups        func() []child.GroupState                               // while children are held
	holdSignals   func() (release func(), err error)                      // those that came are in the inbox, those that come are the next program's; called by a locked thread
	flushMessages func()                                                  // to the service manager; blocks for at most handOverLimit
	handOverLog   func() (missing int)                                    // likewise the log; how many lines are not written
	execute       func(path string, fds []int, variables ...string) error // execve(2); it returns only with an error
}

// become has the test read the state as it is now, and makes this process the new
// program. It returns only with an error, and then all is as before. It is called by a
// locked thread, while processes and the accept goroutine are paused and children held.
// settled reports whether nothing has happened that the state does not know of.
func (u *upgrader) become(state *upgradeState, test selfTest, settled func() bool) error {
	if len(state.Accept.PerIP) > 0 {
		perIP, err := fdpass.Seal("usher-upgrade-per-ip", state.Accept.PerIP)
		if err != nil {
			return err
		}
		defer unix.Close(perIP)
		state.Accept.PerIPMemory = perIP
	}
	if len(state.Events) > 0 {
		events, err := fdpass.Seal("usher-upgrade-events", state.Events)
		if err != nil {
			return err
		}
		defer unix.Close(events)
		state.EventsMemory = events
	}
	memory, err := state.write()
	if err != nil {
		return err
	}
	defer unix.Close(memory)
	if err := test.ask(memory, confirmLimit); err != nil {
		return err
	}
	if err := anyLeft(len(state.boards()) + descriptorsToStart); err != nil {
		return err
	}
	release, err := u.holdSignals()
	if err != nil {
		return err
	}
	defer release()
	if !settled() {
		return errNotYet // the next program would not know of it
	}
	u.flushMessages()
	return u.execute(u.program, append(state.descriptors(), memory), upgradeVariable+"="+strconv.Itoa(memory), missingVariable(u.handOverLog()))
}

// newUpgrader returns the upgrader of the actors, which are all made.
func (a *actors) newUpgrader(executable int) upgrader {
	config := a.super.config
	u := upgrader{
		program: a.program, executable: executable, ignoresInterrupts: a.signals.ignoresInterrupts,
		pauseControl: func() {}, resumeControl: func() {},
		controlSocket: func() (int, fileid.ID) { return -1, fileid.ID{} },
		holdChildren:  func(pids []int) (func(), bool) { return a.reap.Release, a.reap.Hold(pids) },
		groups:        a.reap.HeldGroups,
		holdSignals:   a.signals.holdForNext,
		flushMessages: func() { a.super.notifier.flush(handOverLimit) },
		handOverLog:   config.LogWriter.handOver,
		execute:       execute,
	}
	u.startTest = func(state *upgradeState) (selfTest, error) {
		t, err := startTest(state, child.CommandSpec{Path: a.program, Log: config.Logger, AwaitRoom: config.LogWriter.awaitRoom}, a.reap)
		if err != nil {
			return nil, err
		}
		return t, nil
	}
	if a.control != nil {
		u.pauseControl, u.resumeControl, u.controlSocket = a.control.pause, a.control.resume, a.control.handOver
	}
	if a.admin != nil {
		u.admin, _ = a.admin.handOver()
		u.pauseControl, u.resumeControl = both(u.pauseControl, a.admin.pause), both(u.resumeControl, a.admin.resume)
	}
	return u
}

// both returns a function that returns when the two have, which run at once.
func both(a, b func()) func() {
	return func() {
		var group sync.WaitGroup
		group.Go(a)
		b()
		group.Wait()
	}
}
