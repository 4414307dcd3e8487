package main

import (
	"fmt"
	"testing"

	"github.com/usher-go/usher/master"
)

// lineUp has clients from several addresses of this machine come one after
// another, round after round, and stay. It returns which worker answered each.
func lineUp(t *testing.T, s *server, sources, rounds int) (at []int, clients []*client) {
	t.Helper()
	for n := range sources * rounds {
		c := dialFrom(t, fmt.Sprintf("127.0.0.%d", 1+n%sources), s.address)
		at, clients = append(at, c.ask(t, "hello")), append(clients, c)
	}
	return at, clients
}

func byWorker(at []int) map[int]int {
	counts := make(map[int]int)
	for _, pid := range at {
		counts[pid]++
	}
	return counts
}

// The same client address comes to the same worker, always; different ones
// come to different workers.
func TestHashDispatch(t *testing.T) {
	t.Parallel()
	const sources, rounds = 16, 4
	s := serve(t, "--app", "lines", "--workers", "3", "--dispatch", "hash")
	at, clients := lineUp(t, s, sources, rounds)
	for n, pid := range at {
		if first := at[n%sources]; pid != first {
			t.Errorf("client %d of 127.0.0.%d is at worker %d, the first one at %d", n/sources, 1+n%sources, pid, first)
		}
	}
	if counts := byWorker(at); len(counts) != 3 {
		t.Errorf("clients by worker %v, want some at each of 3", counts)
	}
	leaveAll(t, clients)
	again, clients := lineUp(t, s, sources, 1)
	for n, pid := range again {
		if pid != at[n] {
			t.Errorf("127.0.0.%d came back to worker %d, it was at %d", 1+n, pid, at[n])
		}
	}
	leaveAll(t, clients)
	s.stop()
}

// Each worker in turn, however many connections it has.
func TestRoundRobinDispatch(t *testing.T) {
	t.Parallel()
	const workers = 3
	s := serve(t, "--app", "lines", "--workers", fmt.Sprint(workers), "--dispatch", "round-robin")
	at, clients := lineUp(t, s, 1, 4*workers)
	// One of the workers is idle by now, and still is not preferred.
	for n := 0; n < len(clients); n += workers {
		clients[n].leave(t)
	}
	more, others := lineUp(t, s, 1, 2*workers)
	at = append(at, more...)
	for n, pid := range at {
		if first := at[n%workers]; pid != first {
			t.Errorf("client %d is at worker %d, want %d, whose turn it is", n, pid, first)
		}
	}
	if counts := byWorker(at); len(counts) != workers {
		t.Errorf("clients by worker %v, want some at each of %d", counts, workers)
	}
	for n, c := range clients {
		if n%workers != 0 {
			c.leave(t)
		}
	}
	leaveAll(t, others)
	s.stop()
}

// Whoever has the fewest.
func TestLeastDispatch(t *testing.T) {
	t.Parallel()
	const workers, each = 3, 4
	s := serve(t, "--app", "lines", "--workers", fmt.Sprint(workers))
	at, clients := lineUp(t, s, 1, workers*each)
	if counts := byWorker(at); len(counts) != workers || counts[at[0]] != each || counts[at[1]] != each {
		t.Errorf("clients by worker %v, want %d at each of %d", counts, each, workers)
	}
	left := at[0]
	for n, pid := range at {
		if pid == left {
			clients[n].leave(t)
		}
	}
	s.until("they have left", func(status master.Status) bool { return status.Connections.Closed == each })
	again, others := lineUp(t, s, 1, each)
	if counts := byWorker(again); counts[left] != each {
		t.Errorf("clients by worker %v, want all at %d, which had none", counts, left)
	}
	for n, pid := range at {
		if pid != left {
			clients[n].leave(t)
		}
	}
	leaveAll(t, others)
	s.stop()
}
