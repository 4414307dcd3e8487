package worker

import (
	"math"
	"testing"
	"time"

	"github.com/usher-go/usher/ipc"
)

// A deadline that is as good as none stays one in a worker that has run for longer.
func TestFarDeadlineMoves(t *testing.T) {
	far := time.Unix(math.MaxInt32<<8, 0)
	from, to := stoppedLoop(t, time.Second), stoppedLoop(t, time.Hour)
	c := from.adopt(&ipc.Envelope{ID: 1}, -1)
	c.SetReadDeadline(far)
	c.SetWriteDeadline(far)
	f := frozen{read: frozenNever, write: frozenNever}
	c.describe(&f, from.turnTime())

	c = to.adopt(&ipc.Envelope{ID: 1}, -1)
	c.restoreUnfinished(&f)
	if d := c.unfinished.deadlines; d.read < to.now()+time.Hour || d.write < to.now()+time.Hour {
		t.Errorf("read by %v, write by %v, at %v", d.read, d.write, to.now())
	}
}

// stoppedLoop returns a loop whose clock stands still.
func stoppedLoop(t *testing.T, now time.Duration) *loop {
	t.Helper()
	l, err := newLoop(newOptions(nil))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.close)
	l.clock = func() time.Duration { return now }
	return l
}
