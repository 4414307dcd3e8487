package master

import (
	"fmt"
	"net"
	"os"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/ipc"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait of a test for an event.
const patience = 20 * time.Second

// openDescriptors returns how many descriptors this process has.
func openDescriptors(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// keepsDescriptors fails a test that ends with more descriptors open than at the start.
func keepsDescriptors(t testing.TB) {
	before := openDescriptors(t)
	t.Cleanup(func() {
		if after := openDescriptors(t); after != before {
			t.Errorf("%d descriptors open, %d at the start", after, before)
		}
	})
}

// house is an accept goroutine with fake workers.
type house struct {
	testing.TB
	*acceptor
	board  *ipc.Scoreboard
	addr   string
	broken chan string
}

func newHouse(t testing.TB, descriptorLimit int) *house {
	t.Helper()
	keepsDescriptors(t)
	address, err := ParseAddress("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listeners, err := listenAll([]Address{address}, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	board, err := ipc.NewScoreboard(8)
	if err != nil {
		t.Fatal(err)
	}
	broken := make(chan string, 100)
	config := Config{Logger: hclog.NewNullLogger(), Dispatch: DefaultPolicy}
	a, err := newAcceptor(config, listeners, descriptorLimit, func(spec seatSpec, err error) {
		broken <- fmt.Sprint(spec.slot, " ", err)
	}, func(n trialTally) { broken <- fmt.Sprint("trial ", n) })
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- a.run() }()
	t.Cleanup(func() {
		a.interrupt(nil)
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := board.Close(); err != nil {
			t.Error(err)
		}
	})
	return &house{TB: t, acceptor: a, board: board, addr: listeners[0].address, broken: broken}
}

// fakeWorker reads its end of a queue when told to.
type fakeWorker struct {
	house  *house
	slot   int
	end    int // its own duplicate of the worker's end
	entry  *ipc.Entry
	packet ipc.Packet
	ipc.Courier
	fds []int
}

// hire opens a seat for a fake worker. Its own end is closed by die.
func (h *house) hire(slot, capacity int) *fakeWorker {
	h.Helper()
	queue, workerEnd, err := fdpass.Pair()
	if err != nil {
		h.Fatal(err)
	}
	end, err := unix.FcntlInt(uintptr(workerEnd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		h.Fatal(err)
	}
	w := &fakeWorker{house: h, slot: slot, end: end, entry: h.board.Entry(slot)}
	w.entry.Reset()
	w.entry.Sequence.Store(1)
	h.open(seatSpec{slot: slot, queue: queue, workerEnd: workerEnd, capacity: capacity, closes: true, entry: w.entry})
	return w
}

// receive takes connections until it holds n, and returns the newest envelope.
func (w *fakeWorker) receive(n int) (e ipc.Envelope) {
	w.house.Helper()
	for len(w.fds) < n {
		err := w.Receive(w.end, &w.packet)
		if err == fdpass.ErrWouldBlock {
			w.await()
			continue
		}
		if err != nil {
			w.house.Fatalf("slot %d: %v", w.slot, err)
		}
		w.entry.Received.Add(uint64(w.packet.Len()))
		for i := range w.packet.Len() {
			if err := w.packet.Decode(i, &e); err != nil {
				w.house.Fatal(err)
			}
			w.fds = append(w.fds, w.packet.Take(i))
		}
		w.packet.Reset()
	}
	return e
}

func (w *fakeWorker) await() {
	w.house.Helper()
	fds := []unix.PollFd{{Fd: int32(w.end), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(fds, int(patience.Milliseconds()))
		if err == unix.EINTR {
			continue
		}
		if n == 0 || err != nil {
			w.house.Fatalf("slot %d: nothing came in %v: %v", w.slot, patience, err)
		}
		return
	}
}

// closeOne closes the oldest connection and rings if asked to.
func (w *fakeWorker) closeOne() {
	_ = unix.Close(w.fds[0])
	w.fds = w.fds[1:]
	if w.entry.AddClosed(1) {
		w.house.ring(w.slot, ipc.Closed{})
	}
}

// die closes what it holds, as the kernel does, and has the master bury it.
func (w *fakeWorker) die() {
	fdpass.CloseAll(w.fds)
	w.fds = nil
	_ = unix.Close(w.end)
	w.house.bury(w.slot)
}

// call connects so many clients, which are closed at the end of the test.
func (h *house) call(n int) (clients []net.Conn) {
	h.Helper()
	for range n {
		c, err := net.Dial("tcp", h.addr)
		if err != nil {
			h.Fatal(err)
		}
		h.Cleanup(func() { _ = c.Close() })
		clients = append(clients, c)
	}
	return clients
}

// until polls the accept goroutine's books, which no event tells of, until ok.
func (h *house) until(ok func(Counts) bool) Counts {
	h.Helper()
	deadline := time.Now().Add(patience)
	for {
		counts, _, _ := h.snapshot()
		if sum := counts.Queued + counts.Active + counts.Closed + counts.Refused + counts.Lost; sum != counts.Accepted {
			h.Fatalf("the books do not balance: %+v", counts)
		}
		if ok(counts) {
			return counts
		}
		if time.Now().After(deadline) {
			h.Fatalf("not in %v: %+v", patience, counts)
		}
	}
}

func TestConnectionsGoToTheLeastLoaded(t *testing.T) {
	h := newHouse(t, 1000)
	a := h.hire(0, 100)
	defer a.die()
	h.call(3)
	a.receive(3)
	b := h.hire(1, 100)
	defer b.die()
	h.call(5)
	b.receive(4)
	a.receive(4)
	h.until(func(c Counts) bool { return c.Accepted == 8 && c.Active == 8 })
}

func TestEnvelopeTellsWhoAndWhere(t *testing.T) {
	h := newHouse(t, 1000)
	w := h.hire(0, 100)
	defer w.die()
	before := ipc.NewClock().Now()
	clients := h.call(2)
	e := w.receive(2)
	if e.ID != 2 || e.Remote.String() != clients[1].LocalAddr().String() || e.Local.String() != h.addr {
		t.Errorf("envelope %+v, want id 2 from %v to %v", e, clients[1].LocalAddr(), h.addr)
	}
	if after := ipc.NewClock().Now(); e.Accepted < before || e.Accepted > after {
		t.Errorf("accepted at %v, not from %v to %v", e.Accepted, before, after)
	}
	flags, err := unix.FcntlInt(uintptr(w.fds[0]), unix.F_GETFL, 0)
	if err != nil || flags&unix.O_NONBLOCK == 0 {
		t.Errorf("flags %#x, %v: not non-blocking", flags, err)
	}
	for name, option := range map[string][2]int{
		"TCP_NODELAY":  {unix.IPPROTO_TCP, unix.TCP_NODELAY},
		"SO_KEEPALIVE": {unix.SOL_SOCKET, unix.SO_KEEPALIVE},
	} {
		if on, err := unix.GetsockoptInt(w.fds[0], option[0], option[1]); err != nil || on == 0 {
			t.Errorf("%s is %d, %v", name, on, err)
		}
	}
}

func TestCapacityHoldsClientsInTheBacklog(t *testing.T) {
	h := newHouse(t, 1000)
	w := h.hire(0, 2)
	defer w.die()
	h.call(5)
	w.receive(2)
	h.until(func(c Counts) bool { return c.Accepted == 2 && c.Active == 2 })
	for n := uint64(3); n <= 5; n++ {
		w.closeOne() // and the bell brings the next
		w.receive(2)
		h.until(func(c Counts) bool { return c.Accepted == n && c.Active == 2 })
	}
}

func TestQueueIsBounded(t *testing.T) {
	h := newHouse(t, 4000)
	w := h.hire(0, 10000)
	defer w.die()
	h.call(maxQueued + 50)
	h.until(func(c Counts) bool { return c.Queued == maxQueued })
	w.receive(maxQueued + 50)
	h.until(func(c Counts) bool { return c.Active == maxQueued+50 })
}

func TestQueuedInAllIsBoundedByDescriptors(t *testing.T) {
	h := newHouse(t, 40)
	a, b := h.hire(0, 100), h.hire(1, 100)
	defer a.die()
	defer b.die()
	h.call(30)
	h.until(func(c Counts) bool { return c.Queued == 20 })
	a.receive(15)
	b.receive(15)
}

func TestNoWorkerNoAccept(t *testing.T) {
	h := newHouse(t, 1000)
	h.call(3)
	h.until(func(c Counts) bool { return c.Accepted == 0 })
	w := h.hire(0, 100)
	defer w.die()
	w.receive(3)
}

func TestDeadWorkersQueueGoesToOthers(t *testing.T) {
	h := newHouse(t, 1000)
	a := h.hire(0, 200)
	h.call(100)
	h.until(func(c Counts) bool { return c.Queued == 100 })
	a.receive(1) // a packet of any size
	received := uint64(len(a.fds))
	a.closeOne()
	a.die()
	h.until(func(c Counts) bool { return c.Queued == 99 && c.Closed == 1 }) // nobody to drain it for yet
	b := h.hire(0, 200)                                                     // the slot's next incarnation, with a fresh queue
	defer b.die()
	b.receive(100 - int(received))
	h.until(func(c Counts) bool {
		return c.Accepted == 100 && c.Active == 100-received && c.Lost == received-1 && c.Closed == 1 && c.Queued == 0
	})
}

func TestRetiredWorkersQueueGoesToOthers(t *testing.T) {
	h := newHouse(t, 1000)
	a := h.hire(0, 200)
	defer a.die()
	h.call(50)
	h.until(func(c Counts) bool { return c.Queued == 50 })
	h.retire(0)
	h.until(func(c Counts) bool { return c.Queued == 50 }) // nobody else: they stay for it
	b := h.hire(1, 200)
	defer b.die()
	b.receive(50)
	h.until(func(c Counts) bool { return c.Active == 50 && c.Queued == 0 && c.Lost == 0 })
}

func TestWorkerThatBreaksItsQueueIsReported(t *testing.T) {
	h := newHouse(t, 1000)
	a, b := h.hire(0, 200), h.hire(1, 200)
	defer b.die()
	if err := unix.Shutdown(a.end, unix.SHUT_RD); err != nil {
		t.Fatal(err)
	}
	h.call(10) // those that a refuses go to b
	b.receive(10)
	select {
	case got := <-h.broken:
		if want := "0 " + errQueueBroken.Error(); got != want {
			t.Errorf("reported %q, want %q", got, want)
		}
	case <-time.After(patience):
		t.Error("not reported")
	}
	a.die()
	h.until(func(c Counts) bool { return c.Active == 10 && c.Lost == 0 })
}

func TestWorkerWithoutScoreboardIsServedInTurn(t *testing.T) {
	h := newHouse(t, 2000)
	a, b := h.hire(0, 1000), h.hire(1, 1000)
	defer a.die()
	defer b.die()
	for _, w := range []*fakeWorker{a, b} {
		w.entry.Sequence.Store(0)
		h.do(func() { h.dispatcher.find(w.slot).closes = w == b })
	}
	// a never says closed: its load is 0; b does: its load counts.
	for n := uint64(1); n <= 6; n++ {
		h.call(1)
		h.until(func(c Counts) bool { return c.Accepted == n })
	}
	a.receive(5)
	b.receive(1)
	h.ring(b.slot, ipc.Closed{Count: 1}) // b's word for a close
	h.until(func(c Counts) bool { return c.Closed == 6 && c.Active == 0 })
}

func TestListenersCloseAfterTheirBacklog(t *testing.T) {
	h := newHouse(t, 1000)
	h.call(5)
	w := h.hire(0, 2)
	defer w.die()
	h.closeListeners()
	w.receive(2) // what there was room for
	if c, err := net.Dial("tcp", h.addr); err == nil {
		_ = c.Close()
		t.Error("still listening")
	}
}

// What is accepted and dispatched allocates nothing.
func TestAcceptAndDispatchDoNotAllocate(t *testing.T) {
	h := newHouse(t, 4000)
	w := h.hire(0, 10000)
	defer w.die()
	h.call(10)
	w.receive(10) // all that is allocated once
	var allocs float64
	h.do(func() { // the listener's backlog takes the clients meanwhile
		h.call(101)
		allocs = testing.AllocsPerRun(100, func() {
			h.dispatcher.survey()

			if n, _ := h.acceptFrom(h.listeners[0], h.listeners[0].fd, 1); n != 1 {
				t.Errorf("accepted %d", n)
			}
			h.settle()
		})
	})
	if allocs != 0 {
		t.Errorf("%v allocations per connection", allocs)
	}
}

// A rate beside another limit that is reached is no reason to look again and
// again: a close rings.
func TestRateDoesNotPollForAnotherLimit(t *testing.T) {
	h := newHouse(t, 1000)
	h.do(func() { h.limit(&Config{MaxConns: 1, AcceptRate: 100}) })
	w := h.hire(0, 100)
	defer w.die()
	h.call(2)
	w.receive(1)
	h.until(func(c Counts) bool { return c.Accepted == 1 && c.Active == 1 })
	h.do(func() {
		if h.turn(); h.hasty || !h.retryAt.IsZero() {
			t.Errorf("hasty %v, retry at %v; want to wait", h.hasty, h.retryAt)
		}
	})
	w.closeOne()
	w.receive(1)
}
