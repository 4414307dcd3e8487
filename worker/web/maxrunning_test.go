package web

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/usher-go/usher/internal/leaktest"
	"github.com/usher-go/usher/worker/workertest"
)

// crowd is many clients of a worker whose handlers say that they have begun, and then wait.
type crowd struct {
	t       *testing.T
	server  *server
	address string
	begun   chan string // paths
	goOn    chan bool   // one request ends
	over    chan bool   // closed: streams and hijacked ones end
}

func newCrowd(t *testing.T, most int) *crowd {
	t.Helper()
	c := &crowd{t: t, begun: make(chan string, 2*maxWaiting), goOn: make(chan bool), over: make(chan bool)}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := Handler(c, MaxRunning(most))
	c.server, c.address = h.(*server), l.Addr().String()
	workertest.Serve(t, l, h)
	return c
}

func (c *crowd) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/stream":
		w.(http.Flusher).Flush()
	case "/hijack":
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			c.t.Error(err)
			return
		}
		defer conn.Close()
	default:
		c.begun <- r.URL.Path
		<-c.goOn
		_, _ = io.WriteString(w, r.URL.Path) // the client sees whether it comes
		return
	}
	c.begun <- r.URL.Path
	<-c.over
}

// begins waits until a request's handler is called, which has to be that one.
func (c *crowd) begins(path string) {
	c.t.Helper()
	select {
	case got := <-c.begun:
		if got != path {
			c.t.Fatalf("%s has its turn, want %s", got, path)
		}
	case <-time.After(time.Minute):
		c.t.Fatalf("%s never has its turn", path)
	}
}

// waits waits until n requests wait for their turn.
func (c *crowd) waits(n int) {
	c.t.Helper()
	r := &c.server.running
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Microsecond) {
		r.mu.Lock()
		got := len(r.waiting) - r.head - r.gone
		r.mu.Unlock()
		if got == n {
			return
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("%d wait, want %d", got, n)
		}
	}
}

// asker is a client with one connection.
type asker struct {
	c    *crowd
	conn net.Conn
	in   *bufio.Reader
}

func (c *crowd) asks(request string) *asker {
	c.t.Helper()
	conn, err := net.Dial("tcp", c.address)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = conn.Close() }) // the story may have done so
	a := &asker{c, conn, bufio.NewReader(conn)}
	a.ask(request)
	return a
}

func (a *asker) ask(request string) {
	a.c.t.Helper()
	_ = a.conn.SetDeadline(time.Now().Add(time.Minute)) // a socket has deadlines
	if _, err := io.WriteString(a.conn, request+" HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		a.c.t.Fatal(err)
	}
}

func (a *asker) answer() (*http.Response, string) {
	a.c.t.Helper()
	answer, err := http.ReadResponse(a.in, nil)
	if err != nil {
		a.c.t.Fatal(err)
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		a.c.t.Fatal(err)
	}
	return answer, string(body)
}

// refused expects 503, on a connection that goes on, or with the last of which.
func (a *asker) refused(last bool) {
	a.c.t.Helper()
	if answer, _ := a.answer(); answer.StatusCode != 503 || answer.Header.Get("Retry-After") != "1" || answer.Close != last {
		a.c.t.Errorf("%d, %v, close %v; want 503, Retry-After, close %v", answer.StatusCode, answer.Header, answer.Close, last)
	}
}

// Two requests run, beside streams and hijacked connections, which do not count; 1,000 wait;
// one more is refused, and may ask again. Who leaves while it waits gives up its place, and
// no other's. Those that wait are served in order.
func TestAThousandWait(t *testing.T) {
	leaktest.Descriptors(t)
	c := newCrowd(t, 2)
	for range 5 {
		for _, path := range []string{"/stream", "/hijack"} {
			c.asks("GET " + path)
			c.begins(path)
		}
	}
	var order []string
	askers := make(map[string]*asker)
	for _, path := range []string{"/first", "/second"} {
		askers[path] = c.asks("GET " + path)
		c.begins(path)
		order = append(order, path)
	}
	for i := range maxWaiting {
		path := fmt.Sprintf("/%d", i)
		askers[path] = c.asks("GET " + path)
		c.waits(i + 1)
		order = append(order, path)
	}
	beyond := c.asks("GET /beyond")
	beyond.refused(false)
	c.asks("POST /body HTTP/1.1\r\nContent-Length: 5\r\nX: ").refused(true) // of whose body nothing has come

	for i, gone := range []string{"/0", "/500", "/999"} {
		conn := askers[gone].conn.(*net.TCPConn)
		if err := errors.Join(conn.SetLinger(0), conn.Close()); err != nil { // a reset
			t.Fatal(err)
		}
		c.waits(maxWaiting - 1)
		order = slices.DeleteFunc(order, func(path string) bool { return path == gone })
		path := fmt.Sprintf("/late%d", i)
		askers[path] = c.asks("GET " + path)
		c.waits(maxWaiting)
		order = append(order, path)
		beyond.ask("GET /beyond")
		beyond.refused(false)
	}

	for i := range order {
		c.goOn <- true
		if next := i + 2; next < len(order) {
			c.begins(order[next])
		}
	}
	for _, path := range order {
		if answer, body := askers[path].answer(); answer.StatusCode != 200 || body != path {
			t.Errorf("%s: %d, %q", path, answer.StatusCode, body)
		}
	}
	beyond.ask("GET /beyond")
	c.begins("/beyond")
	c.goOn <- true
	if _, body := beyond.answer(); body != "/beyond" {
		t.Errorf("%q", body)
	}
	close(c.over)
}
