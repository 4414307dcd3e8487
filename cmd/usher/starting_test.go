package main

import (
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/usher-go/usher/master"
	"github.com/usher-go/usher/worker"
	"golang.org/x/sys/unix"
)

func init() {
	// worker-one-by-one is lines, ready once the file of its slot is there.
	helpers["worker-one-by-one"] = func() {
		path := os.Args[2] + os.Getenv("USHER_SLOT")
		file, err := os.Open(path) // a FIFO: it returns when there is a writer
		if err != nil {
			panic(err)
		}
		_ = file.Close() // nothing was read
		worker.Main(staying{})
	}
	// worker-leaving has nothing to do as soon as it is ready.
	helpers["worker-leaving"] = func() {
		worker.Main(worker.OpenFunc(func(*worker.Conn) (worker.Session, error) { return &summing{}, nil }), worker.WithHooks(worker.Hooks{Ready: func() {
			if err := unix.Kill(os.Getpid(), unix.SIGTERM); err != nil {
				panic(err)
			}
		}}))
	}
	// worker-default has the signals' default actions until the gate is open.
	helpers["worker-default"] = func() {
		signal.Reset()
		file, err := os.Open(os.Args[2])
		if err != nil {
			panic(err)
		}
		_ = file.Close() // nothing was read
		worker.Main(lines{})
	}
}

// Four workers get ready one after the other, and clients that came before any
// was: no worker is given more than its part, and nobody is served before all
// can. What is waited for is said.
func TestFirstWorkerDoesNotTakeAll(t *testing.T) {
	t.Parallel()
	const workers, clients = 4, 40
	dir := t.TempDir()
	var gates []*gate
	for slot := range workers {
		g := &gate{t: t, path: filepath.Join(dir, fmt.Sprint("gate", slot))}
		if err := unix.Mkfifo(g.path, 0o600); err != nil {
			t.Fatal(err)
		}
		gates = append(gates, g)
	}
	socket := filepath.Join(shortDir(t), "s")
	cmd, mark := command()
	s := launch(t, cmd, mark, "--listen", "unix://"+socket, "--workers", fmt.Sprint(workers), "--boot-timeout", "10m",
		"--", self(), "worker-one-by-one", filepath.Join(dir, "gate"))
	s.log.await(t, 1, "waiting for workers to be ready", "slot 0 (pid ", "slot 3 (pid ", "limit=10m")
	for range clients {
		conn, err := net.Dial("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	for _, g := range gates[:workers-1] {
		g.open()
		defer g.shut()
	}
	s.until("three are ready", func(status master.Status) bool {
		n := 0
		for _, w := range status.Workers {
			if w.State == "ready" {
				n++
			}
		}
		return n == workers-1
	})
	if status, err := s.status(); err != nil || status.Connections.Accepted != 0 {
		t.Errorf("%+v, %v: accepted before all were ready", status.Connections, err)
	}
	gates[workers-1].open()
	defer gates[workers-1].shut()
	s.out.await(t, 1, "usher: serving on")
	s.until("each has its part", func(status master.Status) bool {
		for _, w := range status.Workers {
			if w.Connections != clients/workers {
				return false
			}
		}
		return true
	})
	s.signal(unix.SIGQUIT)
	s.ends(0)
}

// One of the first workers fails, another takes too long: the others serve, and
// those are tried again.
func TestStartWithoutSome(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	program := filepath.Join(dir, "w")
	failed := filepath.Join(dir, "failed")
	script(t, program, fmt.Sprintf("#!/bin/sh\nif [ $USHER_SLOT = 1 ] && [ ! -e %s ]; then : > %s; exit 7; fi\nexec %s worker-staying\n", failed, failed, self()))
	cmd, mark := command()
	s := launch(t, cmd, mark, "--workers", "2", "--", program)
	s.log.await(t, 1, "worker died", "slot=1", `reason="exit status 7"`)
	s.out.await(t, 1, "usher: serving on")
	s.until("the one that failed has come too", ready(2))
	s.signal(unix.SIGTERM)
	s.ends(0)
}

// A program that wants to end as soon as it is ready, as one does whose work is
// over: it is started again more and more seldom, not a hundred times a second.
func TestWorkerThatLeavesAtOnce(t *testing.T) {
	t.Parallel()
	s, program := serveDeployed(t, "worker-staying", "--workers", "1")
	deploy(t, program, "worker-leaving")
	status := s.until("one", ready(1))
	kill(t, status.Workers[0].PID, unix.SIGKILL)
	s.log.await(t, 5, "worker restarts later")
	later := s.log.with("worker restarts later")
	if started := len(s.log.with("worker ready")); started > len(later)+3 {
		t.Errorf("%d workers were ready, %d pauses: %q", started, len(later), later)
	}
	s.signal(unix.SIGTERM)
	s.waitExit()
}

// usher scale +1 with a program that does not start any more says why, and a
// client that is gone is nobody that an upgrade waits for.
func TestScaleWithBrokenProgram(t *testing.T) {
	t.Parallel()
	p := install(t)
	program := filepath.Join(shortDir(t), "w")
	deploy(t, program, "worker-staying")
	s := p.serve("--workers", "1", "--", program)
	deploy(t, program, "worker-failing")
	got := s.ask("scale", "+1")
	if got.code != exitFailed || !strings.Contains(got.stderr, "cannot open the database") || !strings.Contains(got.stderr, "2 workers are wanted") {
		t.Errorf("%+v, want the worker's last words", got)
	}
	if got := s.ask("upgrade"); got.code != 0 {
		t.Errorf("upgrade: %+v", got)
	}
	g := newGate(t)
	script(t, program, fmt.Sprintf("#!/bin/sh\nexec %s worker-gated %s\n", self(), g.path))
	s.until("the second starts", func(status master.Status) bool {
		return len(status.Workers) == 2 && status.Workers[1].State == "starting"
	})
	conn, err := dialMaster(s.control)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte("POST /v1/scale HTTP/1.1\r\nHost: usher\r\nContent-Length: 8\r\n\r\n{\"to\":2}")); err != nil {
		t.Fatal(err)
	}
	_ = conn.Close() // before the answer, which would have to wait for the gate
	if got := s.ask("upgrade"); got.code != 0 {
		t.Errorf("upgrade after the client was gone: %+v", got)
	}
	g.open()
	defer g.shut()
	s.until("two workers", ready(2))
	s.signal(unix.SIGTERM)
	s.ends(0)
}

// killall -HUP usher reaches workers too, that ignore it once they have begun; one
// that has not is started again at once, and the reload goes on.
func TestStartingWorkersGetHUP(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	g.open()
	s := serve(t, "--workers", "1", "--boot-timeout", "10m", "--", self(), "worker-default", g.path)
	g.shut()
	s.signal(unix.SIGHUP)
	last := 0
	for _, sig := range []unix.Signal{unix.SIGHUP, unix.SIGINT, unix.SIGHUP} {
		status := s.until("the next one starts", func(status master.Status) bool {
			return len(status.Workers) == 2 && status.Workers[1].State == "starting" && status.Workers[1].PID != last
		})
		last = status.Workers[1].PID
		kill(t, last, sig)
		s.log.await(t, 1, "worker died", fmt.Sprintf("pid=%d ", last), unix.SignalName(sig))
	}
	g.open()
	defer g.shut()
	s.until("generation 2 serves", func(status master.Status) bool { return status.Generation == 2 && ready(1)(status) })
	if failed := s.log.with("reload failed"); len(failed) > 0 {
		t.Errorf("the log says %q", failed)
	}
	s.stop()
}

// A worker that is busy for a while is asked for connections: the answer is what
// it gave, and what it gave is where it was to go.
func TestMoveFromBusyWorker(t *testing.T) {
	t.Parallel()
	const clients = 30
	s := serve(t, "--workers", "3", "--hang-timeout", "0", "--", self(), "worker-summing")
	c := gather(t, s.address, clients)
	status := s.until("all are there", func(status master.Status) bool { return int(status.Connections.Active) == clients })
	busy := status.Workers[0].PID
	kill(t, busy, unix.SIGSTOP) // which is as busy as one can be
	answers := make(chan drainReport, 2)
	move := func(to, count int) {
		var answer drainReport
		request := map[string]int{"from": 0, "to": to, "count": count}
		if err := post(s.control, "/v1/move", request, &answer); err != nil {
			t.Error(err)
		}
		answers <- answer
	}
	go move(2, 6)
	go move(1, 3)
	select {
	case answer := <-answers:
		t.Errorf("%+v was answered before the worker could", answer)
	case <-time.After(time.Second):
	}
	kill(t, busy, unix.SIGCONT)
	if moved := (<-answers).Moved + (<-answers).Moved; moved != 9 {
		t.Errorf("%d moved, want 9", moved)
	}
	status, err := s.status()
	if w := status.Workers; err != nil || w[0].Connections != 1 || w[1].MovedIn != 3 || w[2].MovedIn != 6 {
		t.Errorf("%+v, %v; want 3 moved to slot 1, 6 to slot 2", w, err)
	}
	c.disperse()
	s.stop()
}

// A worker that does not answer at all is given up, by name. It was told so meanwhile, and
// gives none late, but those that it had begun with when it read that.
func TestMoveFromHungWorker(t *testing.T) {
	t.Parallel()
	const clients = 20
	s := serve(t, "--workers", "2", "--hang-timeout", "0", "--", self(), "worker-summing")
	c := gather(t, s.address, clients)
	status := s.until("all are there", func(status master.Status) bool { return int(status.Connections.Active) == clients })
	hung := status.Workers[0].PID
	kill(t, hung, unix.SIGSTOP)
	got := usherWithin(t, 10*limit, "move", "--control", s.control, "--from", "0", "--count", "6")
	if got.code != exitFailed || !strings.HasPrefix(got.stdout, "moved: 0\n") || !strings.Contains(got.stderr, fmt.Sprintf("slot 0 (pid %d)", hung)) {
		t.Errorf("%+v, want the worker's name", got)
	}
	kill(t, hung, unix.SIGCONT)
	if got := s.ask("move", "--from", "1", "--to", "0", "--count", "1"); got.code != 0 || !strings.HasPrefix(got.stdout, "moved: 1\n") {
		t.Errorf("%+v", got)
	}
	if got := s.ask("move", "--from", "0", "--count", "2"); got.code != 0 || !strings.HasPrefix(got.stdout, "moved: 2\n") {
		t.Errorf("%+v", got)
	}
	status, err := s.status()
	if w := status.Workers; err != nil || w[0].MovedOut < 2 || w[0].MovedOut > 2+6 {
		t.Errorf("%+v, %v; want 2 to have left slot 0, and none to few late", w, err)
	}
	if n := status.Connections; n.Active != clients || n.Lost != 0 {
		t.Errorf("%+v; want all %d to be there", n, clients)
	}
	c.disperse()
	s.stop()
}
