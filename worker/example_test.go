package worker_test

import (
	"bytes"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/usher-go/usher/worker"
	"github.com/usher-go/usher/worker/workertest"
)

// A whole worker: it sends every byte back.
func ExampleMain() {
	if !worker.IsWorker() {
		fmt.Println("usher serve --listen :9000 -- ./echo")
		return
	}
	worker.Main(worker.DataFunc(func(c *worker.Conn, in []byte) (int, error) {
		return c.Write(in)
	}))
	// Output: usher serve --listen :9000 -- ./echo
}

// A function as a handler: it answers whole lines and leaves the rest of the
// input for later.
func ExampleDataFunc() {
	handler := worker.DataFunc(func(c *worker.Conn, in []byte) (int, error) {
		n := bytes.LastIndexByte(in, '\n') + 1
		_, err := c.Write(bytes.ToUpper(in[:n]))
		return n, err
	})
	if worker.IsWorker() {
		worker.Main(handler)
	}

	client := workertest.New(&testing.T{}, handler).Connect() // as a test does
	client.Send("one\ntw", "o\n")
	fmt.Printf("%q\n", client.Received())
	// Output: "ONE\nTWO\n"
}

// A guest is a session with state.
type guest struct{ name []byte }

func (g *guest) Data(c *worker.Conn, in []byte) (int, error) {
	g.name = append(g.name, in...)
	return len(in), nil
}

func (g *guest) EOF(c *worker.Conn, rest []byte) error {
	if _, err := fmt.Fprintf(c, "goodbye, %s\n", g.name); err != nil {
		return err
	}
	return c.Close()
}

func (g *guest) Close(c *worker.Conn, err error) {
	fmt.Fprintln(os.Stderr, c.RemoteAddr(), "left:", err)
}

// An object for each connection, which is told of the end.
func ExampleOpenFunc() {
	handler := worker.OpenFunc(func(c *worker.Conn) (worker.Session, error) {
		_, err := c.Write([]byte("your name?\n"))
		return &guest{}, err
	})
	if worker.IsWorker() {
		worker.Main(handler)
	}

	client := workertest.New(&testing.T{}, handler).Connect() // as a test does
	client.Send("Ada")
	client.CloseWrite()
	fmt.Print(client.Received())
	// Output:
	// your name?
	// goodbye, Ada
}

// A chat: what one connection says goes to all others of this worker.
func ExampleConn_Each() {
	handler := worker.DataFunc(func(c *worker.Conn, in []byte) (int, error) {
		c.Each(func(other *worker.Conn) {
			if other == c {
				return
			}
			if _, err := other.Write(in); err != nil {
				_ = other.Abort() // it does not keep up
			}
		})
		return len(in), nil
	})
	if worker.IsWorker() {
		worker.Main(handler)
	}

	w := workertest.New(&testing.T{}, handler) // as a test does
	ada, bob := w.Connect(), w.Connect()
	ada.Send("hello\n")
	fmt.Printf("%q %q\n", ada.Received(), bob.Received())
	// Output: "" "hello\n"
}

// A request must be complete within five seconds, and then the next may take a
// minute to begin.
func ExampleConn_After() {
	handler := worker.OpenFunc(func(c *worker.Conn) (worker.Session, error) {
		var timer *worker.Timer
		c.SetIdleTimeout(time.Minute)
		return worker.DataFunc(func(c *worker.Conn, in []byte) (int, error) {
			n := bytes.LastIndexByte(in, '\n') + 1
			if n > 0 && timer != nil {
				timer.Stop()
				timer = nil
			}
			if n < len(in) && timer == nil {
				timer = c.After(5*time.Second, func() { _ = c.Abort() }) // a timer of a closed connection does not run
			}
			return c.Write(in[:n])
		}), nil
	})
	if worker.IsWorker() {
		worker.Main(handler)
	}

	w := workertest.New(&testing.T{}, handler) // as a test does: its clock goes on when told
	client := w.Connect()
	client.Send("quick\n", "slo")
	w.Advance(6 * time.Second)
	closed, err := client.Closed()
	fmt.Printf("%q %v %v\n", client.Received(), closed, err)
	// Output: "quick\n" true worker: connection aborted
}
