package worker_test

import (
	"testing"
	"time"

	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/worker"
)

// The exact tests of time have a clock that stands still (deadline_test.go).
// These have a real one, and wait for what comes.

func TestIdleTimeoutOfTheMaster(t *testing.T) {
	const timeout = 50 * time.Millisecond
	h := newRecorder(echo)
	s := newRigWith(t, ipc.Hello{Protocol: ipc.Version, IdleTimeoutMS: timeout.Milliseconds()}, h)
	silent, busy := s.connect(), s.connect()
	start := time.Now()
	busy.send("x")
	busy.expect("x")
	busy.expectEnd()
	if elapsed := time.Since(start); elapsed < timeout {
		t.Errorf("closed after %v, early", elapsed)
	}
	silent.expectEnd()
	check(t, silent.Close())
	check(t, busy.Close())
	h.expectClose(t, worker.ErrIdleTimeout)
	h.expectClose(t, worker.ErrIdleTimeout)
}

func TestIdleTimeoutOfOneConnection(t *testing.T) {
	h := newRecorder(echo)
	s := newRigWith(t, ipc.Hello{Protocol: ipc.Version, IdleTimeoutMS: 10}, worker.OpenFunc(func(c *worker.Conn) (worker.Session, error) {
		switch c.ID() {
		case 1:
			c.SetIdleTimeout(0)
		case 2:
			c.SetIdleTimeout(time.Hour)
		}
		return h, nil
	}))
	never, far, soon := s.connect(), s.connect(), s.connect()
	soon.expectEnd()
	check(t, soon.Close())
	h.expectClose(t, worker.ErrIdleTimeout)
	for _, c := range []*client{never, far} {
		c.send("here still")
		c.expect("here still")
		check(t, c.Close())
		h.expectClose(t, nil)
	}
}

// With timeouts far away the loop sleeps, as without.
func TestRestWithTimeouts(t *testing.T) {
	s := newRigWith(t, ipc.Hello{Protocol: ipc.Version, IdleTimeoutMS: 3_600_000}, worker.DataFunc(func(c *worker.Conn, in []byte) (int, error) {
		c.SetReadDeadline(time.Now().Add(time.Hour))
		c.After(time.Hour, func() { t.Error("called") })
		return c.Write(in)
	}))
	c := s.connect()
	c.send("x")
	c.expect("x")
	s.expectRest()
}

func TestDeadlines(t *testing.T) {
	soon := func() time.Time { return time.Now().Add(10 * time.Millisecond) }
	h := newRecorder(func(c *worker.Conn, in []byte) (int, error) {
		if string(in) == "read" {
			c.SetReadDeadline(soon())
			return len(in), nil
		}
		_, err := c.Write(make([]byte, 8<<20)) // which nobody reads
		c.SetWriteDeadline(soon())
		return len(in), err
	})
	s := newRig(t, h)
	c := s.connect()
	c.send("read")
	c.expectEnd()
	check(t, c.Close())
	h.expectClose(t, worker.ErrReadTimeout)
	c = s.connectNarrow()
	c.send("write")
	h.expectClose(t, worker.ErrWriteTimeout)
}

// A client that never reads does not hold a closing connection.
func TestFlushIsBounded(t *testing.T) {
	h := newRecorder(func(c *worker.Conn, in []byte) (int, error) {
		if _, err := c.Write(make([]byte, 8<<20)); err != nil {
			return 0, err
		}
		return len(in), c.Close()
	})
	s := newRig(t, h, worker.WithFlushTime(10*time.Millisecond))
	c := s.connectNarrow()
	c.send("x")
	h.expectClose(t, worker.ErrWriteTimeout)
}

func TestAfter(t *testing.T) {
	h := newRecorder(func(c *worker.Conn, in []byte) (int, error) {
		start := time.Now()
		stopped := c.After(0, func() { t.Error("called, though stopped") })
		c.After(20*time.Millisecond, func() {
			if elapsed := time.Since(start); elapsed < 20*time.Millisecond {
				t.Errorf("called after %v, early", elapsed)
			}
			_, err := c.Write([]byte("second"))
			check(t, err)
			check(t, c.Close())
		})
		c.After(time.Millisecond, func() {
			_, err := c.Write([]byte("first"))
			check(t, err)
		})
		if !stopped.Stop() {
			t.Error("Stop: want true")
		}
		return len(in), nil
	})
	s := newRig(t, h)
	c := s.connect()
	c.send("x")
	c.expect("firstsecond")
	c.expectEnd()
	check(t, c.Close())
	h.expectClose(t, nil)
}
