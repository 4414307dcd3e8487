package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/usher-go/usher/master"
	"golang.org/x/sys/unix"
)

// Signals scale up to max-workers and down to one worker, and no further.
func TestScale(t *testing.T) {
	t.Parallel()
	s := serve(t, "--app", "lines", "--workers", "2", "--max-workers", "4")
	steps := []struct {
		signal  unix.Signal
		workers int
		limited bool // at the limit before
	}{
		{unix.SIGUSR1, 3, false},
		{unix.SIGTTIN, 4, false},
		{unix.SIGTTIN, 4, true},
		{unix.SIGUSR1, 4, true},
		{unix.SIGTTOU, 3, false},
		{unix.SIGTTOU, 2, false},
		{unix.SIGTTOU, 1, false},
		{unix.SIGTTOU, 1, true},
		{unix.SIGUSR1, 2, false},
	}
	limits, changes := 0, 0
	for i, step := range steps {
		t.Logf("step %d: %s", i, unix.SignalName(step.signal))
		s.signal(step.signal)
		if step.limited {
			limits++
			line := s.log.await(t, limits, "not scaling", "at most max-workers")
			if want := fmt.Sprintf(" workers=%d ", step.workers); !strings.Contains(line, want) {
				t.Errorf("got %q, want it to say %q", line, want)
			}
		} else {
			changes++
			s.log.await(t, changes, "usher: scaling: ")
		}
		status := s.until(fmt.Sprintf("%d workers", step.workers), ready(step.workers))
		for _, w := range status.Workers {
			if w.Generation != 1 || w.Restarts != 0 {
				t.Errorf("worker %+v, want generation 1, no restarts", w)
			}
		}
		c := dial(t, s.address)
		c.ask(t, "hello")
		c.leave(t)
	}
	s.stop()
}

// A worker that leaves serves a connection that cannot move to its end, and takes
// no other.
func TestScaleDownFinishes(t *testing.T) {
	t.Parallel()
	s := serve(t, "--workers", "2", "--", self(), "worker-staying")
	first, second := dial(t, s.address), dial(t, s.address)
	at := map[int]*client{first.ask(t, "hello"): first, second.ask(t, "hello"): second}
	if len(at) != 2 {
		t.Fatalf("both clients are at one worker")
	}

	s.signal(unix.SIGTTOU)
	var leaving, staying int
	s.until("one worker drains", func(status master.Status) bool {
		for _, w := range status.Workers {
			if w.State == "draining" {
				leaving = w.PID
			} else {
				staying = w.PID
			}
		}
		return leaving != 0
	})
	for n := range 10 {
		if pid := at[leaving].ask(t, fmt.Sprintf("line %d", n)); pid != leaving {
			t.Errorf("line %d is answered by worker %d, want %d", n, pid, leaving)
		}
		c := dial(t, s.address)
		if pid := c.ask(t, "hello"); pid != staying {
			t.Errorf("a new connection went to worker %d, want %d", pid, staying)
		}
		c.leave(t)
	}
	at[leaving].leave(t)
	s.until("it is gone", func(status master.Status) bool { return ready(1)(status) && status.Workers[0].PID == staying })
	s.log.await(t, 1, "worker gone", fmt.Sprintf("pid=%d", leaving)) // with exit status 0; otherwise "died"
	at[staying].ask(t, "still here")
	at[staying].leave(t)

	s.signal(unix.SIGUSR1)
	s.until("two workers again", ready(2))
	s.stop()
}

// A worker that is told to end by a signal, though it is the only one, keeps its
// connection until there is another, which it moves to. Nobody waits for the drain
// timeout, and nobody is cut.
func TestTermToOneWorker(t *testing.T) {
	t.Parallel()
	s := serve(t, "--app", "lines", "--workers", "1")
	c := dial(t, s.address)
	old := c.ask(t, "hello")
	kill(t, old, unix.SIGTERM)
	status := s.until("another has its connection, and it is gone", func(status master.Status) bool {
		return ready(1)(status) && status.Workers[0].PID != old && status.Workers[0].Connections == 1
	})
	fresh := status.Workers[0].PID
	if pid := c.ask(t, "still here"); pid != fresh {
		t.Errorf("answered by worker %d, want %d", pid, fresh)
	}
	other := dial(t, s.address)
	if pid := other.ask(t, "hello"); pid != fresh {
		t.Errorf("a new connection went to worker %d, want %d", pid, fresh)
	}
	c.leave(t)
	s.log.await(t, 1, "worker gone", fmt.Sprintf("pid=%d", old))
	other.leave(t)
	if status := s.until("all have left", func(status master.Status) bool { return status.Connections.Closed == 2 }); status.Connections.Lost+status.Connections.Cut != 0 {
		t.Errorf("%+v: connections were lost or cut", status.Connections)
	}
	s.stop()
}
