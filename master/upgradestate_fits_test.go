package master

import (
	"strings"
	"testing"

	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/master/internal/child"
)

// A program that speaks another protocol version does not take over workers that
// speak this one: it would end each as it heard of it.
func TestUpgradeFromAnotherProtocol(t *testing.T) {
	const other = ipc.Version + 1
	for name, test := range map[string]struct {
		started, ready int
		alive, fits    bool
	}{
		"the same":                        {ipc.Version, ipc.Version, true, true},
		"not ready yet":                   {ipc.Version, 0, true, true},
		"by a program that does not say":  {0, 0, true, true},
		"another":                         {other, other, true, false},
		"another, which is not ready yet": {other, 0, true, false},
		"another, said by the worker":     {0, other, true, false},
		"another, which is dead":          {other, other, false, true},
	} {
		e := &upgradeState{Control: -1, Protocol: test.started, Slots: []slotState{{Ready: ipc.Ready{Protocol: test.ready}}}}
		if test.alive {
			e.Slots[0].Process = &child.State{PID: 7}
		}
		err := e.fits(&Config{MaxWorkers: 1})
		if (err == nil) != test.fits || err != nil && !strings.Contains(err.Error(), "speaks protocol version") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
