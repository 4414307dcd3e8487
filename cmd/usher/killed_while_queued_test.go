package main

import (
	"testing"
	"time"

	"github.com/usher-go/usher/master"
	"golang.org/x/sys/unix"
)

// The only worker is killed with connections in its queue, which it has never
// read: its successor answers every one of them.
func TestKilledWhileQueued(t *testing.T) {
	t.Parallel()
	const queued = 50
	s := serve(t, "--app", "lines", "--workers", "1")
	status, err := s.status()
	if err != nil {
		t.Fatal(err)
	}
	victim := status.Workers[0].PID
	freeze(t, victim)

	var clients []*client
	for range queued {
		c := dial(t, s.address)
		if err := c.send("hello\n"); err != nil {
			t.Fatal(err)
		}
		clients = append(clients, c)
	}
	s.until("all wait in the queue", func(status master.Status) bool {
		return status.Workers[0].Queued == queued && status.Connections.Queued == queued
	})

	start := time.Now()
	kill(t, victim, unix.SIGKILL)
	status = s.until("another worker is ready", func(status master.Status) bool {
		return ready(1)(status) && status.Workers[0].PID != victim
	})
	t.Logf("from the kill to a ready successor: %v", time.Since(start).Round(time.Microsecond))
	successor := status.Workers[0]
	if successor.Slot != 0 || successor.Restarts != 1 || successor.Generation != 1 {
		t.Errorf("successor %+v, want slot 0, 1 restart, generation 1", successor)
	}
	for i, c := range clients {
		pid, err := c.answer("hello")
		if err != nil || pid != successor.PID {
			t.Errorf("client %d: answer by worker %d, %v; want %d", i, pid, err, successor.PID)
		}
	}
	t.Logf("from the kill to the last answer: %v", time.Since(start).Round(time.Microsecond))
	if again := s.until("all are served", func(status master.Status) bool {
		return status.Connections.Active == queued
	}); again.Connections.Lost != 0 {
		t.Errorf("%d connections lost, want none", again.Connections.Lost)
	}
	for _, c := range clients {
		c.leave(t)
	}
	s.stop()
}
