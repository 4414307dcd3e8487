package main

import (
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The master is killed: its workers end too, whatever they are at, and nobody
// listens any more.
func TestMasterKilled(t *testing.T) {
	tests := []struct {
		name   string
		worker string // one of the helpers; empty: the app lines
		setUp  func(t *testing.T, s *server)
	}{
		{name: "at rest"},
		{name: "with connections", setUp: func(t *testing.T, s *server) {
			for range 10 {
				dial(t, s.address).ask(t, "hello")
			}
		}},
		{name: "with a worker stuck in a call", worker: "worker-blocked", setUp: getStuck},
		{name: "with a worker stuck in a loop", worker: "worker-spinning", setUp: getStuck},
		{name: "with a worker stopped", setUp: func(t *testing.T, s *server) {
			dial(t, s.address).ask(t, "hello")
			status, err := s.status()
			if err != nil {
				t.Fatal(err)
			}
			freeze(t, status.Workers[1].PID)
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			args := []string{"--workers", "2", "--app", "lines"}
			if test.worker != "" {
				args = append(args, "--", self(), test.worker)
			}
			cmd, mark := command()
			// A session of its own, as a service manager gives it. The kernel
			// wakes stopped processes that have lost their parent unless their
			// new one, process 1, is in the same session (setpgid(2)).
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
			s := serveCommandLine(t, cmd, mark, args...)
			if test.setUp != nil {
				test.setUp(t, s)
			}

			start := time.Now()
			s.signal(unix.SIGKILL)
			s.waitExit()
			s.leavesNothing()
			t.Logf("from the kill to the end of the last process: %v", time.Since(start).Round(time.Microsecond))
			if c, err := connect(s.address); err == nil {
				_ = c.conn.Close() // it should not be
				t.Errorf("somebody listens on %s", s.address)
			}
		})
	}
}

// getStuck has every worker's handler stuck.
func getStuck(t *testing.T, s *server) {
	t.Helper()
	for n := range s.workers {
		if err := dial(t, s.address).send("hello\n"); err != nil {
			t.Fatal(err)
		}
		s.log.await(t, n+1, "worker output", "line=stuck")
	}
	if got := len(s.log.with("line=stuck", "slot=0")); got != 1 {
		t.Fatalf("worker 0 is stuck %d times, want once", got)
	}
}
