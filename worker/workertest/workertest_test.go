package workertest_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/usher-go/usher/internal/leaktest"
	"github.com/usher-go/usher/worker"
	"github.com/usher-go/usher/worker/workertest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// shout answers whole lines in capitals.
var shout = worker.DataFunc(func(c *worker.Conn, in []byte) (int, error) {
	n := bytes.LastIndexByte(in, '\n') + 1
	_, err := c.Write(bytes.ToUpper(in[:n]))
	return n, err
})

func Example() {
	t := &testing.T{} // that of the test
	w := workertest.New(t, shout)
	c := w.Connect()
	c.Send("hel", "lo\nwor") // the handler sees the fragments
	fmt.Printf("%q\n", c.Received())
	c.Send("ld\n")
	fmt.Printf("%q\n", c.Received())
	c.CloseWrite()
	closed, err := c.Closed()
	fmt.Println(closed, err)
	// Output:
	// "HELLO\n"
	// "WORLD\n"
	// true <nil>
}

func TestClockAndListeners(t *testing.T) {
	leaktest.Descriptors(t)
	w := workertest.New(t, worker.OpenFunc(func(c *worker.Conn) (worker.Session, error) {
		c.SetIdleTimeout(time.Minute)
		c.After(30*time.Second, func() { _, _ = c.Write([]byte("half")) }) // the client waits for it
		_, err := fmt.Fprint(c, c.Listener(), " ", c.RemoteAddr(), " ")
		return shout, err
	}))
	a, b := w.ConnectTo("web"), w.ConnectTo("")
	w.Advance(20 * time.Second)
	b.Send("x\n")
	w.Advance(15 * time.Second)
	if got, want := a.Received()+b.Received(), "web 192.0.2.2:1 half 192.0.2.2:2 X\nhalf"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	w.Advance(2 * time.Minute)
	a.Close()
	if closed, err := a.Closed(); !closed || !errors.Is(err, worker.ErrIdleTimeout) {
		t.Errorf("closed %v, because of %v", closed, err)
	}
}

// Everything is through when a call returns: much output, and work off the loop.
func TestSettles(t *testing.T) {
	leaktest.Descriptors(t)
	big := strings.Repeat("x", 5<<20)
	w := workertest.New(t, worker.DataFunc(func(c *worker.Conn, in []byte) (int, error) {
		var answer string
		c.Go(func() { answer = big }, func() {
			_, err := c.Write([]byte(answer))
			if err != nil {
				t.Error(err)
			}
			_ = c.Close() // it is open
		})
		return len(in), nil
	}))
	c := w.Connect()
	c.Send("x")
	if got := c.Received(); got != big || !c.Ended() {
		t.Errorf("%d bytes came, ended %v; want %d and the end", len(got), c.Ended(), len(big))
	}
	w.Drain()
	w.Advance(3 * time.Second)
	if closed, err := c.Closed(); !closed || err != nil {
		t.Errorf("closed %v, because of %v", closed, err)
	}
}

func TestPanicOfHandler(t *testing.T) {
	w := workertest.New(t, worker.DataFunc(func(*worker.Conn, []byte) (int, error) { panic("a bug") }))
	c := w.Connect()
	c.Send("x")
	c.Close()
	if closed, err := c.Closed(); !closed || !errors.Is(err, worker.ErrPanic) {
		t.Errorf("closed %v, because of %v", closed, err)
	}
}

// Connections that the handler dials are none of the test's clients, and their end is
// the handler's affair.
func TestHandlerThatDials(t *testing.T) {
	leaktest.Descriptors(t)
	nowhere := worker.Destination{Path: t.TempDir() + "/nowhere"}
	w := workertest.New(t, worker.DataFunc(func(c *worker.Conn, in []byte) (int, error) {
		c.Dialer().Dial(nowhere, shout, func(err error) { _, _ = fmt.Fprint(c, errors.Is(err, os.ErrNotExist)) }) // the client waits for it
		return len(in), nil
	}))
	c := w.Connect()
	c.Send("x")
	if got := c.Received(); got != "true" {
		t.Errorf("got %q", got)
	}
	if closed, err := c.Closed(); closed {
		t.Errorf("closed, because of %v", err)
	}
}

// leaver ends when it is asked to.
type leaver struct{ worker.DataFunc }

func (leaver) Drain(c *worker.Conn) {
	_, _ = c.Write([]byte("bye")) // the client waits for it
	_ = c.Close()                 // it is open
}

func TestDrain(t *testing.T) {
	w := workertest.New(t, worker.OpenFunc(func(*worker.Conn) (worker.Session, error) { return leaver{shout}, nil }))
	before := w.Connect()
	w.Drain()
	after := w.Connect()
	for _, c := range []*workertest.Client{before, after} {
		if got := c.Received(); got != "bye" || !c.Ended() {
			t.Errorf("got %q, ended %v", got, c.Ended())
		}
	}
}

// A handler that uses a connection beside the loop is told so by its own test.
func TestWrongGoroutinePanics(t *testing.T) {
	panics := make(chan any)
	w := workertest.New(t, worker.DataFunc(func(c *worker.Conn, in []byte) (int, error) {
		go func() {
			defer func() { panics <- recover() }()
			_, _ = c.Write(in) // it panics
		}()
		return len(in), nil
	}))
	c := w.Connect()
	c.Send("x")
	if text := fmt.Sprint(<-panics); !strings.Contains(text, "Conn.Write") || !strings.Contains(text, "Post") {
		t.Errorf("panic %q", text)
	}
	t.Run("subtests are goroutines too", func(t *testing.T) {
		c.Send("y")
		<-panics
	})
}

// A session that asks who is there sees what the test says.
func TestConnectAs(t *testing.T) {
	w := workertest.New(t, worker.DataFunc(func(c *worker.Conn, in []byte) (int, error) {
		state, secure := c.TLS()
		proxy, behind := c.Proxy()
		_, err := fmt.Fprint(c, c.Listener(), " ", c.RemoteAddr(), " ", c.LocalAddr(), " ", secure, state.ServerName, " ", behind, proxy.Version)
		return len(in), err
	}))
	from, to := netip.MustParseAddrPort("192.0.2.7:4000"), netip.MustParseAddrPort("198.51.100.1:443")
	tests := []struct {
		peer workertest.Peer
		want string
	}{
		{workertest.Peer{}, " 192.0.2.2:1 192.0.2.1:80 false false 0"},
		{workertest.Peer{Listener: "web", Remote: from, Local: to}, "web 192.0.2.7:4000 198.51.100.1:443 false false 0"},
		{workertest.Peer{TLS: &worker.TLSState{ServerName: "a.test"}}, " 192.0.2.2:3 192.0.2.1:80 truea.test false 0"},
		{workertest.Peer{Proxy: &worker.Proxy{Version: 2, Source: from, Destination: to}}, " 192.0.2.7:4000 198.51.100.1:443 false true 2"},
		{workertest.Peer{Proxy: &worker.Proxy{Version: 1, Local: true}}, " 192.0.2.2:5 192.0.2.1:80 false true 1"},
	}
	for _, test := range tests {
		c := w.ConnectAs(test.peer)
		c.Send("?")
		if got := c.Received(); got != test.want {
			t.Errorf("%+v: got %q, want %q", test.peer, got, test.want)
		}
	}
}

var shouted = worker.Counter("shouted_total", "pieces of input")

// A program's own metrics count in its tests, too, and can be read there.
func TestOwnMetrics(t *testing.T) {
	before := shouted.Value()
	counting := worker.DataFunc(func(c *worker.Conn, in []byte) (int, error) {
		shouted.Inc()
		return len(in), nil
	})
	w := workertest.New(t, counting)
	c := w.Connect()
	c.Send("a", "b")
	if got := shouted.Value() - before; got != 2 {
		t.Errorf("counted %d, want 2", got)
	}
}
