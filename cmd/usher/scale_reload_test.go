package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/usher-go/usher/master"
	"github.com/usher-go/usher/worker"
	"golang.org/x/sys/unix"
)

func init() {
	// worker-gated is lines, but gets ready only when the gate is open, and its
	// connections do not move.
	helpers["worker-gated"] = func() {
		file, err := os.Open(os.Args[2]) // returns when there is a writer
		if err != nil {
			panic(err)
		}
		_ = file.Close() // nothing was read
		worker.Main(staying{})
	}
}

// gate is a named pipe: a worker behind it gets ready while it is open.
type gate struct {
	t    *testing.T
	path string
	fd   int
}

func newGate(t *testing.T) *gate {
	t.Helper()
	g := &gate{t: t, path: filepath.Join(t.TempDir(), "gate")}
	if err := unix.Mkfifo(g.path, 0o600); err != nil {
		t.Fatal(err)
	}
	return g
}

// open lets through who waits and who comes, until shut.
func (g *gate) open() {
	g.t.Helper()
	var err error
	if g.fd, err = unix.Open(g.path, unix.O_RDWR|unix.O_CLOEXEC, 0); err != nil {
		g.t.Fatal(err)
	}
}

func (g *gate) shut() { _ = unix.Close(g.fd) } // nothing was written

// serveGated starts a server of two workers behind a gate, which it shuts then.
func serveGated(t *testing.T) (*server, *gate) {
	t.Helper()
	g := newGate(t)
	g.open()
	defer g.shut()
	return serve(t, "--workers", "2", "--max-workers", "8", "--boot-timeout", "1m", "--log-level", "debug",
		"--", self(), "worker-gated", g.path), g
}

// has says that there are just so many workers of each kind: "ready 2" are
// ready ones of generation 2.
func has(want map[string]int) func(master.Status) bool {
	return func(status master.Status) bool {
		got := make(map[string]int)
		for _, w := range status.Workers {
			got[fmt.Sprintf("%s %d", w.State, w.Generation)]++
		}
		for kind := range got {
			if got[kind] != want[kind] {
				return false
			}
		}
		return len(got) == len(want)
	}
}

// twoClients returns a client at each of two workers.
func twoClients(t *testing.T, s *server) (clients map[int]*client) {
	t.Helper()
	first, second := dial(t, s.address), dial(t, s.address)
	clients = map[int]*client{first.ask(t, "hello"): first, second.ask(t, "hello"): second}
	if len(clients) != 2 {
		t.Fatal("both clients are at one worker")
	}
	return clients
}

// Signals to scale come while a reload is under way: they are about the
// generation to come, and the old one serves until that is ready, in the number
// that is wanted then.
func TestScaleDuringReload(t *testing.T) {
	t.Parallel()
	s, g := serveGated(t)
	clients := twoClients(t, s)
	s.signal(unix.SIGHUP)
	s.until("the next generation starts", has(map[string]int{"ready 1": 2, "starting 2": 2}))
	starting := 2
	for i, step := range []struct {
		signal unix.Signal
		by     int
	}{
		{unix.SIGUSR1, 1}, {unix.SIGTTOU, -1}, {unix.SIGTTOU, -1}, {unix.SIGTTIN, 1}, {unix.SIGUSR1, 1}, {unix.SIGUSR1, 1}, {unix.SIGTTOU, -1},
	} {
		s.signal(step.signal)
		starting += step.by
		s.until(fmt.Sprintf("step %d: %d are starting", i, starting), has(map[string]int{"ready 1": 2, "starting 2": starting}))
		if err := shortVisit(s.address); err != nil {
			t.Errorf("step %d: %v", i, err)
		}
	}

	// One of the old is told to finish, by itself.
	old := pids(s.until("ready", has(map[string]int{"ready 1": 2, "starting 2": 3})))
	var leaving int
	for pid := range clients {
		leaving = pid
	}
	kill(t, leaving, unix.SIGTERM)
	s.until("it drains", has(map[string]int{"ready 1": 1, "draining 1": 1, "starting 2": 3}))
	for range 3 {
		if err := shortVisit(s.address); err != nil {
			t.Error(err)
		}
	}
	for pid, c := range clients {
		if at := c.ask(t, "still here"); at != pid {
			t.Errorf("answered by worker %d, want %d, one of the old %v", at, pid, old)
		}
	}
	clients[leaving].leave(t)
	delete(clients, leaving)
	s.until("it is gone", has(map[string]int{"ready 1": 1, "starting 2": 3}))

	g.open()
	s.until("the next generation serves", has(map[string]int{"draining 1": 1, "ready 2": 3}))
	for _, c := range clients {
		c.ask(t, "still here")
		c.leave(t)
	}
	status := s.until("the next generation alone", has(map[string]int{"ready 2": 3}))
	s.log.await(t, 1, "reloaded", "generation=2", "workers=3")
	if status.Generation != 2 || status.Connections.Lost != 0 {
		t.Errorf("status %+v, want generation 2, none lost", status)
	}
	s.signal(unix.SIGTTOU)
	s.until("as many as at the start", has(map[string]int{"ready 2": 2}))
	g.shut()
	s.stop()
}

// A worker of the generation to come is told to end before it is ready: that is
// a failed reload. What was scaled meanwhile is wanted of the old generation.
func TestScaleDuringFailingReload(t *testing.T) {
	t.Parallel()
	s, g := serveGated(t)
	clients := twoClients(t, s)
	s.signal(unix.SIGHUP)
	s.until("the next generation starts", has(map[string]int{"ready 1": 2, "starting 2": 2}))
	s.signal(unix.SIGUSR1)
	status := s.until("one more starts", has(map[string]int{"ready 1": 2, "starting 2": 3}))
	for _, w := range status.Workers {
		if w.State == "starting" {
			kill(t, w.PID, unix.SIGTERM)
			break
		}
	}
	s.log.await(t, 1, "reload failed, the old workers keep serving", "generation=2")
	s.until("one more of the old starts", has(map[string]int{"ready 1": 2, "starting 1": 1}))
	for pid, c := range clients {
		if at := c.ask(t, "still here"); at != pid {
			t.Errorf("answered by worker %d, want %d", at, pid)
		}
	}
	g.open()
	s.until("three of the old", has(map[string]int{"ready 1": 3}))
	g.shut()

	// And down while one is starting: that one goes.
	s.signal(unix.SIGUSR1)
	s.until("a fourth starts", has(map[string]int{"ready 1": 3, "starting 1": 1}))
	s.signal(unix.SIGTTOU)
	s.until("it is gone", has(map[string]int{"ready 1": 3}))
	s.signal(unix.SIGTTOU)
	status = s.until("as many as at the start", has(map[string]int{"ready 1": 2}))
	if status.Generation != 1 || status.Connections.Lost != 0 {
		t.Errorf("status %+v, want generation 1, none lost", status)
	}
	for pid, c := range clients {
		if at := c.ask(t, "still here"); at != pid { // the third had nobody: it cost least
			t.Errorf("answered by worker %d, want %d", at, pid)
		}
		c.leave(t)
	}
	s.stop()
}

// While a worker finishes, others come and go; and to be told once more to
// finish makes no difference.
func TestScaleWhileDraining(t *testing.T) {
	t.Parallel()
	s := serve(t, "--workers", "2", "--", self(), "worker-staying")
	clients := twoClients(t, s)
	s.signal(unix.SIGTTOU)
	status := s.until("one drains", has(map[string]int{"ready 1": 1, "draining 1": 1}))
	var leaving int
	for _, w := range status.Workers {
		if w.State == "draining" {
			leaving = w.PID
		}
	}
	s.signal(unix.SIGUSR1)
	s.until("another is in its place", has(map[string]int{"ready 1": 2, "draining 1": 1}))
	kill(t, leaving, unix.SIGTERM)
	kill(t, leaving, unix.SIGTERM)
	s.signal(unix.SIGTTOU) // the new one has nobody
	s.until("that one is gone", has(map[string]int{"ready 1": 1, "draining 1": 1}))
	s.signal(unix.SIGHUP)
	s.until("the next generation serves", has(map[string]int{"ready 2": 1, "draining 1": 2}))
	s.signal(unix.SIGUSR1)
	s.until("two of it serve", has(map[string]int{"ready 2": 2, "draining 1": 2}))
	for pid, c := range clients {
		if at := c.ask(t, "still here"); at != pid {
			t.Errorf("answered by worker %d, want %d", at, pid)
		}
		c.leave(t)
	}
	status = s.until("the old ones are gone", has(map[string]int{"ready 2": 2}))
	if status.Connections.Lost != 0 {
		t.Errorf("%d connections lost", status.Connections.Lost)
	}
	for _, line := range s.log.with("worker died") {
		t.Errorf("in the log: %s", line)
	}
	s.stop()
}

// While the server stops, nothing starts, and who is there may finish.
func TestSignalsDuringStop(t *testing.T) {
	t.Parallel()
	s := serve(t, "--app", "lines", "--workers", "2", "--log-level", "debug")
	clients := twoClients(t, s)
	s.signal(unix.SIGTERM)
	refused(t, s.address)
	before := s.until("both drain", has(map[string]int{"draining 1": 2}))
	for _, sig := range []unix.Signal{unix.SIGUSR1, unix.SIGTTIN, unix.SIGTTOU, unix.SIGHUP, unix.SIGTERM} {
		s.signal(sig)
		s.log.await(t, 1, "usher: signal:", "signal="+unix.SignalName(sig))
	}
	for _, request := range []struct {
		path string
		body any
	}{{"/v1/reload", nil}, {"/v1/scale", map[string]int{"by": 1}}, {"/v1/scale", map[string]int{"to": 1}}} {
		err := post(s.control, request.path, request.body, &struct{}{})
		if err == nil || err.Error() != "the master is stopping" {
			t.Errorf("%s %v: %v; want that the master is stopping", request.path, request.body, err)
		}
	}
	for _, pid := range pids(before) {
		kill(t, pid, unix.SIGTERM)
	}
	for pid, c := range clients {
		if at := c.ask(t, "still here"); at != pid {
			t.Errorf("answered by worker %d, want %d", at, pid)
		}
	}
	s.until("the same two", func(status master.Status) bool {
		return fmt.Sprint(pids(status)) == fmt.Sprint(pids(before)) && has(map[string]int{"draining 1": 2})(status)
	})
	s.log.await(t, 3, "not scaling", "the master is stopping")
	s.log.await(t, 1, "not reloading", "the master is stopping")
	for _, line := range append(s.log.with("usher: scaling:"), s.log.with("usher: reloading:")...) {
		t.Errorf("in the log: %s", line)
	}
	for _, c := range clients {
		c.leave(t)
	}
	s.ends(0)
}
