package worker_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/usher-go/usher/worker"
)

// What Data leaves comes again with more, and only what it leaves.
func TestUnconsumedInputComesAgain(t *testing.T) {
	// Consumes pairs of bytes, and answers with each.
	s := newRig(t, worker.DataFunc(func(c *worker.Conn, in []byte) (int, error) {
		n := len(in) &^ 1
		for i := 0; i < n; i += 2 {
			if _, err := c.Writev(in[i:i+2], []byte(",")); err != nil {
				return 0, err
			}
		}
		return n, nil
	}))
	c := s.connect()
	c.send("abc")
	c.expect("ab,")
	c.send("d")
	c.expect("cd,")
	c.send("e")
	s.connect().roundTripOfLoop(s)
	c.send("fg")
	c.expect("ef,")
	c.send(strings.Repeat("x", 99_999))
	c.expect("gx," + strings.Repeat("xx,", 99_998/2))
}

func TestBadCounts(t *testing.T) {
	tests := []struct {
		name string
		n    int
	}{{"negative", -1}, {"more than given", 4}}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := newRecorder(func(c *worker.Conn, in []byte) (int, error) {
				_, err := c.Write([]byte("reply"))
				return test.n, err
			})
			s := newRig(t, h)
			c := s.connect()
			c.send("abc")
			c.expect("reply")
			c.expectEnd()
			check(t, c.Close())
			h.expectClose(t, worker.ErrConsumed)
		})
	}
}

func TestUnconsumedInputLimit(t *testing.T) {
	h := newRecorder(func(*worker.Conn, []byte) (int, error) { return 0, nil })
	s := newRig(t, h, worker.WithMaxInput(200_000))
	c := s.connect()
	c.send(strings.Repeat("x", 200_000))
	c.connectRest(s)
	h.expectClose(t, nil) // of the one that went round
	if len(h.closed) > 0 {
		t.Fatal("closed at the limit")
	}
	c.send("x")
	c.expectEnd()
	check(t, c.Close())
	h.expectClose(t, worker.ErrInputFull)
}

func TestDataErrorClosesAfterFlushing(t *testing.T) {
	reply := strings.Repeat("reply", 1<<20)
	h := newRecorder(func(c *worker.Conn, in []byte) (int, error) {
		if _, err := c.Write([]byte(reply)); err != nil {
			return 0, err
		}
		return 0, errTest
	})
	s := newRig(t, h)
	c := s.connectNarrow()
	c.send("go")
	c.expect(reply)
	c.expectEnd()
	check(t, c.Close())
	h.expectClose(t, errTest)
}

// The handler takes one message, pauses, and is given the rest without more
// coming.
func TestPauseAndResume(t *testing.T) {
	var paused *worker.Conn
	seen := make(chan string, 10)
	s := newRig(t, worker.OpenFunc(func(c *worker.Conn) (worker.Session, error) {
		if c.ID() == 1 {
			paused = c
			return worker.DataFunc(func(c *worker.Conn, in []byte) (int, error) {
				seen <- string(in)
				c.Pause()
				return min(2, len(in)), nil
			}), nil
		}
		return worker.DataFunc(func(c *worker.Conn, in []byte) (int, error) {
			for range in {
				paused.Resume()
			}
			return c.Write(in)
		}), nil
	}))
	c, other := s.connect(), s.connect()
	resume := func() {
		other.send("r")
		other.expect("r")
	}
	c.send("abcd")
	if got := await(t, seen); got != "abcd" {
		t.Fatalf("got %q", got)
	}
	c.send("ef")
	other.connectRest(s)
	if len(seen) > 0 {
		t.Fatalf("Data was given %q while paused", <-seen)
	}
	resume()
	if got := await(t, seen); got != "cd" {
		t.Fatalf("got %q after the pause, want what was left", got)
	}
	resume()
	if got := await(t, seen); got != "ef" {
		t.Fatalf("got %q, want what came while paused", got)
	}
}

// connectRest waits for the loop to have served what there is.
func (c *client) connectRest(s *rig) {
	c.t.Helper()
	s.connect().roundTripOfLoop(s)
	s.expectRest()
}

// A pause that begins and ends within one call is none; it must not call Data
// again and again with the same.
func TestPauseAndResumeInOneCall(t *testing.T) {
	calls := make(chan int, 100)
	s := newRig(t, worker.DataFunc(func(c *worker.Conn, in []byte) (int, error) {
		calls <- len(in)
		c.Pause()
		c.Resume()
		return 0, nil
	}))
	c := s.connect()
	c.send("x")
	await(t, calls)
	c.connectRest(s)
	if len(calls) > 0 {
		t.Errorf("Data was called %d times more", len(calls))
	}
}

// EPOLLHUP and EPOLLERR cannot be masked: a connection that does not read must
// not make the loop spin on them, nor lose what came before.
func TestPausedConnectionHangsUp(t *testing.T) {
	tests := []struct {
		name   string
		hangUp func(c *client)
		shut   bool // the worker has finished writing
		want   error
	}{
		{"end of file", func(c *client) { c.closeWrite() }, false, nil},
		{"end of file both ways", func(c *client) { c.expectEnd(); c.closeWrite() }, true, nil},
		{"closed", func(c *client) { check(c.t, c.Close()) }, true, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var held *worker.Conn
			var got strings.Builder
			h := newRecorder(nil)
			h.data = func(c *worker.Conn, in []byte) (int, error) {
				if held == nil {
					held = c
					c.Pause()
					if test.shut {
						return len(in), c.CloseWrite()
					}
					return len(in), nil
				}
				if c != held {
					held.Resume()
					return c.Write(in)
				}
				got.Write(in)
				return len(in), nil
			}
			s := newRig(t, h)
			c := s.connect()
			c.send("first")
			c.connectRest(s)
			h.expectClose(t, nil) // of the one that went round
			c.send("second")
			test.hangUp(c)
			c.connectRest(s)
			h.expectClose(t, nil)
			if len(h.closed) > 0 {
				t.Fatalf("closed while paused, because of %v", <-h.closed)
			}
			other := s.connect()
			other.send("resume")
			other.expect("resume")
			h.expectClose(t, test.want)
			if got.String() != "second" {
				t.Errorf("got %q after the pause", got.String())
			}
		})
	}
}

func TestPausedConnectionIsReset(t *testing.T) {
	paused := make(chan bool, 1)
	h := newRecorder(func(c *worker.Conn, in []byte) (int, error) {
		c.Pause()
		paused <- true
		return len(in), nil
	})
	s := newRig(t, h)
	c := s.connect()
	c.send("x")
	await(t, paused)
	c.reset()
	if err := await(t, h.closed); !isPeers(err) {
		t.Errorf("closed because of %v", err)
	}
	s.expectRest()
}

// One client that sends without end does not keep another from its answers.
func TestFirehoseStarvesNobody(t *testing.T) {
	s := newRig(t, worker.OpenFunc(func(c *worker.Conn) (worker.Session, error) {
		if c.ID() == 1 {
			return worker.DataFunc(func(c *worker.Conn, in []byte) (int, error) { return len(in), nil }), nil
		}
		return worker.DataFunc(echo), nil
	}))
	hose := s.connect()
	stop, stopped := make(chan struct{}), make(chan struct{})
	written := make(chan int, 1)
	go func() {
		defer close(stopped)
		total, water := 0, make([]byte, 1<<20)
		for {
			select {
			case <-stop:
				written <- total
				return
			default:
			}
			n, err := hose.Write(water)
			if err != nil {
				t.Error(err)
				written <- total
				return
			}
			total += n
		}
	}()
	c := s.connect()
	for range 200 {
		c.send("are you there?")
		c.expect("are you there?")
	}
	close(stop)
	<-stopped
	if total := <-written; total == 0 {
		t.Error("the firehose was dry")
	}
}

func isPeers(err error) bool {
	for _, errno := range peersErrors {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}
