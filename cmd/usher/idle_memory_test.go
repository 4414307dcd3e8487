package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/usher-go/usher/master"
)

// What an idle connection costs its worker in memory. The figure is for reading:
// only one far beyond any reason fails.
func TestIdleConnectionsMemory(t *testing.T) {
	const absurd = 4096 // bytes: a goroutine and two buffers would be more
	clients := sized(1000, 10000)
	s := serve(t, "--workers", "1", "--idle-timeout", "1h")
	pid := s.until("the worker is ready", ready(1)).Workers[0].PID
	hold := func(n int) (held []*client) {
		for range n {
			c := dial(t, s.address)
			if err := c.send("x"); err != nil {
				t.Fatal(err)
			}
			if b, err := c.in.ReadByte(); b != 'x' || err != nil {
				t.Fatalf("echo %q, %v", b, err)
			}
			held = append(held, c)
		}
		return held
	}
	for _, c := range hold(500) { // what is allocated once
		c.leave(t)
	}
	s.until("they have left", func(status master.Status) bool { return status.Connections.Active == 0 })
	before := proportionalBytes(t, pid)
	held := hold(clients)
	s.until("all are there", func(status master.Status) bool { return status.Workers[0].Connections == clients })
	each := (proportionalBytes(t, pid) - before) / clients
	t.Logf("%d idle connections with an idle timeout: %d bytes of memory (PSS) each in the worker", clients, each)
	if each > absurd {
		t.Errorf("more than %d bytes each", absurd)
	}
	for _, c := range held {
		c.leave(t)
	}
	s.stop()
}

// proportionalBytes is the proportional set size of a process (proc(5),
// smaps_rollup), without files: of those it depends on who else has them mapped.
func proportionalBytes(t *testing.T, pid int) int {
	t.Helper()
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(content)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "Pss_Anon:" {
			kib, err := strconv.Atoi(fields[1])
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Fatalf("no Pss_Anon in %s", content)
	return 0
}
