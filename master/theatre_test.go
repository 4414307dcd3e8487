package master

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/master/internal/listen"
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
	seats   map[int]*Queue
	retired map[int]bool
	closed  bool // the listeners
	faults  []error

	mute      bool  // workers started from now on never say ready
	moves     bool  // they can move connections
	failStart error // starting one fails with this
	reread    error
	workers   int           // in the configuration, as read next
	samples   atomic.Int64  // that the supervisor took
	aborted   time.Time     // when a worker last was, for it hung
	answers   []chan scaled // that are to come
	spoiled   int           // the generation that cannot restore connections
	entries   []*ipc.Entry  // of the first workers, for the test to write as they do
}

// actor is a worker process that is not there.
type actor struct {
	pid      int
	order    order
	events   processEvents
	stubborn bool // does not exit when told to drain
	deaf     bool // does not answer when told to move
	gave     bool // it has said that it gave all
}

func newTheatre(workers, maxWorkers int) *theatre { return newTheatreOf(workers, maxWorkers, false) }

func newTheatreOf(workers, maxWorkers int, moves bool) *theatre {
	th := &theatre{moves: moves,
		ended: make(chan error, 1), nextPID: 100, workers: workers,
		actors: make(map[int]*actor), seats: make(map[int]*Queue), retired: make(map[int]bool),
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
	go func() { th.ended <- th.run() }()
	return th
}

func (th *theatre) fault(format string, args ...any) {
	th.faults = append(th.faults, fmt.Errorf(format, args...))
}

// What follows is called on the supervisor's goroutine, while the test waits.

func (th *theatre) launch(o order, events processEvents) (*process, error) {
	if th.failStart != nil {
		return nil, th.failStart
	}
	for _, a := range th.actors {
		if a.order.seat.Slot == o.seat.Slot {
			th.fault("slot %d: started while pid %d lives", o.seat.Slot, a.pid)
		}
	}
	th.nextPID++
	a := &actor{pid: th.nextPID, order: o, events: events}
	th.actors[a.pid] = a
	if !th.mute {
		a.events.message(ipc.Ready{Protocol: ipc.Version, Closes: true, Moves: th.moves})
	}
	hungUp := false
	return &process{
		pid: a.pid, queue: -1, workerEnd: -1,
		tell: func(m ipc.Message) error {
			if hungUp {
				th.fault("pid %d: told %T after its end", a.pid, m)
			}
			th.obey(a, m)
			return nil
		},
		heirs: func() bool { return false }, lastWords: func() string { return "alas" },
		hangUp: func() { hungUp = true },
	}, nil
}

// obey is what a worker does that is told something.
func (th *theatre) obey(a *actor, m ipc.Message) {
	switch m := m.(type) {
	case ipc.Stop:
		th.exit(a.pid, 0)
	case ipc.Drain:
		if m.Mode == ipc.DrainMove && a.order.seat.Generation < th.spoiled && th.spoiled == th.generation && !a.gave {
			th.fault("pid %d: told to move connections to where they do not survive", a.pid)
		}
		switch {
		case m.Mode == ipc.DrainMove && a.deaf:
		case m.Mode == ipc.DrainMove && !a.gave:
			a.gave = true
			a.events.message(ipc.Moved{})
		case !a.stubborn:
			th.exit(a.pid, 0)
		}
	case ipc.Move:
		if m.Count == 0 {
			a.gave = false // until it is told to move again
		}
		if !a.deaf {
			a.events.message(ipc.Moved{ID: m.ID})
		}
	}
}

func (th *theatre) signal(pid int, sig unix.Signal) { th.exit(pid, unix.WaitStatus(sig)) }

// exit ends a process, if it lives.
func (th *theatre) exit(pid int, status unix.WaitStatus) {
	if a := th.actors[pid]; a != nil {
		delete(th.actors, pid)
		a.events.exited(status)
	}
}

func (th *theatre) open(specs []Queue) {
	for _, spec := range specs {
		if th.seats[spec.Slot] != nil {
			th.fault("slot %d: seated twice", spec.Slot)
		}
		th.seats[spec.Slot] = &spec
	}
}

func (th *theatre) retire(slot int) {
	if th.seats[slot] == nil || th.retired[slot] {
		th.fault("slot %d: retired without an open seat", slot)
	}
	th.retired[slot] = true
}

func (th *theatre) bury(slot int) {
	if th.seats[slot] == nil {
		th.fault("slot %d: buried without a seat", slot)
	}
	th.inbox.Put(QueueGone{Worker: th.seats[slot].Worker})
	delete(th.seats, slot)
	delete(th.retired, slot)
}

func (th *theatre) ring(int, ipc.Closed)  {}
func (th *theatre) loads() map[int]int    { return nil }
func (th *theatre) land(slot int)         { th.inbox.Put(Landed{th.seats[slot].Worker}) }
func (th *theatre) arrive()               { th.inbox.Put(Arrived{}) }
func (th *theatre) given(int, uint64) int { return 0 }
func (th *theatre) forget(int, uint64)    {}

func (th *theatre) order(slot int, id uint64, to, count int) {
	if th.retired[slot] || th.seats[slot] == nil {
		th.fault("slot %d: an order to one that does not serve", slot)
	}
}

func (th *theatre) answered(slot int, id uint64, n int) {
	th.inbox.Put(MoveDone{th.seats[slot].Worker, id, max(0, n)})
}
func (th *theatre) park(with func(acceptEstate, []listen.State)) error {
	with(acceptEstate{}, nil)
	return nil
}

func (th *theatre) try(int, float64) {}

func (th *theatre) closeListeners() { th.closed = true }
func (th *theatre) anyStuck() bool {
	th.samples.Add(1) // each sample asks this, and nothing else does
	return false
}
func (th *theatre) snapshot() (Counts, map[int]tally, []ListenerStatus) {
	return Counts{}, nil, nil
}
func (th *theatre) heldListeners() ([]*listen.Listener, int) { return nil, 1 }
func (th *theatre) apply(*Config, listen.Change)             {}

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
		if slot == nil || slot.process == nil || th.actors[slot.process.pid] == nil {
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
	if th.target < 1 || th.target > th.config.MaxWorkers {
		return fmt.Errorf("%d workers wanted", th.target)
	}
	if n := len(th.staff(th.generation)); th.stopping == stopNot && n > th.config.MaxWorkers {
		return fmt.Errorf("%d workers in generation %d", n, th.generation)
	}
	return errors.Join(th.faults...)
}
