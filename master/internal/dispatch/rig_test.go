package dispatch

import (
	"bytes"
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

// rig is an accept goroutine, the real one, with fake workers.
type rig struct {
	testing.TB
	*Acceptor
	*acceptGoroutine
	board  *ipc.Scoreboard
	addr   string
	broken chan string
	looks  chan func() // for do; has room for one
	ended  chan struct{}
}

func newRig(t testing.TB, descriptorLimit int) *rig {
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
				broken <- fmt.Sprint("guard ", e)
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{
		TB: t, Acceptor: a, acceptGoroutine: a.goroutine, board: board, addr: listener.Address, broken: broken,
		looks: make(chan func(), 1), ended: make(chan struct{}),
	}
	go r.run()
	t.Cleanup(func() {
		a.Interrupt(nil)
		<-r.ended
		if err := board.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// run is the accept goroutine, which the test looks at between two turns.
func (r *rig) run() {
	defer close(r.ended)
	defer r.Acceptor.Close()
	r.reserve.Fill()
	r.startSubacceptors()
	for !r.ending {
		if err := r.cycle(); err != nil {
			r.Error(err)
			return
		}
		select {
		case look := <-r.looks:
			look()
		default:
		}
	}
}

// do runs f on the accept goroutine and returns when it has run.
func (r *rig) do(f func()) {
	r.Helper()
	done := make(chan struct{})
	r.looks <- func() { defer close(done); f() }
	r.waker.Wake()
	select {
	case <-done:
	case <-r.ended:
		r.Fatal("the accept goroutine has ended")
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
	rig    *rig
	slot   int
	end    int // its own duplicate of the worker's end
	entry  *ipc.Entry
	packet ipc.Packet
	ipc.PacketConn
	fds []int
}

// addWorker opens a queue for a fake worker. Its own end is closed by die.
func (r *rig) addWorker(slot, capacity int) *fakeWorker {
	r.Helper()
	queue, workerEnd, err := fdpass.Pair()
	if err != nil {
		r.Fatal(err)
	}
	end, err := unix.FcntlInt(uintptr(workerEnd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		r.Fatal(err)
	}
	w := &fakeWorker{rig: r, slot: slot, end: end, entry: r.board.Entry(slot)}
	w.entry.Reset()
	w.entry.Sequence.Store(1)
	r.Open([]Queue{{Worker: Worker{Slot: slot}, FD: queue, WorkerEnd: workerEnd, Capacity: capacity, Closes: true, Memory: Memory{Entry: w.entry}}})
	return w
}

// receive takes connections until it holds n, and returns the newest envelope.
func (w *fakeWorker) receive(n int) (e ipc.Envelope) {
	w.rig.Helper()
	for len(w.fds) < n {
		err := w.Receive(w.end, &w.packet)
		if err == fdpass.ErrWouldBlock {
			w.await()
			continue
		}
		if err != nil {
			w.rig.Fatalf("slot %d: %v", w.slot, err)
		}
		w.entry.Received.Add(uint64(w.packet.Len()))
		for i := range w.packet.Len() {
			if err := w.packet.Decode(i, &e); err != nil {
				w.rig.Fatal(err)
			}
			w.fds = append(w.fds, w.packet.Take(i))
		}
		e.State = bytes.Clone(e.State) // Reset overwrites what the packet has of it
		w.packet.Reset()
	}
	return e
}

func (w *fakeWorker) await() {
	w.rig.Helper()
	fds := []unix.PollFd{{Fd: int32(w.end), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(fds, int(patience.Milliseconds()))
		if err == unix.EINTR {
			continue
		}
		if n == 0 || err != nil {
			w.rig.Fatalf("slot %d: nothing came in %v: %v", w.slot, patience, err)
		}
		return
	}
}

// closeOne closes the oldest connection and rings if asked to.
func (w *fakeWorker) closeOne() {
	_ = unix.Close(w.fds[0])
	w.fds = w.fds[1:]
	if w.entry.AddClosed(1) {
		w.rig.ConnsClosed(w.slot, ipc.Closed{})
	}
}

// die closes what it holds, as the kernel does, and says that it is reaped.
func (w *fakeWorker) die() {
	fdpass.CloseAll(w.fds)
	w.fds = nil
	_ = unix.Close(w.end)
	w.rig.Reaped(w.slot)
}

// dial connects so many clients, which are closed at the end of the test.
func (r *rig) dial(n int) (clients []net.Conn) {
	r.Helper()
	for range n {
		c, err := net.Dial("tcp", r.addr)
		if err != nil {
			r.Fatal(err)
		}
		r.Cleanup(func() { _ = c.Close() })
		clients = append(clients, c)
	}
	return clients
}

// until polls the accept goroutine's books, which no event tells of, until ok.
func (r *rig) until(ok func(Totals) bool) Totals {
	r.Helper()
	deadline := time.Now().Add(patience)
	for {
		for slot := range r.board.Len() { // all are alive: none is stuck that takes nothing for a second
			if sequence := &r.board.Entry(slot).Sequence; sequence.Load() > 0 {
				sequence.Add(2)
			}
		}
		counts, _ := r.Snapshot()
		if sum := counts.Queued + counts.Active + counts.Closed + counts.Refused + counts.Lost; sum != counts.Accepted {
			r.Fatalf("the books do not balance: %+v", counts)
		}
		if ok(counts) {
			return counts
		}
		if time.Now().After(deadline) {
			r.Fatalf("not in %v: %+v", patience, counts)
		}
	}
}
