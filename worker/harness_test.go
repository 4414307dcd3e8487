package worker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/internal/leaktest"
	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/worker"
	"golang.org/x/sys/unix"
)

// patience is how long a test waits for what must come. It is no part of any
// expectation.
const patience = 20 * time.Second

// rig is a worker within the test's process, and the master's side of it.
type rig struct {
	t       testing.TB
	queue   int
	control *os.File
	entry   *ipc.Entry
	further *ipc.FurtherCounters
	ready   ipc.Ready
	listen  int
	address string

	packets   ipc.PacketConn
	packet    ipc.Packet
	accepted  time.Duration // when those handed over were, by the clock of envelopes
	lastID    uint64
	moving    atomic.Pointer[ipc.Drain] // as the worker was told
	back      uint64                    // connections that the worker gave back
	workerEnd int                       // of the queue: the worker's, borrowed
	transport uint8                     // the number of new connections
	toShake   []*sealedClient           // clients whose handshakes are to be done
	messages  chan ipc.Message          // from the worker, after ready; closed at its end
	done      chan struct{}             // closed when serve has returned
	err       error                     // what it returned
	exits     atomic.Int32              // how often the worker would have ended the process
	cancel    context.CancelFunc
}

// rigs counts those that have not ended. Tests with rigs do not run in parallel.
var rigs int

var quiet = worker.WithLogger(hclog.NewNullLogger())

// newRig starts a worker and sees it ready. The test ends with the worker
// stopped, its ledger even, and no more descriptors open than before its first rig.
func newRig(t testing.TB, h worker.Handler, opts ...worker.Option) *rig {
	return newRigWith(t, ipc.Hello{Protocol: ipc.Version}, h, opts...)
}

func newRigWith(t testing.TB, hello ipc.Hello, h worker.Handler, opts ...worker.Option) *rig {
	t.Helper()
	s := startRig(t, hello, h, opts...)
	s.ready = next[ipc.Ready](s)
	return s
}

// startRig is newRigWith without waiting for ready.
func startRig(t testing.TB, hello ipc.Hello, h worker.Handler, opts ...worker.Option) *rig {
	t.Helper()
	before, alone := leaktest.Count(t), rigs == 0
	rigs++
	var secrets []byte
	number := uint8(0)
	if sealing != nil {
		number = sealing.announce(&hello)
		secrets = sealing.secrets
	}
	queue, workerQueue, err := fdpass.Pair()
	check(t, err)
	control, workerControl, err := fdpass.Pair()
	check(t, err)
	board, places, err := ipc.NewScoreboardFor(1)
	check(t, err)
	further, err := board.Further(places.Further)
	check(t, err)
	if hello.Further == (ipc.Place{}) {
		hello.Further = places.Further
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &rig{
		t: t, queue: queue, control: os.NewFile(uintptr(control), "control"), entry: board.Entry(0), further: further,
		messages: make(chan ipc.Message, 1024), done: make(chan struct{}), cancel: cancel,
		workerEnd: workerQueue, transport: number,
	}
	s.listen, s.address = listen(t)
	if garbling {
		opts = append([]worker.Option{worker.WithGarbler()}, opts...)
	}
	go func() {
		defer close(s.done)
		s.err = worker.Serve(ctx, workerQueue, workerControl, board, func(int) { s.exits.Add(1) },
			h, append([]worker.Option{quiet}, opts...)...)
	}()
	received := make(chan struct{})
	go func() {
		defer close(received)
		s.receive()
	}()
	t.Cleanup(func() {
		s.tell(ipc.Stop{})
		s.wait()
		if received, closed := s.entry.Received.Load(), s.entry.Closed.Load(); received != closed+s.back {
			t.Errorf("received %d connections, closed %d, gave %d back", received, closed, s.back)
		}
		cancel()
		check(t, s.control.Close())
		<-received
		check(t, unix.Close(s.queue))
		check(t, unix.Close(s.listen))
		check(t, board.Close())
		rigs--
		if !alone {
			return // another worker is still about its own
		}
		if after := leaktest.Count(t); after > before { // fewer, if the test has closed its own meanwhile
			t.Errorf("%d descriptors open before, %d after", before, after)
		}
	})
	if secrets != nil {
		s.sayWithMemory(hello, secrets)
	} else {
		s.tell(hello)
	}
	return s
}

// listen returns a listening socket that nothing accepts from by itself.
func listen(t testing.TB) (fd int, address string) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	check(t, err)
	check(t, unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1))
	check(t, unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	check(t, unix.Listen(fd, 1024))
	name, err := unix.Getsockname(fd)
	check(t, err)
	port := name.(*unix.SockaddrInet4).Port
	return fd, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(port)).String()
}

// tell sends a control message, and once the worker has moved what it can, the
// word that nothing comes back.
func (s *rig) tell(m ipc.Message) {
	s.t.Helper()
	if drain, ok := m.(ipc.Drain); ok && drain.Mode == ipc.DrainMove {
		s.moving.Store(&drain)
	}
	s.say(m)
}

// say sends a control message. A worker that has ended does not mind, nor does a
// test: its last answer may be read after that.
func (s *rig) say(m ipc.Message) {
	s.t.Helper()
	b, err := ipc.EncodeMessage(m)
	check(s.t, err)
	if _, err := s.control.Write(b); err != nil && !errors.Is(err, unix.EPIPE) && !errors.Is(err, os.ErrClosed) {
		s.t.Fatal(err)
	}
}

func (s *rig) receive() {
	defer close(s.messages)
	buffer := make([]byte, ipc.MaxMessage+1)
	for {
		n, err := s.control.Read(buffer)
		if err != nil {
			return
		}
		m, err := ipc.ParseMessage(buffer[:n])
		if err != nil {
			s.t.Error(err)
			return
		}
		if _, moved := m.(ipc.Moved); moved && s.moving.Load() != nil {
			s.tell(*s.moving.Load()) // as the master does once they have reached others
		}
		s.messages <- m
	}
}

// next returns the next message, which must be an M.
func next[M ipc.Message](s *rig) M {
	s.t.Helper()
	select {
	case m, ok := <-s.messages:
		if m, ok := m.(M); ok {
			return m
		}
		s.t.Fatalf("got %#v (open: %v)", m, ok)
	case <-time.After(patience):
		s.t.Fatal("no message")
	}
	panic("unreachable")
}

// wait waits for the worker's end.
func (s *rig) wait() {
	s.t.Helper()
	select {
	case <-s.done:
	case <-time.After(patience):
		buffer := make([]byte, 1<<20)
		s.t.Fatalf("the worker does not end\n%s", buffer[:runtime.Stack(buffer, true)])
	}
}

// until waits for what only the scoreboard tells.
func (s *rig) until(reached func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(patience); !reached(); runtime.Gosched() {
		if time.Now().After(deadline) {
			s.t.Fatal("the scoreboard does not show it")
		}
	}
}

// expectRest wants the loop's thread to sleep, sooner or later, for the time of a
// thousand system calls without a turn. One that spins never does: when it does
// not run it is runnable.
func (s *rig) expectRest() {
	s.t.Helper()
	a, b, err := fdpass.Pair()
	check(s.t, err)
	defer fdpass.CloseAll([]int{a, b})
	s.until(func() bool {
		before := s.entry.Sequence.Load()
		asleep := s.asleep()
		var buffer [1]byte
		for range 500 {
			_, err := unix.Write(a, buffer[:])
			check(s.t, err)
			_, err = unix.Read(b, buffer[:])
			check(s.t, err)
		}
		return asleep && before%2 == 0 && s.entry.Sequence.Load() == before
	})
}

// asleep reports whether the loop's thread is in an interruptible sleep
// (proc_pid_stat(5)). A loop that parks has none.
func (s *rig) asleep() bool {
	s.t.Helper()
	if s.entry.Thread.Load() == 0 {
		return true
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.entry.Thread.Load()))
	check(s.t, err)
	_, state, ok := bytes.Cut(stat, []byte(") "))
	return ok && state[0] == 'S'
}

// connect makes a connection and hands it to the worker.
func (s *rig) connect() *client {
	s.t.Helper()
	c, fd := s.accept()
	s.hand(fd)
	return c
}

// connectAll makes so many connections to an echo, one after another, and sees
// each served.
func (s *rig) connectAll(n int) (clients []*client) {
	s.t.Helper()
	for range n {
		c := s.connect()
		c.send("x")
		c.expect("x")
		clients = append(clients, c)
	}
	return clients
}

// connectNarrow is connect with buffers in the kernel that hold little, so that
// what the client does not read soon is the worker's to keep. Otherwise the
// kernel may take 32 MiB.
func (s *rig) connectNarrow() *client {
	s.t.Helper()
	return s.connectBuffered(narrow)
}

// connectBuffered is connectNarrow with buffers of about so many bytes.
func (s *rig) connectBuffered(bytes int) *client {
	s.t.Helper()
	c, fd := s.acceptWith(&net.Dialer{Control: func(_, _ string, raw syscall.RawConn) error {
		return raw.Control(func(fd uintptr) {
			check(s.t, unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, bytes))
		})
	}})
	check(s.t, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, bytes))
	s.hand(fd)
	return c
}

const narrow = 32 << 10

// accept makes a connection and returns both ends.
func (s *rig) accept() (c *client, fd int) {
	s.t.Helper()
	return s.acceptWith(&net.Dialer{})
}

func (s *rig) acceptWith(dialer *net.Dialer) (c *client, fd int) {
	s.t.Helper()
	conn, err := dialer.Dial("tcp", s.address)
	check(s.t, err)
	fd, _, err = unix.Accept4(s.listen, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
	check(s.t, err)
	c = newClient(s.t, conn)
	if sealed, ok := c.Conn.(*sealedClient); ok {
		s.toShake = append(s.toShake, sealed)
	}
	return c, fd
}

// hand sends accepted connections in one packet.
func (s *rig) hand(fds ...int) {
	s.t.Helper()
	s.packet.Reset()
	for _, fd := range fds {
		s.lastID++
		e := ipc.Envelope{ID: s.lastID, Accepted: s.accepted, Listener: "web", Local: netip.MustParseAddrPort(s.address), Transport: s.transport}
		if name, err := unix.Getpeername(fd); err == nil {
			if name, ok := name.(*unix.SockaddrInet4); ok {
				e.Remote = netip.AddrPortFrom(netip.AddrFrom4(name.Addr), uint16(name.Port))
			}
		}
		if !s.packet.Add(&e, fd) {
			s.t.Fatal("the packet is full")
		}
	}
	check(s.t, s.packets.Send(s.queue, &s.packet))
	for _, c := range s.toShake {
		_ = c.Handshake() // who reads or writes sees the error
	}
	s.toShake = nil
}

// recorder is a session that reports its end.
type recorder struct {
	data   func(c *worker.Conn, in []byte) (int, error)
	closed chan error
}

func newRecorder(data func(c *worker.Conn, in []byte) (int, error)) *recorder {
	return &recorder{data: data, closed: make(chan error, 1024)}
}

func (r *recorder) Open(*worker.Conn) (worker.Session, error)   { return r, nil }
func (r *recorder) Data(c *worker.Conn, in []byte) (int, error) { return r.data(c, in) }
func (r *recorder) Close(c *worker.Conn, err error)             { r.closed <- err }
func (r *recorder) expectClose(t testing.TB, want error)        { expectClose(t, r.closed, want) }

// expectClose waits for a session's end, for that reason.
func expectClose(t testing.TB, closed <-chan error, want error) {
	t.Helper()
	if got := await(t, closed); !errors.Is(got, want) {
		t.Fatalf("closed because of %v, want %v", got, want)
	}
}

// await receives what must come.
func await[T any](t testing.TB, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		t.Fatal("nothing came")
	}
	panic("unreachable")
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
