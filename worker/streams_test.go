package worker_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
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
	return worker.Streams(func(l net.Listener) error {
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
	})
}

// streamEcho hides the socket from io.Copy, which would use a pipe between two,
// and keep it: a test counts descriptors. The client says what came back.
func streamEcho(conn net.Conn) { _, _ = io.Copy(struct{ io.Writer }{conn}, struct{ io.Reader }{conn}) }

// serveHTTP is what the documentation of Streams has.
func serveHTTP(server *http.Server) worker.Handler {
	return worker.Streams(func(l net.Listener) error {
		if err := server.Serve(l); !errors.Is(err, net.ErrClosed) {
			return err
		}
		return server.Shutdown(context.Background())
	})
}

// untilEven waits until all that was received is closed.
func (s *seat) untilEven(received int) {
	s.t.Helper()
	s.until(func() bool {
		return s.entry.Received.Load() == uint64(received) && s.entry.Closed.Load() == uint64(received)
	})
}

// Streams do not move, which the master is told; and what moves to them is lost,
// and counted as such.
func TestStreamsDoNotMove(t *testing.T) {
	s := newSeat(t, goroutinePer(streamEcho))
	if s.ready.Moves {
		t.Error("the worker says that its connections move")
	}
	_, fd := s.accept()
	s.packet.Reset()
	s.packet.Add(&ipc.Envelope{ID: 1, State: []byte("state")}, fd)
	check(t, s.courier.Send(s.queue, &s.packet))
	s.untilEven(1)
	if lost := s.entry.Lost.Load(); lost != 1 {
		t.Errorf("%d lost, want 1", lost)
	}
}

func TestStreamIsTCPConn(t *testing.T) {
	type facts struct{ remote, local string }
	seen := make(chan facts, 1)
	s := newSeat(t, goroutinePer(func(conn net.Conn) {
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
	s := newSeat(t, goroutinePer(func(conn net.Conn) { streamEcho(conn.(*net.UnixConn)) }))
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
			s := newSeat(t, goroutinePer(test.serve))
			for range 20 {
				test.end(s.connect())
			}
			s.untilEven(20)
		})
	}
}

// A connection that the program drops without closing is closed when it is
// collected, as everywhere in Go, and counted then.
func TestForgottenStreamIsCounted(t *testing.T) {
	accepted := make(chan struct{})
	s := newSeat(t, worker.Streams(func(l net.Listener) error {
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
	s := newSeat(t, worker.Streams(func(l net.Listener) error {
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
	s := newSeatWith(t, ipc.Hello{Protocol: ipc.Version, Report: ipc.ReportIDs}, goroutinePer(streamEcho))
	var all sync.WaitGroup
	fds := make(chan int)
	for range clients {
		all.Go(func() {
			for range each {
				conn, err := net.Dial("tcp", s.address)
				check(t, err)
				text := fmt.Sprint("I am ", conn.LocalAddr())
				_, err = io.WriteString(conn, text)
				check(t, err)
				check(t, conn.(*net.TCPConn).CloseWrite())
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

// httpClient returns a client whose connections are handed to the worker, and
// a function that counts them.
func (s *seat) httpClient() (client *http.Client, dialed func() int) {
	count := 0
	transport := &http.Transport{
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			count++
			return s.connect().Conn, nil
		},
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // the server's certificate is made up
	}
	s.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience}, func() int { return count }
}

func testMux() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "hello ", r.RemoteAddr) })
	mux.HandleFunc("GET /chunked", func(w http.ResponseWriter, r *http.Request) {
		for i := range 100 {
			fmt.Fprintln(w, i)
			w.(http.Flusher).Flush()
		}
	})
	mux.HandleFunc("GET /file", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, "streams_test.go") })
	mux.HandleFunc("POST /upload", func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n, err)
	})
	mux.HandleFunc("GET /hijack", func(w http.ResponseWriter, r *http.Request) {
		conn, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		line, _ := rw.ReadString('\n') // what came is answered
		_, _ = io.WriteString(conn, "raw "+line)
	})
	return mux
}

func testHTTP(t *testing.T, s *seat, scheme string) {
	client, dialed := s.httpClient()
	get := func(path string) string {
		t.Helper()
		response, err := client.Get(scheme + "://" + s.address + path)
		check(t, err)
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		check(t, err)
		return string(body)
	}
	first := get("/hello")
	if second := get("/hello"); second != first || !strings.HasPrefix(first, "hello 127.0.0.1:") {
		t.Errorf("got %q, then %q", first, second)
	}
	var numbers strings.Builder
	for i := range 100 {
		fmt.Fprintln(&numbers, i)
	}
	if got := get("/chunked"); got != numbers.String() {
		t.Errorf("chunked: got %.80q", got)
	}
	want, err := os.ReadFile("streams_test.go")
	check(t, err)
	if got := get("/file"); got != string(want) {
		t.Errorf("file: %d bytes, want %d", len(got), len(want))
	}
	const size = 3 << 20
	response, err := client.Post(scheme+"://"+s.address+"/upload", "", bytes.NewReader(make([]byte, size)))
	check(t, err)
	body, err := io.ReadAll(response.Body)
	check(t, errors.Join(err, response.Body.Close()))
	if want := fmt.Sprint(size, nil); string(body) != want {
		t.Errorf("upload: got %q, want %q", body, want)
	}
	if n := dialed(); n != 1 {
		t.Errorf("%d connections for requests one after the other, want 1 kept alive", n)
	}
	client.CloseIdleConnections()
	s.untilEven(1)
}

func TestHTTP(t *testing.T) {
	s := newSeat(t, serveHTTP(&http.Server{Handler: testMux()}))
	testHTTP(t, s, "http")
	c := s.connect()
	c.send("GET /hijack HTTP/1.1\r\nHost: x\r\n\r\nline\n")
	c.expect("raw line\n")
	c.expectEnd()
	s.untilEven(2)
}

func TestHTTPS(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	check(t, err)
	server := &http.Server{Handler: testMux(), TLSConfig: &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{certificate}, PrivateKey: key}},
	}}
	s := newSeat(t, worker.Streams(func(l net.Listener) error {
		if err := server.ServeTLS(l, "", ""); !errors.Is(err, net.ErrClosed) {
			return err
		}
		return server.Shutdown(context.Background())
	}))
	testHTTP(t, s, "https")
}

// A drain serves what is in the queue, ends idle keep-alive connections, and
// waits for the request that is under way.
func TestHTTPDrain(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	mux := testMux()
	mux.HandleFunc("GET /slow", func(w http.ResponseWriter, r *http.Request) {
		close(entered)
		<-release
		fmt.Fprint(w, "slow")
	})
	s := newSeat(t, serveHTTP(&http.Server{Handler: mux}))
	var idle []*client
	for range 10 {
		c := s.connect()
		c.send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
		response, err := http.ReadResponse(bufio.NewReader(c), nil)
		check(t, err)
		_, err = io.Copy(io.Discard, response.Body)
		check(t, err)
		idle = append(idle, c)
	}
	busy := s.connect()
	busy.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
	await(t, entered)
	s.tell(ipc.Drain{Mode: ipc.DrainFinish, DeadlineMS: patience.Milliseconds()})
	for _, c := range idle {
		c.expectEnd()
	}
	close(release)
	response, err := http.ReadResponse(bufio.NewReader(busy), nil)
	check(t, err)
	if body, err := io.ReadAll(response.Body); string(body) != "slow" || err != nil {
		t.Errorf("got %q, %v", body, err)
	}
	s.wait()
	check(t, s.err)
	s.untilEven(11)
}

// SIGTERM tells the master first. Until that says that it has sent the last
// connection, what comes is served.
func TestStreamsTerminated(t *testing.T) {
	s := newSeat(t, goroutinePer(streamEcho))
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
			s := newSeat(t, test.handler)
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
	s := newSeat(t, worker.Streams(func(l net.Listener) error {
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
			s := newSeat(t, worker.Streams(test.serve))
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
	s := newSeat(t, worker.Streams(func(l net.Listener) error {
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
	s := newSeat(t, handler)
	handTo := func(listener string) *client {
		c, fd := s.accept()
		s.packet.Reset()
		s.packet.Add(&ipc.Envelope{ID: 1, Listener: listener}, fd)
		check(t, s.courier.Send(s.queue, &s.packet))
		return c
	}
	for listener, want := range map[string]string{"web": "stream", "echo": "x", "nested": "X", "": "", "other": ""} {
		c := handTo(listener)
		_, _ = io.WriteString(c, "x")          // one that is refused may be reset by now
		_ = c.Conn.(*net.TCPConn).CloseWrite() // likewise
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

// A worker with streams rests when its connections do.
func TestStreamsRest(t *testing.T) {
	s := newSeat(t, goroutinePer(streamEcho))
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
	s := newSeat(t, worker.Streams(func(l net.Listener) error {
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
