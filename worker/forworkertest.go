package worker

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/usher-go/usher/internal/caller"
	"github.com/usher-go/usher/internal/forworkertest"
	"github.com/usher-go/usher/ipc"
	"golang.org/x/sys/unix"
)

func init() { forworkertest.New = newManualLoop }

// manualLoop is a loop that package workertest drives by hand, by the methods of
// forworkertest.Loop. It has no master and no goroutine of its own: it runs on the
// goroutine of the test, which may be another one in each call. Its clock stands still
// but for Advance.
type manualLoop struct {
	*loop
	handler Handler
	time    time.Duration // what its clock shows
}

// newManualLoop is forworkertest.New.
func newManualLoop(handler, opts any, closed func(uint64, error)) (forworkertest.Loop, error) {
	h, o := handler.(Handler), newOptions(opts.([]Option))
	if !movable(h) {
		return nil, errors.New("worker: streams have no loop to drive")
	}
	if o.strict = true; caller.ByThread {
		runtime.LockOSThread() // until End
	}
	l, err := newLoop(o)
	if err != nil {
		return nil, err
	}
	t := &manualLoop{loop: l, handler: h}
	l.clock = func() time.Duration { return t.time }
	l.reported = closed
	if o.memory > 0 {
		l.boundMemory(o.memory) // else there is no bound: a test is not to depend on the machine's memory
	}
	if err := l.hookStart(); err != nil {
		l.close()
		return nil, fmt.Errorf("worker: %w", err)
	}
	l.hookReady()
	return t, nil
}

// Connect gives the loop one end of a socket pair, and returns the other, owned.
func (t *manualLoop) Connect(said forworkertest.Connection) (int, error) {
	t.bind()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socketpair", err)
	}
	c := t.adopt(&ipc.Envelope{ID: said.ID, Listener: said.Listener, Local: said.Local, Remote: said.Remote}, pair[1])
	o := *c.origin
	if state, _ := said.TLS.(*TLSState); state != nil {
		o.tls = &tlsFacts{TLSState: *state}
	}
	o.proxy, _ = said.Proxy.(*Proxy)
	c.origin = &o
	c.openNew(t.handler)
	if t.loop.drains {
		c.askToDrain()
		t.settle()
	}
	return pair[0], nil
}

// Serve makes turns until nothing is ready or due, and no work is outstanding.
func (t *manualLoop) Serve() error {
	t.bind()
	for {
		next, timeout := t.nextDeadline(), time.Duration(0)
		if t.offloop.working > 0 {
			timeout = -1
		}
		n, err := t.turn(next, timeout)
		if err != nil {
			return err
		}
		if n == 0 && next > t.now() && t.offloop.working == 0 {
			return nil
		}
	}
}

// Advance moves the clock on; the next Serve acts on what is due then.
func (t *manualLoop) Advance(d time.Duration) { t.time, t.turnAtKnown = t.time+d, false }

// Drain asks the sessions to finish, as a worker does when its drain begins.
func (t *manualLoop) Drain() {
	t.bind()
	if t.loop.drains {
		return
	}
	t.loop.drains = true
	t.hook("Drain", t.hooks.Drain)
	t.drainSessions()
	t.settle()
}

// End closes all connections, and the loop.
func (t *manualLoop) End() {
	t.bind()
	t.end()
	t.hookStop()
	t.loop.close()
	if caller.ByThread {
		runtime.UnlockOSThread()
	}
}
