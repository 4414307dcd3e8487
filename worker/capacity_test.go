package worker_test

import (
	"net"
	"testing"

	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/worker"
	"golang.org/x/sys/unix"
)

// withLimit starts a worker that may have so many descriptors, of those that are open
// here already more than enough.
func withLimit(t *testing.T, limit uint64, h worker.Handler) *rig {
	t.Helper()
	var before unix.Rlimit
	check(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &before))
	check(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: limit, Max: before.Max}))
	s := newRig(t, h)
	check(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &before)) // what it was told stands
	return s
}

// What a worker has dialled for its clients it takes off its capacity, and what it
// will for the next ones; and puts it back when they leave.
func TestDialledIsWithheldFromCapacity(t *testing.T) {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	const limit, clients = 400, 20
	s := withLimit(t, limit, relayTo(destination(server)))
	serveEcho(t, server)
	capacity := uint64(limit - worker.ReservedFDs)
	if s.ready.Capacity != int(capacity) {
		t.Fatalf("capacity %d, want %d", s.ready.Capacity, capacity)
	}
	var all []*client
	for range clients {
		c := s.connect()
		c.send("x")
		c.expect("x")
		all = append(all, c)
	}
	s.until(func() bool { return s.entry.Withheld.Load() == capacity/2 })
	s.entry.WantBell.Store(1)
	for _, c := range all {
		check(t, c.Close())
	}
	s.until(func() bool { return s.entry.Withheld.Load() == 0 })
	next[ipc.Closed](s) // the bell
}

// One pool that is dialled for all is not taken for what each client costs.
func TestPoolIsWithheldOnce(t *testing.T) {
	const limit, pool, clients = 400, 40, 40
	to := nobodyAccepts(t)
	var conns []*worker.Conn
	s := withLimit(t, limit, worker.OpenFunc(func(c *worker.Conn) (worker.Session, error) {
		for len(conns) < pool {
			conns = append(conns, c.Dialer().Dial(to, worker.DataFunc(echo), func(err error) { t.Error(err) }))
		}
		return worker.DataFunc(echo), nil
	}))
	all := s.connectAll(1)
	capacity := limit - worker.ReservedFDs
	// Of 295 descriptors that are left, half for clients and half for what they may dial.
	s.until(func() bool { return s.entry.Withheld.Load() == uint64(capacity-1-(capacity-1-pool)/2) })
	all = append(all, s.connectAll(clients-1)...)
	s.until(func() bool { return s.entry.Withheld.Load() == uint64(capacity-clients-(capacity-clients-pool)/2) })
	for _, c := range all {
		check(t, c.Close())
	}
}

// What was sent before the master could know waits in the queue, and is served when
// there is room.
func TestQueueWaitsForDescriptors(t *testing.T) {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	const limit = 128 // 64 for connections
	s := withLimit(t, limit, relayTo(destination(server)))
	serveEcho(t, server)
	var first, second []*client
	batch := func(n int) (clients []*client) {
		var fds []int
		for range n {
			c, fd := s.accept()
			c.send("x")
			clients, fds = append(clients, c), append(fds, fd)
		}
		s.hand(fds...)
		return clients
	}
	first = batch(30)
	for _, c := range first {
		c.expect("x")
	}
	second = batch(10)
	for range 100 {
		first[0].send("y")
		first[0].expect("y")
	}
	if got := s.entry.Received.Load(); got != 30 {
		t.Fatalf("received %d, with room for 2 more and what they dial", got)
	}
	for _, c := range first {
		check(t, c.Close())
	}
	for _, c := range second {
		c.expect("x")
		check(t, c.Close())
	}
}
