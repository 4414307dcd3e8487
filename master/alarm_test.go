package master

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
)

// A worker that does not mind the deadline of its drain is ended, and the log says that this
// is why: its connections are lost with it.
func TestDrainDeadlineIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fm := newFakeMasterOf(1, 1, true)
		synctest.Wait()
		var log strings.Builder
		fm.look(func() {
			fm.log = hclog.New(&hclog.LoggerOptions{Output: &log})
			fm.slots[0].why = "for the test"
			fm.setAlarm(fm.slots[0], alarmDrained, time.Second)
		})
		synctest.Wait()
		fm.look(func() {
			if log.Len() > 0 {
				t.Errorf("before the deadline: %s", log.String())
			}
		})
		time.Sleep(2 * time.Second)
		synctest.Wait()
		fm.look(func() {
			if want := `drain deadline, ending the worker: slot=0 pid=`; !strings.Contains(log.String(), want) || !strings.Contains(log.String(), ` conns=0 reason="for the test"`) {
				t.Errorf("after the deadline: %s", log.String())
			}
		})
		fm.abandon()
	})
}
