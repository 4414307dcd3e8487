package main

import (
	"sync"
	"testing"
	"time"

	"github.com/usher-go/usher/master"
)

// Clients that do not read what they ask for take a worker's memory up to what the
// operator allows; and a reload changes that for the workers of the new generation.
func TestWorkerMemory(t *testing.T) {
	t.Parallel()
	s := serveConfigured(t, `app = "echo"`, `workers = 1`)
	neighbour := dial(t, s.address)
	greedy := dialAll(t, s, 12) // half a MiB each is the worker's, beside what the kernel takes
	stuff(greedy, 250*time.Millisecond)()
	neighbour.wantEcho(t)
	if lines := s.log.with("memory for buffers is full"); len(lines) > 0 {
		t.Errorf("the default does not allow 6 MiB: %q", lines)
	}
	closeAll(greedy)

	s.write(`app = "echo"`, `workers = 1`, `worker-memory = "2MiB"`)
	s.reload()
	greedy = dialAll(t, s, 12)
	wait := stuff(greedy, limit)
	s.log.await(t, 1, "[WARN]", "memory for buffers is full", "limit=2097152")
	neighbour.wantEcho(t)
	closeAll(greedy)
	wait()
	_ = neighbour.conn.Close() // it is answered
	status := s.until("all have left", func(status master.Status) bool { return status.Connections.Active == 0 })
	if status.Connections.Lost+status.Connections.Refused != 0 {
		t.Errorf("%+v, want none lost or refused", status.Connections)
	}
	s.stop()
}

func dialAll(t *testing.T, s *configured, n int) (clients []*client) {
	t.Helper()
	for range n {
		clients = append(clients, dial(t, s.address))
	}
	return clients
}

func closeAll(clients []*client) {
	for _, c := range clients {
		_ = c.conn.Close() // with answers unread
	}
}

// stuff has each send until it is held up for so long, or closed. It returns a
// function that waits for that.
func stuff(clients []*client, patience time.Duration) (wait func()) {
	var all sync.WaitGroup
	for _, c := range clients {
		all.Go(func() {
			for sent := 0; sent < 100_000_000; sent += len(produce) {
				_ = c.conn.SetWriteDeadline(time.Now().Add(patience)) // of a closed one, Write says it
				if _, err := c.conn.Write(produce); err != nil {
					return
				}
			}
		})
	}
	return all.Wait
}

// wantEcho sends a line to an echo and wants it back.
func (c *client) wantEcho(t *testing.T) {
	t.Helper()
	if err := c.send("hello\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := c.in.ReadString('\n'); line != "hello\n" || err != nil {
		t.Errorf("got %q, %v", line, err)
	}
}
