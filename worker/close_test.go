package worker_test

import (
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/usher-go/usher/worker"
)

// peersErrors are those of a peer that has gone.
var peersErrors = []error{syscall.ECONNRESET, syscall.EPIPE, syscall.ECONNABORTED}

// A close with input unread must not destroy the reply: close(2) would.
func TestCloseWithUnreadInput(t *testing.T) {
	reply := strings.Repeat("r", 100_000)
	h := newRecorder(func(c *worker.Conn, in []byte) (int, error) {
		if _, err := c.Write([]byte(reply)); err != nil {
			return 0, err
		}
		return 0, c.Close()
	})
	s := newRig(t, h)
	c := s.connect()
	c.send(strings.Repeat("x", 300_000)) // more than one read
	c.expect(reply)
	c.expectEnd()
	c.send("and more")
	check(t, c.Close())
	h.expectClose(t, nil)
}

// A client that never finishes sending is not read from for ever, and cut off by time.
func TestLingerIsBounded(t *testing.T) {
	h := newRecorder(func(c *worker.Conn, in []byte) (int, error) { return len(in), c.Close() })
	s := newRig(t, h)
	c := s.connect()
	piece := make([]byte, 100_000)
	for sent := 0; ; sent += len(piece) {
		if _, err := c.Write(piece); err != nil {
			if !isPeers(err) {
				t.Error(err)
			}
			break
		}
		if sent > 64<<20 {
			t.Fatal("the worker goes on reading")
		}
	}
	h.expectClose(t, nil)
}

// A client that neither sends nor finishes is cut off by time.
func TestLingerEnds(t *testing.T) {
	h := newRecorder(func(c *worker.Conn, in []byte) (int, error) { return len(in), c.Close() })
	s := newRig(t, h)
	clients := []*client{s.connect(), s.connect(), s.connect()}
	for _, c := range clients {
		c.send("x")
		c.expectEnd()
	}
	check(t, clients[1].Close())
	for range clients {
		h.expectClose(t, nil)
	}
}

func TestAbortResets(t *testing.T) {
	h := newRecorder(func(c *worker.Conn, in []byte) (int, error) {
		if _, err := c.Write([]byte("never sent")); err != nil {
			return 0, err
		}
		if err := c.Abort(); err != nil {
			return 0, err
		}
		return 0, c.Abort()
	})
	s := newRig(t, h)
	c := s.connect()
	c.send("x")
	c.expectReset()
	h.expectClose(t, worker.ErrAborted)
}

func TestMethodsAfterTheEnd(t *testing.T) {
	var kept *worker.Conn
	results := make(chan error, 20)
	h := newRecorder(func(c *worker.Conn, in []byte) (int, error) {
		if kept == nil {
			kept = c
			return len(in), c.Close()
		}
		_, err := kept.Write(in)
		results <- err
		_, err = kept.Writev(in, in)
		results <- err
		results <- kept.Close()
		results <- kept.CloseWrite()
		results <- kept.Abort()
		kept.Pause()
		kept.Resume()
		if kept.Buffered() != 0 || kept.ID() != 1 || kept.Listener() != "web" || !kept.RemoteAddr().IsValid() || !kept.LocalAddr().IsValid() {
			results <- errTest
		}
		close(results)
		return c.Write(in)
	})
	s := newRig(t, h)
	c := s.connect()
	c.send("x")
	c.expectEnd()
	check(t, c.Close())
	h.expectClose(t, nil)
	other := s.connect()
	other.send("x")
	other.expect("x")
	for err := range results {
		if !errors.Is(err, worker.ErrClosed) || !errors.Is(err, net.ErrClosed) {
			t.Errorf("got %v", err)
		}
	}
}

func TestMethodsAfterClose(t *testing.T) {
	results := make(chan error, 20)
	h := newRecorder(func(c *worker.Conn, in []byte) (int, error) {
		results <- c.Close()
		_, err := c.Write(in)
		results <- err
		results <- c.Close()
		results <- c.CloseWrite()
		close(results)
		return len(in), nil
	})
	s := newRig(t, h)
	c := s.connect()
	c.send("x")
	c.expectEnd()
	want := []error{nil, worker.ErrClosed, worker.ErrClosed, worker.ErrClosed}
	for i := 0; ; i++ {
		err, ok := <-results
		if !ok {
			break
		}
		if !errors.Is(err, want[i]) {
			t.Errorf("%d: got %v, want %v", i, err, want[i])
		}
	}
}

func TestPeersResetIsToldAsItIs(t *testing.T) {
	h := newRecorder(echo)
	s := newRig(t, h)
	c := s.connect()
	c.send("x")
	c.expect("x")
	c.reset()
	h.expectClose(t, syscall.ECONNRESET)
}

// Two connections are ready at once, and each aborts the other: one event is for
// a connection that is gone.
func TestStaleEvent(t *testing.T) {
	var conns []*worker.Conn
	blocked, goOn := make(chan bool), make(chan bool)
	h := newRecorder(nil)
	h.data = func(c *worker.Conn, in []byte) (int, error) {
		if string(in) == "block" {
			blocked <- true
			<-goOn // the others become ready meanwhile
			return len(in), nil
		}
		for _, other := range conns {
			if other != c {
				if err := other.Abort(); err != nil {
					return 0, err
				}
			}
		}
		return c.Write(in)
	}
	s := newRig(t, worker.OpenFunc(func(c *worker.Conn) (worker.Session, error) {
		if c.ID() > 1 {
			conns = append(conns, c)
		}
		return h, nil
	}))
	block, a, b := s.connect(), s.connect(), s.connect()
	s.until(func() bool { return s.entry.Received.Load() == 3 })
	block.send("block")
	await(t, blocked)
	a.send("a")
	b.send("b")
	goOn <- true
	first, other := a, b
	var reply [1]byte
	if _, err := io.ReadFull(a, reply[:]); err != nil {
		first, other = b, a
		b.expect("b")
	}
	other.expectReset()
	h.expectClose(t, worker.ErrAborted)
	check(t, first.Close())
	h.expectClose(t, nil)
}
