package master

import (
	"maps"
	"os"
	"strings"
	"time"

	"github.com/usher-go/usher/master/internal/child"
	"golang.org/x/sys/unix"
)

// tallies count events by a name: they go up. The zero value has none.
type tallies map[string]uint64

func (t *tallies) count(name string) {
	if *t == nil {
		*t = make(tallies)
	}
	(*t)[name]++
}

// clone returns a copy, for another goroutine. It has every one of the names.
func (t tallies) clone(names ...string) tallies {
	c := make(tallies, len(names))
	for _, name := range names {
		c[name] = 0
	}
	maps.Copy(c, t)
	return c
}

// The reasons by which restarts of workers are counted.
const (
	restartExited    = "exit"   // it ended, unasked
	restartSignalled = "signal" // a signal, which the master had not sent
	restartHung      = "hang"   // the master killed it: its loop stood still
	restartKilled    = "killed" // likewise, for what else it did or left undone
	restartUnstarted = "start"  // it could not be started
)

var restartReasons = []string{restartExited, restartSignalled, restartHung, restartKilled, restartUnstarted}

// restartReason returns which one it is; killed is why the master has killed the worker, if
// it has.
func restartReason(killed string, status unix.WaitStatus) string {
	switch {
	case strings.HasPrefix(killed, hung):
		return restartHung
	case killed != "":
		return restartKilled
	case status.Signaled():
		return restartSignalled
	}
	return restartExited
}

// startedAt returns when the master was started, of which the program before may have
// written nothing: then by /proc.
func startedAt(nanos int64) time.Time {
	if nanos != 0 {
		return time.Unix(0, nanos)
	}
	usage, _ := child.UsageOf(os.Getpid()) // without it, it is now
	return time.Now().Add(-usage.Age)
}
