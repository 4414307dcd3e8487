package worker

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"time"

	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/internal/caller"
	"github.com/usher-go/usher/internal/testloop"
	"github.com/usher-go/usher/ipc"
	"golang.org/x/sys/unix"
)

func init() { testloop.New = newTestLoop }

// testLoop is the loop as package workertest drives it: the real one, with a
// queue and sockets of this process.
type testLoop struct {
	*loop
	link   *control
	master int // its end of control
	queue  int // its end of the queue
	time   time.Duration
	sender ipc.Courier
	packet ipc.Packet
}

func newTestLoop(handler, opts any, closed func(uint64, error)) (testloop.Loop, error) {
	h, o := handler.(Handler), newOptions(opts.([]Option))
	if !movable(h) {
		return nil, errors.New("worker: streams have no loop to drive")
	}
	queue, workerQueue, err := fdpass.Pair()
	if err != nil {
		return nil, err
	}
	master, workerControl, err := fdpass.Pair()
	if err != nil {
		fdpass.CloseAll([]int{queue, workerQueue})
		return nil, err
	}
	if o.strict = true; caller.ByThread {
		runtime.LockOSThread() // until End
	}
	t := &testLoop{link: newControl(workerControl, o.log), master: master, queue: queue}
	t.loop, err = newLoop(station{queue: workerQueue, control: workerControl, entry: new(ipc.Entry), exit: os.Exit}, t.link, h, o)
	if err != nil {
		t.link.close()
		fdpass.CloseAll([]int{queue, master})
		return nil, err
	}
	t.loop.clock = func() time.Duration { return t.time }
	t.loop.ending = closed
	if err := t.loop.starting(); err != nil {
		t.close()
		return nil, fmt.Errorf("worker: %w", err)
	}
	t.loop.ready()
	return t, nil
}

func (t *testLoop) Connect(id uint64, listener string, local, remote netip.AddrPort) (int, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socketpair", err)
	}
	t.packet.Reset()
	t.packet.Add(&ipc.Envelope{ID: id, Listener: listener, Local: local, Remote: remote}, pair[1]) // an empty packet has room
	if err := t.sender.Send(t.queue, &t.packet); err != nil {
		t.packet.Close()
		_ = unix.Close(pair[0]) // nothing was written
		return -1, err
	}
	return pair[0], nil
}

func (t *testLoop) Settle() error {
	l := t.loop
	l.bind()
	for {
		next, timeout := l.nextDeadline(), time.Duration(0)
		if l.offloop.working > 0 {
			timeout = -1
		}
		n, err := l.turnOver(next, timeout)
		if err != nil {
			return err
		}
		if n == 0 && next > l.now() && l.offloop.working == 0 {
			return nil
		}
	}
}

func (t *testLoop) Advance(d time.Duration) { t.time += d }

func (t *testLoop) Drain() {
	t.loop.bind()
	t.loop.beginDrain(never, false)
	t.loop.settle()
}

func (t *testLoop) End() {
	t.loop.bind()
	t.loop.end()
	t.loop.hook("Stop", t.loop.hooks.Stop)
	t.close()
	if caller.ByThread {
		runtime.UnlockOSThread()
	}
}

func (t *testLoop) close() {
	t.loop.close()
	t.link.close()
	fdpass.CloseAll([]int{t.queue, t.master})
}
