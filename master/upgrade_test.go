package master

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
)

// An upgrade takes its steps in this order, and one that cannot become the new program
// undoes each that has to be undone, and no other.
func TestUpgradeSteps(t *testing.T) {
	errTest, errExecute := errors.New("it could not"), errors.New("exec format error")
	tested := []string{"start the test", "pause control"}
	for name, test := range map[string]struct {
		prepare func(*fakeMaster)
		want    []string
		goesOn  bool // it is under way still: what it waits for is to come
	}{
		"the test fails": {func(fm *fakeMaster) { fm.failTest = errTest }, []string{"start the test"}, false},
		"the program cannot be executed": {func(fm *fakeMaster) { fm.failExecute = errExecute }, slices.Concat(tested, []string{
			"hold children", "ask the test", "hold signals", "flush messages", "hand the log over",
			"execute program USHER_UPGRADE_LOG=3", "release signals", "release children", "end the test", "resume control",
		}), false},
		"a child has died": {func(fm *fakeMaster) { fm.someoneDied = true }, slices.Concat(tested, []string{"hold children"}), true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fm := newFakeMaster(2, 2)
				synctest.Wait()
				fm.look(func() {
					test.prepare(fm)
					fm.askUpgrade(-1)
				})
				synctest.Wait()
				fm.look(func() {
					if !slices.Equal(fm.upgradeSteps, test.want) {
						t.Errorf("it did\n%q, want\n%q", fm.upgradeSteps, test.want)
					}
					if goesOn := fm.upgrade != nil; goesOn != test.goesOn {
						t.Errorf("under way: %t, want %t", goesOn, test.goesOn)
					}
					if err := fm.check(); err != nil { // paused and resumed, and asked nothing meanwhile
						t.Error(err)
					}
				})
				fm.abandon()
			})
		})
	}
}

// A master that cannot be upgraded says why, and tries nothing.
func TestUpgradeUnable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fm := newFakeMaster(1, 1)
		synctest.Wait()
		fm.look(func() {
			fm.upgrader.unable = errors.New("is /proc mounted?")
			fm.askUpgrade(-1)
		})
		synctest.Wait()
		fm.look(func() {
			if fm.upgrade != nil || fm.upgradeSteps != nil {
				t.Errorf("%+v, %q", fm.upgrade, fm.upgradeSteps)
			}
		})
		fm.abandon()
	})
}

// A test that is over only when the supervisor has ended is ended: nobody has it.
func TestUpgradeTestedTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fm := newFakeMaster(1, 1)
		synctest.Wait()
		slow := make(chan struct{})
		fm.look(func() {
			fm.upgrader.startTest = func(*upgradeState) (selfTest, error) { <-slow; return (*fakeTest)(fm), nil }
			fm.askUpgrade(-1)
		})
		synctest.Wait() // it is under way
		fm.look(func() { fm.stop(stopQuick) })
		if err := <-fm.ended; err != nil {
			t.Error(err)
		}
		close(slow)
		synctest.Wait()
		if want := []string{"end the test"}; !slices.Equal(fm.upgradeSteps, want) {
			t.Errorf("it did %q, want %q", fm.upgradeSteps, want)
		}
	})
}
