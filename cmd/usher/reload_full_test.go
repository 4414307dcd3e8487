package main

import (
	"net"
	"testing"

	"github.com/usher-go/usher/master"
)

// A reload of a server that is full, with clients that wait for room: those that it serves
// have the room of the new workers, and lose nothing; then the others come in as those leave.
func TestReloadOfAFullServer(t *testing.T) {
	t.Parallel()
	const full, more = 32, 40
	s := serve(t, "--workers", "2", "--max-conns-per-worker", "16", "--app", "lines")
	var served []*client
	for range full {
		c := dial(t, s.address)
		c.ask(t, "before")
		served = append(served, c)
	}
	waiting := make([]net.Conn, more)
	for i := range waiting {
		conn, err := net.Dial("tcp", s.address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		waiting[i] = conn
	}
	s.reload()
	status := s.until("all have moved", func(now master.Status) bool { return now.Connections.Moved >= full })
	if status.Connections.Accepted != full {
		t.Errorf("%d were accepted, want the %d that there was room for", status.Connections.Accepted, full)
	}
	for _, c := range served {
		c.ask(t, "after")
	}
	for _, c := range served {
		c.leave(t)
	}
	s.until("those that waited are served", func(now master.Status) bool { return now.Connections.Active == full })
	for _, conn := range waiting {
		_ = conn.Close() // nothing was sent
	}
	s.stop()
}
