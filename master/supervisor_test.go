package master

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/master/internal/child"
	"github.com/usher-go/usher/master/internal/dispatch"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// passes are the steps that let time go by.
var passes = map[string]time.Duration{"second": time.Second, "minute": time.Minute}

// steps are the others, each taken on the supervisor's goroutine.
var steps = map[string]func(th *theatre, any *actor){
	"scale up":      func(th *theatre, _ *actor) { th.inbox.Put(due(func() { th.scaleOne(+1) })) },
	"scale down":    func(th *theatre, _ *actor) { th.inbox.Put(due(func() { th.scaleOne(-1) })) },
	"reload":        func(th *theatre, _ *actor) { th.inbox.Put(due(func() { th.askReload(nil) })) },
	"worker killed": func(th *theatre, a *actor) { th.exit(a.pid, unix.WaitStatus(unix.SIGKILL)) },
	"worker exits":  func(th *theatre, a *actor) { th.exit(a.pid, 0) },
	"worker drains": func(_ *theatre, a *actor) { a.say(ipc.Draining{}) },
	"worker junk":   func(_ *theatre, a *actor) { a.th.inbox.Put(child.Broken{ID: a.spec.ID, Err: ipc.ErrMalformed}) },
	"ready again":   func(_ *theatre, a *actor) { a.say(ipc.Ready{Protocol: ipc.Version, Closes: true}) },
	"stubborn":      func(_ *theatre, a *actor) { a.stubborn = true },
	"deaf":          func(_ *theatre, a *actor) { a.deaf = true },
	"can move":      func(th *theatre, _ *actor) { th.moves = !th.moves },
	"move":          func(th *theatre, a *actor) { th.moveAny(a) },
	"trial fails":   func(th *theatre, _ *actor) { th.inbox.Put(due(th.failTrials)) },
	"by accident":   func(th *theatre, a *actor) { th.exit(a.pid, unix.WaitStatus(unix.SIGHUP)) },
	"ask to scale":  func(th *theatre, _ *actor) { th.askToScale() },
	"recycle":       func(th *theatre, _ *actor) { th.inbox.Put(due(func() { th.recycleAny() })) },
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
		s.askToDrain(s.wanted(s.generation)[0], "for the test")
	}
}

// failTrials is what the accept goroutine says of a generation that cannot restore
// connections: none of an older one is to move to it from then on.
func (th *theatre) failTrials() {
	if th.reload.moving() {
		th.spoiled = th.generation
	}
	th.handle(dispatch.GuardTripped{})
}

// moveAny asks a worker's connections to move, as a client does that goes.
func (th *theatre) moveAny(a *actor) {
	th.inbox.Put(&moveRequest{from: a.spec.Slot, to: dispatch.Nobody, count: 5, done: make(chan moveDone, 1)})
}

// askToScale asks for one more worker; whoever asked is to be answered.
func (th *theatre) askToScale() {
	done := make(chan scaled, 1)
	th.answers = append(th.answers, done)
	th.inbox.Put(due(func() { th.askScale(th.target+1, &scaling{done: done}) }))
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
		th.inbox.Put(due(func() { th.stop(mode) }))
		th.inbox.Put(due(func() { th.exit(th.anyActor(len(script)).pid, unix.WaitStatus(unix.SIGKILL)) }))
		return errors.Join(th.finish(played), errors.Join(th.faults...))
	}
	// All obstacles gone, everything comes to what is wanted.
	th.look(func() {
		th.mute, th.failStart, th.reread = false, nil, nil
		for slot := range th.slots.all() {
			if slot.kept() {
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
	th.inbox.Put(due(func() { th.stop(mode) }))
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
	th.inbox.Put(due(func() { th.stop(stopQuick) }))
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
		return &actor{th: th} // what it says is nobody's
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
			if th.target != 2 || len(th.wanted(th.generation)) != 2 {
				t.Errorf("%d workers wanted, %d there; want 2", th.target, len(th.wanted(th.generation)))
			}
		})
		th.abandonStage()
	})
}
