package master

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/usher-go/usher/ipc"
	"golang.org/x/sys/unix"
)

// A worker is restarted once its successor is ready, and not before; whoever asked is
// answered when it has given its connections.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fm := newFakeMasterOf(2, 2, true)
		synctest.Wait()
		var pid int
		fm.look(func() { pid, fm.mute = fm.slots[0].pid(), true })
		done := fm.askToRestart(0)
		synctest.Wait()
		fm.look(func() {
			if len(done) > 0 || fm.slots[0].life != lifeAsked || len(fm.live) != 3 {
				t.Errorf("before a successor is ready: %d answers, it is %v, %d processes", len(done), fm.slots[0].life, len(fm.live))
			}
			for _, w := range fm.live {
				if w.spec.Slot == 2 {
					w.ready()
				}
			}
		})
		if got := <-done; got.err != nil || got.pid != pid || got.incomplete != nil {
			t.Errorf("got %+v, want pid %d", got, pid)
		}
		synctest.Wait()
		fm.look(func() {
			if len(fm.live) != 2 || fm.live[pid] != nil || fm.target != 2 || len(fm.restarts) != 0 {
				t.Errorf("%d processes, %d wanted", len(fm.live), fm.target)
			}
		})
		fm.abandon()
	})
}

// What keeps a restart from happening is what its client is told, and the worker serves on.
func TestRestartFails(t *testing.T) {
	for name, test := range map[string]struct {
		meanwhile func(fm *fakeMaster)
		want      string
		stays     bool
	}{
		"the successor dies": {func(fm *fakeMaster) {
			for pid, w := range fm.live {
				if w.spec.Slot == 2 {
					fm.exit(pid, unix.WaitStatus(1<<8))
				}
			}
		}, "ended with exit status 1", true},
		"a reload":         {func(fm *fakeMaster) { fm.mute = false; fm.askReload(nil) }, "a reload is under way", false},
		"the worker dies":  {func(fm *fakeMaster) { fm.exit(fm.slots[0].pid(), unix.WaitStatus(unix.SIGKILL)) }, "ended before its successor was ready", false},
		"a stop":           {func(fm *fakeMaster) { fm.stop(stopGraceful) }, "stopping", false},
		"the worker hangs": {func(fm *fakeMaster) { fm.kill(fm.slots[0], "for the test") }, "ended before its successor was ready", false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fm := newFakeMasterOf(2, 2, true)
				synctest.Wait()
				fm.look(func() { fm.mute = true })
				done := fm.askToRestart(0)
				synctest.Wait()
				fm.do(func() { test.meanwhile(fm) })
				if got := <-done; got.err == nil || !strings.Contains(got.err.Error(), test.want) {
					t.Errorf("got %v, want %q", got.err, test.want)
				}
				synctest.Wait()
				fm.do(func() {
					if stays := fm.slots.at(0) != nil && fm.slots[0].life == lifeServing; stays != test.stays {
						t.Errorf("the worker serves: %t", stays)
					}
					if test.stays && len(fm.live) != 2 {
						t.Errorf("%d processes", len(fm.live))
					}
				})
				fm.abandon()
			})
		})
	}
}

// Of a restart whose client has left comes what would have come of it: nobody waits, but the
// worker stays if its successor does not start, and can be restarted again.
func TestRestartForgotten(t *testing.T) {
	for _, test := range []struct {
		name   string
		starts bool // the successor
	}{{"the successor starts", true}, {"the successor dies", false}} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fm := newFakeMasterOf(2, 2, true)
				synctest.Wait()
				fm.look(func() { fm.mute = true })
				fm.askToRestart(0)
				synctest.Wait()
				fm.do(func() {
					fm.restarted = nil // nobody waits for it
					fm.forgetRestart(fm.restarts[0])
					for pid, w := range fm.live {
						switch {
						case w.spec.Slot != 2:
						case test.starts:
							w.ready()
						default:
							fm.exit(pid, unix.WaitStatus(1<<8))
						}
					}
				})
				synctest.Wait()
				fm.do(func() {
					if stays := fm.slots.at(0) != nil && fm.slots[0].life == lifeServing; stays == test.starts {
						t.Errorf("the worker serves on: %t", stays)
					}
					if len(fm.live) != 2 || len(fm.restarts) != 0 || len(fm.accounts) != 0 {
						t.Errorf("%d processes, %d restarts, %d accounts", len(fm.live), len(fm.restarts), len(fm.accounts))
					}
				})
				fm.abandon()
			})
		})
	}
}

// Requests that contradict one another, or what there is, are refused; what was asked for
// first is done.
func TestSlotRequestsRefused(t *testing.T) {
	restart := func(slot int) func(fm *fakeMaster) func() error {
		return func(fm *fakeMaster) func() error {
			done := fm.askToRestart(slot)
			return func() error { return (<-done).err }
		}
	}
	drain := func(slot int) func(fm *fakeMaster) func() error {
		return func(fm *fakeMaster) func() error {
			done := fm.askToDrainSlot(slot)
			return func() error { return (<-done).err }
		}
	}
	reload := func(fm *fakeMaster) func() error {
		done := make(chan outcome, 1)
		fm.inbox.Put(reloadRequest{done})
		return func() error { return (<-done).err }
	}
	type request = func(fm *fakeMaster) func() error
	for name, test := range map[string]struct {
		first, second request
		want          string
	}{
		"restarted twice":     {restart(0), restart(0), "replaced already"},
		"drained twice":       {drain(0), drain(0), "drains already"},
		"restart, then drain": {restart(0), drain(0), "replaced already"},
		"drain, then restart": {drain(0), restart(0), "drains already"},
		"both are drained":    {drain(0), drain(1), "slot 1 has the last worker"},
		"two restarts":        {restart(0), restart(1), ""},
		"no such slot":        {nil, restart(7), "no slot 7"},
		"nor to drain":        {nil, drain(-1), "no slot -1"},
		"during a reload":     {reload, restart(0), "a reload is under way"},
		"nor drained":         {reload, drain(0), "a reload is under way"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fm := newFakeMasterOf(2, 4, true)
				synctest.Wait()
				fm.look(func() {
					for _, w := range fm.live { // they take as long as it needs for both to be under way
						w.deaf = true
					}
				})
				first := func() error { return nil }
				if test.first != nil {
					first = test.first(fm)
				}
				second := test.second(fm)()
				if got := text(second); (got == "") != (test.want == "") || !strings.Contains(got, test.want) {
					t.Errorf("the second got %q, want %q", got, test.want)
				}
				fm.look(func() {
					for _, w := range fm.live {
						if w.deaf = false; fm.slots[w.spec.Slot].life == lifeMoving {
							w.say(ipc.Moved{})
						}
					}
				})
				if err := first(); err != nil {
					t.Errorf("the first got %v", err)
				}
				fm.abandon()
			})
		})
	}
}

// A worker that is drained is gone, and one fewer is wanted; one that has no process, too.
func TestDrainSlot(t *testing.T) {
	for name, before := range map[string]func(fm *fakeMaster){
		"ready":    func(*fakeMaster) {},
		"starting": func(fm *fakeMaster) { fm.mute = true; fm.exit(fm.slots[1].pid(), unix.WaitStatus(unix.SIGKILL)) },
		"waiting to be started again": func(fm *fakeMaster) {
			fm.failStart = unix.ENOENT
			fm.exit(fm.slots[1].pid(), unix.WaitStatus(unix.SIGKILL))
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fm := newFakeMasterOf(3, 3, true)
				synctest.Wait()
				fm.look(func() { before(fm) })
				synctest.Wait()
				if got := <-fm.askToDrainSlot(1); got.err != nil || got.workers != 2 {
					t.Errorf("got %+v", got)
				}
				synctest.Wait()
				fm.look(func() {
					if fm.target != 2 || fm.slots.at(1) != nil || len(fm.live) != 2 || !fm.allReady(1) {
						t.Errorf("%d wanted, %d processes, slot 1: %v", fm.target, len(fm.live), fm.slots.at(1))
					}
				})
				fm.abandon()
			})
		})
	}
}
