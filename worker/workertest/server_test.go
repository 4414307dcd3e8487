package workertest_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/usher-go/usher/internal/leaktest"
	"github.com/usher-go/usher/worker"
	"github.com/usher-go/usher/worker/workertest"
	"go.uber.org/goleak"
)

const patience = 20 * time.Second

// listen listens on a network of package net.
func listen(t *testing.T, network string) net.Listener {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(t.TempDir(), "socket")
	}
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func ExampleServe() {
	t := &testing.T{} // that of the test
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := workertest.Serve(t, l, shout)
	defer s.Close() // in a test it is closed by itself

	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintln(c, "hello")
	answer, err := bufio.NewReader(c).ReadString('\n')
	fmt.Printf("%q %v\n", answer, err)
	// Output: "HELLO\n" <nil>
}

// A real client is served at once, and a test leaves nothing behind.
func TestServe(t *testing.T) {
	listen(t, "tcp").Close() // the runtime's poller has its descriptors from here on
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			goroutines, descriptors := goleak.IgnoreCurrent(), leaktest.Count(t)
			l := listen(t, network)
			seen := make(chan [2]string, 10)
			s := workertest.Serve(t, l, worker.DataFunc(func(c *worker.Conn, in []byte) (int, error) {
				seen <- [2]string{c.RemoteAddr().String(), c.LocalAddr().String()}
				return c.Write(in)
			}))
			for range 10 {
				c, err := net.Dial(network, l.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				_ = c.SetDeadline(time.Now().Add(patience)) // a test that hangs fails
				if _, err = io.WriteString(c, "hello"); err != nil {
					t.Fatal(err)
				}
				got := make([]byte, 5)
				if _, err = io.ReadFull(c, got); err != nil || string(got) != "hello" {
					t.Fatalf("got %q, %v", got, err)
				}
				if got := <-seen; network == "tcp" && got != [2]string{c.LocalAddr().String(), c.RemoteAddr().String()} {
					t.Errorf("the worker sees %s", got)
				}
				_ = c.Close() // the worker's end follows
			}
			s.Close()
			s.Close()
			if after := leaktest.Count(t); after > descriptors {
				t.Errorf("%d descriptors open before, %d after", descriptors, after)
			}
			if err := goleak.Find(goroutines); err != nil {
				t.Error(err)
			}
		})
	}
}

// drained is a session that says goodbye when it is asked to finish.
type drained struct{ closed chan error }

func (d drained) Open(*worker.Conn) (worker.Session, error)   { return d, nil }
func (d drained) Data(c *worker.Conn, in []byte) (int, error) { return c.Write(in) }
func (d drained) Close(_ *worker.Conn, err error)             { d.closed <- err }
func (d drained) Drain(c *worker.Conn) {
	_, _ = c.Write([]byte("bye")) // a client that is gone misses nothing
	_ = c.Close()                 // it is open
}

// Drain lets sessions finish, and cuts those that do not.
func TestServerDrain(t *testing.T) {
	closed := make(chan error, 1)
	tests := []struct {
		name     string
		handler  worker.Handler
		deadline time.Duration
		want     string
		cause    error
	}{
		{"finishes", drained{closed}, 0, "bye", nil},
		{"is cut", worker.OpenFunc(func(*worker.Conn) (worker.Session, error) {
			return cutShort{drained{closed}, closed}, nil
		}), time.Millisecond, "", worker.ErrDrained},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := listen(t, "tcp")
			s := workertest.Serve(t, l, test.handler)
			c, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(patience)) // a test that hangs fails
			_, _ = io.WriteString(c, "x")
			if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
			got := make(chan string, 1)
			go func() {
				b, _ := io.ReadAll(c) // its error is a short answer
				got <- string(b)
				_ = c.Close()
			}()
			s.Drain(test.deadline)
			if got := <-got; got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
			if cause := <-closed; !errors.Is(cause, test.cause) {
				t.Errorf("closed because of %v, want %v", cause, test.cause)
			}
			if _, err := net.Dial("tcp", l.Addr().String()); err == nil {
				t.Error("it accepts still")
			}
		})
	}
}

// cutShort hears of its end, and not of a drain.
type cutShort struct {
	worker.Session
	closed chan error
}

func (s cutShort) Close(_ *worker.Conn, err error) { s.closed <- err }
