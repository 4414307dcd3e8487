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

// TestWorker is a member at one end of a queue whose other end is a
// master's, for the test of package handover. It exists only in builds with the
// tag testdoors. It has no goroutine and no clock of its own: it runs in the
// calling goroutine, one at a time, and only within these methods.
type TestWorker struct {
	member *member
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
	t := &TestWorker{master: master}
	t.member, err = newMember(endpoint{queue: queue, control: workerControl, entry: entry, exit: os.Exit}, handler, o)
	if err != nil {
		_ = unix.Close(master) // likewise
		return nil, err
	}
	t.member.loop.clock = func() time.Duration { return t.time }
	return t, nil
}

// Turn serves what is ready or due, once. A millisecond passes by it.
func (t *TestWorker) Turn() error {
	t.member.loop.bind()
	t.time += time.Millisecond
	return t.member.turn(false)
}

// Move begins a drain in which connections move.
func (t *TestWorker) Move() {
	t.member.loop.bind()
	t.member.drain.begin(never, true)
	t.member.loop.settle()
}

// IDs returns the ids of the connections that it serves.
func (t *TestWorker) IDs() (ids []uint64) {
	t.member.loop.table.each(func(c *Conn) { ids = append(ids, c.id) })
	return ids
}

// Kill closes all descriptors as the kernel does for a process that was killed.
func (t *TestWorker) Kill() {
	t.member.loop.table.each(func(c *Conn) { _ = unix.Close(int(c.fd)) }) // the set goes as well
	t.member.close()
	_ = unix.Close(t.master) // nobody reads it
}
