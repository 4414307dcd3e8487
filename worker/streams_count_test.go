package worker_test

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/worker"
	"golang.org/x/sys/unix"
)

// untilEven waits until all that was received is closed.
func (s *rig) untilEven(received int) {
	s.t.Helper()
	s.until(func() bool {
		return s.entry.Received.Load() == uint64(received) && s.entry.Closed.Load() == uint64(received)
	})
}

// Whoever closes, and however: each is counted once, and only when it is closed.
func TestStreamsAreCountedOnce(t *testing.T) {
	tests := []struct {
		name  string
		serve func(net.Conn)
		end   func(*client)
	}{
		{"by the peer", streamEcho, func(c *client) { check(t, c.Close()) }},
		{"by a reset", streamEcho, (*client).reset},
		{"by the program", func(conn net.Conn) {}, (*client).expectEnd},
		{"twice by the program", func(conn net.Conn) { _ = conn.Close() }, (*client).expectEnd},
		{"while it is read", func(conn net.Conn) {
			go func() { _ = conn.Close() }()
			streamEcho(conn)
		}, (*client).expectEnd},
		{"with input unread", func(conn net.Conn) {
			_, _ = conn.Read(make([]byte, 1)) // the rest is what is unread
		}, func(c *client) {
			c.send("many bytes")
			_, _ = io.ReadAll(c) // a reset, or the end
		}},
		{"a duplicate of it last", func(conn net.Conn) {
			file, err := conn.(*net.TCPConn).File()
			check(t, err)
			check(t, conn.Close())
			_, err = file.WriteString("from the duplicate")
			check(t, err)
			check(t, file.Close())
		}, func(c *client) { c.expect("from the duplicate"); c.expectEnd() }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newRig(t, goroutinePer(test.serve))
			for range 20 {
				test.end(s.connect())
			}
			s.untilEven(20)
		})
		t.Run(test.name+", unwatched", func(t *testing.T) {
			s := newUnwatched(t, test.serve)
			for range 20 {
				test.end(s.connect())
			}
			s.untilEven(20)
		})
	}
}

// newUnwatched is newRig with streams whose closes nobody tells.
func newUnwatched(t *testing.T, serve func(net.Conn)) *rig {
	t.Helper()
	unwatched := make(chan struct{})
	s := newRig(t, worker.Streams(func(l net.Listener) error {
		worker.StopWatching(l)
		close(unwatched)
		return acceptEach(l, serve)
	}))
	await(t, unwatched)
	return s
}

// Connections that nobody tells of are open as long as they are, however long that
// is; they stay through a drain, and end with it.
func TestUnwatchedStreamsStayAndDrain(t *testing.T) {
	s := newUnwatched(t, streamEcho)
	first, second := s.connect(), s.connect()
	for range 3 {
		first.send("x")
		first.expect("x")
		second.send("y")
		second.expect("y")
	}
	if got := s.entry.Staying.Load(); got != 2 {
		t.Errorf("%d stay, want 2", got)
	}
	check(t, first.Close())
	s.until(func() bool { return s.entry.Closed.Load() == 1 })
	s.tell(ipc.Drain{Mode: ipc.DrainFinish})
	second.send("z")
	second.expect("z")
	check(t, second.Close())
	s.expectDrained()
	if got := s.entry.Staying.Load(); got != 0 {
		t.Errorf("%d stay after the end", got)
	}
}

// A stop closes them too.
func TestUnwatchedStreamsEndWithTheWorker(t *testing.T) {
	s := newUnwatched(t, streamEcho)
	c := s.connect()
	c.send("x")
	c.expect("x")
	s.tell(ipc.Stop{})
	s.wait()
	c.expectEnd()
	s.untilEven(1)
}

// A connection that the program drops without closing is closed when it is
// collected, as everywhere in Go, and counted then.
func TestForgottenStreamIsCounted(t *testing.T) {
	accepted := make(chan struct{})
	s := newRig(t, worker.Streams(func(l net.Listener) error {
		for {
			if _, err := l.Accept(); err != nil {
				return err
			}
			accepted <- struct{}{}
		}
	}))
	c := s.connect()
	await(t, accepted)
	s.until(func() bool {
		runtime.GC()
		return s.entry.Closed.Load() == 1
	})
	c.expectEnd()
}

// A reset that comes before Accept is no connection without an address.
func TestStreamResetBeforeAccept(t *testing.T) {
	begin := make(chan struct{})
	s := newRig(t, worker.Streams(func(l net.Listener) error {
		<-begin
		for {
			conn, err := l.Accept()
			if err != nil {
				return err
			}
			if conn.RemoteAddr() == nil {
				t.Error("a connection without an address")
			}
			streamEcho(conn)
			check(t, conn.Close())
		}
	}))
	dead := s.connect()
	dead.reset()
	alive := s.connect()
	s.until(func() bool { return s.entry.Received.Load() == 2 })
	close(begin)
	alive.send("x")
	alive.expect("x")
	check(t, alive.Close())
	s.untilEven(2)
}

func TestManyStreams(t *testing.T) {
	const clients, each = 20, 20
	s := newRigWith(t, ipc.Hello{Protocol: ipc.Version, Report: ipc.ReportIDs}, goroutinePer(streamEcho))
	var all sync.WaitGroup
	fds := make(chan int)
	for range clients {
		all.Go(func() {
			for range each {
				conn, err := net.Dial("tcp", s.address)
				check(t, err)
				conn = ungarbled(conn)
				text := fmt.Sprint("I am ", conn.LocalAddr())
				_, err = io.WriteString(conn, text)
				check(t, err)
				check(t, conn.(interface{ CloseWrite() error }).CloseWrite())
				if got, err := io.ReadAll(conn); string(got) != text || err != nil {
					t.Errorf("got %q, %v; want %q", got, err, text)
				}
				check(t, conn.Close())
			}
		})
	}
	go func() {
		defer close(fds)
		for range clients * each {
			fd, _, err := unix.Accept4(s.listen, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
			check(t, err)
			fds <- fd
		}
	}()
	for fd := range fds {
		s.hand(fd)
	}
	all.Wait()
	s.untilEven(clients * each)
	var ids []uint64
	for len(ids) < clients*each {
		ids = append(ids, next[ipc.Closed](s).IDs...)
	}
	slices.Sort(ids)
	if ids = slices.Compact(ids); len(ids) != clients*each {
		t.Errorf("%d different ids told closed, want %d", len(ids), clients*each)
	}
}

// A worker with streams rests when its connections do.
func TestStreamsRest(t *testing.T) {
	s := newRig(t, goroutinePer(streamEcho))
	c := s.connect()
	c.send("x")
	c.expect("x")
	s.expectRest()
	check(t, c.Close())
	s.untilEven(1)
}

// Closes that the kernel had no room to tell are found.
func TestStreamClosesMissed(t *testing.T) {
	const conns = 10
	release := make(chan struct{})
	s := newRig(t, worker.Streams(func(l net.Listener) error {
		var open []net.Conn
		for range conns {
			conn, err := l.Accept()
			check(t, err)
			open = append(open, conn)
		}
		worker.MissCloses(l, func() {
			for _, conn := range open[:conns/2] {
				check(t, conn.Close())
			}
		})
		<-release
		for _, conn := range open[conns/2:] {
			check(t, conn.Close())
		}
		_, err := l.Accept()
		return err
	}))
	for range conns {
		s.connect()
	}
	s.until(func() bool { return s.entry.Closed.Load() == conns/2 })
	close(release)
	s.untilEven(conns)
}
