package main

import (
	"strconv"
	"testing"

	"github.com/usher-go/usher/master"
	"golang.org/x/sys/unix"
)

// A server of a tree before this one, under load and in the middle of whatever it
// does, is upgraded in place: its workers go on to serve, move and drain under
// this tree's master, and no client notices.
func TestUpgradeFromBefore(t *testing.T) {
	for _, tree := range before {
		t.Run(tree.name, func(t *testing.T) {
			old := buildBefore(t, tree.commit)
			for _, story := range upgradesFromBefore {
				t.Run(story.name, func(t *testing.T) { story.tell(t, old) })
			}
		})
	}
}

var upgradesFromBefore = []struct {
	name string
	tell func(t *testing.T, old string)
}{
	{"at rest", upgradedAtRest},
	{"in a reload", upgradedInReload},
	{"while a worker gives back", upgradedWhileMoving},
	{"after a bad deploy", upgradedAfterBadDeploy},
	{"while workers finish", upgradedWhileFinishing},
	{"with limits and acceptors", upgradedWithLimits},
	{"what old workers do not count", upgradedCounting},
}

// All that can be done to workers is done to the old ones, under this master.
func upgradedAtRest(t *testing.T, old string) {
	clients := sized(200, 2000)
	a := serveBefore(t, old, "worker-summing", "--workers", "3")
	c := gather(t, a.address, clients)
	a.until("all are there", complete(3, clients))
	a.upgrade(nil)
	if got := a.ask("move", "--from", "0", "--to", "1", "--count", "10"); got.code != 0 {
		t.Errorf("move: %+v", got)
	}
	a.until("ten have moved", func(status master.Status) bool {
		return status.Workers[0].MovedOut == 10 && status.Workers[1].MovedIn == 10 && complete(3, clients)(status)
	})
	a.signal(unix.SIGUSR1)
	a.until("one more worker", complete(4, clients))
	if got := a.ask("scale", "2"); got.code != 0 {
		t.Errorf("scale: %+v", got)
	}
	a.until("two less", complete(2, clients))
	a.renew("worker-summing")
	a.leaveAll(c, clients)
	a.finish(2)
}

// An old worker of two stands still, so that the reload goes on for as long as is
// needed.
func upgradedInReload(t *testing.T, old string) {
	clients := sized(200, 2000)
	a := serveBefore(t, old, "worker-summing", "--workers", "2")
	c := gather(t, a.address, clients)
	status := a.until("all are there", complete(2, clients))
	still := pids(status)[1:]
	tellWorkers(t, still, unix.SIGSTOP)
	a.signal(unix.SIGHUP)
	a.until("the other one's connections have moved", func(status master.Status) bool {
		return status.Generation == 2 && status.Connections.Moved > 0 && status.Workers[0].Connections == 0
	})
	a.upgrade(func() { tellWorkers(t, still, unix.SIGCONT) })
	a.until("the reload is over", func(status master.Status) bool {
		return status.Generation == 2 && complete(2, clients)(status)
	})
	a.signal(unix.SIGTTOU)
	a.until("one worker", complete(1, clients))
	a.renew("worker-summing")
	a.leaveAll(c, clients)
	a.finish(1)
}

// No worker runs while the master is upgraded, and one of them was told to give
// its connections back: it hears that, and is heard, under the new master.
func upgradedWhileMoving(t *testing.T, old string) {
	clients := sized(200, 2000)
	a := serveBefore(t, old, "worker-summing", "--workers", "3")
	c := gather(t, a.address, clients)
	status := a.until("all are there", complete(3, clients))
	still := pids(status)
	tellWorkers(t, still, unix.SIGSTOP)
	a.signal(unix.SIGTTOU)
	a.until("one is to give its connections back", func(status master.Status) bool { return !allReady(status) })
	a.upgrade(nil)
	tellWorkers(t, still, unix.SIGCONT)
	a.until("two workers have them all", complete(2, clients))
	a.renew("worker-summing")
	a.leaveAll(c, clients)
	a.finish(2)
}

// The old workers keep what a bad program could not restore, also under this
// master, until it has a good one. One of the two has not even heard that it is to.
func upgradedAfterBadDeploy(t *testing.T, old string) {
	clients := sized(200, 2000)
	a := serveBefore(t, old, "worker-summing-1", "--workers", "2")
	c := gatherTolerant(t, a.address, clients)
	still := pids(a.until("all are there", complete(2, clients)))[1:]
	tellWorkers(t, still, unix.SIGSTOP)
	a.deploy(old, "worker-forgetting")
	if got := a.ask("reload"); got.code != exitFailed {
		t.Errorf("reload: %+v, want it to fail", got)
	}
	booked := a.until("what is lost is booked", func(status master.Status) bool {
		return int(status.Connections.Active+status.Connections.Lost) == clients
	})
	a.upgrade(nil)
	tellWorkers(t, still, unix.SIGCONT)
	lines := c.lines.Load()
	until(t, "the others go on", func() (bool, string) {
		n := c.lines.Load() - lines
		return n > uint64(clients), strconv.FormatUint(n, 10)
	})
	a.renew("worker-summing-1")
	status, err := a.status()
	if err != nil {
		t.Fatal(err)
	}
	c.disperse()
	t.Logf("%d clients, %d lines, %d failed, %d of them before the upgrade", clients, c.lines.Load(), c.failed.Load(), booked.Connections.Lost)
	if lost := status.Connections.Lost; lost != booked.Connections.Lost || c.failed.Load() != lost {
		t.Errorf("%d lost, %d clients failed; %d were lost before the upgrade", lost, c.failed.Load(), booked.Connections.Lost)
	}
	a.finish(2)
}

// Connections that cannot move are served by the workers that have them until they
// leave; a worker that dies has a successor.
func upgradedWhileFinishing(t *testing.T, old string) {
	a := serveBefore(t, old, "worker-staying", "--workers", "2", "--drain-timeout", "10m")
	var clients []*client
	var served []int
	for range 10 {
		c := dial(t, a.address)
		clients, served = append(clients, c), append(served, c.ask(t, "before"))
	}
	a.signal(unix.SIGHUP)
	a.until("the next generation serves", func(status master.Status) bool { return status.Generation == 2 && len(status.Workers) == 4 })
	a.upgrade(nil)
	for i, c := range clients {
		if pid := c.ask(t, "after"); pid != served[i] {
			t.Errorf("client %d is served by %d, it was by %d", i, pid, served[i])
		}
		c.leave(t)
	}
	victim := a.until("the old workers are gone", complete(2, 0)).Workers[0].PID
	tellWorkers(t, []int{victim}, unix.SIGKILL)
	a.until("a successor", func(status master.Status) bool {
		return complete(2, 0)(status) && status.Workers[0].PID != victim && status.Workers[0].Restarts == 1
	})
	a.renew("worker-staying")
	a.finish(2)
}

// Who is there counts, whichever program accepted it.
func upgradedWithLimits(t *testing.T, old string) {
	clients := sized(200, 2000)
	args := []string{"--max-conns-per-ip", strconv.Itoa(clients), "--acceptors", "3"}
	a := serveBefore(t, old, "worker-summing", append(args, "--workers", "2")...)
	c := gather(t, a.address, clients)
	a.until("all are there", complete(2, clients))
	refused := func(when string) {
		t.Helper()
		one := dial(t, a.address)
		if _, err := one.in.ReadByte(); err == nil {
			t.Errorf("%s: a client beyond the limit was served", when)
		}
		_ = one.conn.Close() // it was refused
	}
	refused("before")
	a.upgrade(nil)
	refused("after the upgrade")
	a.renew("worker-summing")
	refused("after the reload")
	a.leaveAll(c, clients)
	more := gather(t, a.address, clients)
	a.until("as many others are there", complete(2, clients))
	refused("after all have left and as many have come")
	more.disperse()
	a.finish(2, args...)
}

// leaveAll has the clients leave, who have noticed nothing.
func (a *aged) leaveAll(c *choir, clients int) {
	a.t.Helper()
	status := a.until("every client is there still", func(status master.Status) bool {
		return int(status.Connections.Active) == clients && status.Connections.Lost == 0
	})
	c.disperse()
	a.t.Logf("%d clients, %d lines, %d failed; %+v", clients, c.lines.Load(), c.failed.Load(), status.Connections)
}
