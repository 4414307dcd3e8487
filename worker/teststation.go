package worker

import (
	"os"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/internal/testloop"
	"github.com/usher-go/usher/ipc"
	"golang.org/x/sys/unix"
)

func init() { testloop.NewStation = newTestStation }

// testStation is the loop as package handover drives it: the real one, at a real
// queue.
type testStation struct {
	*loop
	link   *control
	master int // its end of control, which nobody reads
	time   time.Duration
}

func newTestStation(handler any, queue int, entry any) (testloop.Station, error) {
	master, workerControl, err := fdpass.Pair()
	if err != nil {
		_ = unix.Close(queue) // the error of Pair is the one to report
		return nil, err
	}
	o := newOptions([]Option{WithLogger(hclog.NewNullLogger())})
	t := &testStation{link: newControl(workerControl, o.log), master: master}
	t.loop, err = newLoop(station{queue: queue, control: workerControl, entry: entry.(*ipc.Entry), exit: os.Exit}, t.link, handler.(Handler), o)
	if err != nil {
		t.link.close()
		_ = unix.Close(master) // likewise
		return nil, err
	}
	t.loop.clock = func() time.Duration { return t.time }
	return t, nil
}

func (t *testStation) Turn() error {
	t.loop.bind()
	t.time += time.Millisecond
	_, err := t.loop.turnOver(t.loop.nextDeadline(), 0)
	return err
}

func (t *testStation) Move() {
	t.loop.bind()
	t.loop.beginDrain(never, true)
	t.loop.settle()
}

func (t *testStation) IDs() (ids []uint64) {
	t.loop.table.each(func(c *Conn) { ids = append(ids, c.id) })
	return ids
}

func (t *testStation) Kill() {
	t.loop.table.each(func(c *Conn) { _ = unix.Close(int(c.fd)) }) // the set goes as well
	t.loop.close()
	t.link.close()
	_ = unix.Close(t.master) // nobody reads it
}
