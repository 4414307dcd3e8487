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

// office runs the production accept goroutine's code, turn by turn and without
// the goroutine, on real queues with fake workers and connections that are only
// descriptors. It knows for each connection who has it.
type office struct {
	*rapid.T
	*Acceptor
	board   *ipc.Scoreboard
	clerks  map[int]*clerk
	arrived uint64
	owner   map[uint64]int // by id: the slot whose worker received it
	closed  int
	lost    int
}

// clerk is a fake worker.
type clerk struct {
	end      int // of its queue
	capacity int
	ids      []uint64 // of the connections that it holds
	retired  bool
	moves    bool
	packets  ipc.PacketConn
	packet   ipc.Packet
}

const officeSlots = 4

func newOffice(t *rapid.T, settings Settings) *office {
	board, err := ipc.NewScoreboard(officeSlots)
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
				t.Fatalf("a trial that was not asked for failed: %+v", e)
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return &office{T: t, Acceptor: a, board: board, clerks: make(map[int]*clerk), owner: make(map[uint64]int)}
}

// leave ends a run, whatever came of it.
func (o *office) leave() {
	for slot := range o.clerks {
		o.die(slot)
	}
	o.Acceptor.Close()
	_ = o.board.Close() // of a test
}

// arrive accepts as many as the quota allows, at most n.
func (o *office) arrive(n int) {
	o.dispatcher.capacity = o.dispatcher.measure()
	for range min(n, o.quota()) {
		fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			o.Fatal(err)
		}
		o.arrived++
		client := netip.AddrFrom4([4]byte{10, 0, 0, byte(o.arrived % 3)})
		if !o.dispatcher.perIP.admit(o.arrived, client) {
			o.refuse(fd, netip.AddrPortFrom(client, 1), "test")
			continue
		}
		o.dispatcher.addAccepted(&ipc.Envelope{ID: o.arrived, Remote: netip.AddrPortFrom(client, 1)}, fd)
		o.dispatcher.totals.accepted++
	}
}

func (o *office) hire(slot, capacity int, moves bool) {
	queue, workerEnd, err := fdpass.Pair()
	if err != nil {
		o.Fatal(err)
	}
	end, err := unix.FcntlInt(uintptr(workerEnd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		o.Fatal(err)
	}
	entry := o.board.Entry(slot)
	entry.Reset()
	entry.Sequence.Store(2)
	o.clerks[slot] = &clerk{end: end, capacity: capacity, moves: moves}
	o.serial++
	q := o.dispatcher.openQueue(Queue{Worker: Worker{Slot: slot}, FD: queue, WorkerEnd: workerEnd, Capacity: capacity, Closes: true, Moves: moves, Entry: entry}, o.serial)
	if err := o.set.Add(queue, poller.In, tagQueue|q.serial); err != nil {
		o.Fatal(err)
	}
}

// take has a worker receive one packet, if there is one.
func (o *office) take(slot int) bool {
	c := o.clerks[slot]
	err := c.packets.Receive(c.end, &c.packet)
	if err == fdpass.ErrWouldBlock {
		return false
	}
	if err != nil {
		o.Fatal(err)
	}
	o.board.Entry(slot).Received.Add(uint64(c.packet.Len()))
	for i := range c.packet.Len() {
		id := c.packet.ID(i)
		if c.packet.Frozen(i) && !c.moves {
			o.Fatalf("connection %d: frozen, to slot %d, which cannot thaw it", id, slot)
		}
		if before, ok := o.owner[id]; ok {
			o.Fatalf("connection %d: received by slot %d, and now by %d", id, before, slot)
		}
		if c.packet.Large() {
			state, err := ipc.ReadState(c.packet.StateFD())
			if err != nil || string(state) != fmt.Sprint(id) {
				o.Fatalf("connection %d: came with the state %q, %v", id, state, err)
			}
		}
		o.owner[id] = slot
		c.ids = append(c.ids, id)
	}
	c.packet.Close()
	if len(c.ids) > c.capacity {
		o.Fatalf("slot %d: %d connections, capacity %d", slot, len(c.ids), c.capacity)
	}
	return true
}

func (o *office) closeOne(slot int) {
	c := o.clerks[slot]
	if len(c.ids) > 0 {
		o.board.Entry(slot).AddClosed(1)
		o.dispatcher.perIP.forget(c.ids[0])
		c.ids = c.ids[1:]
		o.closed++
	}
}

// giveBack sends some connections back to the master, together or each in a
// packet of its own with a memfd.
func (o *office) giveBack(slot, n int, large bool) {
	c := o.clerks[slot]
	c.packet.Reset()
	for range min(n, len(c.ids)) {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			o.Fatal(err)
		}
		if large {
			c.packet.AddLarge(&ipc.Envelope{ID: c.ids[0]}, fd, sealed(o, c.ids[0]))
			o.post(c)
		} else {
			c.packet.Add(&ipc.Envelope{ID: c.ids[0], State: []byte("frozen")}, fd)
		}
		delete(o.owner, c.ids[0])
		c.ids = c.ids[1:]
	}
	if c.packet.Len() > 0 {
		o.post(c)
	}
}

func (o *office) post(c *clerk) {
	if err := c.packets.Send(c.end, &c.packet); err != nil {
		o.Fatal(err)
	}
}

// sealed returns a state in a memfd that names its connection.
func sealed(o *office, id uint64) int {
	fd, err := ipc.SealState(fmt.Append(nil, id))
	if err != nil {
		o.Fatal(err)
	}
	return fd
}

func (o *office) die(slot int) {
	o.lost += len(o.clerks[slot].ids)
	_ = unix.Close(o.clerks[slot].end) // of a test
	delete(o.clerks, slot)
	if q := o.dispatcher.reaped(slot); q != nil {
		_ = o.set.Del(q.spec.FD) // it may have been taken out
	}
}

// check balances the books against what the workers hold.
func (o *office) check() {
	if d := &o.dispatcher; !slices.Equal(d.all, slices.Concat(d.closed, d.open)) {
		o.Fatalf("in all there are %v, not %v and %v", d.all, d.closed, d.open)
	}
	c := o.dispatcher.sum()
	// What a dead worker held is booked as lost once its queue is drained.
	if int(c.Active+c.Queued+c.Lost) != int(o.arrived-c.Refused)-o.closed || int(c.Lost) > o.lost ||
		int(c.Closed) != o.closed || c.Accepted != o.arrived {
		o.Fatalf("booked %+v; closed %d, lost %d, arrived %d", c, o.closed, o.lost, o.arrived)
	}
	if limit := o.limits.conns; limit > 0 && int(c.Queued+c.Active) > limit {
		o.Fatalf("%d connections, the limit is %d", c.Queued+c.Active, limit)
	}
	for origin, n := range o.dispatcher.perIP.counts {
		if n > o.dispatcher.perIP.limit {
			o.Fatalf("%d from %v, the limit is %d", n, origin, o.dispatcher.perIP.limit)
		}
	}
}

// Whoever comes, goes, is retired, stands still or dies, in whatever order:
// every connection reaches one worker at most, and in the end exactly one;
// none is lost but with the worker that had received it; limits hold.
func TestDispatcherModel(t *testing.T) {
	leaktest.Descriptors(t)
	rapid.Check(t, func(t *rapid.T) {
		o := newOffice(t, Settings{
			Policy:        rapid.SampledFrom(Policies()).Draw(t, "policy"),
			MaxConns:      rapid.SampledFrom([]int{0, 0, 7}).Draw(t, "max conns"),
			MaxConnsPerIP: rapid.SampledFrom([]int{0, 0, 3}).Draw(t, "max conns per ip"),
		})
		defer o.leave()
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			slot := rapid.IntRange(0, officeSlots-1).Draw(t, "slot")
			clerk := o.clerks[slot]
			switch what := rapid.IntRange(0, 8).Draw(t, "what"); {
			case what <= 1:
				o.arrive(rapid.IntRange(1, 10).Draw(t, "clients"))
			case clerk == nil:
				o.hire(slot, rapid.IntRange(1, 100).Draw(t, "capacity"), rapid.IntRange(0, 2).Draw(t, "moves") > 0)
			case what == 2 || what == 3:
				o.take(slot)
			case what == 4:
				o.closeOne(slot)
			case what == 5:
				o.dispatcher.inspectQueues()
			case what == 6 && !clerk.retired:
				clerk.retired = true
				o.dispatcher.closeQueue(slot)
			case what == 7:
				o.die(slot)
			case what == 8 && clerk.moves:
				o.giveBack(slot, rapid.IntRange(1, 10).Draw(t, "given back"), rapid.Bool().Draw(t, "large"))
				o.queueReadable(o.dispatcher.find(slot).serial) // as epoll reports
			}
			o.turn()
			o.check()
		}
		for slot := range o.clerks {
			o.die(slot)
		}
		o.hire(0, 1000, true)
		for o.turn(); o.take(0); o.turn() {
		}
		if got := o.dispatcher.sum(); int(got.Lost) != o.lost {
			t.Fatalf("%d lost, booked %d", o.lost, got.Lost)
		}
		if o.check(); len(o.owner) != int(o.arrived-o.dispatcher.totals.refused) {
			t.Fatal(fmt.Sprintf("%d arrived, %d refused, %d reached a worker", o.arrived, o.dispatcher.totals.refused, len(o.owner)))
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
		o := newOffice(t, Settings{Policy: "least"})
		defer o.leave()
		o.hire(0, 1000, true)
		for len(o.owner) < 200 {
			o.arrive(50)
			for o.turn(); o.take(0); o.turn() {
			}
		}
		o.dispatcher.closeQueue(0)
		o.turn()
		before := open()
		given := o.arrived
		for len(o.owner) > 0 {
			o.giveBack(0, rapid.IntRange(1, 64).Draw(t, "given back"), rapid.Bool().Draw(t, "large"))
			o.queueReadable(o.dispatcher.find(0).serial) // as epoll reports
			if o.turn(); o.dispatcher.held() > 0 {
				t.Fatalf("the hand holds %d", o.dispatcher.held())
			}
		}
		if after := open(); after != before {
			t.Fatalf("%d descriptors open, %d before they were given back", after, before)
		}
		o.hire(1, 1000, true)
		for o.turn(); o.take(1); o.turn() {
		}
		if o.check(); len(o.owner) != int(given) {
			t.Fatalf("%d of %d reached the next worker", len(o.owner), given)
		}
	})
}
