//go:build testdoors

package worker

import (
	"os"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/ipc"
	"golang.org/x/sys/unix"
)

// TestWorker is a worker's loop at one end of a queue whose other end is a
// master's, for the test of package handover. It exists only in builds with the
// tag testdoors. It has no goroutine and no clock of its own: it runs in the
// calling goroutine, one at a time, and only within these methods.
type TestWorker struct {
	loop   *loop
	link   *control
	master int // its end of control, which nobody reads
	time   time.Duration
}

// NewTestWorker makes one. It takes ownership of the worker's end of the queue,
// even on error.
func NewTestWorker(handler Handler, queue int, entry *ipc.Entry) (*TestWorker, error) {
	master, workerControl, err := fdpass.Pair()
	if err != nil {
		_ = unix.Close(queue) // the error of Pair is the one to report
		return nil, err
	}
	o := newOptions([]Option{WithLogger(hclog.NewNullLogger())})
	t := &TestWorker{link: newControl(workerControl, o.log), master: master}
	t.loop, err = newLoop(station{queue: queue, control: workerControl, entry: entry, exit: os.Exit}, t.link, handler, o)
	if err != nil {
		t.link.close()
		_ = unix.Close(master) // likewise
		return nil, err
	}
	t.loop.clock = func() time.Duration { return t.time }
	return t, nil
}

// Turn serves what is ready or due, once. A millisecond passes by it.
func (t *TestWorker) Turn() error {
	t.loop.bind()
	t.time += time.Millisecond
	_, err := t.loop.turnOver(t.loop.nextDeadline(), 0)
	return err
}

// Move begins a drain in which connections move.
func (t *TestWorker) Move() {
	t.loop.bind()
	t.loop.beginDrain(never, true)
	t.loop.settle()
}

// IDs returns the ids of the connections that it serves.
func (t *TestWorker) IDs() (ids []uint64) {
	t.loop.table.each(func(c *Conn) { ids = append(ids, c.id) })
	return ids
}

// Kill closes all descriptors as the kernel does for a process that was killed.
func (t *TestWorker) Kill() {
	t.loop.table.each(func(c *Conn) { _ = unix.Close(int(c.fd)) }) // the set goes as well
	t.loop.close()
	t.link.close()
	_ = unix.Close(t.master) // nobody reads it
}
