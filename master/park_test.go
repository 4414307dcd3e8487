package master

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/master/internal/dispatch"
)

// A worker that leaves while its connections have nowhere to go is said to keep them:
// if it has any.
func TestParkedWorkerSaysWhatItKeeps(t *testing.T) {
	for name, connections := range map[string]int{"one": 1, "none": 0} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fm := newFakeMasterOf(1, 1, true)
				synctest.Wait()
				var log bytes.Buffer
				fm.look(func() {
					fm.log = hclog.New(&hclog.LoggerOptions{Output: &log})
					fm.counts = map[int]dispatch.WorkerCounts{0: {Active: connections}}
					fm.mute = true // its successor is not ready for a while
					fm.drain(fm.slots[0], "for the test")
					if got := fm.slots[0].life; got != lifeParked {
						t.Errorf("it is %v, want it to be %v", got, lifeParked)
					}
					if said := strings.Contains(log.String(), "worker keeps its connections"); said != (connections > 0) {
						t.Errorf("with %d connections: said %t: %s", connections, said, log.String())
					}
				})
				fm.abandon()
			})
		})
	}
}
