package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/usher-go/usher/master"
	"golang.org/x/sys/unix"
)

// A service manager sends SIGTERM to all workers at once, under clients that do
// not stop: they wait at their workers until there are others, and go on there.
// None is cut, and nobody waits for the drain timeout.
func TestTermToAllWorkers(t *testing.T) {
	clients, rounds := sized(100, 1000), sized(3, 10)
	s := serve(t, "--workers", "2", "--drain-timeout", "1h", "--", self(), "worker-summing")
	c := gather(t, s.address, clients)
	s.until("all are there", func(status master.Status) bool { return int(status.Connections.Active) == clients })
	for range rounds {
		status := s.until("two workers", ready(2))
		old := pids(status)
		for _, pid := range old {
			kill(t, pid, unix.SIGTERM)
		}
		s.until("others have all of the clients", func(status master.Status) bool {
			here := 0
			for _, w := range status.Workers {
				here += w.Connections
			}
			return ready(2)(status) && here == clients &&
				!slices.ContainsFunc(pids(status), func(pid int) bool { return slices.Contains(old, pid) })
		})
	}
	c.disperse()
	status, err := s.status()
	if err != nil || status.Connections.Lost+status.Connections.Cut != 0 || c.failed.Load() != 0 {
		t.Errorf("%+v, %d failed, %v; want none lost, cut or failed", status.Connections, c.failed.Load(), err)
	}
	t.Logf("%d rounds: %d lines, %+v", rounds, c.lines.Load(), status.Connections)
	s.signal(unix.SIGTERM)
	s.ends(0)
}

// The master is told to end while connections move: all are served, each by some
// worker, until their clients leave, or for as long as the drain timeout says.
func TestStopWhileMoving(t *testing.T) {
	clients := sized(300, 3000)
	s := serve(t, "--workers", "2", "--drain-timeout", "1h", "--", self(), "worker-summing")
	c := gather(t, s.address, clients)
	s.until("all are there", func(status master.Status) bool { return int(status.Connections.Active) == clients })
	s.signal(unix.SIGHUP)
	s.until("some have moved", func(status master.Status) bool { return status.Connections.Moved > 0 })
	s.signal(unix.SIGTERM)
	s.until("no worker is left that takes connections", func(status master.Status) bool {
		return !slices.ContainsFunc(status.Workers, func(w master.WorkerStatus) bool { return w.State != "draining" })
	})
	lines := c.lines.Load()
	until(t, "clients are served still", func() (bool, string) {
		n := c.lines.Load() - lines
		return n > uint64(5*clients), fmt.Sprint(n)
	})
	c.disperse() // each ends in order, which shows that each is served
	s.ends(0)
	if c.failed.Load() != 0 {
		t.Errorf("%d of %d clients failed", c.failed.Load(), clients)
	}
}

// Whoever is still there when the drain timeout is over is cut, and that is said.
func TestCutIsCounted(t *testing.T) {
	t.Parallel()
	const clients = 5
	s := serve(t, "--workers", "1", "--drain-timeout", "100ms", "--app", "echo")
	for range clients {
		if err := dial(t, s.address).send("x"); err != nil {
			t.Fatal(err)
		}
	}
	s.until("all are there", func(status master.Status) bool { return int(status.Connections.Active) == clients })
	s.signal(unix.SIGTERM)
	s.ends(0)
	s.log.await(t, 1, "connections cut, the time of a drain was over", "slot=0", fmt.Sprintf("count=%d", clients))
}

// After a deploy that cannot restore the connections' state the old workers keep
// them; the server ends nevertheless when it is told to.
func TestStopAfterFailedDeploy(t *testing.T) {
	const clients = 50
	s, program := serveDeployed(t, "worker-summing-1", "--workers", "2", "--drain-timeout", "1s")
	c := gatherTolerant(t, s.address, clients)
	s.until("all are there", func(status master.Status) bool { return int(status.Connections.Active) == clients })
	deploy(t, program, "worker-forgetting")
	checkComplaint(t, s.ask("reload"), exitFailed, "could not be restored")
	s.signal(unix.SIGTERM)
	s.ends(0)
	if cut := s.log.with("connections cut, the time of a drain was over"); len(cut) == 0 {
		t.Error("the log does not say that clients were cut")
	}
	c.disperse()
}

// A deploy has failed, and old workers keep their connections. However few
// workers there may be, an upgrade and the next deploy do not wait for those.
func TestDeployAfterFailedDeploy(t *testing.T) {
	for _, workers := range []string{"1", "2"} {
		t.Run(workers+" workers", func(t *testing.T) {
			const clients = 50
			p := install(t)
			program := filepath.Join(shortDir(t), "worker")
			deploy(t, program, "worker-summing-1")
			s := p.serve("--workers", workers, "--max-workers", workers, "--drain-timeout", "1h", "--", program)
			c := gatherTolerant(t, s.address, clients)
			s.until("all are there", func(status master.Status) bool { return int(status.Connections.Active) == clients })
			deploy(t, program, "worker-forgetting")
			for range 2 {
				checkComplaint(t, s.ask("reload"), exitFailed, "could not be restored")
			}
			if got := s.ask("upgrade"); got.code != 0 {
				t.Errorf("upgrade: %+v", got)
			}
			deploy(t, program, "worker-summing-1")
			if got := s.ask("reload"); got.code != 0 {
				t.Errorf("reload to a program that can: %+v", got)
			}
			n, _ := strconv.Atoi(workers)
			status := s.until("the old workers are gone", ready(n))
			if lost := status.Connections.Lost; lost == 0 || lost > 6 {
				t.Errorf("%d lost in two failed deploys, want 1 to 6", lost)
			}
			c.disperse()
			s.signal(unix.SIGTERM)
			s.ends(0)
		})
	}
}

// A reload does not wait for a worker that is stopped, beyond the limit for that:
// it says which worker it is, and fails.
func TestReloadWithStoppedWorker(t *testing.T) {
	t.Parallel()
	s := serve(t, "--workers", "2", "--drain-timeout", "1h", "--", self(), "worker-summing")
	c := gather(t, s.address, 20)
	status := s.until("all are there", func(status master.Status) bool { return int(status.Connections.Active) == 20 })
	stopped := status.Workers[0]
	kill(t, stopped.PID, unix.SIGSTOP)
	start := time.Now()
	got := usherWithin(t, 10*limit, "reload", "--control", s.control)
	if who := fmt.Sprintf("slot %d (pid %d)", stopped.Slot, stopped.PID); got.code != exitFailed ||
		!strings.HasPrefix(got.stdout, "generation: 2\nmoved: ") || !strings.Contains(got.stderr, who) {
		t.Errorf("%+v, want figures, and %q", got, who)
	}
	t.Logf("%v: %s%s", time.Since(start).Round(time.Millisecond), got.stdout, got.stderr)
	kill(t, stopped.PID, unix.SIGCONT)
	s.until("what it had has moved after all", ready(2))
	c.disperse()
	s.stop()
}
