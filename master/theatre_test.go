package master

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/master/internal/child"
	"github.com/usher-go/usher/master/internal/dispatch"
	"github.com/usher-go/usher/master/internal/fileid"
	"golang.org/x/sys/unix"
)

// theatre runs the production supervisor with fake worker processes and a fake
// accept goroutine, in a bubble with a fake clock (testing/synctest). After
// every step it checks what must always hold.
type theatre struct {
	*supervisor
	ended   chan error
	nextPID int
	actors  map[int]*actor // by pid: processes that live
	seats   map[int]*dispatch.Queue
	retired map[int]bool
	closed  bool // the listeners
	paused  bool // the accept goroutine

	acceptStands bool // the accept goroutine stands still
	faults       []error

	mute      bool  // workers started from now on never say ready
	moves     bool  // they can move connections
	failStart error // starting one fails with this
	reread    error
	workers   int           // in the configuration, as read next
	samples   atomic.Int64  // that the supervisor took
	aborted   time.Time     // when a worker last was, for it hung
	answers   []chan scaled // that are to come
	spoiled   int           // the generation that cannot restore connections

	upgradeSteps []string
	failTest     error                         // starting the self-test fails with this
	failExecute  error                         // becoming the new program fails with this
	someoneDied  bool                          // a child is reaped, and the supervisor has not heard of it
	counts       map[int]dispatch.WorkerCounts // as Snapshot has them

	entries []*ipc.Entry // of the first workers, for the test to write as they do
}

// actor is a worker process that is not there.
type actor struct {
	pid      int
	spec     child.Spec
	hungUp   bool
	th       *theatre
	stubborn bool // does not exit when told to drain
	deaf     bool // does not answer when told to move
	gave     bool // it has said that it gave all
}

func newTheatre(workers, maxWorkers int) *theatre { return newTheatreOf(workers, maxWorkers, false) }

func newTheatreOf(workers, maxWorkers int, moves bool) *theatre {
	th := &theatre{moves: moves,
		ended: make(chan error, 1), nextPID: 100, workers: workers,
		actors: make(map[int]*actor), seats: make(map[int]*dispatch.Queue), retired: make(map[int]bool),
	}
	config := Config{
		Listen: []string{"127.0.0.1:0"}, Program: []string{"worker"}, Workers: workers, MaxWorkers: maxWorkers,
		DrainTimeout: 5 * time.Second, Logger: hclog.NewNullLogger(),
	}
	config.Reread = func(*Config) (next Config, err error) { // on a goroutine of its own
		next = config
		th.do(func() { next.Workers, err = th.workers, th.reread })
		return next, err
	}
	if _, err := config.check(); err != nil {
		panic(err) // the test is wrong
	}
	th.supervisor = newSupervisor(&config, th, processes{
		launch: th.launch,
		signal: func(pid int, sig unix.Signal) { th.signal(pid, sig) },
		signalThread: func(pid, _ int, sig unix.Signal) {
			th.aborted = time.Now()
			th.signal(pid, sig)
		},
		stopped: func(int) bool { return false },
	}, goSleeper())
	th.supervisor.upgrader = th.newUpgrader()
	go func() { th.ended <- th.run() }()
	return th
}

// newUpgrader returns an upgrader that notes what is called of it, in the order of that.
// Become nothing else it cannot: to execute the program fails with failExecute.
func (th *theatre) newUpgrader() upgrader {
	note := func(step string) { th.upgradeSteps = append(th.upgradeSteps, step) }
	return upgrader{
		program: "program", executable: -1,
		startTest: func(*upgradeState) (selfTest, error) {
			th.do(func() { note("start the test") })
			if th.failTest != nil {
				return nil, th.failTest
			}
			return (*theatreTest)(th), nil
		},
		pauseControl:  func() { th.do(func() { note("pause control") }) },
		resumeControl: func() { note("resume control") },
		controlSocket: func() (int, fileid.ID) { return -1, fileid.ID{} },
		holdChildren: func([]int) (func(), bool) {
			note("hold children")
			return func() { note("release children") }, !th.someoneDied
		},
		groups: func() []child.GroupState { return nil },
		holdSignals: func() (func(), error) {
			note("hold signals")
			return func() { note("release signals") }, nil
		},
		flushMessages: func() { note("flush messages") },
		handOverLog:   func() int { note("hand the log over"); return 3 },
		execute: func(path string, fds []int, variables ...string) error {
			note("execute " + path + " " + variables[len(variables)-1])
			return th.failExecute
		},
	}
}

// theatreTest is a self-test that finds nothing wrong.
type theatreTest theatre

func (t *theatreTest) ask(int, time.Duration) error {
	t.upgradeSteps = append(t.upgradeSteps, "ask the test")
	return nil
}
func (t *theatreTest) end() { t.upgradeSteps = append(t.upgradeSteps, "end the test") }

func (th *theatre) fault(format string, args ...any) {
	th.faults = append(th.faults, fmt.Errorf(format, args...))
}

// What follows is called on the supervisor's goroutine, while the test waits.

func (th *theatre) launch(o child.Spec) (process, error) {
	if th.failStart != nil {
		return nil, th.failStart
	}
	for _, a := range th.actors {
		if a.spec.Slot == o.Slot {
			th.fault("slot %d: started while pid %d lives", o.Slot, a.pid)
		}
	}
	th.nextPID++
	a := &actor{pid: th.nextPID, spec: o, th: th}
	th.actors[a.pid] = a
	if !th.mute {
		a.say(ipc.Ready{Protocol: ipc.Version, Closes: true, Moves: th.moves})
	}
	return a, nil
}

func (a *actor) PID() int                      { return a.pid }
func (a *actor) Queue() (queue, workerEnd int) { return -1, -1 }
func (a *actor) StderrTail() string            { return "alas" }
func (a *actor) LeftOthers() bool              { return false }
func (a *actor) HangUp()                       { a.hungUp = true }
func (a *actor) Pause()                        {}
func (a *actor) Resume()                       {}
func (a *actor) State() child.State            { return child.State{PID: a.pid} }

func (a *actor) Tell(m ipc.Message) error {
	if a.hungUp {
		a.th.fault("pid %d: told %T after its end", a.pid, m)
	}
	a.th.obey(a, m)
	return nil
}

// say sends a control message to the supervisor.
func (a *actor) say(m ipc.Message) { a.th.inbox.Put(child.Said{ID: a.spec.ID, Message: m}) }

// obey is what a worker does that is told something.
func (th *theatre) obey(a *actor, m ipc.Message) {
	switch m := m.(type) {
	case ipc.Stop:
		th.exit(a.pid, 0)
	case ipc.Drain:
		if m.Mode == ipc.DrainMove && a.spec.Generation < th.spoiled && th.spoiled == th.generation && !a.gave {
			th.fault("pid %d: told to move connections to where they do not survive", a.pid)
		}
		switch {
		case m.Mode == ipc.DrainMove && a.deaf:
		case m.Mode == ipc.DrainMove && !a.gave:
			a.gave = true
			a.say(ipc.Moved{})
		case !a.stubborn:
			th.exit(a.pid, 0)
		}
	case ipc.Move:
		if m.Count == 0 {
			a.gave = false // until it is told to move again
		}
		if !a.deaf {
			a.say(ipc.Moved{ID: m.ID})
		}
	}
}

func (th *theatre) signal(pid int, sig unix.Signal) { th.exit(pid, unix.WaitStatus(sig)) }

// exit ends a process, if it lives.
func (th *theatre) exit(pid int, status unix.WaitStatus) {
	if a := th.actors[pid]; a != nil {
		delete(th.actors, pid)
		th.inbox.Put(child.Exited{ID: a.spec.ID, Status: status})
	}
}

func (th *theatre) Open(queues []dispatch.Queue) {
	for _, q := range queues {
		if th.seats[q.Slot] != nil {
			th.fault("slot %d: opened twice", q.Slot)
		}
		th.seats[q.Slot] = &q
	}
}

func (th *theatre) CloseQueue(slot int) {
	if th.seats[slot] == nil || th.retired[slot] {
		th.fault("slot %d: closed without an open queue", slot)
	}
	th.retired[slot] = true
}

func (th *theatre) Reaped(slot int) {
	if th.seats[slot] == nil {
		th.fault("slot %d: reaped without a queue", slot)
	}
	th.inbox.Put(dispatch.QueueGone{Worker: th.seats[slot].Worker})
	delete(th.seats, slot)
	delete(th.retired, slot)
}

func (th *theatre) ConnsClosed(int, ipc.Closed) {}
func (th *theatre) Loads() map[int]int          { return nil }
func (th *theatre) AwaitLanding(slot int) {
	th.inbox.Put(dispatch.Landed{Worker: th.seats[slot].Worker})
}
func (th *theatre) AwaitArrival()              { th.inbox.Put(dispatch.Arrived{}) }
func (th *theatre) MovedSoFar(int, uint64) int { return 0 }
func (th *theatre) ForgetMove(int, uint64)     {}

func (th *theatre) BeginMove(slot int, id uint64, to, count int) {
	if th.retired[slot] || th.seats[slot] == nil {
		th.fault("slot %d: an order to one that does not serve", slot)
	}
}

func (th *theatre) AnswerMove(slot int, id uint64, n int) {
	th.inbox.Put(dispatch.MoveDone{Worker: th.seats[slot].Worker, Order: id, Moved: max(0, n)})
}

func (th *theatre) Pause() (dispatch.State, error) {
	th.paused = true
	return dispatch.State{}, nil
}

func (th *theatre) Resume() {
	if !th.paused {
		th.fault("resumed without a pause")
	}
	th.paused = false
}

func (th *theatre) Ping() {
	if !th.acceptStands {
		th.notifier.alive()
	}
}

func (th *theatre) Guard(int, float64) {}

func (th *theatre) CloseListeners() { th.closed = true }
func (th *theatre) AnyStuck() bool {
	th.samples.Add(1) // each sample asks this, and nothing else does
	return false
}
func (th *theatre) Snapshot() (dispatch.Totals, map[int]dispatch.WorkerCounts) {
	return dispatch.Totals{}, th.counts
}
func (th *theatre) Configure(dispatch.Settings, []dispatch.Listener) {}

// look runs f on the supervisor's goroutine, which alone touches all this.
func (th *theatre) look(f func()) {
	if !th.do(f) {
		panic("the supervisor has ended")
	}
}

// check looks at everything between two steps.
func (th *theatre) check() error {
	serving := 0
	for number := range th.seats {
		slot := th.slots[number]
		if slot == nil || slot.process == nil || th.actors[slot.process.PID()] == nil {
			return fmt.Errorf("slot %d: a seat without a process", number)
		}
		if open := !th.retired[number]; open != slot.life.serves() {
			return fmt.Errorf("slot %d: open %v while %v", number, open, slot.life)
		} else if open {
			serving++
		}
		if slot.generation > th.generation {
			return fmt.Errorf("slot %d: serves in generation %d before the switch from %d", number, slot.generation, th.generation)
		}
	}
	for slot := range th.slots.all() {
		if (slot.process != nil) != (slot.life != lifeGone) || (slot.board != nil) != (slot.process != nil) {
			return fmt.Errorf("slot %d: %v, process %v, scoreboard %v", slot.number, slot.life, slot.process, slot.board)
		}
		if slot.alarm == nil && !slot.kept() && slot.life != lifeWaiting && !slot.life.serves() && slot.killed == "" {
			return fmt.Errorf("slot %d: %v, without a limit", slot.number, slot.life)
		}
	}
	if th.paused {
		return errors.New("the accept goroutine was paused, and not resumed")
	}
	if th.target < 1 || th.target > th.config.MaxWorkers {
		return fmt.Errorf("%d workers wanted", th.target)
	}
	if n := len(th.wanted(th.generation)); th.stopping == stopNot && n > th.config.MaxWorkers {
		return fmt.Errorf("%d workers in generation %d", n, th.generation)
	}
	return errors.Join(th.faults...)
}

// do runs f on the supervisor's goroutine and returns when it has run, or false if the
// supervisor has ended.
func (th *theatre) do(f func()) bool {
	ran := make(chan struct{})
	th.inbox.Put(due(func() { f(); close(ran) }))
	select {
	case <-ran:
		return true
	case <-th.done:
		return false
	}
}
