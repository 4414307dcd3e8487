package worker_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/usher-go/usher/internal/leaktest"
	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/worker"
	"golang.org/x/sys/unix"
)

// Every way in which a connection does not come to be, with its reason, once.
func TestDialFails(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	closed := destination(listener)
	check(t, listener.Close())
	full := fullSocket(t)
	tests := []struct {
		name   string
		to     worker.Destination
		then   func(c *worker.Conn) error
		want   error
		advice string
	}{
		{name: "refused", to: closed, want: unix.ECONNREFUSED, advice: closed.Remote.String()},
		{name: "no such socket", to: worker.Destination{Path: filepath.Join(t.TempDir(), "none")}, want: unix.ENOENT},
		{name: "too late", to: worker.Destination{Path: full, Timeout: 20 * time.Millisecond}, want: worker.ErrDialTimeout, advice: full},
		{name: "closed", to: worker.Destination{Path: full}, then: (*worker.Conn).Close, want: worker.ErrClosed},
		{name: "aborted", to: worker.Destination{Path: full}, then: (*worker.Conn).Abort, want: worker.ErrAborted},
		{name: "no such local address", to: worker.Destination{Remote: closed.Remote, Local: netip.MustParseAddr("192.0.2.1")},
			want: unix.EADDRNOTAVAIL, advice: "no such local address"},
		{name: "nowhere", to: worker.Destination{}, advice: "either a remote address or a path"},
		{name: "two places", to: worker.Destination{Remote: closed.Remote, Path: full}, advice: "either a remote address or a path"},
		{name: "of two families", to: worker.Destination{Remote: netip.MustParseAddrPort("[::1]:1"), Local: netip.MustParseAddr("127.0.0.1")}, advice: "bind"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			leaktest.Descriptors(t)
			var failures []error
			runClient(t, t.Context(), func(d *worker.Dialer) error {
				within := true
				c := d.Dial(test.to, worker.DataFunc(echo), func(err error) {
					if within {
						t.Error("called from within Dial")
					}
					failures = append(failures, err)
				})
				within = false
				if test.then != nil {
					return test.then(c)
				}
				return nil
			})
			if len(failures) != 1 {
				t.Fatalf("failed %d times", len(failures))
			}
			got := failures[0]
			if test.want != nil && !errors.Is(got, test.want) || !strings.Contains(got.Error(), test.advice) {
				t.Errorf("%v; want %v, with %q", got, test.want, test.advice)
			}
		})
	}
}

// Without a descriptor left a dial fails, and the next one has its chance.
func TestDialOutOfDescriptors(t *testing.T) {
	leaktest.Descriptors(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	defer listener.Close()
	var limit unix.Rlimit
	check(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	var failures []error
	opened := 0
	runClient(t, t.Context(), func(d *worker.Dialer) error {
		dial := func() {
			d.Dial(destination(listener), worker.OpenFunc(func(c *worker.Conn) (worker.Session, error) {
				opened++
				return worker.DataFunc(echo), c.Abort()
			}), func(err error) { failures = append(failures, err) })
		}
		check(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 0, Max: limit.Max}))
		dial()
		check(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit))
		dial()
		return nil
	})
	if opened != 1 || len(failures) != 1 || !errors.Is(failures[0], unix.EMFILE) || !strings.Contains(failures[0].Error(), "ulimit -n") {
		t.Errorf("%d opened, %v; want one, and one failure for want of descriptors", opened, failures)
	}
}

// A scoped address is dialled by the number of its interface.
func TestDialScoped(t *testing.T) {
	leaktest.Descriptors(t)
	listener, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skipf("no IPv6 here: %v", err)
	}
	defer listener.Close()
	opened := 0
	runClient(t, t.Context(), func(d *worker.Dialer) error {
		port := destination(listener).Remote.Port()
		loopback := netip.MustParseAddr("::1").WithZone("1")
		d.Dial(worker.Destination{Remote: netip.AddrPortFrom(loopback, port)}, worker.OpenFunc(func(c *worker.Conn) (worker.Session, error) {
			opened++
			return worker.DataFunc(echo), c.Abort()
		}), func(err error) { t.Error(err) })
		linkLocal := netip.MustParseAddr("fe80::1").WithZone("no-number")
		d.Dial(worker.Destination{Remote: netip.AddrPortFrom(linkLocal, port)}, worker.DataFunc(echo), func(err error) {
			if !errors.Is(err, unix.EINVAL) {
				t.Errorf("a zone that is no number: %v", err)
			}
		})
		return nil
	})
	if opened != 1 {
		t.Error("not connected")
	}
}

// A Unix socket whose backlog is full is tried again until there is room.
func TestDialWaitsForRoom(t *testing.T) {
	leaktest.Descriptors(t)
	path := filepath.Join(t.TempDir(), "s")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	check(t, err)
	check(t, unix.Bind(fd, &unix.SockaddrUnix{Name: path}))
	check(t, unix.Listen(fd, 0))
	opened := 0
	const conns = 5
	var all sync.WaitGroup
	runClient(t, t.Context(), func(d *worker.Dialer) error {
		for range conns {
			d.Dial(worker.Destination{Path: path, Timeout: patience}, worker.OpenFunc(func(c *worker.Conn) (worker.Session, error) {
				opened++
				return nil, errors.New("that is all")
			}), func(err error) { t.Error(err) })
		}
		d.After(20*time.Millisecond, func() { // those without room have been tried again by now
			all.Go(func() {
				for range conns {
					client, _, err := unix.Accept4(fd, unix.SOCK_CLOEXEC)
					if err == nil {
						err = unix.Close(client)
					}
					if err != nil {
						t.Error(err)
					}
				}
			})
		})
		return nil
	})
	all.Wait()
	check(t, unix.Close(fd))
	if opened != conns {
		t.Errorf("%d of %d", opened, conns)
	}
}

// A session dials from within its callbacks. What is dialled is not the master's
// business: the rig compares the books at the end.
func TestDialFromSession(t *testing.T) {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	s := newRig(t, relayTo(destination(server)))
	serveEcho(t, server) // it ends before the rig counts descriptors
	for range 3 {
		c := s.connect()
		c.send("through the proxy")
		c.expect("through the proxy")
		check(t, c.Close())
	}
	refused := newRig(t, relayTo(worker.Destination{Path: filepath.Join(t.TempDir(), "none")}))
	refused.connect().expectEnd()
}

// Much goes through a proxy, both ways at once, with peers that are slow.
func TestDialRelaysMuch(t *testing.T) {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	s := newRig(t, relayTo(destination(server)), worker.WithMaxOutput(1<<20))
	serveEcho(t, server)
	c := s.connectNarrow()
	sent := make([]byte, 8<<20)
	for i := range sent {
		sent[i] = byte(i * i >> 7)
	}
	var all sync.WaitGroup
	all.Go(func() {
		if _, err := c.Write(sent); err != nil {
			t.Error(err)
		}
	})
	got := make([]byte, len(sent))
	_, err = io.ReadFull(c, got)
	all.Wait()
	check(t, err)
	if !bytes.Equal(got, sent) {
		t.Error("what came back is not what was sent")
	}
	check(t, c.Close())
}

// nobodyAccepts returns a server that leaves connections in its backlog.
func nobodyAccepts(t testing.TB) worker.Destination {
	fd, address := listen(t)
	t.Cleanup(func() { check(t, unix.Close(fd)) })
	return worker.Destination{Remote: netip.MustParseAddrPort(address)}
}

// pool keeps a connection open that belongs to no session.
type pool struct {
	to     worker.Destination
	opened chan struct{}
	closed chan error
}

func (p *pool) Open(c *worker.Conn) (worker.Session, error) {
	kept := newRecorder(echo)
	kept.closed = p.closed
	c.Dialer().Dial(p.to, worker.OpenFunc(func(dialled *worker.Conn) (worker.Session, error) {
		close(p.opened)
		return kept, nil
	}), func(err error) { p.closed <- err })
	return worker.DataFunc(echo), nil
}

// A connection that was dialled does not keep a draining worker from its end; it
// does not move, where the one beside it does.
func TestDialledDoesNotHoldUpDrain(t *testing.T) {
	for _, mode := range []string{ipc.DrainFinish, ipc.DrainMove} {
		server, err := net.Listen("tcp", "127.0.0.1:0")
		check(t, err)
		p := &pool{to: destination(server), opened: make(chan struct{}), closed: make(chan error, 1)}
		next := newRig(t, worker.DataFunc(echo))
		s := newRig(t, p)
		serveEcho(t, server)
		c := s.connect()
		c.send("x")
		c.expect("x")
		await(t, p.opened)
		s.tell(ipc.Drain{Mode: mode})
		if mode == ipc.DrainMove {
			s.route(next, 1)
			c.send("y")
			c.expect("y")
		}
		check(t, c.Close())
		expectClose(t, p.closed, worker.ErrDrained)
		s.expectDrained()
	}
}

// Each is about clients.
func TestEachLeavesOutDialled(t *testing.T) {
	to := nobodyAccepts(t)
	s := newRig(t, worker.OpenFunc(func(c *worker.Conn) (worker.Session, error) {
		c.Dialer().Dial(to, worker.OpenFunc(func(*worker.Conn) (worker.Session, error) {
			c.Each(func(c *worker.Conn) { _, _ = c.Write([]byte("news")) }) // the client sees what it lacks
			return worker.DataFunc(func(*worker.Conn, []byte) (int, error) {
				t.Error("a dialled connection got news")
				return 0, nil
			}), nil
		}), nil)
		return worker.DataFunc(echo), nil
	}))
	c := s.connect()
	c.expect("news")
	c.send("x")
	c.expect("x")
	check(t, c.Close())
}
