package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/master"
	"golang.org/x/sys/unix"
)

// giver is a bad worker that can move connections: what it does to give back
// wrongly those that it was given.
type giver struct {
	do     func(g *gift)
	reason string // why it is replaced; empty: it cannot be seen at the giver
	lost   string // what the log says where a connection is lost for it
}

// gift is one packet of connections that a giver has received.
type gift struct {
	packets ipc.PacketConn
	packet  ipc.Packet
	sender  fdpass.Sender
}

var givers = map[string]giver{
	"a large state with one descriptor": {func(g *gift) {
		g.send(g.large(), g.packet.FD(0))
	}, "missing descriptors", ""},
	"a large state with three descriptors": {func(g *gift) {
		g.send(g.large(), g.packet.FD(0), sealedState(), sealedState())
	}, "surplus descriptors", ""},
	"an envelope of a wrong length": {func(g *gift) {
		b := g.plain()
		b[8]++
		g.send(b, g.packet.FD(0))
	}, "malformed", ""},
	"an envelope whose name is longer than it": {func(g *gift) {
		b := g.plain()
		b[8+4] = 200
		g.send(b, g.packet.FD(0))
	}, "malformed", ""},
	"one envelope and two descriptors": {func(g *gift) {
		g.send(g.plain(), g.packet.FD(0), g.packet.FD(0))
	}, "surplus descriptors", ""},
	"a pipe": {func(g *gift) {
		g.send(g.plain(), pipe())
	}, "gave back what is no stream socket", "what was given back is no stream socket"},
	"more than it was given": {func(g *gift) {
		for range 1000 {
			g.send(g.plain(), g.packet.FD(0))
		}
	}, "gave back more connections than it was given", ""},
	"a large state that is not sealed": {func(g *gift) {
		fd, _ := unix.MemfdCreate("bad", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
		_, _ = unix.Write(fd, []byte("0 0")) // the log would tell
		g.give(fd)
	}, "", "not sealed: seals"},
	"a large state that is a pipe": {func(g *gift) { g.give(pipe()) },
		"gave back a state that is no memfd", "the state that was given back is no memfd"},
	"a large state that is junk": {func(g *gift) { g.give(sealedState()) }, "", "malformed frozen connection"},
}

// onlyGift returns the first connections of the worker that makes a folder, which says
// that it can move them. All others are good.
func onlyGift(folder string) *gift {
	onlyOne(folder, helpers["worker-summing"])
	sayOnControl(`{"type":"ready","protocol":1,"closes":true,"moves":true}`)
	g := new(gift)
	g.await()
	return g
}

// await receives a packet.
func (g *gift) await() {
	for g.packets.Receive(ipc.QueueFD, &g.packet) != nil {
		_, _ = unix.Poll([]unix.PollFd{{Fd: ipc.QueueFD, Events: unix.POLLIN}}, -1) // it is looked at again
	}
}

func (g *gift) plain() []byte { return g.bytes(1, []byte("0 0")) }
func (g *gift) large() []byte { return g.bytes(2, nil) }

// bytes returns a packet of one envelope, as PROTOCOL.md describes it.
func (g *gift) bytes(kind byte, state []byte) []byte {
	envelope := append([]byte(nil), g.packet.Raw(0)...)
	envelope = append(envelope, state...)
	envelope[0], envelope[1] = byte(len(envelope)), byte(len(envelope)>>8)
	length := 8 + len(envelope)
	return append([]byte{1, kind, 1, 0, byte(length), byte(length >> 8), 0, 0}, envelope...)
}

func (g *gift) send(packet []byte, fds ...int) {
	if err := g.sender.Send(ipc.QueueFD, packet, fds); err != nil && !errors.Is(err, fdpass.ErrWouldBlock) {
		fmt.Fprintln(os.Stderr, err)
	}
}

// give sends the first connection back as a large one, and has it no more.
func (g *gift) give(state int) {
	g.send(g.large(), g.packet.FD(0), state)
	fdpass.CloseAll([]int{g.packet.Take(0), state})
}

func pipe() int {
	var ends [2]int
	_ = unix.Pipe2(ends[:], unix.O_CLOEXEC) // it would be told as no descriptor at all
	return ends[0]
}

func sealedState() int {
	fd, _ := ipc.SealState([]byte("junk")) // likewise
	return fd
}

func init() {
	// The arguments: which of givers, and a folder to be made. Whoever makes it is
	// the giver, which takes one packet of connections; all others are good.
	helpers["worker-giver"] = func() {
		g := onlyGift(os.Args[3])
		givers[os.Args[2]].do(g)
		helpers["worker-mute"]()
	}
}

// What a worker gives back wrongly costs it its life, if the master can see it,
// and else the connection alone; and nobody else anything: its client sees an end,
// it is counted as lost, and the books and descriptors are even.
func TestBadGivers(t *testing.T) {
	t.Parallel()
	for name, giver := range givers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			once := filepath.Join(t.TempDir(), "done")
			if err := os.Mkdir(once, 0o755); err != nil { // good ones, to begin with
				t.Fatal(err)
			}
			s := serve(t, "--workers", "2", "--", self(), "worker-giver", name, once)
			before := s.until("ready", ready(2))
			c := gather(t, s.address, 10)
			s.until("all are there", func(status master.Status) bool { return status.Connections.Active == 10 })
			if err := os.Remove(once); err != nil {
				t.Fatal(err)
			}
			s.signal(unix.SIGUSR1)
			s.until("the giver is there", ready(3))

			victim, err := connect(s.address) // to the giver, which has the fewest
			if err != nil {
				t.Fatal(err)
			}
			if rest, err := io.ReadAll(victim.in); len(rest) > 0 || err != nil && !errors.Is(err, unix.ECONNRESET) {
				t.Errorf("the giver's client got %q, %v; want an end", rest, err)
			}
			_ = victim.conn.Close() // it is over
			if giver.lost != "" {
				s.log.await(t, 1, "[ERROR]", giver.lost)
			}
			replaced := 0
			if giver.reason != "" {
				s.log.await(t, 1, "[WARN]", "worker died", "slot=2", giver.reason)
				replaced = 1
			}
			after := s.until("it is counted as lost", func(status master.Status) bool {
				return ready(3)(status) && status.Connections.Lost == 1 && status.Workers[2].Restarts == replaced
			})
			lines := c.lines.Load()
			c.disperse()
			if c.failed.Load() > 0 || fmt.Sprint(pids(after)[:2]) != fmt.Sprint(pids(before)) {
				t.Errorf("%d of the others failed, %d lines before; the workers are %v, were %v", c.failed.Load(), lines, pids(after), pids(before))
			}
			if replaced == 0 {
				kill(t, after.Workers[2].PID, unix.SIGKILL) // it does nothing
				s.until("it is replaced", func(status master.Status) bool { return ready(3)(status) && status.Workers[2].Restarts == 1 })
			}
			s.workers, s.masterFDs = 3, s.descriptors()
			s.stop()
		})
	}
}

func init() {
	// The arguments: a folder to be made. Whoever makes it floods its queue.
	helpers["worker-flooding"] = func() {
		onlyOne(os.Args[2], helpers["worker-summing"])
		sayOnControl(`{"type":"ready","protocol":1,"closes":true,"moves":true}`)
		var packet ipc.Packet
		var packets ipc.PacketConn
		for sent := 0; sent < 10000; {
			pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				break // the test misses its death, and says so
			}
			_ = unix.Close(pair[1]) // one is enough
			packet.Add(&ipc.Envelope{ID: 1, State: []byte("0 0")}, pair[0])
			if packets.Send(ipc.QueueFD, &packet) == nil {
				sent++
				continue
			}
			packet.Close()
			_, _ = unix.Poll([]unix.PollFd{{Fd: ipc.QueueFD, Events: unix.POLLOUT}}, 10) // it is tried again
		}
		helpers["worker-mute"]()
	}
}

// A worker that gives back ten thousand connections that it never had, while
// nobody is there to take them, is replaced; what it sent stays in the kernel
// until then, and the master holds none of it.
func TestFloodOfGifts(t *testing.T) {
	t.Parallel()
	once := filepath.Join(t.TempDir(), "done")
	s := serve(t, "--workers", "1", "--", self(), "worker-flooding", once)
	var most atomic.Int64
	done := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(time.Millisecond):
				most.Store(max(most.Load(), int64(descriptors(s.pid))))
			}
		}
	})
	s.log.await(t, 1, "[WARN]", "worker died", "slot=0", "gave back more connections than it was given")
	s.until("it is replaced", func(status master.Status) bool { return ready(1)(status) && status.Workers[0].Restarts == 1 })
	close(done)
	group.Wait()
	if bound := int64(s.masterFDs + 2*ipc.MaxConns + 16); most.Load() > bound {
		t.Errorf("the master had %d descriptors, want at most %d", most.Load(), bound)
	}
	c := gather(t, s.address, 3)
	s.until("clients are served", func(status master.Status) bool { return status.Connections.Active == 3 })
	c.disperse()
	s.counts(master.Counts{Accepted: 3, Closed: 3})
	// What they had at the start was counted in the flood.
	s.masterFDs, s.workerFDs = s.descriptors(), descriptors(pids(s.until("at rest", ready(1)))[0])
	s.stop()
}
