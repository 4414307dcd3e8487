package dispatch

import (
	"fmt"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/internal/leaktest"
	"github.com/usher-go/usher/ipc"
	"golang.org/x/sys/unix"
)

// house is an accept goroutine with fake workers.
type house struct {
	testing.TB
	*Acceptor
	board  *ipc.Scoreboard
	addr   string
	broken chan string
	looks  chan func() // for do; has room for one
	ended  chan struct{}
}

func newHouse(t testing.TB, descriptorLimit int) *house {
	t.Helper()
	leaktest.Descriptors(t)
	listener := listenAt(t, "tcp", "127.0.0.1:0")
	board, err := ipc.NewScoreboard(8)
	if err != nil {
		t.Fatal(err)
	}
	broken := make(chan string, 100)
	a, err := New(Setup{
		Logger: hclog.NewNullLogger(), Listeners: []Listener{listener}, Acceptors: 1, DescriptorLimit: descriptorLimit,
		Report: func(e Event) {
			switch e := e.(type) {
			case QueueBroken:
				broken <- fmt.Sprint(e.Slot, " ", e.Err)
			case GuardTripped:
				broken <- fmt.Sprint("trial ", e)
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	h := &house{
		TB: t, Acceptor: a, board: board, addr: listener.Address, broken: broken,
		looks: make(chan func(), 1), ended: make(chan struct{}),
	}
	go h.run()
	t.Cleanup(func() {
		a.Interrupt(nil)
		<-h.ended
		if err := board.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

// run is the accept goroutine, which the test looks at between two turns.
func (h *house) run() {
	defer close(h.ended)
	defer h.Acceptor.Close()
	h.reserve.Fill()
	h.Acceptor.startSubacceptors()
	for !h.ending {
		if err := h.cycle(); err != nil {
			h.Error(err)
			return
		}
		select {
		case look := <-h.looks:
			look()
		default:
		}
	}
}

// do runs f on the accept goroutine and returns when it has run.
func (h *house) do(f func()) {
	h.Helper()
	done := make(chan struct{})
	h.looks <- func() { defer close(done); f() }
	h.waker.Wake()
	select {
	case <-done:
	case <-h.ended:
		h.Fatal("the accept goroutine has ended")
	}
}

// listenAt returns a listener at an address, whose sockets are closed at the end of the
// test, or by closeSockets.
func listenAt(t testing.TB, network, address string) Listener {
	t.Helper()
	from, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close() // it lives on in the duplicate
	l := Listener{Address: from.Addr().String(), FD: -1}
	if network == "tcp" {
		l.Bound = from.Addr().(*net.TCPAddr).AddrPort()
	}
	raw, err := from.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) { l.FD, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(l.FD) }) // the test's own
	return l
}

// fakeWorker reads its end of a queue when told to.
type fakeWorker struct {
	house  *house
	slot   int
	end    int // its own duplicate of the worker's end
	entry  *ipc.Entry
	packet ipc.Packet
	ipc.PacketConn
	fds []int
}

// hire opens a queue for a fake worker. Its own end is closed by die.
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
	h.Open([]Queue{{Worker: Worker{Slot: slot}, FD: queue, WorkerEnd: workerEnd, Capacity: capacity, Closes: true, Entry: w.entry}})
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
		w.house.ConnsClosed(w.slot, ipc.Closed{})
	}
}

// die closes what it holds, as the kernel does, and has the master bury it.
func (w *fakeWorker) die() {
	fdpass.CloseAll(w.fds)
	w.fds = nil
	_ = unix.Close(w.end)
	w.house.Reaped(w.slot)
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
func (h *house) until(ok func(Totals) bool) Totals {
	h.Helper()
	deadline := time.Now().Add(patience)
	for {
		for slot := range h.board.Len() { // all are alive: none is stuck that takes nothing for a second
			if sequence := &h.board.Entry(slot).Sequence; sequence.Load() > 0 {
				sequence.Add(2)
			}
		}
		counts, _ := h.Snapshot()
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
