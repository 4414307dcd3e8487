package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/usher-go/usher/internal/killpoint"
	"github.com/usher-go/usher/master"
	"golang.org/x/sys/unix"
)

// The worker is killed at each named moment of a connection's hand-over. The
// connection is then served in full by its successor, or it is booked as lost,
// as the design says for that moment; and nothing is booked twice.
func TestKillPoints(t *testing.T) {
	t.Parallel()
	binary := filepath.Join(t.TempDir(), "usher")
	if out, err := exec.Command("go", "build", "-tags", "killpoints", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for point, row := range killpoint.Table {
		if row.Moving {
			t.Run(row.Name, func(t *testing.T) { killMover(t, binary, killpoint.Point(point)) })
			continue
		}
		t.Run(row.Name, func(t *testing.T) { killAt(t, binary, killpoint.Point(point)) })
	}
}

func killAt(t *testing.T, binary string, point killpoint.Point) {
	row := killpoint.Table[point]
	file := filepath.Join(t.TempDir(), "stopped")
	cmd, mark := command()
	cmd.Path = binary
	cmd.Env = append(cmd.Env, killpoint.EnvPoint+"="+row.Name, killpoint.EnvFile+"="+file)
	s := serveCommandLine(t, cmd, mark, "--app", "lines", "--workers", "1")
	status := s.until("the worker is ready", ready(1))
	victim := status.Workers[0].PID
	if row.InMaster {
		freeze(t, victim) // so that it has not received what the master sends
	}

	served := make(chan bool, 1)
	c := dial(t, s.address)
	go func() { served <- talk(c) }()

	stopped := awaitStop(t, file)
	if want := map[bool]int{true: s.pid, false: victim}[row.InMaster]; stopped != want {
		t.Fatalf("process %d has stopped, want %d", stopped, want)
	}
	kill(t, victim, unix.SIGKILL)
	if row.InMaster {
		kill(t, s.pid, unix.SIGCONT)
	}

	if got := <-served; got != row.Fate.Served {
		t.Errorf("served in full: %v, want %v", got, row.Fate.Served)
	}
	_ = c.conn.Close() // the connection may have died with the worker
	status = s.until("the connection has ended, a successor is ready", func(status master.Status) bool {
		c := status.Connections
		return ready(1)(status) && status.Workers[0].PID != victim && c.Active+c.Queued == 0
	})
	got := status.Connections
	want := master.Counts{Accepted: 1, Closed: 1}
	if row.Fate.Lost {
		want = master.Counts{Accepted: 1, Lost: 1}
	}
	if got != want {
		t.Errorf("booked as %+v, want %+v", got, want)
	}
	s.stop()
}

// talk makes two exchanges and an orderly end, and reports whether all came.
func talk(c *client) bool {
	for _, line := range []string{"hello", "quit"} {
		if _, err := c.exchange(line); err != nil {
			return false
		}
	}
	return c.end() == nil
}

// awaitStop waits until the process that reached its kill point has stopped
// itself, and returns its pid.
func awaitStop(t *testing.T, file string) (pid int) {
	t.Helper()
	until(t, "a process stops at its kill point", func() (bool, string) {
		content, err := os.ReadFile(file)
		if err != nil {
			return false, err.Error()
		}
		if pid, err = strconv.Atoi(string(content)); err != nil {
			return false, err.Error()
		}
		stat, err := readStat(pid)
		return err == nil && stat.state == "T", stat.state
	})
	return pid
}
