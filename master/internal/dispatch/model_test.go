package dispatch

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/internal/leaktest"
	"github.com/usher-go/usher/internal/poller"
	"github.com/usher-go/usher/ipc"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// model runs the production accept goroutine's code, turn by turn and without
// the goroutine, on real queues with fake workers and connections that are only
// descriptors. It knows for each connection who has it.
type model struct {
	*rapid.T
	*Acceptor
	*acceptGoroutine
	board   *ipc.Scoreboard
	workers map[int]*modelWorker
	arrived uint64
	owner   map[uint64]int // by id: the slot whose worker received it
	closed  int
	lost    int
}

// modelWorker is a fake worker.
type modelWorker struct {
	end      int // of its queue
	capacity int
	ids      []uint64 // of the connections that it holds
	closed   bool
	moves    bool
	packets  ipc.PacketConn
	packet   ipc.Packet
}

const modelSlots = 4

func newModel(t *rapid.T, settings Settings) *model {
	board, err := ipc.NewScoreboard(modelSlots)
	if err != nil {
		t.Fatal(err)
	}
	a, err := New(Setup{
		Settings: settings, Logger: hclog.NewNullLogger(), Acceptors: 1, DescriptorLimit: 200,
		Report: func(e Event) {
			switch e := e.(type) {
			case QueueBroken:
				t.Fatalf("slot %d is broken: %v", e.Slot, e.Err)
			case GuardTripped:
				t.Fatalf("a guard that was not asked for tripped: %+v", e)
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return &model{T: t, Acceptor: a, acceptGoroutine: a.goroutine, board: board, workers: make(map[int]*modelWorker), owner: make(map[uint64]int)}
}

// close ends a run, whatever came of it.
func (m *model) close() {
	for slot := range m.workers {
		m.die(slot)
	}
	m.Acceptor.Close()
	_ = m.board.Close() // of a test
}

// arrive accepts as many as the quota allows, at most n.
func (m *model) arrive(n int) {
	m.dispatcher.capacity = m.dispatcher.measure()
	for range min(n, m.quota()) {
		fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			m.Fatal(err)
		}
		m.arrived++
		client := netip.AddrFrom4([4]byte{10, 0, 0, byte(m.arrived % 3)})
		if !m.dispatcher.perIP.admit(m.arrived, client) {
			m.refuse(fd, netip.AddrPortFrom(client, 1), "test")
			continue
		}
		m.dispatcher.addAccepted(&ipc.Envelope{ID: m.arrived, Remote: netip.AddrPortFrom(client, 1)}, fd)
		m.dispatcher.totals.accepted++
	}
}

func (m *model) addWorker(slot, capacity int, moves bool) {
	queue, workerEnd, err := fdpass.Pair()
	if err != nil {
		m.Fatal(err)
	}
	end, err := unix.FcntlInt(uintptr(workerEnd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		m.Fatal(err)
	}
	entry := m.board.Entry(slot)
	entry.Reset()
	entry.Sequence.Store(2)
	m.workers[slot] = &modelWorker{end: end, capacity: capacity, moves: moves}
	m.serial++
	q := m.dispatcher.openQueue(Queue{Worker: Worker{Slot: slot}, FD: queue, WorkerEnd: workerEnd, Capacity: capacity, Closes: true, Moves: moves, Memory: Memory{Entry: entry}}, m.serial)
	if err := m.set.Add(queue, poller.In, tagQueue|q.serial); err != nil {
		m.Fatal(err)
	}
}

// take has a worker receive one packet, if there is one.
func (m *model) take(slot int) bool {
	c := m.workers[slot]
	err := c.packets.Receive(c.end, &c.packet)
	if err == fdpass.ErrWouldBlock {
		return false
	}
	if err != nil {
		m.Fatal(err)
	}
	m.board.Entry(slot).Received.Add(uint64(c.packet.Len()))
	for i := range c.packet.Len() {
		id := c.packet.ID(i)
		if c.packet.Frozen(i) && !c.moves {
			m.Fatalf("connection %d: frozen, to slot %d, which cannot thaw it", id, slot)
		}
		if before, ok := m.owner[id]; ok {
			m.Fatalf("connection %d: received by slot %d, and now by %d", id, before, slot)
		}
		if c.packet.Large() {
			state, err := ipc.ReadState(c.packet.StateFD())
			if err != nil || string(state) != fmt.Sprint(id) {
				m.Fatalf("connection %d: came with the state %q, %v", id, state, err)
			}
		}
		m.owner[id] = slot
		c.ids = append(c.ids, id)
	}
	c.packet.Close()
	if len(c.ids) > c.capacity {
		m.Fatalf("slot %d: %d connections, capacity %d", slot, len(c.ids), c.capacity)
	}
	return true
}

func (m *model) closeOne(slot int) {
	c := m.workers[slot]
	if len(c.ids) > 0 {
		m.board.Entry(slot).AddClosed(1)
		m.dispatcher.perIP.forget(c.ids[0])
		c.ids = c.ids[1:]
		m.closed++
	}
}

// giveBack sends some connections back to the master, together or each in a
// packet of its own with a memfd.
func (m *model) giveBack(slot, n int, large bool) {
	c := m.workers[slot]
	c.packet.Reset()
	for range min(n, len(c.ids)) {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			m.Fatal(err)
		}
		if large {
			c.packet.AddLarge(&ipc.Envelope{ID: c.ids[0]}, fd, sealed(m, c.ids[0]))
			m.post(c)
		} else {
			c.packet.Add(&ipc.Envelope{ID: c.ids[0], State: []byte("frozen")}, fd)
		}
		delete(m.owner, c.ids[0])
		c.ids = c.ids[1:]
	}
	if c.packet.Len() > 0 {
		m.post(c)
	}
}

func (m *model) post(c *modelWorker) {
	if err := c.packets.Send(c.end, &c.packet); err != nil {
		m.Fatal(err)
	}
}

// sealed returns a state in a memfd that names its connection.
func sealed(m *model, id uint64) int {
	fd, err := ipc.SealState(fmt.Append(nil, id))
	if err != nil {
		m.Fatal(err)
	}
	return fd
}

func (m *model) die(slot int) {
	m.lost += len(m.workers[slot].ids)
	_ = unix.Close(m.workers[slot].end) // of a test
	delete(m.workers, slot)
	if q := m.dispatcher.reaped(slot); q != nil {
		_ = m.set.Del(q.spec.FD) // it may have been taken out
	}
}

// check balances the books against what the workers hold.
func (m *model) check() {
	if d := &m.dispatcher; !slices.Equal(d.all, slices.Concat(d.closed, d.open)) {
		m.Fatalf("in all there are %v, not %v and %v", d.all, d.closed, d.open)
	}
	c := m.dispatcher.sum()
	// What a dead worker held is booked as lost once its queue is drained.
	if int(c.Active+c.Queued+c.Lost) != int(m.arrived-c.Refused)-m.closed || int(c.Lost) > m.lost ||
		int(c.Closed) != m.closed || c.Accepted != m.arrived {
		m.Fatalf("booked %+v; closed %d, lost %d, arrived %d", c, m.closed, m.lost, m.arrived)
	}
	if limit := m.limits.conns; limit > 0 && int(c.Queued+c.Active) > limit {
		m.Fatalf("%d connections, the limit is %d", c.Queued+c.Active, limit)
	}
	for prefix, n := range m.dispatcher.perIP.counts {
		if n > m.dispatcher.perIP.limit {
			m.Fatalf("%d from %v, the limit is %d", n, prefix, m.dispatcher.perIP.limit)
		}
	}
}

// Whoever comes, goes, stands still or dies, and whichever queue is closed, in whatever order:
// every connection reaches one worker at most, and in the end exactly one;
// none is lost but with the worker that had received it; limits hold.
func TestDispatcherModel(t *testing.T) {
	leaktest.Descriptors(t)
	rapid.Check(t, func(t *rapid.T) {
		m := newModel(t, Settings{
			Policy:        rapid.SampledFrom(Policies()).Draw(t, "policy"),
			MaxConns:      rapid.SampledFrom([]int{0, 0, 7}).Draw(t, "max conns"),
			MaxConnsPerIP: rapid.SampledFrom([]int{0, 0, 3}).Draw(t, "max conns per ip"),
		})
		defer m.close()
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			slot := rapid.IntRange(0, modelSlots-1).Draw(t, "slot")
			worker := m.workers[slot]
			switch what := rapid.IntRange(0, 8).Draw(t, "what"); {
			case what <= 1:
				m.arrive(rapid.IntRange(1, 10).Draw(t, "clients"))
			case worker == nil:
				m.addWorker(slot, rapid.IntRange(1, 100).Draw(t, "capacity"), rapid.IntRange(0, 2).Draw(t, "moves") > 0)
			case what == 2 || what == 3:
				m.take(slot)
			case what == 4:
				m.closeOne(slot)
			case what == 5:
				m.dispatcher.inspectQueues()
			case what == 6 && !worker.closed:
				worker.closed = true
				m.dispatcher.closeQueue(slot)
			case what == 7:
				m.die(slot)
			case what == 8 && worker.moves:
				m.giveBack(slot, rapid.IntRange(1, 10).Draw(t, "given back"), rapid.Bool().Draw(t, "large"))
				m.queueReadable(m.dispatcher.find(slot).serial) // as epoll reports
			}
			m.turn()
			m.check()
		}
		for slot := range m.workers {
			m.die(slot)
		}
		m.addWorker(0, 1000, true)
		for m.turn(); m.take(0); m.turn() {
		}
		if got := m.dispatcher.sum(); int(got.Lost) != m.lost {
			t.Fatalf("%d lost, booked %d", m.lost, got.Lost)
		}
		if m.check(); len(m.owner) != int(m.arrived-m.dispatcher.totals.refused) {
			t.Fatal(fmt.Sprintf("%d arrived, %d refused, %d reached a worker", m.arrived, m.dispatcher.totals.refused, len(m.owner)))
		}
	})
}

// While no worker can take them, what one gives back stays in its queue, large
// states too: the master holds none of it, and no descriptor of it. Then all of it
// reaches the next worker.
func TestGivenBackWithNobodyToTakeIt(t *testing.T) {
	leaktest.Descriptors(t)
	open := func() int { return leaktest.Count(t) }
	rapid.Check(t, func(t *rapid.T) {
		m := newModel(t, Settings{Policy: "least"})
		defer m.close()
		m.addWorker(0, 1000, true)
		for len(m.owner) < 200 {
			m.arrive(50)
			for m.turn(); m.take(0); m.turn() {
			}
		}
		m.dispatcher.closeQueue(0)
		m.turn()
		before := open()
		given := m.arrived
		for len(m.owner) > 0 {
			m.giveBack(0, rapid.IntRange(1, 64).Draw(t, "given back"), rapid.Bool().Draw(t, "large"))
			m.queueReadable(m.dispatcher.find(0).serial) // as epoll reports
			if m.turn(); m.dispatcher.held() > 0 {
				t.Fatalf("the batch holds %d", m.dispatcher.held())
			}
		}
		if after := open(); after != before {
			t.Fatalf("%d descriptors open, %d before they were given back", after, before)
		}
		m.addWorker(1, 1000, true)
		for m.turn(); m.take(1); m.turn() {
		}
		if m.check(); len(m.owner) != int(given) {
			t.Fatalf("%d of %d reached the next worker", len(m.owner), given)
		}
	})
}
