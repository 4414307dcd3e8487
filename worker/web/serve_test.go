package web_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/usher-go/usher/worker"
	"github.com/usher-go/usher/worker/web"
	"github.com/usher-go/usher/worker/workertest"
)

// patience is ten times what anything here takes.
const patience = 20 * time.Second

// serve serves h in process, and returns its address.
func serve(t *testing.T, h http.Handler, opts ...web.Option) string {
	t.Helper()
	addr, _ := serveDraining(t, h, opts...)
	return addr
}

func serveDraining(t *testing.T, h http.Handler, opts ...web.Option) (string, *workertest.Server) {
	t.Helper()
	l := listen(t)
	return l.Addr().String(), workertest.Serve(t, l, web.Handler(h, opts...))
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// client is a connection that says bytes and reads answers.
type client struct {
	t *testing.T
	net.Conn
	in *bufio.Reader
}

func connect(t *testing.T, addr string) *client {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return &client{t, c, bufio.NewReader(c)}
}

func (c *client) send(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c.Conn, s); err != nil {
		c.t.Fatal(err)
	}
}

// answer reads an answer to a request by the method, and returns its status and body.
func (c *client) answer(method string) (*http.Response, string) {
	c.t.Helper()
	r, err := http.ReadResponse(c.in, &http.Request{Method: method})
	if err != nil {
		c.t.Fatal(err)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return r, string(body)
}

func (c *client) expect(body string) {
	c.t.Helper()
	if _, got := c.answer("GET"); got != body {
		c.t.Fatalf("%q, want %q", got, body)
	}
}

func (c *client) expectEnd() {
	c.t.Helper()
	if rest, err := io.ReadAll(c.in); err != nil || len(rest) > 0 {
		c.t.Fatalf("%q, %v; want the end", rest, err)
	}
}

// say answers with the path and the body.
func say(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), 400)
		return
	}
	fmt.Fprintf(w, "%s %s %s", r.Method, r.URL.Path, b)
}

// ways are the two ways to run a handler.
var ways = []struct {
	name string
	opts []web.Option
}{
	{"goroutine", nil},
	{"inline", []web.Option{web.Inline()}},
}

func TestRequestsOfOneConnection(t *testing.T) {
	const get = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
	for _, test := range []struct {
		name, in string
		want     []string
		ends     bool
	}{
		{"one", get, []string{"GET /a "}, false},
		{"pipelined", get + strings.Replace(get, "/a", "/b", 1) + get, []string{"GET /a ", "GET /b ", "GET /a "}, false},
		{"close", "GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" + get, []string{"GET /a "}, true},
		{"1.0", "GET /a HTTP/1.0\r\n\r\n", []string{"GET /a "}, true},
		{"1.0 kept", "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" + get, []string{"GET /a ", "GET /a "}, false},
		{"body", "POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc" + get, []string{"POST /p abc", "GET /a "}, false},
		{"CRLF behind POST", "POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc\r\n" + get, []string{"POST /p abc", "GET /a "}, false},
		{"chunked", "POST /p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n" + get, []string{"POST /p abcde", "GET /a "}, false},
		{"LF alone", "GET /a HTTP/1.1\nHost: x\n\n", []string{"GET /a "}, false},
	} {
		for _, way := range ways {
			addr := serve(t, http.HandlerFunc(say), way.opts...)
			for _, size := range []int{1, 7, 1 << 20} {
				t.Run(fmt.Sprintf("%s/%s/%d", test.name, way.name, size), func(t *testing.T) {
					c := connect(t, addr)
					for in := test.in; len(in) > 0; {
						n := min(size, len(in))
						if _, err := io.WriteString(c.Conn, in[:n]); err != nil {
							break // it ends behind the first answer
						}
						in = in[n:]
					}
					for _, want := range test.want {
						c.expect(want)
					}
					if !test.ends {
						c.send(get)
						c.expect("GET /a ")
						_ = c.Conn.(*net.TCPConn).CloseWrite()
					}
					if _, err := c.in.ReadByte(); err == nil || !test.ends && err != io.EOF {
						t.Fatalf("%v; want the end", err)
					}
				})
			}
		}
	}
}

// All requests are answered though the client has finished sending.
func TestHalfClosedClientGetsAllAnswers(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			c := connect(t, serve(t, http.HandlerFunc(say), way.opts...))
			const n = 2000
			var in strings.Builder
			for i := range n {
				fmt.Fprintf(&in, "GET /%d HTTP/1.1\r\nHost: x\r\n\r\n", i)
			}
			go func() {
				_, _ = io.WriteString(c.Conn, in.String())
				_ = c.Conn.(*net.TCPConn).CloseWrite()
			}()
			for i := range n {
				c.expect(fmt.Sprintf("GET /%d ", i))
			}
			c.expectEnd()
		})
	}
}

func TestLargeBodiesBothWays(t *testing.T) {
	const size = 8 << 20
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			addr := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_ = http.NewResponseController(w).EnableFullDuplex() // both know it
				if _, err := io.Copy(w, r.Body); err != nil {
					t.Error(err)
				}
			}), way.opts...)
			sent := bytes.Repeat([]byte("0123456789abcdef"), size/16)
			for _, length := range []int64{size, -1} {
				r, _ := http.NewRequest("POST", "http://"+addr, struct{ io.Reader }{bytes.NewReader(sent)})
				r.ContentLength = length
				answer, err := http.DefaultClient.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(answer.Body)
				if err != nil || !bytes.Equal(got, sent) {
					t.Errorf("%d bytes, %v", len(got), err)
				}
				_ = answer.Body.Close()
			}
			http.DefaultClient.CloseIdleConnections()
		})
	}
}

// A client that goes while its handler runs is noticed.
func TestContextEndsWithTheClient(t *testing.T) {
	for _, test := range []struct {
		name, in string
		goes     func(c *net.TCPConn)
	}{
		{"reset", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", func(c *net.TCPConn) { _ = c.SetLinger(0); _ = c.Close() }},
		{"end", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", func(c *net.TCPConn) { _ = c.CloseWrite() }},
		{"end behind a body", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi", func(c *net.TCPConn) { _ = c.CloseWrite() }},
	} {
		t.Run(test.name, func(t *testing.T) {
			begun, ended := make(chan bool), make(chan error, 1)
			addr := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				begun <- true
				ctx, cancel := context.WithTimeout(r.Context(), patience)
				defer cancel()
				if b, err := io.ReadAll(r.Body); err != nil || int64(len(b)) != r.ContentLength {
					t.Errorf("%q, %v", b, err)
				}
				<-ctx.Done()
				ended <- ctx.Err()
				_, _ = io.WriteString(w, "late") // the reset client does not get it
			}))
			c := connect(t, addr)
			c.send(test.in)
			<-begun
			test.goes(c.Conn.(*net.TCPConn))
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("%v", err)
			}
			if test.name != "reset" {
				c.expect("late")
				c.expectEnd()
			}
		})
	}
}

func TestTimeouts(t *testing.T) {
	const soon = 100 * time.Millisecond
	for _, test := range []struct {
		name, in, want string
		opts           []web.Option
	}{
		{"header: nothing", "", "", []web.Option{web.ReadHeaderTimeout(soon)}},
		{"header: a part", "GET / HTTP", "", []web.Option{web.ReadHeaderTimeout(soon)}},
		{"header: of the second", "GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET", "GET /a ", []web.Option{web.ReadHeaderTimeout(soon)}},
		{"idle", "GET /a HTTP/1.1\r\nHost: x\r\n\r\n", "GET /a ", []web.Option{web.IdleTimeout(soon)}},
		{"body", "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nab", os.ErrDeadlineExceeded.Error() + "\n", []web.Option{web.ReadTimeout(soon)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := connect(t, serve(t, http.HandlerFunc(say), test.opts...))
			c.send(test.in)
			if test.want != "" {
				c.expect(test.want)
			}
			c.expectEnd()
		})
	}
}

func TestWriteTimeout(t *testing.T) {
	failed := make(chan error, 1)
	addr := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		b := make([]byte, 1<<20)
		for {
			if _, err := w.Write(b); err != nil {
				failed <- err
				return
			}
		}
	}), web.WriteTimeout(200*time.Millisecond))
	c := connect(t, addr)
	c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if err := <-failed; !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, worker.ErrWriteTimeout) {
		t.Error(err)
	}
}

func TestPanicEndsTheConnectionAlone(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			addr := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/panic" {
					panic(http.ErrAbortHandler)
				}
				say(w, r)
			}), way.opts...)
			other := connect(t, addr)
			c := connect(t, addr)
			c.send("GET /panic HTTP/1.1\r\nHost: x\r\n\r\n")
			c.expectEnd()
			other.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			other.expect("GET / ")
		})
	}
}

// Beyond MaxRunning requests wait; when one has flushed, it counts no more.
func TestMaxRunning(t *testing.T) {
	begun, goOn := make(chan string, 10), make(chan bool)
	addr := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun <- r.URL.Path
		if r.URL.Path == "/stream" {
			_ = http.NewResponseController(w).Flush() // a client that has gone is noticed elsewhere
		}
		<-goOn
	}), web.MaxRunning(1))
	stream, second, third := connect(t, addr), connect(t, addr), connect(t, addr)
	stream.send("GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
	if got := <-begun; got != "/stream" {
		t.Fatal(got)
	}
	second.send("GET /second HTTP/1.1\r\nHost: x\r\n\r\n")
	if got := <-begun; got != "/second" {
		t.Fatal(got)
	}
	third.send("GET /third HTTP/1.1\r\nHost: x\r\n\r\n")
	gone := connect(t, addr)
	gone.send("GET /gone HTTP/1.1\r\nHost: x\r\n\r\n")
	goOn <- true
	goOn <- true
	if got := <-begun; got != "/third" && got != "/gone" {
		t.Fatal(got)
	}
	goOn <- true
	<-begun
	goOn <- true
	third.answer("GET")
	gone.answer("GET")
}

// In a drain the answer says that it is the last, and a request that runs can see the
// drain and its deadline.
func TestDrain(t *testing.T) {
	begun, cause := make(chan bool), make(chan error, 1)
	addr, server := serveDraining(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		begun <- true
		<-web.Draining(ctx)
		if _, ok := web.DrainDeadline(ctx); !ok {
			t.Error("no deadline")
		}
		if r.URL.Path == "/stays" {
			<-ctx.Done()
			cause <- context.Cause(ctx)
		}
		say(w, r)
	}))
	idle, busy, stays := connect(t, addr), connect(t, addr), connect(t, addr)
	busy.send("GET /busy HTTP/1.1\r\nHost: x\r\n\r\n")
	<-begun
	stays.send("GET /stays HTTP/1.1\r\nHost: x\r\n\r\n")
	<-begun
	ended := make(chan bool)
	go func() { server.Drain(3 * time.Second); close(ended) }()
	answer, body := busy.answer("GET")
	if !answer.Close || body != "GET /busy " {
		t.Errorf("%v, %q", answer.Header, body)
	}
	busy.expectEnd()
	idle.expectEnd()
	stays.expect("GET /stays ")
	if err := <-cause; !errors.Is(err, worker.ErrDrained) {
		t.Errorf("%v", err)
	}
	<-ended
}
