package main

import (
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/usher-go/usher/master"
	"golang.org/x/sys/unix"
)

// The workers in testdata/workers, which are examples too, answer as the app
// lines does, and are to be led as workers of ours are.
var otherLanguages = []struct {
	name    string
	program func(t *testing.T) []string // or it skips
}{
	{"Python", func(t *testing.T) []string { return []string{findPython(t), "-B", workerSource("lines.py")} }},
	{"C", func(t *testing.T) []string { return []string{compile(t, workerSource("lines.c"))} }},
}

func workerSource(name string) string { return filepath.Join("..", "..", "testdata", "workers", name) }

// findPython returns the interpreter itself: what is in PATH may be a script
// that takes its time.
func findPython(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("there is no python3 here")
	}
	path, err := exec.Command("python3", "-c", "import resource, socket, sys; socket.recv_fds; print(sys.executable)").Output()
	if err != nil {
		t.Skipf("python3 is too old, or broken: %v", err)
	}
	return strings.TrimSpace(string(path))
}

func compile(t *testing.T, source string) (binary string) {
	t.Helper()
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip("there is no gcc here")
	}
	binary = filepath.Join(t.TempDir(), "worker")
	if out, err := exec.Command("gcc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-o", binary, source).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return binary
}

// inOtherLanguages tells a story with each of them, once they are ready.
func inOtherLanguages(t *testing.T, tell func(t *testing.T, s *server), flags ...string) {
	t.Parallel()
	for _, language := range otherLanguages {
		t.Run(language.name, func(t *testing.T) {
			t.Parallel()
			tell(t, serve(t, append(append(flags[:len(flags):len(flags)], "--"), language.program(t)...)...))
		})
	}
}

// counts waits until the connections are booked as said.
func (s *server) counts(want master.Counts) {
	s.t.Helper()
	s.until(fmt.Sprintf("%+v", want), func(status master.Status) bool { return status.Connections == want })
}

func TestOtherLanguages(t *testing.T) {
	inOtherLanguages(t, func(t *testing.T, s *server) {
		status := s.until("both are ready", ready(2))
		clients := make([]*client, 6)
		served := make(map[int]int)
		for i := range clients {
			clients[i] = dial(t, s.address)
			served[clients[i].ask(t, "hello")]++
		}
		for _, w := range status.Workers {
			if served[w.PID] != 3 {
				t.Errorf("served by %v, want 3 by each of %v", served, pids(status))
			}
		}
		s.counts(master.Counts{Accepted: 6, Active: 6})
		for _, w := range s.until("ready", ready(2)).Workers {
			if w.Received != 3 || w.Connections != 3 {
				t.Errorf("%+v, want 3 received and open", w)
			}
		}

		clients[0].leave(t)
		clients[1].ask(t, "quit")
		if err := clients[1].atEnd(); err != nil {
			t.Error(err)
		}
		_ = clients[1].conn.Close() // it has ended in order
		s.counts(master.Counts{Accepted: 6, Active: 4, Closed: 2})

		// Lines as they come: in pieces, many at once, the longest, and then a reset.
		c := clients[2]
		for _, part := range []string{"in", " pieces\r", "\none\ntwo\n"} {
			if err := c.send(part); err != nil {
				t.Fatal(err)
			}
		}
		longest := strings.Repeat("x", maxLine)
		if err := c.send(longest + "\n"); err != nil {
			t.Fatal(err)
		}
		for _, line := range []string{"in pieces\r", "one", "two", longest} {
			if _, err := c.answer(line); err != nil {
				t.Fatalf("%.100v", err)
			}
		}
		if err := c.conn.SetLinger(0); err != nil {
			t.Fatal(err)
		}
		_ = c.conn.Close() // with a reset
		s.counts(master.Counts{Accepted: 6, Active: 3, Closed: 3})

		for _, c := range clients[3:] {
			c.leave(t)
		}
		s.counts(master.Counts{Accepted: 6, Closed: 6})
		s.stop()
	}, "--workers", "2")
}

// A worker that leaves lets its connections end by themselves, and what is still
// open at the deadline is closed in order.
func TestOtherLanguagesDrain(t *testing.T) {
	inOtherLanguages(t, func(t *testing.T, s *server) {
		old := pids(s.until("ready", ready(1)))[0]
		staying, leaving := dial(t, s.address), dial(t, s.address)
		staying.ask(t, "hello")
		leaving.ask(t, "hello")
		s.signal(unix.SIGHUP)
		s.until("the next generation", func(status master.Status) bool { return status.Generation == 2 })
		if pid := leaving.ask(t, "still here"); pid != old {
			t.Errorf("answered by %d, want %d", pid, old)
		}
		leaving.leave(t)
		staying.ask(t, "still here")
		if err := staying.atEnd(); err != nil { // the deadline
			t.Error(err)
		}
		_ = staying.conn.Close() // it has ended in order
		s.until("the old one is gone", ready(1))
		s.counts(master.Counts{Accepted: 2, Closed: 2})
		if killed := s.log.with("killing a worker"); len(killed) > 0 {
			t.Errorf("%q", killed)
		}
		s.stop()
	}, "--workers", "1", "--drain-timeout", "1s")
}

// What a client is owed at the deadline it still gets: whole lines, and then the
// end, not a reset, though it goes on sending.
func TestOtherLanguagesDeadline(t *testing.T) {
	inOtherLanguages(t, func(t *testing.T, s *server) {
		c := dial(t, s.address)
		c.ask(t, "hello")
		line := strings.Repeat("x", 1023) + "\n"
		go func() { // it ends with the connection
			for range 32 << 10 {
				if err := c.send(line); err != nil {
					return
				}
			}
		}()
		s.signal(unix.SIGHUP)
		s.log.await(t, 1, "worker draining")
		for got := 0; ; got++ {
			answer, err := c.in.ReadString('\n')
			if err != nil {
				if answer != "" || err != io.EOF {
					t.Errorf("the end after %d lines: %.60q, %v", got, answer, err)
				}
				break
			}
			if !strings.HasSuffix(answer, " "+line) {
				t.Fatalf("answer %d: %.60q", got, answer)
			}
		}
		_ = c.conn.Close() // it has ended in order
		s.until("the old one is gone", ready(1))
		s.counts(master.Counts{Accepted: 1, Closed: 1})
		s.stop()
	}, "--workers", "1", "--drain-timeout", "100ms")
}

// Reloads replace every worker while clients connect, exchange and disconnect,
// and none of them notices.
func TestOtherLanguagesReload(t *testing.T) {
	clients, reloads := sized(5, 50), sized(2, 20)
	inOtherLanguages(t, func(t *testing.T, s *server) {
		var done atomic.Bool
		var visits atomic.Int64
		var group sync.WaitGroup
		for range clients {
			group.Go(func() {
				for !done.Load() {
					if err := shortVisit(s.address); err != nil {
						t.Errorf("visit: %v", err)
						return
					}
					visits.Add(1)
				}
			})
		}
		for n := range reloads {
			before := visits.Load()
			s.signal(unix.SIGHUP)
			s.until(fmt.Sprintf("generation %d alone", n+2), func(status master.Status) bool {
				return status.Generation == n+2 && ready(2)(status)
			})
			until(t, "clients have been served meanwhile", func() (bool, string) {
				return visits.Load() > before+int64(clients) || t.Failed(), strconv.FormatInt(visits.Load(), 10)
			})
		}
		done.Store(true)
		group.Wait()
		s.counts(master.Counts{Accepted: uint64(visits.Load()), Closed: uint64(visits.Load())})
		t.Logf("%d visits in %d reloads", visits.Load(), reloads)
		s.stop()
	}, "--workers", "2")
}

// Of a worker that is killed, the connections that it had received are lost and
// counted; what it had not goes to its successor.
func TestOtherLanguagesKilled(t *testing.T) {
	inOtherLanguages(t, func(t *testing.T, s *server) {
		victim := pids(s.until("ready", ready(1)))[0]
		c := dial(t, s.address)
		c.ask(t, "hello")
		freeze(t, victim)
		var waiting []*client
		for range 5 {
			c := dial(t, s.address)
			if err := c.send("hello\n"); err != nil {
				t.Fatal(err)
			}
			waiting = append(waiting, c)
		}
		s.until("all are accepted", func(status master.Status) bool { return status.Connections.Accepted == 6 })
		kill(t, victim, unix.SIGKILL)
		for _, c := range waiting {
			if pid, err := c.answer("hello"); err != nil || pid == victim {
				t.Errorf("answered by %d, %v", pid, err)
			}
			c.leave(t)
		}
		_ = c.conn.Close() // it died with the worker
		s.counts(master.Counts{Accepted: 6, Closed: 5, Lost: 1})
		s.stop()
	}, "--workers", "1")
}

// TERM to a worker drains that one, and the master replaces it.
func TestOtherLanguagesTerminated(t *testing.T) {
	inOtherLanguages(t, func(t *testing.T, s *server) {
		old := pids(s.until("ready", ready(1)))[0]
		c := dial(t, s.address)
		c.ask(t, "hello")
		for _, sig := range []unix.Signal{unix.SIGHUP, unix.SIGINT, unix.SIGUSR1, unix.SIGUSR2, unix.SIGTERM} {
			kill(t, old, sig)
		}
		s.until("a successor is ready", func(status master.Status) bool {
			return len(status.Workers) == 2 && status.Workers[1].State == "ready"
		})
		if pid := c.ask(t, "still here"); pid != old {
			t.Errorf("answered by %d, want %d", pid, old)
		}
		c.leave(t)
		s.until("the old one is gone", ready(1))
		s.counts(master.Counts{Accepted: 1, Closed: 1})
		s.stop()
	}, "--workers", "1")
}

// The master's end is theirs, with connections open.
func TestOtherLanguagesMasterKilled(t *testing.T) {
	inOtherLanguages(t, func(t *testing.T, s *server) {
		c := dial(t, s.address)
		c.ask(t, "hello")
		s.signal(unix.SIGKILL)
		s.waitExit()
		s.leavesNothing()
		_ = c.conn.Close() // it died with its worker
	}, "--workers", "2")
}

// QUIT stops them at once, with connections open.
func TestOtherLanguagesStop(t *testing.T) {
	inOtherLanguages(t, func(t *testing.T, s *server) {
		c := dial(t, s.address)
		c.ask(t, "hello")
		s.signal(unix.SIGQUIT)
		s.ends(0)
		_ = c.conn.Close() // it was cut
		if killed := s.log.with("killing a worker"); len(killed) > 0 {
			t.Errorf("%q", killed)
		}
	}, "--workers", "2")
}

// A limit per client needs to know which connections are closed, and is told.
func TestOtherLanguagesLimitPerClient(t *testing.T) {
	inOtherLanguages(t, func(t *testing.T, s *server) {
		first, second := dial(t, s.address), dial(t, s.address)
		second.ask(t, "hello")
		third := dial(t, s.address)
		if n, err := third.conn.Read(make([]byte, 1)); n != 0 || err == nil {
			t.Errorf("a third connection is served: %d, %v", n, err)
		}
		_ = third.conn.Close() // it was refused
		first.leave(t)
		second.leave(t)
		// The ids of both may come a little later than their count.
		until(t, "there is room again", func() (bool, string) {
			err := shortVisit(s.address)
			return err == nil, fmt.Sprint(err)
		})
		s.stop()
	}, "--workers", "1", "--max-conns-per-ip", "2")
}
