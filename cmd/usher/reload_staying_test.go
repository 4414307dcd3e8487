package main

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/usher-go/usher/master"
	"golang.org/x/sys/unix"
)

// A reload from workers whose connections can move to some that cannot take any:
// they stay and finish where they are, and new ones are served.
func TestReloadToWorkersThatCannotThaw(t *testing.T) {
	t.Parallel()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3")
	}
	program, err := filepath.Abs("../../testdata/workers/lines.py")
	if err != nil {
		t.Fatal(err)
	}
	s := serveConfigured(t, `app = "lines"`, `workers = 2`)
	old := make(map[int]*client)
	for len(old) < 2 {
		c := dial(t, s.address)
		old[c.ask(t, "hello")] = c
	}
	s.write(`workers = 2`, fmt.Sprintf(`program = [%q, %q]`, python, program))
	s.reload()
	for pid, c := range old {
		if at := c.ask(t, "still here"); at != pid {
			t.Errorf("answered by worker %d, want %d", at, pid)
		}
	}
	c := dial(t, s.address)
	if pid := c.ask(t, "new"); old[pid] != nil {
		t.Errorf("a new connection went to the old worker %d", pid)
	}
	c.leave(t)
	for _, c := range old {
		c.leave(t)
	}
	if status := s.until("the old workers are gone", ready(2)); status.Connections.Lost != 0 {
		t.Errorf("%d lost", status.Connections.Lost)
	}
	s.end()
}

// end is stop without a comparison of descriptors: the workers are others.
func (s *server) end() {
	s.t.Helper()
	s.until("at rest", func(status master.Status) bool { return allReady(status) && status.Connections.Active == 0 })
	s.signal(unix.SIGTERM)
	s.ends(0)
}
