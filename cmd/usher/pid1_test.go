package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/usher-go/usher/master"
	"github.com/usher-go/usher/worker"
	"golang.org/x/sys/unix"
)

func init() {
	// subreaper is the command as one that gets its descendants' orphans.
	helpers["subreaper"] = func() {
		if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
			panic(err)
		}
		become(os.Args[2:])
	}
	// pid1 is the command as the first process of a container, with a /proc that
	// shows it so.
	helpers["pid1"] = func() {
		err := unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
		if err = errors.Join(err, unix.Mount("proc", "/proc", "proc", 0, "")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(exitFailed)
		}
		become(os.Args[2:])
	}
	helpers["worker-forking"] = func() { worker.Main(forking{}) }
}

// forking is lines, but at a line "fork PATH" it leaves an orphan: a process
// whose parent ends at once, and that itself ends when PATH, a named pipe, does.
type forking struct{ lines }

func (f forking) Open(*worker.Conn) (worker.Session, error) { return f, nil }

func (f forking) Data(c *worker.Conn, in []byte) (int, error) {
	if path, found := strings.CutPrefix(string(in), "fork "); found {
		const program = `( read line; exit 7 ) <"$0" >/dev/null 2>&1 &`
		if err := exec.Command("/bin/sh", "-c", program, strings.TrimSpace(path)).Run(); err != nil {
			return 0, err
		}
	}
	return f.lines.Data(c, in)
}

// children returns the live children of a process.
func children(parent int) (found []int) {
	for _, pid := range processes() {
		if stat, err := readStat(pid); err == nil && stat.parent == parent && stat.state != "Z" {
			found = append(found, pid)
		}
	}
	return found
}

// leaveOrphan has a worker leave an orphan. It checks that the master gets it,
// has nothing to do with it, and reaps it when it ends.
func leaveOrphan(t *testing.T, s *server) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	before := children(s.pid)
	c := dial(t, s.address)
	c.ask(t, "fork "+path)
	var orphan int
	until(t, "the master has the orphan", func() (bool, string) {
		now := children(s.pid)
		for _, pid := range now {
			if !slices.Contains(before, pid) {
				orphan = pid
			}
		}
		return orphan != 0, fmt.Sprintf("children %v, were %v", now, before)
	})
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", orphan))
	if err != nil || strings.Contains("\x00"+string(environ), "\x00USHER_") {
		t.Errorf("environment of the orphan: %q, %v; want nothing of what a worker is told in it", environ, err)
	}
	if own := sockets(t, orphan); len(own) > 0 {
		t.Errorf("the orphan has sockets: %v", own)
	}
	reaped := len(s.log.with("reaped a foreign child"))
	release(t, path)
	s.log.await(t, reaped+1, "reaped a foreign child", `reason="exit status 7"`)
	until(t, "the orphan has left nothing", func() (bool, string) {
		stat, err := readStat(orphan)
		return err != nil || stat.parent != s.pid, fmt.Sprint(stat)
	})
	if now := children(s.pid); !slices.Equal(now, before) {
		t.Errorf("children of the master %v, were %v", now, before)
	}
	c.ask(t, "still here")
	c.leave(t)
}

// The master adopts the orphans of its descendants, as it does in a container
// without another first process: those that end are reaped, and are no reason
// to restart anybody.
func TestSubreaper(t *testing.T) {
	t.Parallel()
	cmd, mark := command("subreaper")
	s := serveCommandLine(t, cmd, mark, "--workers", "2", "--log-level", "debug", "--", self(), "worker-forking")
	before := s.now()
	for range 3 {
		leaveOrphan(t, s)
	}
	for _, w := range s.now().Workers {
		if w.Restarts != 0 {
			t.Errorf("worker restarted: %+v", w)
		}
	}
	s.unchanged(before)
	s.stop()
}

// The master is the first process of a container.
func TestPID1(t *testing.T) {
	t.Parallel()
	contained := func(cmd *exec.Cmd) *exec.Cmd {
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS}
		return cmd
	}
	try, _ := command("pid1", "version")
	if out, err := contained(try).CombinedOutput(); err != nil {
		t.Skipf("cannot make a container, which needs privileges: %v: %s", err, out)
	}
	cmd, mark := command("pid1")
	s := launch(t, contained(cmd), mark, "--workers", "2", "--log-level", "debug", "--", self(), "worker-forking")
	s.out.await(t, 1, "usher: serving on", "(master pid 1, 2 workers)")
	status := s.until("all workers are ready", ready(2))
	s.address = status.Listeners[0].Address
	fds := s.descriptors()
	for range 3 {
		leaveOrphan(t, s)
	}
	if after := s.now(); !slices.Equal(pids(after), pids(status)) || after.PID != 1 {
		t.Errorf("status %+v, was %+v; want the same workers, master pid 1", after, status)
	}

	// A worker that is killed is none of those. Its pid is another outside.
	victim := children(s.pid)[0]
	kill(t, victim, unix.SIGKILL)
	s.until("it is replaced", func(after master.Status) bool {
		return ready(2)(after) && !slices.Equal(pids(after), pids(status))
	})
	if err := shortVisit(s.address); err != nil {
		t.Error(err)
	}
	until(t, "as many descriptors as before, no zombies", func() (bool, string) {
		now, dead := s.descriptors(), zombies(s.pid)
		return now == fds && len(dead) == 0, fmt.Sprintf("%d descriptors, were %d; zombies %v", now, fds, dead)
	})
	s.signal(unix.SIGTERM)
	s.ends(0)
}
