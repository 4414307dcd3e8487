package master

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/ipc"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// theatre runs the production supervisor with fake worker processes and a fake
// accept goroutine, in a bubble with a fake clock (testing/synctest). After
// every step it checks what must always hold.
type theatre struct {
	*supervisor
	ended   chan error
	nextPID int
	actors  map[int]*actor // by pid: processes that live
	seats   map[int]*seatSpec
	retired map[int]bool
	closed  bool // the listeners
	faults  []error

	mute      bool  // workers started from now on never say ready
	moves     bool  // they can move connections
	failStart error // starting one fails with this
	reread    error
	workers   int           // in the configuration, as read next
	looks     atomic.Int64  // that the supervisor took
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
		actors: make(map[int]*actor), seats: make(map[int]*seatSpec), retired: make(map[int]bool),
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

func (th *theatre) open(specs []seatSpec) {
	for _, spec := range specs {
		if th.seats[spec.slot] != nil {
			th.fault("slot %d: seated twice", spec.slot)
		}
		th.seats[spec.slot] = &spec
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
	th.notice(booked{spec: *th.seats[slot]})
	delete(th.seats, slot)
	delete(th.retired, slot)
}

func (th *theatre) ring(int, ipc.Closed)  {}
func (th *theatre) loads() map[int]int    { return nil }
func (th *theatre) land(slot int)         { th.notice(landed{*th.seats[slot]}) }
func (th *theatre) arrive()               { th.notice(arrived{}) }
func (th *theatre) given(int, uint64) int { return 0 }
func (th *theatre) forget(int, uint64)    {}

func (th *theatre) order(slot int, id uint64, to, count int) {
	if th.retired[slot] || th.seats[slot] == nil {
		th.fault("slot %d: an order to one that does not serve", slot)
	}
}

func (th *theatre) answered(slot int, id uint64, n int) {
	th.notice(delivered{*th.seats[slot], id, max(0, n)})
}
func (th *theatre) park(with func(acceptEstate, []listenerEstate)) error {
	with(acceptEstate{}, nil)
	return nil
}

func (th *theatre) try(int, float64) {}

func (th *theatre) closeListeners() { th.closed = true }
func (th *theatre) anyStuck() bool {
	th.looks.Add(1) // each look asks this, and nothing else does
	return false
}
func (th *theatre) snapshot() (Counts, map[int]tally, []ListenerStatus) {
	return Counts{}, nil, nil
}
func (th *theatre) planListeners([]resolved, int) (listenerChange, error) {
	return listenerChange{}, nil
}
func (th *theatre) apply(*Config, listenerChange) {}

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
	for _, slot := range th.slots {
		if slot == nil {
			continue
		}
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

// passes are the steps that let time go by.
var passes = map[string]time.Duration{"second": time.Second, "minute": time.Minute}

// steps are the others, each taken on the supervisor's goroutine.
var steps = map[string]func(th *theatre, any *actor){
	"scale up":      func(th *theatre, _ *actor) { th.inbox.put(func() { th.scaleOne(+1) }) },
	"scale down":    func(th *theatre, _ *actor) { th.inbox.put(func() { th.scaleOne(-1) }) },
	"reload":        func(th *theatre, _ *actor) { th.inbox.put(func() { th.askReload(nil) }) },
	"worker killed": func(th *theatre, a *actor) { th.exit(a.pid, unix.WaitStatus(unix.SIGKILL)) },
	"worker exits":  func(th *theatre, a *actor) { th.exit(a.pid, 0) },
	"worker drains": func(_ *theatre, a *actor) { a.events.message(ipc.Draining{}) },
	"worker junk":   func(_ *theatre, a *actor) { a.events.broken(ipc.ErrMalformed) },
	"ready again":   func(_ *theatre, a *actor) { a.events.message(ipc.Ready{Protocol: ipc.Version, Closes: true}) },
	"stubborn":      func(_ *theatre, a *actor) { a.stubborn = true },
	"deaf":          func(_ *theatre, a *actor) { a.deaf = true },
	"can move":      func(th *theatre, _ *actor) { th.moves = !th.moves },
	"move":          func(th *theatre, a *actor) { th.moveAny(a) },
	"trial fails":   func(th *theatre, _ *actor) { th.inbox.put(th.failTrials) },
	"by accident":   func(th *theatre, a *actor) { th.exit(a.pid, unix.WaitStatus(unix.SIGHUP)) },
	"ask to scale":  func(th *theatre, _ *actor) { th.askToScale() },
	"recycle":       func(th *theatre, _ *actor) { th.inbox.put(func() { th.recycleAny() }) },
	"mute":          func(th *theatre, _ *actor) { th.mute = !th.mute },
	"no program": func(th *theatre, _ *actor) {
		if th.failStart == nil {
			th.failStart = unix.ENOENT
		} else {
			th.failStart = nil
		}
	},
	"bad file": func(th *theatre, _ *actor) {
		if th.reread == nil {
			th.reread = ErrConfig
		} else {
			th.reread = nil
		}
	},
	"other count": func(th *theatre, _ *actor) { th.workers = th.workers%3 + 1 },
}

// recycleAny marks the first worker whose turn it could be.
func (s *supervisor) recycleAny() {
	if s.reload == nil && s.stopping == stopNot && s.allReady(s.generation) {
		s.ask(s.staff(s.generation)[0], "for the test")
	}
}

// failTrials is what the accept goroutine says of a generation that cannot restore
// connections: none of an older one is to move to it from then on.
func (th *theatre) failTrials() {
	if th.reload.moving() {
		th.spoiled = th.generation
	}
	trialSpoiled{}.about(th.supervisor)
}

// moveAny asks a worker's connections to move, as a client does that goes.
func (th *theatre) moveAny(a *actor) {
	th.inbox.put(func() {
		th.move(&moveRequest{from: a.order.seat.Slot, to: nobody, count: 5, done: make(chan moveDone, 1)})
	})
}

// askToScale asks for one more worker; whoever asked is to be answered.
func (th *theatre) askToScale() {
	done := make(chan scaled, 1)
	th.answers = append(th.answers, done)
	th.inbox.put(func() { th.askScale(th.target+1, done) })
}

// perform runs the steps and then an orderly end, checking after each.
func perform(workers, maxWorkers int, moves bool, script []string, pick []int, quick, abrupt bool) (err error) {
	th := newTheatreOf(workers, maxWorkers, moves)
	played := "start"
	for i, name := range script {
		synctest.Wait()
		th.look(func() { err = th.check() })
		if err != nil {
			th.abandonStage()
			return fmt.Errorf("after %s: %w", played, err)
		}
		played += ", " + name
		if d := passes[name]; d > 0 {
			time.Sleep(d)
		} else {
			th.look(func() { steps[name](th, th.anyActor(pick[i])) })
		}
	}
	mode := stopGraceful
	if quick {
		mode = stopQuick
	}
	if abrupt { // in the midst of it all, and then somebody dies
		th.inbox.put(func() { th.stop(mode) })
		th.inbox.put(func() { th.exit(th.anyActor(len(script)).pid, unix.WaitStatus(unix.SIGKILL)) })
		return errors.Join(th.finish(played), errors.Join(th.faults...))
	}
	// All obstacles gone, everything comes to what is wanted.
	th.look(func() {
		th.mute, th.failStart, th.reread = false, nil, nil
		for _, slot := range th.slots {
			if slot != nil && slot.kept() {
				th.exit(slot.pid(), 0) // its last connection is gone
			}
		}
	})
	time.Sleep(time.Hour)
	synctest.Wait()
	th.look(func() {
		err = th.check()
		for _, answer := range th.answers {
			if len(answer) == 0 {
				err = errors.Join(err, errors.New("a request to scale was not answered"))
			}
		}
		if n := len(th.actors); err == nil && (n != th.target || len(th.seats) != n || !th.allReady(th.generation) || th.reload != nil) {
			err = fmt.Errorf("at rest: %d processes, %d seats, %d wanted, reload %v", n, len(th.seats), th.target, th.reload)
		}
	})
	if err != nil {
		err = fmt.Errorf("after %s: %w", played, err)
	}
	th.inbox.put(func() { th.stop(mode) })
	return errors.Join(err, th.finish(played))
}

// finish waits for the end of a supervisor that was told to stop. Nothing may be left.
func (th *theatre) finish(played string) error {
	if ended := <-th.ended; ended != nil || len(th.actors) != 0 || len(th.seats) != 0 || !th.closed {
		return fmt.Errorf("after %s, stop: %v, %d processes, %d seats, listeners closed %v", played, ended, len(th.actors), len(th.seats), th.closed)
	}
	return nil
}

// abandonStage ends everything without looking, after a failure.
func (th *theatre) abandonStage() {
	th.inbox.put(func() { th.stop(stopQuick) })
	<-th.ended
}

func (th *theatre) anyActor(n int) *actor {
	var all []*actor
	for pid := 0; pid <= th.nextPID; pid++ {
		if a := th.actors[pid]; a != nil {
			all = append(all, a)
		}
	}
	if len(all) == 0 {
		return &actor{events: processEvents{message: func(ipc.Message) {}, broken: func(error) {}}}
	}
	return all[n%len(all)]
}

// Whatever happens in whatever order: one process a slot, seats only for ready
// workers of the generation that serves, everything as wanted in the end, and
// nothing left after a stop.
func TestSupervisorModel(t *testing.T) {
	names := slices.Sorted(maps.Keys(steps))
	names = append(names, slices.Sorted(maps.Keys(passes))...)
	rapid.Check(t, func(rt *rapid.T) {
		maxWorkers := rapid.IntRange(1, 4).Draw(rt, "max workers")
		workers := rapid.IntRange(1, maxWorkers).Draw(rt, "workers")
		script := rapid.SliceOfN(rapid.SampledFrom(names), 0, 30).Draw(rt, "script")
		pick := rapid.SliceOfN(rapid.IntRange(0, 9), len(script), len(script)).Draw(rt, "pick")
		quick, moves, abrupt := rapid.Bool().Draw(rt, "quick"), rapid.Bool().Draw(rt, "moves"), rapid.Bool().Draw(rt, "abrupt")
		var err error
		synctest.Test(t, func(*testing.T) { err = perform(workers, maxWorkers, moves, script, pick, quick, abrupt) })
		if err != nil {
			rt.Fatal(err)
		}
	})
}

// A reload that fails leaves the number of workers as it was.
func TestFailedReloadKeepsTheWorkers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := newTheatre(2, 4)
		synctest.Wait()
		done := make(chan outcome, 1)
		th.look(func() {
			th.workers, th.failStart = 4, unix.ENOENT
			th.askReload(done)
		})
		if result := <-done; result.err == nil {
			t.Error("the reload succeeded")
		}
		th.look(func() {
			if th.target != 2 || len(th.staff(th.generation)) != 2 {
				t.Errorf("%d workers wanted, %d there; want 2", th.target, len(th.staff(th.generation)))
			}
		})
		th.abandonStage()
	})
}
