package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/usher-go/usher/master"
	"golang.org/x/sys/unix"
)

// server is a running `usher serve`.
type server struct {
	t       *testing.T
	mark    string
	pid     int
	address string
	control string
	out     *transcript // standard output; it ends when the last process has ended, since workers inherit it
	log     *transcript // standard error of the master
	started string      // the start line
	exited  chan struct{}
	state   *os.ProcessState // once exited is closed

	accessLog string // as the command line has it; empty: it has none

	workers   int // as started
	masterFDs int // descriptors at the start
	workerFDs int
}

var startLine = regexp.MustCompile(`^usher: serving on (\S+?)(?:, \S+)* \(master pid (\d+), (\d+) workers\)$`)

// serve starts a server on a free port and waits until all its workers are ready.
func serve(t *testing.T, args ...string) *server {
	t.Helper()
	cmd, mark := command()
	return serveCommandLine(t, cmd, mark, args...)
}

// serveCommandLine is serve for a command that is prepared otherwise.
func serveCommandLine(t *testing.T, cmd *exec.Cmd, mark string, args ...string) *server {
	t.Helper()
	s := launch(t, cmd, mark, args...)
	s.awaitStart()
	return s
}

// awaitStart waits until all workers are ready.
func (s *server) awaitStart() {
	t := s.t
	t.Helper()
	line := s.out.await(t, 1, "usher: serving on")
	match := startLine.FindStringSubmatch(line)
	if match == nil {
		t.Fatalf("start line %q, want it to match %s", line, startLine)
	}
	s.started, s.address = line, strings.TrimPrefix(match[1], "tls://")
	if match[2] != strconv.Itoa(s.pid) {
		t.Fatalf("start line names master pid %s, it is %d", match[2], s.pid)
	}
	status := s.until("all workers are ready", allReady)
	s.workers = len(status.Workers)
	s.awaitAccessLog(pids(status))
	s.masterFDs = s.descriptors()
	for i, w := range status.Workers {
		n := descriptors(w.PID)
		if i > 0 && n != s.workerFDs {
			t.Errorf("worker %d starts with %d descriptors, worker 0 with %d", i, n, s.workerFDs)
		}
		s.workerFDs = n
	}
}

// launch starts a server and does not wait for it.
func launch(t *testing.T, cmd *exec.Cmd, mark string, args ...string) *server {
	t.Helper()
	control, accessLog := filepath.Join(shortDir(t), "c"), ""
	cmd.Args = append(cmd.Args, "serve", "--listen", "127.0.0.1:0", "--control", control)
	cmd.Args = append(cmd.Args, args...)
	for i, arg := range args { // a story may say otherwise
		switch arg {
		case "--control":
			control = args[i+1]
		case "--access-log":
			accessLog = args[i+1]
		}
	}
	s := launchAs(t, cmd, mark, control)
	s.accessLog = accessLog
	return s
}

// launchAs starts a server whose command line is complete.
func launchAs(t *testing.T, cmd *exec.Cmd, mark, control string) *server {
	t.Helper()
	s := &server{t: t, mark: mark, control: control, exited: make(chan struct{})}
	var mine [2]*os.File
	mine[0], s.out = newTranscript(t)
	mine[1], s.log = newTranscript(t)
	if cmd.Stdout == nil { // else the story reads it, or does not
		cmd.Stdout = mine[0]
	}
	if cmd.Stderr == nil {
		cmd.Stderr = mine[1]
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for _, end := range mine {
		_ = end.Close() // the child has it now, if it is to
	}
	s.pid = cmd.Process.Pid
	go func() {
		_ = cmd.Wait() // the state says all
		s.state = cmd.ProcessState
		close(s.exited)
	}()
	t.Cleanup(s.clean)
	return s
}

// expectedPanic is the one with which a worker program may panic, because its
// story is about that.
const expectedPanic = "as the story has it"

// clean ends what a failed story left, and shows what it logged.
func (s *server) clean() {
	killMarked(s.mark)
	<-s.exited
	s.out.waitEnd(limit)
	s.log.waitEnd(limit)
	for _, line := range s.log.all() {
		line = strings.ReplaceAll(line, "panic: "+expectedPanic, "")
		if strings.Contains(line, "DATA RACE") || strings.Contains(line, "panic:") || strings.Contains(line, "fatal error:") {
			s.t.Errorf("in the log: %s", line)
		}
	}
	if s.t.Failed() && len(s.log.all()) > 0 {
		s.t.Logf("standard error of the server:\n%s", strings.Join(s.log.all(), "\n"))
	}
}

func (s *server) signal(sig unix.Signal) {
	s.t.Helper()
	if err := unix.Kill(s.pid, sig); err != nil {
		s.t.Fatalf("%s to the master: %v", unix.SignalName(sig), err)
	}
}

// status asks through the control socket. Every connection must be accounted for.
func (s *server) status() (status master.Status, err error) {
	body, err := get(s.control, "/v1/status")
	if err != nil {
		return status, err
	}
	if err := json.Unmarshal(body, &status); err != nil {
		return status, err
	}
	c := status.Connections
	if c.Accepted != c.Queued+c.Active+c.Closed+c.Refused+c.Lost {
		s.t.Errorf("accepted is not queued + active + closed + refused + lost: %+v", c)
	}
	return status, nil
}

// until asks for the status until ok says yes, and returns that one.
func (s *server) until(what string, ok func(master.Status) bool) master.Status {
	s.t.Helper()
	var status master.Status
	until(s.t, what, func() (bool, string) {
		var err error
		if status, err = s.status(); err != nil {
			return false, err.Error()
		}
		return ok(status), fmt.Sprintf("%+v", status)
	})
	return status
}

// descriptors returns how many the master has open when nobody is connected to
// its control socket: a request that has its answer may still be closing.
func (s *server) descriptors() int {
	s.t.Helper()
	until(s.t, "nobody is connected to the control socket", func() (bool, string) {
		sockets, err := os.ReadFile("/proc/net/unix")
		if err != nil {
			return false, err.Error()
		}
		for line := range strings.Lines(string(sockets)) {
			// Num RefCount Protocol Flags Type St Inode Path: an accepted socket
			// has the path of its listener, and 03 is connected.
			fields := strings.Fields(line)
			if len(fields) == 8 && fields[5] == "03" && fields[7] == s.control {
				return false, line
			}
		}
		return true, ""
	})
	return descriptors(s.pid)
}

func allReady(status master.Status) bool {
	return !slices.ContainsFunc(status.Workers, func(w master.WorkerStatus) bool { return w.State != "ready" })
}

// ready says that there are n workers, and all are ready.
func ready(n int) func(master.Status) bool {
	return func(status master.Status) bool { return len(status.Workers) == n && allReady(status) }
}

func pids(status master.Status) (pids []int) {
	for _, w := range status.Workers {
		pids = append(pids, w.PID)
	}
	return pids
}

// atRest checks, when a story is told, that every connection has ended, every
// process holds as many descriptors as at the start, and no dead one is unreaped.
func (s *server) atRest() {
	s.t.Helper()
	status := s.until("every connection has ended, as many workers as at the start", func(status master.Status) bool {
		return ready(s.workers)(status) && status.Connections.Active+status.Connections.Queued == 0
	})
	workers := pids(status)
	until(s.t, "descriptors as at the start", func() (bool, string) {
		ok, gone := descriptors(s.pid) == s.masterFDs, false
		last := fmt.Sprintf("master %d, was %d", descriptors(s.pid), s.masterFDs)
		for _, pid := range workers {
			n := descriptors(pid)
			ok, gone = ok && n == s.workerFDs, gone || n < 0
			last += fmt.Sprintf("; worker %d, was %d", n, s.workerFDs)
		}
		if gone { // a HUP that was on its way has replaced it
			workers = pids(s.until("as many workers as at the start", ready(s.workers)))
		}
		return ok, last
	})
	until(s.t, "no zombies", func() (bool, string) {
		zombies := zombies(s.pid)
		return len(zombies) == 0, fmt.Sprint(zombies)
	})
}

// stop ends the story: all at rest, then a graceful stop that leaves nothing.
func (s *server) stop() {
	s.t.Helper()
	s.atRest()
	s.signal(unix.SIGTERM)
	s.ends(0)
}

// ends waits for the end of the master, with a status, and of everything else.
func (s *server) ends(code int) {
	s.t.Helper()
	s.waitExit()
	if got := s.state.ExitCode(); got != code {
		s.t.Errorf("the master ended with %v, want exit status %d", s.state, code)
	}
	s.leavesNothing()
	if _, err := os.Lstat(s.control); err == nil {
		s.t.Errorf("control socket %s is left", s.control)
	}
}

func (s *server) waitExit() {
	s.t.Helper()
	select {
	case <-s.exited:
	case <-time.After(limit):
		s.t.Fatalf("the master runs on after %v", limit)
	}
}

// leavesNothing waits until no process of the server is left.
func (s *server) leavesNothing() {
	s.t.Helper()
	if !s.out.waitEnd(limit) {
		s.t.Fatalf("processes left after %v: %v", limit, marked(s.mark))
	}
	until(s.t, "no process left", func() (bool, string) {
		left := marked(s.mark)
		return len(left) == 0, fmt.Sprint(left)
	})
}
