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
		prepare func(*theatre)
		want    []string
		goesOn  bool // it is under way still: what it waits for is to come
	}{
		"the test fails": {func(th *theatre) { th.failTest = errTest }, []string{"start the test"}, false},
		"the program cannot be executed": {func(th *theatre) { th.failExecute = errExecute }, slices.Concat(tested, []string{
			"hold children", "ask the test", "hold signals", "flush messages", "hand the log over",
			"execute program USHER_UPGRADE_LOG=3", "release signals", "release children", "end the test", "resume control",
		}), false},
		"a child has died": {func(th *theatre) { th.someoneDied = true }, slices.Concat(tested, []string{"hold children"}), true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				th := newTheatre(2, 2)
				synctest.Wait()
				th.look(func() {
					test.prepare(th)
					th.askUpgrade(-1)
				})
				synctest.Wait()
				th.look(func() {
					if !slices.Equal(th.upgradeSteps, test.want) {
						t.Errorf("it did\n%q, want\n%q", th.upgradeSteps, test.want)
					}
					if goesOn := th.upgrade != nil; goesOn != test.goesOn {
						t.Errorf("under way: %t, want %t", goesOn, test.goesOn)
					}
				})
				th.abandonStage()
			})
		})
	}
}

// A master that cannot be upgraded says why, and tries nothing.
func TestUpgradeUnable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := newTheatre(1, 1)
		synctest.Wait()
		th.look(func() {
			th.upgrader.unable = errors.New("is /proc mounted?")
			th.askUpgrade(-1)
		})
		synctest.Wait()
		th.look(func() {
			if th.upgrade != nil || th.upgradeSteps != nil {
				t.Errorf("%+v, %q", th.upgrade, th.upgradeSteps)
			}
		})
		th.abandonStage()
	})
}
