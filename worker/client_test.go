package worker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/usher-go/usher/internal/leaktest"
	"github.com/usher-go/usher/worker"
	"golang.org/x/sys/unix"
)

// echoServer sends back what its clients send, until the test ends.
func echoServer(t testing.TB, network, address string) net.Listener {
	t.Helper()
	listener, err := net.Listen(network, address)
	check(t, err)
	serveEcho(t, listener)
	return listener
}

// serveEcho takes ownership of the listener. When the test ends, it waits for the
// clients to go.
func serveEcho(t testing.TB, listener net.Listener) {
	var all sync.WaitGroup
	garbled := garbling
	all.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			if garbled {
				conn = worker.NewGarbledPeer(conn, false)
			}
			all.Go(func() {
				defer conn.Close()
				// Without splice(2), whose pipes the net package keeps.
				_, _ = io.Copy(struct{ io.Writer }{conn}, struct{ io.Reader }{conn}) // the client sees what it lacks
			})
		}
	})
	t.Cleanup(func() {
		check(t, listener.Close())
		all.Wait()
	})
}

func destination(l net.Listener) worker.Destination {
	if l.Addr().Network() == "unix" {
		return worker.Destination{Path: l.Addr().String()}
	}
	return worker.Destination{Remote: netip.MustParseAddrPort(l.Addr().String())}
}

// runClient is RunClient with an end that the test sees.
func runClient(t testing.TB, ctx context.Context, start func(d *worker.Dialer) error) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- worker.RunClient(ctx, start, quiet) }()
	check(t, await(t, done))
}

// exchange sends its words, one at a time, and closes when all came back.
type exchange struct {
	words  [][]byte
	closed func(err error)
}

func (e *exchange) Open(c *worker.Conn) (worker.Session, error) {
	_, err := c.Write(e.words[0])
	return e, err
}

func (e *exchange) Data(c *worker.Conn, in []byte) (int, error) {
	if len(in) < len(e.words[0]) {
		return 0, nil
	}
	if !bytes.Equal(in, e.words[0]) {
		return 0, fmt.Errorf("got %q, want %q", in, e.words[0])
	}
	if e.words = e.words[1:]; len(e.words) == 0 {
		return len(in), c.Close()
	}
	_, err := c.Write(e.words[0])
	return len(in), err
}

func (e *exchange) Close(_ *worker.Conn, err error) { e.closed(err) }

// Many connections at once, of both kinds; RunClient ends when the last has.
func TestRunClient(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			leaktest.Descriptors(t)
			address := "127.0.0.1:0"
			if network == "unix" {
				address = filepath.Join(t.TempDir(), "s")
			}
			to := destination(echoServer(t, network, address))
			if network == "tcp" {
				to.Local = netip.MustParseAddr("127.0.0.9")
			}
			to.Timeout = patience
			const conns = 1000
			ids := make(map[uint64]bool)
			ended := 0
			runClient(t, t.Context(), func(d *worker.Dialer) error {
				for i := range conns {
					e := &exchange{words: [][]byte{fmt.Appendf(nil, "first %d", i), fmt.Appendf(nil, "second %d", i)}}
					e.closed = func(err error) {
						if err != nil {
							t.Error(err)
						}
						ended++
					}
					c := d.Dial(to, worker.OpenFunc(func(c *worker.Conn) (worker.Session, error) {
						if network == "tcp" && (c.RemoteAddr() != to.Remote || c.LocalAddr().Addr() != to.Local) {
							t.Errorf("from %v to %v", c.LocalAddr(), c.RemoteAddr())
						}
						return e.Open(c)
					}), func(err error) { t.Error(err) })
					if _, err := c.Write([]byte("x")); !errors.Is(err, worker.ErrClosed) {
						t.Errorf("write before Open: %v", err)
					}
					ids[c.ID()] = true
				}
				return nil
			})
			if ended != conns || len(ids) != conns {
				t.Errorf("%d of %d have ended, with %d ids", ended, conns, len(ids))
			}
		})
	}
}

// Several loops run beside one another.
func TestRunClients(t *testing.T) {
	to := destination(echoServer(t, "tcp", "127.0.0.1:0"))
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			left := 100
			err := worker.RunClient(t.Context(), func(d *worker.Dialer) error {
				for range left {
					d.Dial(to, &exchange{words: [][]byte{[]byte("word")}, closed: func(err error) {
						if err != nil {
							t.Error(err)
						}
						left--
					}}, func(err error) { t.Error(err) })
				}
				return nil
			}, quiet)
			if err != nil || left != 0 {
				t.Errorf("%v, %d left", err, left)
			}
		})
	}
	all.Wait()
}

// What RunClient is stopped in the midst of: connections that are open, that are
// on their way, a timer, all are told or forgotten.
func TestRunClientStops(t *testing.T) {
	leaktest.Descriptors(t)
	to := nobodyAccepts(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var ends []error
	late := worker.Destination{Path: fullSocket(t)}
	runClient(t, ctx, func(d *worker.Dialer) error {
		d.Dial(to, &exchange{words: [][]byte{[]byte("no answer")}, closed: func(err error) {
			ends = append(ends, err)
		}}, nil)
		d.Dial(late, worker.DataFunc(echo), func(err error) { ends = append(ends, err) })
		d.After(time.Hour, func() { t.Error("the timer ran") })
		d.After(time.Millisecond, func() {
			if !d.Post(cancel) {
				t.Error("not posted")
			}
		})
		return nil
	})
	if len(ends) != 2 || !errors.Is(ends[0], worker.ErrStopped) || !errors.Is(ends[1], worker.ErrStopped) {
		t.Errorf("ended with %v, want stopped twice", ends)
	}
}

// A panic in a Dialer's timer or in what is posted is nobody's end.
func TestDialerPanics(t *testing.T) {
	calls := 0
	runClient(t, t.Context(), func(d *worker.Dialer) error {
		d.After(0, func() { panic("in a timer") })
		if !d.Post(func() { panic("posted") }) {
			t.Error("not posted")
		}
		stopped := d.After(time.Hour, func() { t.Error("the timer ran") })
		d.After(2*time.Millisecond, func() {
			calls++
			if !stopped.Stop() {
				t.Error("not stopped")
			}
			d.After(0, func() { calls++ })
		})
		return nil
	})
	if calls != 2 {
		t.Errorf("%d calls after the panics", calls)
	}
}

func TestRunClientRefuses(t *testing.T) {
	leaktest.Descriptors(t)
	want := errors.New("no wish")
	if err := worker.RunClient(t.Context(), func(*worker.Dialer) error { return want }, quiet); err != want {
		t.Errorf("start's error: %v", err)
	}
	start := worker.WithHooks(worker.Hooks{Start: func() error { return want }})
	if err := worker.RunClient(t.Context(), nil, quiet, start); !errors.Is(err, want) {
		t.Errorf("the hook's error: %v", err)
	}
}

// fullSocket returns the path of a Unix socket whose backlog is full.
func fullSocket(t testing.TB) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "s")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	check(t, err)
	check(t, unix.Bind(fd, &unix.SockaddrUnix{Name: path}))
	check(t, unix.Listen(fd, 0))
	fds := []int{fd}
	for {
		client, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		check(t, err)
		fds = append(fds, client)
		err = unix.Connect(client, &unix.SockaddrUnix{Name: path})
		if err == unix.EAGAIN {
			break
		}
		check(t, err)
	}
	t.Cleanup(func() {
		for _, fd := range fds {
			check(t, unix.Close(fd))
		}
	})
	return path
}
