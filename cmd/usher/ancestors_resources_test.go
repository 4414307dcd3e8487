package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/usher-go/usher/master"
	"golang.org/x/sys/unix"
)

// Hundreds of clients come at once to a server that may have 64 descriptors in
// each process: some wait, without any process at work, and nobody is lost.
func TestFewDescriptors(t *testing.T) {
	t.Parallel()
	const clients = 300
	cmd, mark := command("limited", "64")
	s := serveCommandLine(t, cmd, mark, "--app", "lines", "--workers", "2")
	before := s.now()
	waiting := crowd(t, s.address, clients)
	full := s.until("all workers are full", func(status master.Status) bool {
		c := status.Connections
		return c.Active > 0 && c.Queued == 0 && c.Accepted < clients
	})
	standStill(t, fmt.Sprintf("%d of %d clients are in", full.Connections.Active, clients), s.everyone())
	var group sync.WaitGroup
	for _, c := range waiting { // each that leaves lets one more in
		group.Go(func() {
			if _, err := c.answer("hello"); err != nil {
				t.Error(err)
			}
			if err := c.end(); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	s.unchanged(before)
	s.stop()
}

// The master has no descriptor left for what it accepts: it says so, waits
// rather than spins, and goes on once it has some.
func TestDescriptorsRunOut(t *testing.T) {
	t.Parallel()
	s := serve(t, "--app", "lines", "--workers", "2")
	before, all := s.now(), s.everyone()
	s.descriptors()
	var limits unix.Rlimit
	if err := unix.Prlimit(s.pid, unix.RLIMIT_NOFILE, nil, &limits); err != nil {
		t.Fatal(err)
	}
	few := limits
	few.Cur = uint64(lowestFree(t, s.pid))
	if err := unix.Prlimit(s.pid, unix.RLIMIT_NOFILE, &few, nil); err != nil {
		t.Skipf("cannot lower the limit of another process: %v", err)
	}
	waiting := crowd(t, s.address, 100) // in the backlog
	s.log.await(t, 1, "cannot accept, retrying", "too many open files")
	standStill(t, "100 clients wait for descriptors", all)
	if err := unix.Prlimit(s.pid, unix.RLIMIT_NOFILE, &limits, nil); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	answered(t, waiting)
	t.Logf("all are served %v after there were descriptors again", time.Since(start).Round(time.Millisecond))
	leaveAll(t, waiting)
	s.unchanged(before)
	s.stop()
}

// lowestFree returns the number that a process's next descriptor will have. A
// limit of that is one of which nothing is left.
func lowestFree(t *testing.T, pid int) int {
	t.Helper()
	for n := 0; ; n++ {
		if _, err := os.Lstat(fmt.Sprintf("/proc/%d/fd/%d", pid, n)); err != nil {
			return n
		}
	}
}

// More clients come than the queues of stopped workers hold, or one packet:
// when they continue, each client is answered.
func TestOverflowedQueueLosesNothing(t *testing.T) {
	t.Parallel()
	const queue = 256
	for _, workers := range []int{1, 2} {
		t.Run(fmt.Sprintf("%d workers", workers), func(t *testing.T) {
			t.Parallel()
			s := serve(t, "--app", "lines", "--workers", fmt.Sprint(workers))
			before := s.now()
			for _, pid := range pids(before) {
				freeze(t, pid)
			}
			clients := crowd(t, s.address, workers*queue+200)
			s.queued(workers * queue)
			for _, pid := range pids(before) {
				kill(t, pid, unix.SIGCONT)
			}
			start := time.Now()
			t.Logf("answers by worker %v, all within %v", answered(t, clients), time.Since(start).Round(time.Millisecond))
			if status := s.now(); status.Connections.Accepted != uint64(len(clients)) {
				t.Errorf("%d accepted, want %d", status.Connections.Accepted, len(clients))
			}
			leaveAll(t, clients)
			s.unchanged(before)
			s.stop()
		})
	}
}

// Without privileges the kernel bounds how many descriptors a user may have on
// their way between processes. One stopped worker holds some up, and must not
// take the others' share: they serve on, and what waits in its queue too.
func TestStoppedWorkerOfPlainUser(t *testing.T) {
	t.Parallel()
	const nobody, most, clients = 65534, 1024, 900
	if os.Geteuid() != 0 {
		t.Skip("only root can become a plain user")
	}
	dir := shortDir(t)
	program := filepath.Join(dir, "usher")
	if err := errors.Join(copyProgram(self(), program), os.Chmod(dir, 0o755), os.Chown(dir, nobody, nobody)); err != nil {
		t.Fatal(err)
	}
	cmd, mark := command("limited", fmt.Sprint(most))
	cmd.Path, cmd.Dir = program, dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	s := serveCommandLine(t, cmd, mark, "--control", filepath.Join(dir, "c"), "--app", "lines", "--workers", "3")
	before := s.now()
	for _, pid := range append(pids(before), s.pid) {
		if info, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); err != nil || info.Sys().(*syscall.Stat_t).Uid != nobody {
			t.Fatalf("process %d is not user %d's: %v", pid, nobody, err)
		}
	}
	stopped := before.Workers[0].PID
	freeze(t, stopped)
	start := time.Now()
	waiting := crowd(t, s.address, clients)
	at := answered(t, waiting)
	t.Logf("%d clients, one worker of 3 stopped: all are answered within %v, by worker %v",
		clients, time.Since(start).Round(time.Millisecond), at)
	if at[stopped] != 0 {
		t.Errorf("%d answers by a stopped worker", at[stopped])
	}
	s.log.await(t, 1, "worker takes nothing from its queue, which goes to others")
	kill(t, stopped, unix.SIGCONT)
	leaveAll(t, waiting)
	s.unchanged(before)
	s.stop()
}

// copyProgram makes an executable copy for anybody.
func copyProgram(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	// A child forked while the file is open for writing would keep it from
	// being executed.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Chmod(0o755), out.Close())
}
