package main

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"testing"

	"github.com/usher-go/usher/master"
	"golang.org/x/sys/unix"
)

// A worker with a connection that it cannot go on with, and another one that
// waits to be let in, does not spin.
func TestBusyWorkerDoesNotSpin(t *testing.T) {
	t.Parallel()
	s := serve(t, "--app", "lines", "--workers", "1", "--max-conns-per-worker", "1")
	first := dial(t, s.address)
	first.ask(t, "hello")
	if err := first.send("half a "); err != nil {
		t.Fatal(err)
	}
	second := crowd(t, s.address, 1)
	standStill(t, "half a line, and a client that waits", s.everyone())
	if status := s.now(); status.Connections.Accepted != 1 {
		t.Errorf("%d accepted, want 1", status.Connections.Accepted)
	}
	if err := first.send("line\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := first.answer("half a line"); err != nil {
		t.Error(err)
	}
	first.leave(t)
	answered(t, second)
	leaveAll(t, second)
	s.stop()
}

// A worker that is killed is reaped, and another is in its place.
func TestKilledChildIsReapedAndReplaced(t *testing.T) {
	t.Parallel()
	s := serve(t, "--app", "lines", "--workers", "2")
	before := s.now()
	for round := range 2 {
		victim := s.now().Workers[0]
		kill(t, victim.PID, unix.SIGKILL)
		status := s.until("another worker is in its place", func(status master.Status) bool {
			return ready(2)(status) && status.Workers[0].PID != victim.PID
		})
		if w := status.Workers[0]; w.Slot != victim.Slot || w.Restarts != round+1 {
			t.Errorf("successor %+v, want slot %d, %d restarts", w, victim.Slot, round+1)
		}
		if status.Workers[1].PID != before.Workers[1].PID {
			t.Errorf("worker %d became %d, but nobody killed it", before.Workers[1].PID, status.Workers[1].PID)
		}
		if stat, err := readStat(victim.PID); err == nil && stat.parent == s.pid {
			t.Errorf("the killed worker, %d, is in state %s", victim.PID, stat.state)
		}
	}
	clients := crowd(t, s.address, 10)
	if at := answered(t, clients); len(at) != 2 {
		t.Errorf("answers by worker %v, want both", at)
	}
	leaveAll(t, clients)
	s.stop()
}

// No worker has a listener: of sockets it has its two to the master, and its
// connections. So when the master is killed, nobody accepts and leaves clients
// hanging, and the port is free.
func TestDeadParentFreesPort(t *testing.T) {
	t.Parallel()
	cmd, mark := command()
	s, listeners := serveAll(t, cmd, mark, "--listen", "127.0.0.1:0", "--app", "lines", "--workers", "2")
	s.signal(unix.SIGUSR1)
	s.until("a third worker", ready(3))
	var clients []*client
	at := make(map[int]int)
	for n := range 9 {
		c := dial(t, listeners[n%2].Address)
		at[c.ask(t, "hello")]++
		clients = append(clients, c)
	}
	for _, pid := range pids(s.now()) {
		own := sockets(t, pid)
		for _, l := range listeners {
			for _, listening := range tcpSockets(t, l.Address, tcpListen) {
				if slices.Contains(slices.Collect(maps.Values(own)), listening.inode) {
					t.Errorf("worker %d has the listener %s", pid, l.Address)
				}
			}
		}
		if own[3] == "" || own[4] == "" || len(own) != 2+at[pid] {
			t.Errorf("worker %d with %d connections has the sockets %v, want those, 3 and 4", pid, at[pid], own)
		}
	}

	s.signal(unix.SIGKILL)
	s.waitExit()
	s.leavesNothing()
	for _, c := range clients {
		_ = c.conn.Close() // the worker ended at once, and how that reaches a client is not promised
	}
	for _, l := range listeners {
		refused(t, l.Address)
		if left := tcpSockets(t, l.Address, tcpListen); len(left) > 0 {
			t.Errorf("%s: still listening %v", l.Address, left)
		}
	}
}

// Stopped and continued, or under a storm of signals that mean nothing, no
// process takes an interrupted call for the end.
func TestInterruptedCallsGoOn(t *testing.T) {
	t.Parallel()
	s := serve(t, "--app", "lines", "--workers", "2")
	before := s.now()
	all := s.everyone()
	first, second := dial(t, s.address), dial(t, s.address)
	for n := range sized(20, 200) {
		storm(t, all, 10)
		first.ask(t, fmt.Sprintf("line %d", n))
		second.ask(t, fmt.Sprintf("line %d", n))
		third := dial(t, s.address)
		third.ask(t, "hello")
		third.leave(t)
	}
	for _, pid := range all {
		freeze(t, pid)
		storm(t, []int{pid}, 1) // with SIGCONT at the end of it
		first.ask(t, "after a stop")
		second.ask(t, "after a stop")
	}
	freeze(t, s.pid)
	queued := crowd(t, s.address, 10) // the kernel lets them in
	for _, pid := range pids(before) {
		freeze(t, pid)
	}
	for _, pid := range all {
		kill(t, pid, unix.SIGCONT)
	}
	answered(t, queued)
	leaveAll(t, append(queued, first, second))
	s.unchanged(before)
	s.stop()
}

// One worker's handler blocks, one client is silent: whom the other worker
// serves does not notice, and after a while it serves too whoever waits in the
// blocked one's queue.
func TestBlockedHandlerStallsNobodyElse(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	s := serve(t, "--workers", "2", "--", self(), "worker-blocking")
	before := s.now()
	silent := dial(t, s.address)
	first, second := dial(t, s.address), dial(t, s.address)
	blocked, free := first.ask(t, "hello"), second.ask(t, "hello")
	if blocked == free {
		second.leave(t)
		t.Fatalf("both clients are at worker %d", free)
	}
	request := "read " + path
	if err := first.send(request + "\n"); err != nil {
		t.Fatal(err)
	}
	s.log.await(t, 1, "worker output", "line=reading")
	waiting := crowd(t, s.address, 20)
	for n := range 100 {
		second.ask(t, fmt.Sprintf("line %d", n))
	}
	if at := answered(t, waiting); at[free] != len(waiting) {
		t.Errorf("answers by worker %v, want all by the free one, %d", at, free)
	}

	release(t, path)
	if pid, err := first.answer(request); err != nil || pid != blocked {
		t.Errorf("answer by worker %d, %v; want %d", pid, err, blocked)
	}
	s.log.await(t, 1, "worker moves again")
	leaveAll(t, append(waiting, silent, first, second))
	s.unchanged(before)
	s.stop()
}

// release ends the reading of a named pipe, once it has begun.
func release(t *testing.T, path string) {
	t.Helper()
	until(t, "somebody reads "+path, func() (bool, string) {
		fd, err := unix.Open(path, unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err == nil {
			_ = unix.Close(fd) // nothing was written: the reader is at the end
		}
		return err == nil, fmt.Sprint(err)
	})
}
