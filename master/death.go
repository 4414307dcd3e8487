package master

import (
	"errors"
	"fmt"
)

// ErrWorkersWouldNotStart: no worker got ready at the first start. The error
// that wraps it carries the last lines on a worker's standard error.
var ErrWorkersWouldNotStart = errors.New("the workers would not start")

// death is the end of a worker, as an error.
type death struct {
	slot, pid  int
	how        string // exit status or signal
	killed     string // why the master killed it, or empty
	stderrTail string // its last lines on standard error
}

// reason says how and why in a few words.
func (d death) reason() string {
	if d.killed == "" {
		return d.how
	}
	return d.how + ": " + d.killed
}

func (d death) Error() string {
	if d.stderrTail == "" {
		return fmt.Sprintf("worker %d (pid %d) ended with %s and wrote nothing to standard error", d.slot, d.pid, d.reason())
	}
	return fmt.Sprintf("worker %d (pid %d) ended with %s; its last words:\n%s", d.slot, d.pid, d.reason(), d.stderrTail)
}
