package worker_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/worker"
	"golang.org/x/sys/unix"
)

// What does not fit into a packet goes in a memfd: much state, unread input and
// output that nobody reads move together, and no descriptor is left (newRig
// counts them).
func TestMoveLarge(t *testing.T) {
	for _, size := range []int{ipc.MaxState, ipc.MaxState + 1, 100 << 10, 4 << 20} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			old, next := newRig(t, &keeper{size: size}), newRig(t, &keeper{})
			var clients []*client
			for range 5 {
				clients = append(clients, old.connectNarrow())
			}
			for _, c := range clients {
				c.send("begin")
				c.expect("first") // and the rest of the hoard is not read yet
			}
			moved := make(chan error, 1)
			go func() { moved <- old.routeAll(next) }()
			old.tell(ipc.Drain{Mode: ipc.DrainMove})
			check(t, await(t, moved))
			old.expectDrained()
			for _, c := range clients {
				c.expect(string(hoard(size)))
				c.send("again")
				c.expect("first" + string(hoard(size)))
				c.closeWrite()
				c.expectEnd()
			}
		})
	}
}

// keeper is a session whose state is of some size, and which answers each five
// bytes with all of it.
type keeper struct {
	size  int
	state []byte
}

func hoard(size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(i*7 + i>>8)
	}
	return b
}

func (h *keeper) Open(*worker.Conn) (worker.Session, error) {
	return &keeper{state: hoard(h.size)}, nil
}

func (h *keeper) Data(c *worker.Conn, in []byte) (int, error) {
	if len(in) < 5 {
		return 0, nil
	}
	_, err := c.Writev([]byte("first"), h.state)
	return 5, err
}

func (h *keeper) MarshalBinary() ([]byte, error) { return h.state, nil }
func (h *keeper) UnmarshalBinary(b []byte) error {
	h.state = bytes.Clone(b)
	return nil
}

// What comes in place of a sealed memfd costs its connection, which is counted
// as lost; nobody else, and no descriptor.
func TestLargeStateThatIsNone(t *testing.T) {
	s := newRig(t, &keeper{size: 10})
	witness := s.connect()
	unsealed, err := unix.MemfdCreate("test", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	check(t, err)
	_, err = unix.Write(unsealed, make([]byte, 100))
	check(t, err)
	pipe := make([]int, 2)
	check(t, unix.Pipe2(pipe, unix.O_CLOEXEC))
	defer fdpass.CloseAll(pipe[1:])
	junk, err := ipc.SealState([]byte("junk"))
	check(t, err)
	for n, state := range []int{unsealed, pipe[0], junk} {
		c, fd := s.accept()
		s.packet.Reset()
		s.packet.AddLarge(&ipc.Envelope{ID: uint64(100 + n)}, fd, state)
		check(t, s.packets.Send(s.queue, &s.packet))
		c.expectEnd()
		check(t, c.Close())
		if lost := s.entry.Lost.Load(); lost != uint64(n+1) {
			t.Errorf("%d lost, want %d", lost, n+1)
		}
	}
	witness.send("hello")
	witness.expect("first" + string(hoard(10)))
	check(t, witness.Close())
}

// Without a memfd for its state a connection stays, is served, and does not keep
// the master waiting; it moves once there is one.
func TestLargeStateThatCannotBeSealed(t *testing.T) {
	const size = 100 << 10
	old, there := newRig(t, &keeper{size: size}), newRig(t, &keeper{})
	c := old.connect()
	c.send("begin")
	c.expect("first" + string(hoard(size)))

	var before unix.Rlimit
	check(t, unix.Getrlimit(unix.RLIMIT_FSIZE, &before))
	check(t, unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: size, Max: before.Max})) // the state is some bytes longer
	restore := func() { check(t, unix.Setrlimit(unix.RLIMIT_FSIZE, &before)) }
	defer restore()
	old.tell(ipc.Drain{Mode: ipc.DrainMove})
	if m := next[ipc.Moved](old); m.Staying != 1 {
		t.Errorf("%d stay, want 1", m.Staying)
	}
	c.send("again")
	c.expect("first" + string(hoard(size)))

	restore()
	old.route(there, 1)
	old.expectDrained()
	c.send("there")
	c.expect("first" + string(hoard(size)))
	check(t, c.Close())
}
