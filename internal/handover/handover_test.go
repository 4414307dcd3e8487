//go:build testdoors

package handover

import (
	"fmt"
	"testing"

	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/internal/leaktest"
	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/master"
	"github.com/usher-go/usher/worker"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

const (
	slots = 4
	// narrow is a buffer that holds about two packets, so that sending on the
	// queues and to the clients often would block.
	narrow = 4 << 10
)

// world is a master, its workers and all clients.
type world struct {
	*rapid.T
	master  *master.TestDispatcher
	board   *ipc.Scoreboard
	workers map[int]*runningWorker
	clients []*client // by id, from 1
	doomed  int       // those that died with a worker, or could not be thawed
}

type runningWorker struct {
	*worker.TestWorker
	closed bool
	fails  bool // to thaw
}

// client is the other end of a connection: what it sent and what came back.
type client struct {
	id       uint64
	fd       int
	sent     []byte
	received int
	finished bool // it has sent its end
	ended    bool // it was sent the end
	doomed   bool
}

func newWorld(t *rapid.T) *world {
	w := &world{T: t, workers: make(map[int]*runningWorker)}
	var err error
	w.board, err = ipc.NewScoreboard(slots)
	w.must(err)
	w.master, err = master.NewTestDispatcher(func(slot int, err error) { t.Fatalf("slot %d is broken: %v", slot, err) })
	w.must(err)
	return w
}

func (w *world) must(err error) {
	if err != nil {
		w.Fatal(err)
	}
}

// leave ends a run, whatever came of it.
func (w *world) leave() {
	for _, h := range w.workers {
		h.Kill()
	}
	w.master.Close()
	for _, c := range w.clients {
		_ = unix.Close(c.fd) // of a test
	}
	_ = w.board.Close() // likewise
}

func (w *world) start(slot, capacity int) {
	queue, workerEnd, err := fdpass.Pair()
	w.must(err)
	for _, fd := range []int{queue, workerEnd} {
		w.must(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, narrow))
	}
	own, err := unix.FcntlInt(uintptr(workerEnd), unix.F_DUPFD_CLOEXEC, 0)
	w.must(err)
	entry := w.board.Entry(slot)
	entry.Reset()
	tested, err := worker.NewTestWorker(&scribe{world: w, slot: slot}, own, entry)
	w.must(err)
	w.workers[slot] = &runningWorker{TestWorker: tested}
	w.must(tested.Turn()) // its sequence moves: it keeps the board
	w.master.Open(slot, queue, workerEnd, capacity, entry)
}

func (w *world) connect() {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	w.must(err)
	w.must(unix.SetsockoptInt(pair[1], unix.SOL_SOCKET, unix.SO_SNDBUF, narrow))
	id := uint64(len(w.clients) + 1)
	if !w.master.Accept(id, pair[1]) {
		fdpass.CloseAll(pair[:])
		return
	}
	w.clients = append(w.clients, &client{id: id, fd: pair[0]})
}

func (w *world) doom(id uint64) {
	c := w.clients[id-1]
	if c.doomed {
		w.Fatalf("connection %d died twice", id)
	}
	c.doomed = true
	w.doomed++
}

func (w *world) kill(slot int) {
	h := w.workers[slot]
	for _, id := range h.IDs() {
		if c := w.clients[id-1]; !c.doomed { // it may be about to be closed
			w.doom(id)
		}
	}
	h.Kill()
	delete(w.workers, slot)
	w.master.Reaped(slot)
}

func (c *client) send(w *world, n int) {
	if c.finished || c.ended {
		return
	}
	piece := make([]byte, n)
	for i := range piece {
		piece[i] = byte(len(c.sent) + i*i)
	}
	n, err := unix.SendmsgN(c.fd, piece, nil, nil, unix.MSG_NOSIGNAL)
	if err == nil {
		c.sent = append(c.sent, piece[:n]...)
	} else if err != unix.EAGAIN && !c.doomed {
		w.Fatalf("connection %d: %v, and nothing has happened to it", c.id, err)
	}
}

func (c *client) finish() {
	_ = unix.Shutdown(c.fd, unix.SHUT_WR) // it may have ended
	c.finished = true
}

// read compares at most n of what came with what has to come.
func (c *client) read(w *world, n int) (some bool) {
	if c.ended {
		return false
	}
	got := make([]byte, n)
	n, err := unix.Read(c.fd, got)
	switch {
	case err == unix.EAGAIN:
		return false
	case err == unix.ECONNRESET || n == 0:
		if c.ended = true; !c.doomed && (!c.finished || c.received != verbose*len(c.sent)) {
			w.Fatalf("connection %d: ended after %d of %d bytes, and nothing has happened to it", c.id, c.received, verbose*len(c.sent))
		}
		return true
	case err != nil:
		w.Fatal(err)
	}
	for _, b := range got[:n] {
		if c.received == verbose*len(c.sent) {
			w.Fatalf("connection %d: more came than %d bytes", c.id, c.received)
		}
		if want := cipher(c.id, c.received, c.sent[c.received/verbose]); b != want {
			w.Fatalf("connection %d: byte %d is %d, want %d", c.id, c.received, b, want)
		}
		c.received++
	}
	return true
}

// check: nobody is at two places, and the books are even.
func (w *world) check() {
	owners := make(map[uint64]string)
	claim := func(who string, ids []uint64) {
		for _, id := range ids {
			if other, ok := owners[id]; ok {
				w.Fatalf("connection %d belongs to %s and to %s", id, other, who)
			}
			owners[id] = who
		}
	}
	claim("the master", w.master.IDs())
	for slot, h := range w.workers {
		claim(fmt.Sprint("slot ", slot), h.IDs())
	}
	c := w.master.Counts()
	if c.Accepted != c.Queued+c.Active+c.Closed+c.Refused+c.Lost || int(c.Accepted) != len(w.clients) || c.Refused != 0 {
		w.Fatalf("%d clients, booked %+v", len(w.clients), c)
	}
	if int(c.Lost) > w.doomed {
		w.Fatalf("%d died, booked %+v", w.doomed, c)
	}
	for id := range owners {
		if w.clients[id-1].ended && !w.clients[id-1].doomed && !w.clients[id-1].finished {
			w.Fatalf("connection %d has ended, and belongs to %s", id, owners[id])
		}
	}
}

func (w *world) turn() {
	w.must(w.master.Turn())
	for _, h := range w.workers {
		w.must(h.Turn())
	}
}

// The whole of the hand-over, in any order of events: bytes arrive in fragments,
// are read slowly, workers are runningWorker, move their connections away, fail to thaw
// and die, and queues are full. Every connection has one owner at most; whoever
// lives gets every byte in order; whoever does not died with a worker or in a
// thaw, and is booked as lost; and nothing is left open.
func TestHandOver(t *testing.T) {
	leaktest.Descriptors(t)
	moved, lost, large := uint64(0), uint64(0), 0
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		defer w.leave()
		for slot := range 2 {
			w.start(slot, 100)
		}
		for range rapid.IntRange(0, 200).Draw(t, "steps") {
			slot := rapid.IntRange(0, slots-1).Draw(t, "slot")
			h := w.workers[slot]
			var c *client
			if len(w.clients) > 0 {
				c = w.clients[rapid.IntRange(0, len(w.clients)-1).Draw(t, "client")]
			}
			switch what := rapid.IntRange(0, 13).Draw(t, "what"); {
			case what == 0 && len(w.clients) < 12 || c == nil:
				for range rapid.IntRange(1, 6).Draw(t, "connect") {
					w.connect()
				}
				w.turn()
			case what <= 3:
				c.send(w, rapid.IntRange(1, 9000).Draw(t, "bytes"))
			case what <= 5:
				for range rapid.IntRange(1, 10).Draw(t, "reads") {
					c.read(w, 3000)
				}
				if what == 5 { // and what there is room for now follows
					w.turn()
				}
			case what == 6:
				w.must(w.master.Turn())
			case h == nil:
				w.start(slot, rapid.IntRange(1, 100).Draw(t, "capacity"))
			case what <= 9:
				w.must(h.Turn())
			case what == 10 && !h.closed:
				h.closed = true
				w.master.CloseQueue(slot)
				h.Move()
			case what == 11:
				h.fails = rapid.IntRange(0, 3).Draw(t, "fails") == 0
			case what == 12 && rapid.IntRange(0, 3).Draw(t, "kill") == 0:
				w.kill(slot)
			case what == 13 && rapid.IntRange(0, 3).Draw(t, "finish") == 0:
				c.finish()
			}
			w.check()
		}
		w.conclude()
		c := w.master.Counts()
		moved, lost = moved+c.Moved, lost+c.Lost
		for _, c := range w.clients {
			if c.id%3 == 0 && !c.doomed {
				large++
			}
		}
	})
	t.Logf("%d moved, %d lost, %d with a large state lived", moved, lost, large)
	if moved == 0 || lost == 0 || large == 0 {
		t.Error("nothing of it has happened")
	}
}

// conclude has all clients finish and read to their end, with a worker that has
// room for all.
func (w *world) conclude() {
	for _, h := range w.workers {
		h.fails = false
	}
	if h := w.workers[slots-1]; h == nil || h.closed {
		if h != nil {
			w.kill(slots - 1)
			w.settle()
		}
		w.start(slots-1, 1000)
	}
	for _, c := range w.clients {
		c.finish()
	}
	w.settle()
	for _, c := range w.clients {
		if !c.ended {
			w.Fatalf("connection %d: %d of %d bytes came, and no end; doomed: %v; %+v", c.id, c.received, verbose*len(c.sent), c.doomed, w.master.Counts())
		}
	}
	for slot := range w.workers {
		if ids := w.workers[slot].IDs(); len(ids) > 0 {
			w.Fatalf("slot %d has %v, whose clients have ended", slot, ids)
		}
	}
	c := w.master.Counts()
	if int(c.Lost) != w.doomed || int(c.Closed) != len(w.clients)-w.doomed || c.Active+c.Queued != 0 {
		w.Fatalf("%d clients, %d died, booked %+v", len(w.clients), w.doomed, c)
	}
}

// settle goes on until nothing happens any more for a while.
func (w *world) settle() {
	for quiet := 0; quiet < 300; quiet++ {
		w.turn()
		for _, c := range w.clients {
			for c.read(w, 64<<10) {
				quiet = 0
			}
			if c.ended && c.fd >= 0 && c.finished {
				_ = unix.Close(c.fd) // of a test
				c.fd = -1
			}
		}
		w.check()
	}
}
