package main

import (
	"maps"
	"slices"
	"testing"

	"github.com/usher-go/usher/master"
	"golang.org/x/sys/unix"
)

// A worker that joins is given every connection until it has as many as the others.
func TestNewWorkerCatchesUp(t *testing.T) {
	t.Parallel()
	s := serve(t, "--app", "lines", "--workers", "1")
	var clients []*client
	at := make(map[int]int) // clients by worker
	arrive := func() (pid int) {
		c := dial(t, s.address)
		pid = c.ask(t, "hello")
		clients, at[pid] = append(clients, c), at[pid]+1
		return pid
	}
	old := arrive()
	arrive()
	if at[old] != 2 {
		t.Fatalf("clients by worker %v, want both at the only one", at)
	}

	s.signal(unix.SIGUSR1)
	status := s.until("two workers ready", ready(2))
	fresh := status.Workers[1].PID
	for range 2 {
		if pid := arrive(); pid != fresh {
			t.Errorf("a connection went to worker %d, want the new one, %d; clients by worker %v", pid, fresh, at)
		}
	}
	for range 2 {
		arrive()
	}
	if at[old] != 3 || at[fresh] != 3 {
		t.Errorf("clients by worker %v, want 3 each", at)
	}
	s.until("3 connections each", func(status master.Status) bool {
		return status.Workers[0].Connections == 3 && status.Workers[1].Connections == 3
	})

	for _, c := range clients {
		c.leave(t)
	}
	s.signal(unix.SIGTTOU)
	s.until("one worker", ready(1))
	s.stop()
}

// Connections that come one after another and stay are spread evenly.
func TestEvenCounts(t *testing.T) {
	t.Parallel()
	const workers, connections = 4, 1000
	s := serve(t, "--app", "lines", "--workers", "4")
	at := make(map[int]int)
	var clients []*client
	for range connections {
		c := dial(t, s.address)
		clients = append(clients, c)
		at[c.ask(t, "hello")]++
	}
	if len(at) != workers {
		t.Errorf("%d workers have connections, want %d", len(at), workers)
	}
	counts := slices.Sorted(maps.Values(at))
	if most := counts[len(counts)-1]; most > connections/workers+1 {
		t.Errorf("connections by worker %v: one holds more than one above the mean of %d", counts, connections/workers)
	}
	s.until("the status says the same", func(status master.Status) bool {
		return !slices.ContainsFunc(status.Workers, func(w master.WorkerStatus) bool { return w.Connections != at[w.PID] })
	})
	for _, c := range clients {
		c.leave(t)
	}
	s.stop()
}
