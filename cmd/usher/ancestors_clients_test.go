package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/usher-go/usher/master"
	"golang.org/x/sys/unix"
)

// Clients leave without a word, in every way there is: no worker dies of it.
func TestRudeClientKillsNobody(t *testing.T) {
	t.Parallel()
	const each = 20
	s := serve(t, "--workers", "2") // echo
	before := s.now()
	piece := make([]byte, 64<<10)
	ways := []struct {
		name  string
		leave func(c *client) error
	}{
		{"closes at once", func(*client) error { return nil }},
		{"resets at once", func(c *client) error { return c.conn.SetLinger(0) }},
		{"resets after a line", func(c *client) error { return errors.Join(c.send("hello\n"), c.conn.SetLinger(0)) }},
		{"closes with unread data", func(c *client) error {
			_, err := c.conn.Write(piece)
			_, readErr := io.ReadFull(c.conn, make([]byte, 1)) // the answer is on its way
			return errors.Join(err, readErr)
		}},
		{"closes during a write", fill},
		{"resets during a write", func(c *client) error { return errors.Join(fill(c), c.conn.SetLinger(0)) }},
		{"finishes sending, then closes with unread data", func(c *client) error {
			_, err := c.conn.Write(piece)
			return errors.Join(err, c.conn.CloseWrite())
		}},
	}
	for _, way := range ways {
		for range each {
			c := dial(t, s.address)
			if err := errors.Join(way.leave(c), c.conn.Close()); err != nil {
				t.Errorf("%s: %v", way.name, err)
			}
		}
	}
	if got := converse(t, s.address, "hello"); got != "hello" {
		t.Errorf("got %q, want %q", got, "hello")
	}
	s.until("all have left", func(status master.Status) bool {
		return status.Connections.Closed == uint64(len(ways)*each+1)
	})
	s.unchanged(before)
	s.stop()
}

// fill sends to an echo and does not read, until nothing is taken any more:
// the worker is in the middle of its answer.
func fill(c *client) error {
	if err := c.conn.SetReadBuffer(4 << 10); err != nil {
		return err
	}
	piece := make([]byte, 256<<10)
	for range 1000 {
		if err := c.conn.SetWriteDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
			return err
		}
		if _, err := c.conn.Write(piece); errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		} else if err != nil {
			return err
		}
	}
	return errors.New("the server takes everything from a client that does not read")
}

// A handler that returns an error: its client gets what was written, and the end.
func TestHandlerErrorEndsConnection(t *testing.T) {
	t.Parallel()
	s := serve(t, "--workers", "1", "--", self(), "worker-in-error")
	before := s.now()
	for range 10 {
		c := dial(t, s.address)
		if err := c.send("hello\n"); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(c.in) // it does not finish sending: the worker ends it
		if string(got) != "sorry\n" || err != nil {
			t.Errorf("got %q, %v; want %q and the end", got, err, "sorry\n")
		}
		_ = c.conn.Close() // all is read
	}
	s.unchanged(before)
	s.stop()
}

// One worker, first come, first served: who comes second waits, without any
// process at work, until the first leaves or there is another worker.
func TestSecondClientWaits(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		then func(s *server, first *client) // lets the second be served
		by   int                            // which worker
	}{
		{"until the first leaves", func(s *server, first *client) { first.leave(s.t) }, 0},
		{"until there is another worker", func(s *server, _ *client) { s.signal(unix.SIGUSR1) }, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, "--app", "lines", "--dispatch", "queue", "--workers", "1")
			first := dial(t, s.address)
			first.ask(t, "hello")
			second := crowd(t, s.address, 1)
			standStill(t, "one client waits", s.everyone())
			if status := s.now(); status.Connections.Accepted != 1 || status.Connections.Active != 1 {
				t.Errorf("%+v, want 1 accepted, 1 active", status.Connections)
			}
			start := time.Now()
			test.then(s, first)
			at := answered(t, second)
			t.Logf("served after %v", time.Since(start).Round(time.Microsecond))
			status := s.now()
			if len(status.Workers) != test.by+1 || at[status.Workers[test.by].PID] != 1 {
				t.Errorf("answers by worker %v, want %d of %v", at, test.by, pids(status))
			}
			if test.by > 0 {
				first.ask(t, "still here")
				first.leave(t)
			}
			leaveAll(t, second)
			for range test.by {
				s.signal(unix.SIGTTOU)
			}
			s.until("one worker", ready(1))
			s.stop()
		})
	}
}

// With a limit for each worker, nobody ever has more; each that leaves lets
// one more in, at the worker it left.
func TestLimitIsExact(t *testing.T) {
	t.Parallel()
	const most, workers, all = 3, 2, 20
	s := serve(t, "--app", "lines", "--max-conns-per-worker", fmt.Sprint(most), "--workers", fmt.Sprint(workers))
	type guest struct {
		*client
		pid int
		err error
	}
	served := make(chan guest, all)
	for _, c := range crowd(t, s.address, all) {
		go func() {
			pid, err := c.answer("hello")
			served <- guest{c, pid, err}
		}()
	}
	var guests []guest
	at := make(map[int]int)
	serveOne := func() guest {
		select {
		case g := <-served:
			if g.err != nil {
				t.Fatal(g.err)
			}
			at[g.pid]++
			if at[g.pid] > most {
				t.Errorf("%d connections at worker %d, want at most %d", at[g.pid], g.pid, most)
			}
			guests = append(guests, g)
			return g
		case <-time.After(limit):
			t.Fatalf("no more clients served; by worker %v", at)
		}
		panic("unreachable")
	}
	for range most * workers {
		serveOne()
	}
	standStill(t, "all workers are full, and clients wait", s.everyone())
	if n := len(served); n > 0 {
		t.Errorf("%d more are served", n)
	}
	for left := all - most*workers; left > 0; left-- {
		status := s.until("all are full", func(status master.Status) bool {
			return !slices.ContainsFunc(status.Workers, func(w master.WorkerStatus) bool { return w.Connections != most })
		})
		if c := status.Connections; c.Accepted != c.Closed+most*workers || len(status.Workers) != workers {
			t.Errorf("status %+v, want %d open", status, most*workers)
		}
		first := guests[0]
		guests = guests[1:]
		first.leave(t)
		at[first.pid]--
		if next := serveOne(); next.pid != first.pid {
			t.Errorf("served by worker %d, want %d, which one has left", next.pid, first.pid)
		}
	}
	for _, g := range guests {
		g.leave(t)
	}
	s.stop()
}
