package master

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/ipc"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// office runs the production accept goroutine's code, turn by turn and without
// the goroutine, on real queues with fake workers and connections that are only
// descriptors. It knows for each connection who has it.
type office struct {
	*rapid.T
	*acceptor
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
	courier  ipc.Courier
	packet   ipc.Packet
}

const officeSlots = 4

func newOffice(t *rapid.T, config Config) *office {
	board, err := ipc.NewScoreboard(officeSlots)
	if err != nil {
		t.Fatal(err)
	}
	config.Logger = hclog.NewNullLogger()
	a, err := newAcceptor(config, nil, 200, func(slot int, err error) { t.Fatalf("slot %d is broken: %v", slot, err) })
	if err != nil {
		t.Fatal(err)
	}
	return &office{T: t, acceptor: a, board: board, clerks: make(map[int]*clerk), owner: make(map[uint64]int)}
}

// leave ends a run, whatever came of it.
func (o *office) leave() {
	for slot := range o.clerks {
		o.die(slot)
	}
	o.acceptor.close()
	_ = o.board.Close() // of a test
}

// arrive accepts as many as the quota allows, at most n.
func (o *office) arrive(n int) {
	o.dispatcher.survey()
	for range min(n, o.quota()) {
		fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			o.Fatal(err)
		}
		o.arrived++
		client := netip.AddrFrom4([4]byte{10, 0, 0, byte(o.arrived % 3)})
		if !o.dispatcher.census.admit(o.arrived, client) {
			o.refuse(fd, netip.AddrPortFrom(client, 1), "test")
			continue
		}
		o.dispatcher.hand.Add(&ipc.Envelope{ID: o.arrived, Remote: netip.AddrPortFrom(client, 1)}, fd)
		o.dispatcher.totals.accepted++
	}
}

func (o *office) hire(slot, capacity int) {
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
	o.clerks[slot] = &clerk{end: end, capacity: capacity}
	o.serial++
	o.dispatcher.open(seatSpec{slot: slot, queue: queue, workerEnd: workerEnd, capacity: capacity, closes: true, entry: entry}, o.serial)
}

// take has a worker receive one packet, if there is one.
func (o *office) take(slot int) bool {
	c := o.clerks[slot]
	err := c.courier.Receive(c.end, &c.packet)
	if err == fdpass.ErrWouldBlock {
		return false
	}
	if err != nil {
		o.Fatal(err)
	}
	o.board.Entry(slot).Received.Add(uint64(c.packet.Len()))
	for i := range c.packet.Len() {
		id := c.packet.ID(i)
		if before, ok := o.owner[id]; ok {
			o.Fatalf("connection %d: received by slot %d, and now by %d", id, before, slot)
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
		o.dispatcher.census.gone(c.ids[0])
		c.ids = c.ids[1:]
		o.closed++
	}
}

func (o *office) die(slot int) {
	o.lost += len(o.clerks[slot].ids)
	_ = unix.Close(o.clerks[slot].end) // of a test
	delete(o.clerks, slot)
	o.dispatcher.bury(slot)
}

// check balances the books against what the workers hold.
func (o *office) check() {
	c := o.dispatcher.counts()
	active := 0
	for _, clerk := range o.clerks {
		active += len(clerk.ids)
	}
	if c.Accepted != c.Queued+c.Active+c.Closed+c.Refused+c.Lost {
		o.Fatalf("the books do not balance: %+v", c)
	}
	if int(c.Active) != active || int(c.Closed) != o.closed || int(c.Lost) != o.lost || c.Accepted != o.arrived {
		o.Fatalf("booked %+v; active %d, closed %d, lost %d, arrived %d", c, active, o.closed, o.lost, o.arrived)
	}
	if limit := o.limits.conns; limit > 0 && int(c.Queued+c.Active) > limit {
		o.Fatalf("%d connections, the limit is %d", c.Queued+c.Active, limit)
	}
	for origin, n := range o.dispatcher.census.origins {
		if n > o.dispatcher.census.limit {
			o.Fatalf("%d from %v, the limit is %d", n, origin, o.dispatcher.census.limit)
		}
	}
}

// Whoever comes, goes, is retired, stands still or dies, in whatever order:
// every connection reaches one worker at most, and in the end exactly one;
// none is lost but with the worker that had received it; limits hold.
func TestDispatcherModel(t *testing.T) {
	keepsDescriptors(t)
	rapid.Check(t, func(t *rapid.T) {
		o := newOffice(t, Config{
			Dispatch:      rapid.SampledFrom(Policies()).Draw(t, "policy"),
			MaxConns:      rapid.SampledFrom([]int{0, 0, 7}).Draw(t, "max conns"),
			MaxConnsPerIP: rapid.SampledFrom([]int{0, 0, 3}).Draw(t, "max conns per ip"),
		})
		defer o.leave()
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			slot := rapid.IntRange(0, officeSlots-1).Draw(t, "slot")
			clerk := o.clerks[slot]
			switch what := rapid.IntRange(0, 7).Draw(t, "what"); {
			case what <= 1:
				o.arrive(rapid.IntRange(1, 10).Draw(t, "clients"))
			case clerk == nil:
				o.hire(slot, rapid.IntRange(1, 100).Draw(t, "capacity"))
			case what == 2 || what == 3:
				o.take(slot)
			case what == 4:
				o.closeOne(slot)
			case what == 5:
				o.dispatcher.inspect()
			case what == 6 && !clerk.retired:
				clerk.retired = true
				o.dispatcher.retire(slot)
			case what == 7:
				o.die(slot)
			}
			o.turn()
			o.check()
		}
		for slot := range o.clerks {
			o.die(slot)
		}
		o.hire(0, 1000)
		for o.turn(); o.take(0); o.turn() {
		}
		if o.check(); len(o.owner) != int(o.arrived-o.dispatcher.totals.refused) {
			t.Fatal(fmt.Sprintf("%d arrived, %d refused, %d reached a worker", o.arrived, o.dispatcher.totals.refused, len(o.owner)))
		}
	})
}
