package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/master"
	"golang.org/x/sys/unix"
)

// misdeeds are what a worker can do wrong, each with what the log says of it.
// A helper does it once, before it would serve.
var misdeeds = map[string]struct {
	do     func()
	reason string
	flags  []string
}{
	"speaks another protocol version": {
		func() { sayOnControl(`{"type":"ready","protocol":2}`) },
		"protocol version 2, this master speaks 1", nil},
	"says ready without a version": {
		func() { sayOnControl(`{"type":"ready"}`) },
		"protocol version 0, this master speaks 1", nil},
	"writes junk on control": {
		func() { sayOnControl("hello?") },
		"control: ipc: parse message: malformed", nil},
	"writes a negative number on control": {
		func() { sayOnControl(`{"type":"closed","count":-1}`) },
		"control: ipc: parse closed: malformed", nil},
	"never says ready": {
		func() {},
		"not ready within 3s", []string{"--boot-timeout", "3s"}},
	"shuts its queue down": {
		func() {
			sayReady()
			_ = unix.Shutdown(ipc.QueueFD, unix.SHUT_RDWR) // the log will tell
		},
		"queue closed by the worker", nil},
	"closes its queue": {
		func() {
			sayReady()
			_ = unix.Close(ipc.QueueFD) // the log will tell
		},
		"it has closed its queue, descriptor 3", nil},
	"ignores its queue": {do: sayReady}, // see below: it is not replaced
	"goes to the background": {
		func() {
			cmd := exec.Command(self(), "worker-mute")
			for _, fd := range []uintptr{ipc.QueueFD, ipc.ControlFD, ipc.ScoreboardFD} {
				cmd.ExtraFiles = append(cmd.ExtraFiles, os.NewFile(fd, "inherited"))
			}
			if err := cmd.Start(); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			os.Exit(0)
		},
		"exit status 0, while a process that it started goes on: a worker has to stay in the foreground", nil},
	"sends junk back on the queue": {
		func() {
			sayReady()
			_ = unix.Sendto(ipc.QueueFD, []byte("junk"), 0, nil) // likewise
		},
		"queue closed by the worker", nil},
	"exits when it is ready": {
		func() {
			sayReady()
			os.Exit(0)
		},
		"exit status 0", nil},
}

func sayReady() { sayOnControl(`{"type":"ready","protocol":1,"closes":true}`) }

func sayOnControl(message string) {
	if err := unix.Sendto(ipc.ControlFD, []byte(message), 0, nil); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func init() {
	// The arguments: which misdeed, and a folder to be made. Whoever makes it
	// does it; all others, and all successors, are good workers.
	helpers["worker-bad"] = func() {
		if os.Mkdir(os.Args[3], 0o755) == nil {
			misdeeds[os.Args[2]].do()
			helpers["worker-mute"]()
		}
		os.Args = []string{os.Args[0], "worker", "lines"}
		os.Exit(run(os.Args[1:]))
	}
}

// serveBeforeBad starts a server with two good workers. addBad adds a bad one, in
// slot 2.
func serveBeforeBad(t *testing.T, misdeed string, flags ...string) (s *server, addBad func()) {
	t.Helper()
	once := filepath.Join(t.TempDir(), "done")
	if err := os.Mkdir(once, 0o755); err != nil { // good ones, to begin with
		t.Fatal(err)
	}
	s = serve(t, append(append([]string{"--workers", "2"}, flags...), "--", self(), "worker-bad", misdeed, once)...)
	return s, func() {
		t.Helper()
		if err := os.Remove(once); err != nil {
			t.Fatal(err)
		}
		s.signal(unix.SIGUSR1) // one more worker
	}
}

// A worker that breaks the protocol is replaced, and the log says why. Nobody
// whom the others serve notices.
func TestBadWorkers(t *testing.T) {
	t.Parallel()
	for name, misdeed := range misdeeds {
		if misdeed.reason == "" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, addBad := serveBeforeBad(t, name, misdeed.flags...)
			before := s.until("ready", ready(2))

			var done atomic.Bool
			var visits atomic.Int64
			var group sync.WaitGroup
			for range 4 {
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
			addBad()
			s.log.await(t, 1, "[WARN]", "worker died", "slot=2", misdeed.reason)
			s.until("it is replaced", func(status master.Status) bool {
				return ready(3)(status) && status.Workers[2].Restarts == 1
			})
			seen := visits.Load()
			until(t, "clients are served", func() (bool, string) {
				return visits.Load() > seen+10 || t.Failed(), fmt.Sprint(visits.Load())
			})
			done.Store(true)
			group.Wait()
			after, err := s.status()
			if err != nil || after.Connections.Lost != 0 || len(after.Workers) != 3 ||
				fmt.Sprint(pids(after)[:2]) != fmt.Sprint(pids(before)) {
				t.Errorf("%+v, %v; the workers were %v, and none is to be lost", after, err, pids(before))
			}
			s.workers, s.masterFDs = 3, s.descriptors()
			s.stop()
		})
	}
}

// A worker that keeps no scoreboard never looks into its queue. What it leaves there
// for a second goes to others, each time it is tried.
func TestWorkerThatIgnoresItsQueue(t *testing.T) {
	t.Parallel()
	s, addBad := serveBeforeBad(t, "ignores its queue")
	addBad()
	bad := s.until("all are ready", ready(3)).Workers[2].PID
	const clients = 8
	for round := range 2 {
		var group sync.WaitGroup
		for range clients {
			group.Go(func() {
				if err := shortVisit(s.address); err != nil {
					t.Errorf("visit: %v", err)
				}
			})
		}
		group.Wait()
		s.log.await(t, round+1, "[WARN]", "slot=2", "worker takes nothing from its queue, which goes to others")
		s.log.await(t, round+1, "[WARN]", "slot=2", "worker gets connections again")
	}
	s.counts(master.Counts{Accepted: 2 * clients, Closed: 2 * clients})
	kill(t, bad, unix.SIGKILL)
	s.until("it is replaced", func(status master.Status) bool {
		return ready(3)(status) && status.Workers[2].PID != bad
	})
	s.workers, s.masterFDs = 3, s.descriptors()
	s.stop()
}
