package worker_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/usher-go/usher/internal/leaktest"
	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/worker"
	"golang.org/x/sys/unix"
)

// again dials anew whenever its connection has gone, or has not come to be.
type again struct {
	dialer *worker.Dialer
	to     worker.Destination
	opened func(c *worker.Conn)
	enough func() bool
}

func (a *again) dial() {
	if !a.enough() {
		a.dialer.Dial(a.to, a, func(error) { a.dial() })
	}
}

func (a *again) Open(c *worker.Conn) (worker.Session, error) {
	a.opened(c)
	return a, nil
}

func (a *again) Data(c *worker.Conn, in []byte) (int, error) { return len(in), nil }
func (a *again) Close(*worker.Conn, error)                   { a.dial() }

// A callback that dials at once, and is called at once, leaves the loop to others.
func TestRedialLeavesTurns(t *testing.T) {
	tests := []struct {
		name string
		to   func(t testing.TB) worker.Destination
	}{
		{"refused", refuser},
		{"no socket", func(testing.TB) worker.Destination { return worker.Destination{} }},
		{"aborted", func(t testing.TB) worker.Destination { return destination(echoServer(t, "tcp", "127.0.0.1:0")) }},
	}
	const tooMany = 20_000
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			leaktest.Descriptors(t)
			attempts, others := 0, false
			a := &again{to: test.to(t), opened: func(c *worker.Conn) { _ = c.Abort() }} // it is open
			a.enough = func() bool {
				attempts++
				return others || attempts == tooMany
			}
			runClient(t, t.Context(), func(d *worker.Dialer) error {
				a.dialer = d
				if !d.Post(func() { others = true }) {
					t.Error("not posted")
				}
				a.dial()
				return nil
			})
			if attempts == tooMany {
				t.Error("what was posted had no turn")
			}
		})
	}
}

// refuser returns where nobody listens.
func refuser(t testing.TB) worker.Destination {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	check(t, listener.Close())
	return destination(listener)
}

// What is dialled while the loop ends comes to nothing, and leaves nothing.
func TestRedialWhileStopping(t *testing.T) {
	leaktest.Descriptors(t)
	to := nobodyAccepts(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	asked := 0
	runClient(t, ctx, func(d *worker.Dialer) error {
		a := &again{dialer: d, to: to, opened: func(*worker.Conn) { cancel() }}
		a.enough = func() bool { asked++; return false }
		a.dial()
		return nil
	})
	if asked != 2 {
		t.Errorf("dialled %d times, want 2: at first, and from Close", asked)
	}
}

// A connection that is dialled anew whenever it ends does not keep a worker from
// its end, once the drain's deadline has come.
func TestRedialDoesNotHoldUpDeadline(t *testing.T) {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	up := make(chan struct{}, 1)
	a := &again{to: destination(server), opened: func(*worker.Conn) { up <- struct{}{} }, enough: func() bool { return false }}
	s := newRig(t, worker.OpenFunc(func(c *worker.Conn) (worker.Session, error) {
		a.dialer = c.Dialer()
		a.dial()
		return worker.DataFunc(echo), nil
	}))
	serveEcho(t, server)
	c := s.connect()
	await(t, up)
	s.tell(ipc.Drain{Mode: ipc.DrainFinish, DeadlineMS: 20})
	c.expectEnd()
	check(t, c.Close())
	s.expectDrained()
}

// More are dialled, and given up, than one turn has room for.
func TestDialGivenUpBeforeItsTurn(t *testing.T) {
	leaktest.Descriptors(t)
	const conns = 200
	to := nobodyAccepts(t)
	failed := 0
	runClient(t, t.Context(), func(d *worker.Dialer) error {
		for range conns {
			c := d.Dial(to, worker.DataFunc(echo), func(err error) {
				failed++
				if !errors.Is(err, worker.ErrClosed) {
					t.Error(err)
				}
			})
			if err := c.Close(); err != nil {
				return err
			}
		}
		d.After(time.Millisecond, func() {}) // the loop goes on until their turn has come
		return nil
	})
	if failed != conns {
		t.Errorf("%d of %d have failed", failed, conns)
	}
}

// fullServer returns a TCP server that answers no more: its backlog is full. The
// caller owns the descriptor, and the client's that fills it is the test's.
func fullServer(t testing.TB) (fd int, to worker.Destination) {
	t.Helper()
	fd, address := listen(t)
	check(t, unix.Listen(fd, 0)) // room for one
	client, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	check(t, err)
	t.Cleanup(func() { check(t, unix.Close(client)) })
	to.Remote = netip.MustParseAddrPort(address)
	check(t, unix.Connect(client, &unix.SockaddrInet4{Addr: to.Remote.Addr().As4(), Port: int(to.Remote.Port())}))
	return fd, to
}

// What a TCP server answers late comes as an event. The kernel asks again after a
// second.
func TestDialAnsweredLate(t *testing.T) {
	leaktest.Descriptors(t)
	silent, never := fullServer(t)
	gone, refused := fullServer(t)
	slow, late := fullServer(t)
	never.Timeout = 20 * time.Millisecond
	late.Timeout, refused.Timeout = patience, patience
	var timeout, refusal error
	opened := false
	runClient(t, t.Context(), func(d *worker.Dialer) error {
		unexpected := worker.OpenFunc(func(c *worker.Conn) (worker.Session, error) {
			t.Errorf("%v is there", c.RemoteAddr())
			return nil, worker.ErrClosed
		})
		d.Dial(never, unexpected, func(err error) { timeout = err })
		d.Dial(refused, unexpected, func(err error) { refusal = err })
		d.Dial(late, worker.OpenFunc(func(c *worker.Conn) (worker.Session, error) {
			opened = true
			return worker.DataFunc(echo), c.Abort()
		}), func(err error) { t.Error(err) })
		if err := unix.Close(gone); err != nil {
			return err
		}
		client, _, err := unix.Accept4(slow, unix.SOCK_CLOEXEC) // now there is room
		if err != nil {
			return err
		}
		return unix.Close(client)
	})
	check(t, unix.Close(silent))
	check(t, unix.Close(slow))
	if !errors.Is(timeout, worker.ErrDialTimeout) {
		t.Errorf("no answer: %v", timeout)
	}
	if !errors.Is(refusal, unix.ECONNREFUSED) {
		t.Errorf("refused late: %v", refusal)
	}
	if !opened {
		t.Error("the late connection is not there")
	}
}
