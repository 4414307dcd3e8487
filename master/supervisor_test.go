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
var steps = map[string]func(fm *fakeMaster, any *fakeWorker){
	"scale up":      func(fm *fakeMaster, _ *fakeWorker) { fm.inbox.Put(postponed(func() { fm.scaleOne(+1) })) },
	"scale down":    func(fm *fakeMaster, _ *fakeWorker) { fm.inbox.Put(postponed(func() { fm.scaleOne(-1) })) },
	"reload":        func(fm *fakeMaster, _ *fakeWorker) { fm.inbox.Put(postponed(func() { fm.askReload(nil) })) },
	"worker killed": func(fm *fakeMaster, w *fakeWorker) { fm.exit(w.pid, unix.WaitStatus(unix.SIGKILL)) },
	"worker exits":  func(fm *fakeMaster, w *fakeWorker) { fm.exit(w.pid, 0) },
	"worker drains": func(_ *fakeMaster, w *fakeWorker) { w.say(ipc.Draining{}) },
	"worker junk":   func(_ *fakeMaster, w *fakeWorker) { w.fm.inbox.Put(child.Broken{ID: w.spec.ID, Err: ipc.ErrMalformed}) },
	"ready again":   func(_ *fakeMaster, w *fakeWorker) { w.say(ipc.Ready{Protocol: ipc.Version, Closes: true}) },
	"stubborn":      func(_ *fakeMaster, w *fakeWorker) { w.stubborn = true },
	"deaf":          func(_ *fakeMaster, w *fakeWorker) { w.deaf = true },
	"can move":      func(fm *fakeMaster, _ *fakeWorker) { fm.moves = !fm.moves },
	"move":          func(fm *fakeMaster, w *fakeWorker) { fm.moveAny(w) },
	"guard trips":   func(fm *fakeMaster, _ *fakeWorker) { fm.inbox.Put(postponed(fm.tripGuards)) },
	"by accident":   func(fm *fakeMaster, w *fakeWorker) { fm.exit(w.pid, unix.WaitStatus(unix.SIGHUP)) },
	"ask to scale":  func(fm *fakeMaster, _ *fakeWorker) { fm.askToScale() },
	"restart":       func(fm *fakeMaster, w *fakeWorker) { fm.askToRestart(w.spec.Slot) },
	"drain":         func(fm *fakeMaster, w *fakeWorker) { fm.askToDrainSlot(w.spec.Slot) },
	"recycle":       func(fm *fakeMaster, _ *fakeWorker) { fm.inbox.Put(postponed(func() { fm.recycleAny() })) },
	"mute":          func(fm *fakeMaster, _ *fakeWorker) { fm.mute = !fm.mute },
	"no program": func(fm *fakeMaster, _ *fakeWorker) {
		if fm.failStart == nil {
			fm.failStart = unix.ENOENT
		} else {
			fm.failStart = nil
		}
	},
	"bad file": func(fm *fakeMaster, _ *fakeWorker) {
		if fm.reread == nil {
			fm.reread = ErrConfig
		} else {
			fm.reread = nil
		}
	},
	"other count": func(fm *fakeMaster, _ *fakeWorker) { fm.workers = fm.workers%3 + 1 },
}

// recycleAny marks the first worker whose turn it could be.
func (s *supervisor) recycleAny() {
	if s.reload == nil && s.stopping == stopNot && s.allReady(s.generation) {
		s.askToDrain(s.wanted(s.generation)[0], "for the test")
	}
}

// tripGuards is what the accept goroutine says of a generation that cannot restore
// connections: none of an older one is to move to it from then on.
func (fm *fakeMaster) tripGuards() {
	if fm.reload.moving() {
		fm.cannotRestore = fm.generation
	}
	fm.handle(dispatch.GuardTripped{})
}

// moveAny asks a worker's connections to move, as a client does that goes.
func (fm *fakeMaster) moveAny(w *fakeWorker) {
	fm.inbox.Put(&moveRequest{from: w.spec.Slot, to: dispatch.Nobody, count: 5, done: make(chan moveAnswer, 1)})
}

// askToScale asks for one more worker; whoever asked is to be answered.
func (fm *fakeMaster) askToScale() {
	done := make(chan scaled, 1)
	fm.answers = append(fm.answers, done)
	fm.inbox.Put(postponed(func() { fm.askScale(fm.target+1, &scaling{done: done}) }))
}

// askToRestart and askToDrainSlot ask for that; whoever asked is to be answered.
func (fm *fakeMaster) askToRestart(slot int) <-chan restarted {
	done := make(chan restarted, 1)
	fm.restarted = append(fm.restarted, done)
	fm.inbox.Put(restartRequest{slot, &restart{done: done}})
	return done
}

func (fm *fakeMaster) askToDrainSlot(slot int) <-chan scaled {
	done := make(chan scaled, 1)
	fm.answers = append(fm.answers, done)
	fm.inbox.Put(drainRequest{slot, &scaling{done: done}})
	return done
}

// perform runs the steps and then an orderly end, checking after each.
func perform(workers, maxWorkers int, moves bool, script []string, pick []int, quick, abrupt bool) (err error) {
	fm := newFakeMasterOf(workers, maxWorkers, moves)
	played := "start"
	for i, name := range script {
		synctest.Wait()
		fm.look(func() { err = fm.check() })
		if err != nil {
			fm.abandon()
			return fmt.Errorf("after %s: %w", played, err)
		}
		played += ", " + name
		if d := passes[name]; d > 0 {
			time.Sleep(d)
		} else {
			fm.look(func() { steps[name](fm, fm.anyWorker(pick[i])) })
		}
	}
	mode := stopGraceful
	if quick {
		mode = stopQuick
	}
	if abrupt { // in the midst of it all, and then the guard trips, and somebody dies
		fm.inbox.Put(postponed(func() { fm.stop(mode) }))
		fm.inbox.Put(postponed(fm.tripGuards))
		fm.inbox.Put(postponed(func() { fm.exit(fm.anyWorker(len(script)).pid, unix.WaitStatus(unix.SIGKILL)) }))
		return errors.Join(fm.finish(played), errors.Join(fm.faults...))
	}
	// All obstacles gone, everything comes to what is wanted.
	fm.look(func() {
		fm.mute, fm.failStart, fm.reread = false, nil, nil
		for slot := range fm.slots.all() {
			if slot.kept() {
				fm.exit(slot.pid(), 0) // its last connection is gone
			}
		}
	})
	time.Sleep(time.Hour)
	synctest.Wait()
	fm.look(func() {
		err = fm.check()
		for _, answer := range fm.answers {
			if len(answer) == 0 {
				err = errors.Join(err, errors.New("a request to scale or drain was not answered"))
			}
		}
		for _, answer := range fm.restarted {
			if len(answer) == 0 {
				err = errors.Join(err, errors.New("a request to restart was not answered"))
			}
		}
		if n := len(fm.live); err == nil && (n != fm.target || len(fm.queues) != n || !fm.allReady(fm.generation) || fm.reload != nil) {
			err = fmt.Errorf("at rest: %d processes, %d queues, %d wanted, reload %v", n, len(fm.queues), fm.target, fm.reload)
		}
	})
	if err != nil {
		err = fmt.Errorf("after %s: %w", played, err)
	}
	fm.inbox.Put(postponed(func() { fm.stop(mode) }))
	return errors.Join(err, fm.finish(played))
}

// finish waits for the end of a supervisor that was told to stop. Nothing may be left.
func (fm *fakeMaster) finish(played string) error {
	var ended error
	select {
	case ended = <-fm.ended:
	case <-time.After(24 * time.Hour): // of fake time
		fm.abandon()
		return fmt.Errorf("after %s, stop: it does not end", played)
	}
	if ended != nil || len(fm.live) != 0 || len(fm.queues) != 0 || !fm.closed {
		return fmt.Errorf("after %s, stop: %v, %d processes, %d queues, listeners closed %v", played, ended, len(fm.live), len(fm.queues), fm.closed)
	}
	return nil
}

// abandon ends everything without looking, after a failure.
func (fm *fakeMaster) abandon() {
	fm.inbox.Put(postponed(func() { fm.stop(stopQuick) }))
	<-fm.ended
}

func (fm *fakeMaster) anyWorker(n int) *fakeWorker {
	var all []*fakeWorker
	for pid := 0; pid <= fm.nextPID; pid++ {
		if w := fm.live[pid]; w != nil {
			all = append(all, w)
		}
	}
	if len(all) == 0 {
		return &fakeWorker{fm: fm} // what it says is nobody's
	}
	return all[n%len(all)]
}

// Whatever happens in whatever order: one process a slot, queues only for ready
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

// A reload succeeds here as it does in a master: else what follows one is not tried.
func TestReload(t *testing.T) {
	for name, moves := range map[string]bool{"connections move": true, "connections finish": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fm := newFakeMasterOf(2, 2, moves)
				synctest.Wait()
				done := make(chan outcome, 1)
				fm.look(func() { fm.askReload(done) })
				if result := <-done; result.err != nil || result.generation != 2 {
					t.Errorf("generation %d, %v; want 2", result.generation, result.err)
				}
				synctest.Wait()
				fm.look(func() {
					if len(fm.ofGeneration(1)) != 0 || len(fm.wanted(2)) != 2 {
						t.Errorf("%d workers of generation 1, %d of 2; want 0, 2", len(fm.ofGeneration(1)), len(fm.wanted(2)))
					}
				})
				fm.abandon()
			})
		})
	}
}

// A reload that fails leaves the number of workers as it was.
func TestFailedReloadKeepsTheWorkers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fm := newFakeMaster(2, 4)
		synctest.Wait()
		done := make(chan outcome, 1)
		fm.look(func() {
			fm.workers, fm.failStart = 4, unix.ENOENT
			fm.askReload(done)
		})
		if result := <-done; result.err == nil {
			t.Error("the reload succeeded")
		}
		fm.look(func() {
			if fm.target != 2 || len(fm.wanted(fm.generation)) != 2 {
				t.Errorf("%d workers wanted, %d there; want 2", fm.target, len(fm.wanted(fm.generation)))
			}
		})
		fm.abandon()
	})
}
