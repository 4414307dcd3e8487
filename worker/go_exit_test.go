package worker_test

import (
	"io"
	"runtime"
	"testing"

	"github.com/usher-go/usher/worker"
)

// Work that ends its goroutine, as a test's FailNow does, ends the connection as a
// panic does, and does not hold it for ever; nor is a place among those that may
// run at a time lost.
func TestGoexitInWorkEndsTheConnection(t *testing.T) {
	_, client, c, h := opened(t)
	c.Post(func(c *worker.Conn) {
		c.Go(runtime.Goexit, func() { t.Error("then was called") })
	})
	if rest, err := io.ReadAll(client); len(rest) > 0 || err != nil {
		t.Errorf("got %q, %v; want the end", rest, err)
	}
	check(t, client.Close())
	h.expectClose(t, worker.ErrPanic)
}

// More than may run at a time.
func TestGoexitFreesItsPlace(t *testing.T) {
	const conns = 300
	h := newRecorder(func(c *worker.Conn, in []byte) (int, error) {
		work := func() {}
		if in[0] == 'x' {
			work = runtime.Goexit
		}
		c.Go(work, func() { _, _ = c.Write([]byte("done")) }) // the client waits for it
		return len(in), nil
	})
	s := newRig(t, h)
	for range conns {
		c := s.connect()
		c.send("x")
		c.expectEnd()
		check(t, c.Close())
		h.expectClose(t, worker.ErrPanic)
	}
	c := s.connect()
	c.send("y")
	c.expect("done")
	check(t, c.Close())
	h.expectClose(t, nil)
}
