package dispatch

import (
	"runtime"
	"testing"
	"time"

	"github.com/usher-go/usher/ipc"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	runtime.GOMAXPROCS(max(2, runtime.GOMAXPROCS(0))) // as a master has
	goleak.VerifyTestMain(m)
}

// patience bounds every wait of a test for an event.
const patience = 20 * time.Second

func TestConnectionsGoToTheLeastLoaded(t *testing.T) {
	r := newRig(t, 1000)
	a := r.addWorker(0, 100)
	defer a.die()
	r.dial(3)
	a.receive(3)
	b := r.addWorker(1, 100)
	defer b.die()
	r.dial(5)
	b.receive(4)
	a.receive(4)
	r.until(func(c Totals) bool { return c.Accepted == 8 && c.Active == 8 })
}

func TestEnvelopeTellsWhoAndWhere(t *testing.T) {
	r := newRig(t, 1000)
	w := r.addWorker(0, 100)
	defer w.die()
	before := ipc.NewClock().Now()
	clients := r.dial(2)
	e := w.receive(2)
	if e.ID != 2 || e.Remote.String() != clients[1].LocalAddr().String() || e.Local.String() != r.addr {
		t.Errorf("envelope %+v, want id 2 from %v to %v", e, clients[1].LocalAddr(), r.addr)
	}
	if after := ipc.NewClock().Now(); e.Accepted < before || e.Accepted > after {
		t.Errorf("accepted at %v, not from %v to %v", e.Accepted, before, after)
	}
	flags, err := unix.FcntlInt(uintptr(w.fds[0]), unix.F_GETFL, 0)
	if err != nil || flags&unix.O_NONBLOCK == 0 {
		t.Errorf("flags %#x, %v: not non-blocking", flags, err)
	}
}

func TestCapacityHoldsClientsInTheBacklog(t *testing.T) {
	r := newRig(t, 1000)
	w := r.addWorker(0, 2)
	defer w.die()
	r.dial(5)
	w.receive(2)
	r.until(func(c Totals) bool { return c.Accepted == 2 && c.Active == 2 })
	for n := uint64(3); n <= 5; n++ {
		w.closeOne() // and the bell brings the next
		w.receive(2)
		r.until(func(c Totals) bool { return c.Accepted == n && c.Active == 2 })
	}
}

func TestQueueIsBounded(t *testing.T) {
	r := newRig(t, 4000)
	w := r.addWorker(0, 10000)
	defer w.die()
	r.dial(maxQueued + 50)
	r.until(func(c Totals) bool { return c.Queued == maxQueued })
	w.receive(maxQueued + 50)
	r.until(func(c Totals) bool { return c.Active == maxQueued+50 })
}

func TestQueuedInAllIsBoundedByDescriptors(t *testing.T) {
	r := newRig(t, 40)
	a, b := r.addWorker(0, 100), r.addWorker(1, 100)
	defer a.die()
	defer b.die()
	r.dial(30)
	r.until(func(c Totals) bool { return c.Queued == 20 })
	a.receive(15)
	b.receive(15)
}

func TestNoWorkerNoAccept(t *testing.T) {
	r := newRig(t, 1000)
	r.dial(3)
	r.until(func(c Totals) bool { return c.Accepted == 0 })
	w := r.addWorker(0, 100)
	defer w.die()
	w.receive(3)
}

func TestDeadWorkersQueueGoesToOthers(t *testing.T) {
	r := newRig(t, 1000)
	a := r.addWorker(0, 200)
	r.dial(100)
	r.until(func(c Totals) bool { return c.Queued == 100 })
	a.receive(1) // a packet of any size
	received := uint64(len(a.fds))
	a.closeOne()
	a.die()
	r.until(func(c Totals) bool { return c.Queued == 99 && c.Closed == 1 }) // nobody to drain it for yet
	b := r.addWorker(0, 200)                                                // the slot's next incarnation, with a fresh queue
	defer b.die()
	b.receive(100 - int(received))
	r.until(func(c Totals) bool {
		return c.Accepted == 100 && c.Active == 100-received && c.Lost == received-1 && c.Closed == 1 && c.Queued == 0
	})
}

func TestClosedQueueGoesToOthers(t *testing.T) {
	r := newRig(t, 1000)
	a := r.addWorker(0, 200)
	defer a.die()
	r.dial(50)
	r.until(func(c Totals) bool { return c.Queued == 50 })
	r.CloseQueue(0)
	r.until(func(c Totals) bool { return c.Queued == 50 }) // nobody else: they stay for it
	b := r.addWorker(1, 200)
	defer b.die()
	b.receive(50)
	r.until(func(c Totals) bool { return c.Active == 50 && c.Queued == 0 && c.Lost == 0 })
}

func TestWorkerThatBreaksItsQueueIsReported(t *testing.T) {
	r := newRig(t, 1000)
	a, b := r.addWorker(0, 200), r.addWorker(1, 200)
	defer b.die()
	if err := unix.Shutdown(a.end, unix.SHUT_RD); err != nil {
		t.Fatal(err)
	}
	r.dial(10) // those that a refuses go to b
	b.receive(10)
	select {
	case got := <-r.broken:
		if want := "0 " + errQueueBroken.Error(); got != want {
			t.Errorf("reported %q, want %q", got, want)
		}
	case <-time.After(patience):
		t.Error("not reported")
	}
	a.die()
	r.until(func(c Totals) bool { return c.Active == 10 && c.Lost == 0 })
}

func TestWorkerWithoutScoreboardIsServedInTurn(t *testing.T) {
	r := newRig(t, 2000)
	a, b := r.addWorker(0, 1000), r.addWorker(1, 1000)
	defer a.die()
	defer b.die()
	for _, w := range []*fakeWorker{a, b} {
		w.entry.Sequence.Store(0)
		r.do(func() { r.dispatcher.find(w.slot).closes = w == b })
	}
	// a never says closed: its load is 0; b does: its load counts.
	for n := uint64(1); n <= 6; n++ {
		r.dial(1)
		r.until(func(c Totals) bool { return c.Accepted == n })
	}
	a.receive(5)
	b.receive(1)
	r.ConnsClosed(b.slot, ipc.Closed{Count: 1}) // b's word for a close
	r.until(func(c Totals) bool { return c.Closed == 6 && c.Active == 0 })
}

func TestListenersCloseAfterTheirBacklog(t *testing.T) {
	r := newRig(t, 1000)
	r.dial(5)
	w := r.addWorker(0, 2)
	defer w.die()
	r.CloseListeners()
	w.receive(2) // what there was room for
	r.do(func() {
		if n := len(r.listeners) + len(r.sockets) + len(r.ready); n != 0 {
			t.Errorf("%d listeners, sockets and ready ones are left", n)
		}
	})
	if c, _ := r.Snapshot(); c.Accepted != 2 {
		t.Errorf("%+v, want 2 accepted", c)
	}
}

// What is accepted and dispatched allocates nothing.
func TestAcceptAndDispatchDoNotAllocate(t *testing.T) {
	r := newRig(t, 4000)
	w := r.addWorker(0, 10000)
	defer w.die()
	r.dial(10)
	w.receive(10) // all that is allocated once
	var allocs float64
	r.do(func() { // the listener's backlog takes the clients meanwhile
		r.dial(101)
		allocs = testing.AllocsPerRun(100, func() {
			r.dispatcher.capacity = r.dispatcher.measure()

			if n, _ := r.acceptFrom(r.listeners[0], r.listeners[0].FD, 1); n != 1 {
				t.Errorf("accepted %d", n)
			}
			r.placeAll()
		})
	})
	if allocs != 0 {
		t.Errorf("%v allocations per connection", allocs)
	}
}

// A rate beside another limit that is reached is no reason to look again and
// again: a close rings.
func TestRateDoesNotPollForAnotherLimit(t *testing.T) {
	r := newRig(t, 1000)
	r.do(func() { r.limit(Settings{MaxConns: 1, AcceptRate: 100}) })
	w := r.addWorker(0, 100)
	defer w.die()
	r.dial(2)
	w.receive(1)
	r.until(func(c Totals) bool { return c.Accepted == 1 && c.Active == 1 })
	r.do(func() {
		if r.turn(); r.timers.noWait || !r.timers.retryAt.IsZero() {
			t.Errorf("hasty %v, retry at %v; want to wait", r.timers.noWait, r.timers.retryAt)
		}
	})
	w.closeOne()
	w.receive(1)
}
