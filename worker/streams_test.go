package worker_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/worker"
	"golang.org/x/sys/unix"
)

// goroutinePer serves each connection on a goroutine of its own, as programs
// written for package net do.
func goroutinePer(serve func(net.Conn)) worker.Handler {
	return worker.Streams(func(l net.Listener) error { return acceptEach(l, serve) })
}

// acceptEach has a goroutine serve each connection, and waits for them.
func acceptEach(l net.Listener, serve func(net.Conn)) error {
	var all sync.WaitGroup
	defer all.Wait()
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		all.Go(func() {
			defer conn.Close()
			serve(conn)
		})
	}
}

// streamEcho hides the socket from io.Copy, which would use a pipe between two,
// and keep it: a test counts descriptors. The client says what came back.
func streamEcho(conn net.Conn) { _, _ = io.Copy(struct{ io.Writer }{conn}, struct{ io.Reader }{conn}) }

// Streams do not move, which the master is told; and what moves to them is lost,
// and counted as such.
func TestStreamsDoNotMove(t *testing.T) {
	s := newRig(t, goroutinePer(streamEcho))
	if s.ready.Moves {
		t.Error("the worker says that its connections move")
	}
	_, fd := s.accept()
	s.packet.Reset()
	s.packet.Add(&ipc.Envelope{ID: 1, State: []byte("state")}, fd)
	check(t, s.packets.Send(s.queue, &s.packet))
	_, fd = s.accept()
	state, err := ipc.SealState([]byte("a state that is too long for a packet, as the sender says"))
	check(t, err)
	s.packet.Reset()
	s.packet.AddLarge(&ipc.Envelope{ID: 2}, fd, state)
	check(t, s.packets.Send(s.queue, &s.packet))
	s.untilEven(2)
	if lost, thawed := s.entry.Lost.Load(), s.entry.Thawed.Load(); lost != 2 || thawed != 2 {
		t.Errorf("%d lost of %d that moved, want 2 of 2", lost, thawed)
	}
}

func TestStreamIsTCPConn(t *testing.T) {
	type facts struct{ remote, local string }
	seen := make(chan facts, 1)
	s := newRig(t, goroutinePer(func(conn net.Conn) {
		tcp := conn.(*net.TCPConn)
		check(t, tcp.SetNoDelay(true))
		check(t, tcp.SetLinger(-1))
		seen <- facts{tcp.RemoteAddr().String(), tcp.LocalAddr().String()}

		// A deadline ends a read that has nothing, and the connection lives.
		check(t, tcp.SetReadDeadline(time.Now().Add(time.Millisecond)))
		if _, err := tcp.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read past its deadline: %v", err)
		}
		check(t, tcp.SetReadDeadline(time.Time{}))
		file, err := os.Open("streams_test.go")
		check(t, err)
		_, err = tcp.ReadFrom(file)
		check(t, err)
		check(t, file.Close())
		check(t, tcp.CloseWrite())
		rest, err := io.ReadAll(tcp)
		if string(rest) != "after your end" || err != nil {
			t.Errorf("got %q, %v after CloseWrite", rest, err)
		}
	}))
	c := s.connect()
	if got, want := await(t, seen), (facts{c.LocalAddr().String(), s.address}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	want, err := os.ReadFile("streams_test.go")
	check(t, err)
	c.expect(string(want))
	c.expectEnd()
	if closed := s.entry.Closed.Load(); closed != 0 {
		t.Errorf("%d counted as closed while one direction is open", closed)
	}
	c.send("after your end")
	c.closeWrite()
	s.untilEven(1)
}

func TestStreamOfUnixSocket(t *testing.T) {
	s := newRig(t, goroutinePer(func(conn net.Conn) { streamEcho(conn.(*net.UnixConn)) }))
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	check(t, err)
	file := os.NewFile(uintptr(pair[0]), "client")
	conn, err := net.FileConn(file)
	check(t, err)
	check(t, file.Close())
	c := newClient(t, conn)
	s.hand(pair[1])
	c.send("x")
	c.expect("x")
	check(t, c.Close())
	s.untilEven(1)
}

// SIGTERM tells the master first. Until that says that it has sent the last
// connection, what comes is served.
func TestStreamsTerminated(t *testing.T) {
	s := newRig(t, goroutinePer(streamEcho))
	s.cancel()
	next[ipc.Draining](s)
	c := s.connect()
	c.send("x")
	c.expect("x")
	s.tell(ipc.Drain{Mode: ipc.DrainFinish, DeadlineMS: patience.Milliseconds()})
	c.send("y")
	c.expect("y")
	check(t, c.Close())
	s.wait()
	check(t, s.err)
}

// What is still open at the deadline is closed and counted, with FIN.
func TestStreamsDrainDeadline(t *testing.T) {
	tests := []struct {
		name    string
		handler worker.Handler
	}{
		{"a program that sees the end", goroutinePer(streamEcho)},
		{"one that ignores it", worker.Streams(func(l net.Listener) error {
			for {
				conn, err := l.Accept()
				if err != nil {
					return err
				}
				defer conn.Close()
				var buffer [5]byte
				_, err = io.ReadFull(conn, buffer[:])
				check(t, err)
				_, err = conn.Write(buffer[:])
				check(t, err)
			}
		})},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newRig(t, test.handler)
			var clients []*client
			for range 5 {
				c := s.connect()
				c.send("hello")
				c.expect("hello")
				clients = append(clients, c)
			}
			s.tell(ipc.Drain{Mode: ipc.DrainFinish, DeadlineMS: 1})
			for _, c := range clients {
				c.expectEnd()
			}
			s.wait()
			check(t, s.err)
			s.untilEven(5)
		})
	}
}

// A function that does not return, and connections that it never accepts, do not
// outlast the deadline.
func TestStreamsStuck(t *testing.T) {
	release := make(chan struct{})
	s := newRig(t, worker.Streams(func(l net.Listener) error {
		<-release
		return nil
	}))
	defer close(release)
	c := s.connect()
	s.until(func() bool { return s.entry.Received.Load() == 1 })
	s.tell(ipc.Drain{Mode: ipc.DrainFinish, DeadlineMS: 1})
	c.expectEnd()
	s.wait()
	check(t, s.err)
	s.untilEven(1)
}

// How the function's end is the worker's.
func TestStreamsReturn(t *testing.T) {
	tests := []struct {
		name  string
		serve func(l net.Listener) error
		want  error
	}{
		{"nil", func(net.Listener) error { return nil }, nil},
		{"closed by the program", func(l net.Listener) error { return errors.Join(l.Close(), http.ErrServerClosed) }, nil},
		{"error", func(net.Listener) error { return errTest }, errTest},
		{"panic", func(net.Listener) error { panic("a bug") }, worker.ErrPanic},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newRig(t, worker.Streams(test.serve))
			if test.want == nil {
				next[ipc.Draining](s)
			}
			s.wait()
			if !errors.Is(s.err, test.want) {
				t.Errorf("got %v, want %v", s.err, test.want)
			}
		})
	}
}

// When the function is done, connections in the queue are left to others, and
// those that are open finish.
func TestStreamsReturnWithConnections(t *testing.T) {
	stop := make(chan struct{})
	s := newRig(t, worker.Streams(func(l net.Listener) error {
		conn, err := l.Accept()
		check(t, err)
		go func() {
			streamEcho(conn)
			check(t, conn.Close())
		}()
		<-stop
		return nil
	}))
	c := s.connect()
	c.send("x")
	c.expect("x")
	close(stop)
	next[ipc.Draining](s)
	late := s.connect()
	c.send("y")
	c.expect("y")
	check(t, c.Close())
	s.wait()
	check(t, s.err)
	s.untilEven(1)
	check(t, late.Close())
}

func TestByListener(t *testing.T) {
	handler := worker.ByListener(map[string]worker.Handler{
		"web": goroutinePer(func(conn net.Conn) {
			_, _ = io.ReadAll(conn) // with input unread, close would reset
			fmt.Fprint(conn, "stream")
		}),
		"echo": worker.DataFunc(echo),
		"nested": worker.ByListener(map[string]worker.Handler{
			"": worker.DataFunc(func(c *worker.Conn, in []byte) (int, error) { return c.Write(bytes.ToUpper(in)) }),
		}),
	})
	s := newRig(t, handler)
	handTo := func(listener string) *client {
		c, fd := s.accept()
		s.packet.Reset()
		s.packet.Add(&ipc.Envelope{ID: 1, Listener: listener, Transport: s.transport}, fd)
		check(t, s.packets.Send(s.queue, &s.packet))
		return c
	}
	for listener, want := range map[string]string{"web": "stream", "echo": "x", "nested": "X", "": "", "other": ""} {
		c := handTo(listener)
		_, _ = io.WriteString(c, "x")                             // one that is refused may be reset by now
		_ = c.Conn.(interface{ CloseWrite() error }).CloseWrite() // likewise
		got, err := io.ReadAll(c)
		if string(got) != want && !errors.Is(err, unix.ECONNRESET) {
			t.Errorf("listener %q: got %q, %v; want %q", listener, got, err, want)
		}
		check(t, c.Close())
	}
	s.untilEven(5)
	s.tell(ipc.Drain{Mode: ipc.DrainFinish, DeadlineMS: patience.Milliseconds()})
	s.wait()
	check(t, s.err)
}
