package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"strconv"
	"syscall"
	"testing"

	"github.com/usher-go/usher/master"
	"golang.org/x/sys/unix"
)

func init() {
	// A worker with three children: one that TERM ends, one that ignores it, and one
	// that has left the process group.
	helpers["worker-parent"] = func() {
		child := func(kind string, setsid bool) int {
			cmd := exec.Command(self(), kind)
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: setsid}
			out, err := cmd.StdoutPipe()
			if err == nil {
				err = cmd.Start()
			}
			if err == nil {
				_, err = bufio.NewReader(out).ReadString('\n')
			}
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			return cmd.Process.Pid
		}
		fmt.Fprintf(os.Stderr, "children %d %d %d\n", child("child", false), child("child-stubborn", false), child("child", true))
		os.Exit(run([]string{"worker", "lines"}))
	}
	helpers["child"] = func() {
		fmt.Println("here")
		helpers["worker-mute"]()
	}
	helpers["child-stubborn"] = func() {
		signal.Ignore(unix.SIGTERM)
		helpers["child"]()
	}
}

var childrenLine = regexp.MustCompile(`children (\d+) (\d+) (\d+)`)

// children returns those of the n-th worker to be started.
func (s *server) children(n int) (obeying, stubborn, apart int) {
	s.t.Helper()
	match := childrenLine.FindStringSubmatch(s.log.await(s.t, n, "worker output", "children"))
	var pids [3]int
	for i := range pids {
		pids[i], _ = strconv.Atoi(match[i+1]) // they are digits
	}
	s.t.Cleanup(func() { _ = unix.Kill(pids[2], unix.SIGKILL) }) // nobody else does
	return pids[0], pids[1], pids[2]
}

func gone(t *testing.T, what string, pid int) {
	t.Helper()
	until(t, what+" is gone", func() (bool, string) {
		stat, err := readStat(pid)
		return err != nil || stat.state == "Z", fmt.Sprint(pid, stat)
	})
}

func alive(t *testing.T, what string, pid int) {
	t.Helper()
	if stat, err := readStat(pid); err != nil || stat.state == "Z" {
		t.Errorf("%s is gone: %+v, %v", what, stat, err)
	}
}

// What a worker leaves in its process group ends with it, however the worker ends:
// at once, or after five seconds if it has to be killed, also by the program that an
// upgrade has put in the master's place by then, and at the latest with the master.
// What has left the group is left alone.
func TestProcessGroupsEnd(t *testing.T) {
	t.Parallel()
	p := install(t)
	s := p.serve("--workers", "1", "--", self(), "worker-parent")
	died := func(n int, end func(pid int)) (stubborn, apart int) {
		t.Helper()
		obeying, stubborn, apart := s.children(n)
		pid := s.until("ready", ready(1)).Workers[0].PID
		end(pid)
		gone(t, "the one that obeys", obeying)
		return stubborn, apart
	}
	stubborn, apart := died(1, func(pid int) {
		kill(t, pid, unix.SIGKILL)
		s.until("it is replaced", func(status master.Status) bool { return ready(1)(status) && status.Workers[0].PID != pid })
	})
	p.replace()
	if got := usher(t, "upgrade", "--control", s.control); got.code != 0 {
		t.Fatalf("%+v", got)
	}
	gone(t, "the one that is killed, by the next program", stubborn)
	s.log.await(t, 1, "killed what a worker left in its process group")
	alive(t, "the one that left the group", apart)
	kill(t, apart, unix.SIGKILL)

	stubborn, apart = died(2, func(int) {
		if got := usher(t, "reload", "--control", s.control); got.code != 0 {
			t.Errorf("%+v", got)
		}
	})
	gone(t, "the one that is killed", stubborn)
	kill(t, apart, unix.SIGKILL)

	stubborn, apart = died(3, func(int) { s.signal(unix.SIGQUIT) })
	s.waitExit()
	gone(t, "the one that is killed with the master", stubborn)
	alive(t, "the one that left the group", apart)
	kill(t, apart, unix.SIGKILL)
	s.ends(0)
}
