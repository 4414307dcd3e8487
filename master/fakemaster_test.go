package master

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/internal/credentials"
	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/master/internal/child"
	"github.com/usher-go/usher/master/internal/dispatch"
	"github.com/usher-go/usher/master/internal/fileid"
	"github.com/usher-go/usher/master/internal/listen"
	"golang.org/x/sys/unix"
)

// fakeMaster runs the production supervisor with fake worker processes and a fake accept
// goroutine, in a bubble with a fake clock (testing/synctest). It is itself the acceptor,
// and notes what the supervisor does wrong with either; check returns that. Its fields
// belong to the supervisor's goroutine: a test gets at them by look.
type fakeMaster struct {
	*supervisor
	ended  chan error // what run returned
	faults []error    // what must not happen, and did

	// The worker processes:
	nextPID   int
	live      map[int]*fakeWorker // by pid
	entries   []*ipc.Entry        // of the first workers, for the test to write as they do
	mute      bool                // those started from now on never say ready
	moves     bool                // they can move connections
	noAccess  bool                // they write no access log
	asks      []string            // the questions that they answer
	proxy     bool                // they read PROXY headers
	failKeys  error               // telling them ticket keys fails with this
	failStart error               // starting one fails with this
	aborted   time.Time           // when one last was, for it hung

	// The accept goroutine:
	queues       map[int]*dispatch.Queue
	queuesClosed map[int]bool
	closed       bool // the listeners
	paused       bool
	acceptStands bool                          // it stands still
	holdsArrival bool                          // it has something on its way to a new generation, for ever
	counts       map[int]dispatch.WorkerCounts // as Snapshot has them
	listening    []dispatch.Listener           // as configured last
	samples      atomic.Int64                  // that the supervisor took

	// What is asked of the supervisor:
	workers       int              // in the configuration, as read next
	rewrite       func(*Config)    // changes the configuration that is read next; nil: nothing does
	reread        error            // reading it fails with this
	answers       []chan scaled    // that are to come
	restarted     []chan restarted // likewise
	cannotRestore int              // the generation that cannot restore connections; 0: none

	// An upgrade:
	upgradeSteps []string
	failTest     error  // starting the self-test fails with this
	failExecute  error  // becoming the new program fails with this
	handedOver   []int  // descriptors that the new program was to have
	onExecute    func() // is called when they are there; nil: nothing is
	someoneDied  bool   // a child is reaped, and the supervisor has not heard of it
}

// fakeWorker is a worker process that is not there.
type fakeWorker struct {
	pid         int
	spec        child.Spec
	fm          *fakeMaster
	accessLogs  []ipc.AccessLog         // that it was told
	accessFiles []uint64                // their inodes
	keys        *credentials.TicketKeys // that it was told last; nil: none
	certificate string                  // a name in that of its hello
	hungUp      bool                    // by the supervisor
	stubborn    bool                    // does not exit when told to drain
	deaf        bool                    // does not answer when told to move
	gave        bool                    // it has said that it gave all
	level       atomic.Value            // a string: of its log
}

// newFakeMaster starts a supervisor whose workers cannot move connections.
func newFakeMaster(workers, maxWorkers int) *fakeMaster {
	return newFakeMasterOf(workers, maxWorkers, false)
}

// newFakeMasterOf starts a supervisor with workers that can move connections, or cannot.
// What change does to its configuration is done to that of each reload, too.
func newFakeMasterOf(workers, maxWorkers int, moves bool, change ...func(*Config)) *fakeMaster {
	fm := &fakeMaster{moves: moves, workers: workers}
	fm.start(maxWorkers, change...)
	return fm
}

// start starts the supervisor.
func (fm *fakeMaster) start(maxWorkers int, change ...func(*Config)) {
	fm.ended, fm.nextPID = make(chan error, 1), 100
	fm.live, fm.queues, fm.queuesClosed = make(map[int]*fakeWorker), make(map[int]*dispatch.Queue), make(map[int]bool)
	config := Config{
		Listen: []string{"127.0.0.1:0"}, Program: []string{"worker"}, Workers: fm.workers, MaxWorkers: maxWorkers,
		DrainTimeout: 5 * time.Second, Logger: hclog.NewNullLogger(),
	}
	for _, f := range change {
		f(&config)
	}
	config.Reread = func(*Config) (next Config, err error) { // called on a reload's goroutine
		next = config
		fm.do(func() {
			if next.Workers, err = fm.workers, fm.reread; fm.rewrite != nil {
				fm.rewrite(&next)
			}
		})
		return next, err
	}
	if _, err := config.check(); err != nil {
		panic(err) // the test is wrong
	}
	if err := config.openAccessLog(nil); err != nil {
		panic(err) // likewise
	}
	fm.supervisor = newSupervisor(&config, new(eventLog), fm, processes{
		launch: fm.launch,
		signal: func(pid int, sig unix.Signal) { fm.signal(pid, sig) },
		signalThread: func(pid, _ int, sig unix.Signal) {
			fm.aborted = time.Now()
			fm.signal(pid, sig)
		},
		stopped: func(int) bool { return false },
	}, goSleeper())
	// A reload keeps it. It has no socket: that is for nobody here to accept from.
	fm.listeners = []*listen.Listener{{From: config.addresses()[0], FD: -1}}
	if err := fm.numberTransports(&config); err != nil {
		panic(err) // likewise
	}
	fm.supervisor.upgrader = fm.newUpgrader()
	go func() { fm.ended <- fm.run() }()
}

// newUpgrader returns an upgrader that notes in upgradeSteps what is called. It never
// becomes another program: execute fails with failExecute.
func (fm *fakeMaster) newUpgrader() upgrader {
	note := func(step string) { fm.upgradeSteps = append(fm.upgradeSteps, step) }
	return upgrader{
		program: "program", executable: -1,
		startTest: func(*upgradeState) (selfTest, error) {
			fm.do(func() { note("start the test") })
			if fm.failTest != nil {
				return nil, fm.failTest
			}
			return (*fakeTest)(fm), nil
		},
		pauseControl:  func() { fm.do(func() { note("pause control") }) },
		resumeControl: func() { note("resume control") },
		controlSocket: func() (int, fileid.ID) { return -1, fileid.ID{} },
		holdChildren: func([]int) (func(), bool) {
			note("hold children")
			return func() { note("release children") }, !fm.someoneDied
		},
		groups: func() []child.GroupState { return nil },
		holdSignals: func() (func(), error) {
			note("hold signals")
			return func() { note("release signals") }, nil
		},
		flushMessages: func() { note("flush messages") },
		handOverLog:   func() int { note("hand the log over"); return 3 },
		execute: func(path string, fds []int, variables ...string) error {
			fm.handedOver = slices.Clone(fds)
			if fm.onExecute != nil {
				fm.onExecute()
			}
			note("execute " + path + " " + variables[len(variables)-1])
			return fm.failExecute
		},
	}
}

// fakeTest is the master's self-test, which finds nothing wrong.
type fakeTest fakeMaster

func (t *fakeTest) ask(int, time.Duration) error {
	t.upgradeSteps = append(t.upgradeSteps, "ask the test")
	return nil
}
func (t *fakeTest) end() { t.upgradeSteps = append(t.upgradeSteps, "end the test") }

func (fm *fakeMaster) fault(format string, args ...any) {
	fm.faults = append(fm.faults, fmt.Errorf(format, args...))
}

// What follows is called on the supervisor's goroutine, while the test waits.

func (fm *fakeMaster) launch(o child.Spec) (process, error) {
	if fm.failStart != nil {
		return nil, fm.failStart
	}
	for _, w := range fm.live {
		if w.spec.Slot == o.Slot {
			fm.fault("slot %d: started while pid %d lives", o.Slot, w.pid)
		}
	}
	fm.nextPID++
	w := &fakeWorker{pid: fm.nextPID, spec: o, fm: fm}
	w.level.Store("info")
	fm.live[w.pid] = w
	if o.Hello.TLS {
		w.take(o.Memory, credentials.Decode)
	}
	if !fm.mute {
		w.ready()
	}
	return w, nil
}

func (w *fakeWorker) PID() int                      { return w.pid }
func (w *fakeWorker) Queue() (queue, workerEnd int) { return -1, -1 }
func (w *fakeWorker) StderrTail() string            { return "alas" }
func (w *fakeWorker) LeftOthers() bool              { return false }
func (w *fakeWorker) HangUp()                       { w.hungUp = true }
func (w *fakeWorker) Pause()                        {}
func (w *fakeWorker) Resume()                       {}
func (w *fakeWorker) State() child.State            { return child.State{PID: w.pid} }

func (w *fakeWorker) Tell(m ipc.Message) error {
	if w.hungUp {
		w.fm.fault("pid %d: told %T after its end", w.pid, m)
	}
	w.fm.obey(w, m)
	return nil
}

// Ask answers a question for a log level; it can answer no other.
func (w *fakeWorker) Ask(_ context.Context, q ipc.Question) (m ipc.Message, memory *os.File, bytes int64, err error) {
	switch level := q.(ipc.LogLevel).Level; level {
	case "":
	case ipc.LevelDefault:
		w.level.Store("info")
	default:
		w.level.Store(level)
	}
	return ipc.Answer{Level: w.level.Load().(string)}, nil, 0, nil
}

func (w *fakeWorker) TellAccessLog(m ipc.AccessLog, file int) error {
	w.accessLogs = append(w.accessLogs, m)
	var stat unix.Stat_t
	if m.Format != "" {
		if err := unix.Fstat(file, &stat); err != nil {
			w.fm.fault("pid %d: the file of %+v: %v", w.pid, m, err)
		}
	}
	w.accessFiles = append(w.accessFiles, stat.Ino)
	if w.deaf {
		return nil
	}
	w.say(ipc.AccessLogTaken{ID: m.ID})
	return nil
}

func (w *fakeWorker) TellKeys(memory int) error {
	if w.fm.failKeys != nil {
		return w.fm.failKeys
	}
	w.take(memory, func(message []byte) (*credentials.Credentials, *credentials.TicketKeys, error) {
		keys, err := credentials.DecodeTicketKeys(message)
		return nil, keys, err
	})
	return w.Tell(ipc.TicketKeys{})
}

// take takes the ticket keys in a memfd, which it borrows.
func (w *fakeWorker) take(memory int, decode func([]byte) (*credentials.Credentials, *credentials.TicketKeys, error)) {
	message, err := fdpass.ReadSealed(memory, credentials.MaxEncoded)
	var c *credentials.Credentials
	if err == nil {
		c, w.keys, err = decode(message)
	}
	if c != nil {
		w.certificate = c.Certificates()[0].Names[0]
	}
	if err != nil {
		w.fm.fault("pid %d: %v", w.pid, err)
	}
}

// say sends a control message to the supervisor.
func (w *fakeWorker) say(m ipc.Message) { w.fm.inbox.Put(child.Said{ID: w.spec.ID, Message: m}) }

// ready is what a worker says that is.
func (w *fakeWorker) ready() {
	w.say(ipc.Ready{Protocol: ipc.Version, Closes: true, Moves: w.fm.moves, TLS: w.keys != nil, Proxy: w.fm.proxy, AccessLog: !w.fm.noAccess, Asks: w.fm.asks})
}

// obey is what a worker does that is told something.
func (fm *fakeMaster) obey(w *fakeWorker, m ipc.Message) {
	switch m := m.(type) {
	case ipc.Stop:
		fm.exit(w.pid, 0)
	case ipc.Drain:
		if m.Mode == ipc.DrainMove && w.spec.Generation < fm.cannotRestore && fm.cannotRestore == fm.generation && !w.gave {
			fm.fault("pid %d: told to move connections to where they do not survive", w.pid)
		}
		switch {
		case m.Mode == ipc.DrainMove && w.deaf:
		case m.Mode == ipc.DrainMove && !w.gave:
			w.gave = true
			w.say(ipc.Moved{})
		case !w.stubborn:
			fm.exit(w.pid, 0)
		}
	case ipc.Move:
		if m.Count == 0 {
			w.gave = false // until it is told to move again
		}
		if !w.deaf {
			w.say(ipc.Moved{ID: m.ID})
		}
	}
}

func (fm *fakeMaster) signal(pid int, sig unix.Signal) { fm.exit(pid, unix.WaitStatus(sig)) }

// exit ends a process, if it lives.
func (fm *fakeMaster) exit(pid int, status unix.WaitStatus) {
	if w := fm.live[pid]; w != nil {
		delete(fm.live, pid)
		fm.inbox.Put(child.Exited{ID: w.spec.ID, Status: status})
	}
}

// check returns what must hold between two steps, and does not, and all faults.
func (fm *fakeMaster) check() error {
	serving := 0
	for number := range fm.queues {
		slot := fm.slots[number]
		if slot == nil || slot.process == nil || fm.live[slot.process.PID()] == nil {
			return fmt.Errorf("slot %d: a queue without a process", number)
		}
		if open := !fm.queuesClosed[number]; open != slot.life.serves() {
			return fmt.Errorf("slot %d: open %v while %v", number, open, slot.life)
		} else if open {
			serving++
		}
		if slot.generation > fm.generation {
			return fmt.Errorf("slot %d: serves in generation %d before the switch from %d", number, slot.generation, fm.generation)
		}
	}
	for slot := range fm.slots.all() {
		if (slot.process != nil) != (slot.life != lifeGone) || (slot.board != nil) != (slot.process != nil) {
			return fmt.Errorf("slot %d: %v, process %v, scoreboard %v", slot.number, slot.life, slot.process, slot.board)
		}
		if slot.alarm == nil && !slot.kept() && slot.life != lifeWaiting && !slot.life.serves() && slot.killed == "" {
			return fmt.Errorf("slot %d: %v, without a limit", slot.number, slot.life)
		}
	}
	if fm.paused {
		return errors.New("the accept goroutine was paused, and not resumed")
	}
	if fm.target < 1 || fm.target > fm.config.MaxWorkers {
		return fmt.Errorf("%d workers wanted", fm.target)
	}
	if n := len(fm.wanted(fm.generation)); fm.stopping == stopNot && n > fm.config.MaxWorkers {
		return fmt.Errorf("%d workers in generation %d", n, fm.generation)
	}
	return errors.Join(fm.faults...)
}

// look runs f on the supervisor's goroutine, which alone touches all this.
func (fm *fakeMaster) look(f func()) {
	if !fm.do(f) {
		panic("the supervisor has ended")
	}
}

// do runs f on the supervisor's goroutine and returns when it has run, or false if the
// supervisor has ended.
func (fm *fakeMaster) do(f func()) bool {
	ran := make(chan struct{})
	fm.inbox.Put(postponed(func() { f(); close(ran) }))
	select {
	case <-ran:
		return true
	case <-fm.done:
		select {
		case <-ran: // and ended the supervisor
			return true
		default:
			return false
		}
	}
}
