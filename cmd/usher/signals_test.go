package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// requests are the signals that ask a master for something.
var requests = []unix.Signal{unix.SIGHUP, unix.SIGUSR1, unix.SIGUSR2, unix.SIGTTIN, unix.SIGTTOU}

// A signal that comes before there is a master, while its configuration is still
// being read, is there for it; one that ends a program ends it.
func TestSignalsBeforeTheMaster(t *testing.T) {
	t.Parallel()
	for _, sig := range []unix.Signal{unix.SIGUSR1, unix.SIGTERM} {
		config := filepath.Join(shortDir(t), "config")
		if err := unix.Mkfifo(config, 0o600); err != nil {
			t.Fatal(err)
		}
		cmd, mark := command()
		s := launch(t, cmd, mark, "--workers", "1", "--config", config)
		write, err := os.OpenFile(config, os.O_WRONLY, 0) // when it is opened for reading
		if err != nil {
			t.Fatal(err)
		}
		s.signal(sig)
		if sig == unix.SIGTERM {
			s.waitExit()
		} else if _, err := write.WriteString("app = \"lines\"\n"); err != nil {
			t.Errorf("%s: %v", unix.SignalName(sig), err)
		}
		_ = write.Close() // all is written
		if sig == unix.SIGTERM {
			continue
		}
		s.until("one more worker than at the start", ready(2))
		s.signal(unix.SIGTERM)
		s.ends(0)
	}
}

// Who sees the pid file, or the control socket, may send signals.
func TestSignalsOnceItIsSeen(t *testing.T) {
	t.Parallel()
	for _, sig := range requests {
		for _, seen := range []string{"pid", "c"} {
			dir := shortDir(t)
			cmd, mark := command()
			s := launch(t, cmd, mark, "--workers", "2", "--control", filepath.Join(dir, "c"), "--pid-file", filepath.Join(dir, "pid"))
			until(t, seen+" is there", func() (bool, string) {
				_, err := os.Lstat(filepath.Join(dir, seen))
				return err == nil, fmt.Sprint(err)
			})
			s.signal(sig)
			s.out.await(t, 1, "usher: serving on")
			s.signal(unix.SIGTERM)
			s.ends(0)
		}
	}
}

// What comes when the master has ended and its last words are being written changes
// nothing.
func TestSignalsAtTheEnd(t *testing.T) {
	t.Parallel()
	for _, sig := range append(requests, unix.SIGINT, unix.SIGTERM, unix.SIGQUIT) {
		full := fullPipe(t) // so that the last words take their time
		dir := shortDir(t)
		cmd, mark := command()
		cmd.Stdout = full
		s := launch(t, cmd, mark, "--workers", "1", "--pid-file", filepath.Join(dir, "pid"))
		s.until("one worker", ready(1))
		s.signal(unix.SIGTERM)
		until(t, "the pid file is removed", func() (bool, string) {
			_, err := os.Lstat(filepath.Join(dir, "pid"))
			return os.IsNotExist(err), fmt.Sprint(err)
		})
		_ = unix.Kill(s.pid, sig) // it may have ended already
		s.ends(0)
	}
}

// fullPipe returns the end to write to of a pipe that has no room, and no reader
// before the test ends.
func fullPipe(t *testing.T) *os.File {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = read.Close() // nothing was read
		_ = write.Close()
	})
	fd := int(write.Fd())
	if err := unix.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{4096, 1} {
		for err == nil {
			_, err = unix.Write(fd, make([]byte, size))
		}
		if err != unix.EAGAIN {
			t.Fatal(err)
		}
		err = nil
	}
	if err := unix.SetNonblock(fd, false); err != nil {
		t.Fatal(err)
	}
	return write
}

// ignoring returns a command that is started with some signals ignored.
func ignoring(cmd *exec.Cmd, signals string) *exec.Cmd {
	cmd.Args = append([]string{"sh", "-c", "trap '' " + signals + `; exec "$0" "$@"`, cmd.Path}, cmd.Args[1:]...)
	cmd.Path = "/bin/sh"
	return cmd
}

// ignored reports whether a process ignores a signal (proc(5)).
func ignored(t *testing.T, pid int, sig unix.Signal) bool {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(status), "\nSigIgn:\t")
	text, _, _ := strings.Cut(after, "\n")
	mask, err := strconv.ParseUint(text, 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	return mask&(1<<(sig-1)) != 0
}

// In a script's background a server has INT and QUIT ignored: so it stays, in the
// programs that it becomes, too.
func TestInterruptsIgnored(t *testing.T) {
	t.Parallel()
	p := install(t)
	cmd, mark := p.command()
	s := serveCommandLine(t, ignoring(cmd, "INT QUIT"), mark, "--workers", "1", "--max-workers", "9")
	for n := 1; n <= 3; n++ {
		for _, sig := range []unix.Signal{unix.SIGINT, unix.SIGQUIT} {
			if !ignored(t, s.pid, sig) {
				t.Errorf("after %d upgrades it does not ignore %s", n-1, unix.SignalName(sig))
			}
			s.signal(sig)
		}
		s.signal(unix.SIGUSR1)
		s.until("one more worker", ready(n+1))
		p.replace()
		if got := s.ask("upgrade"); got.code != 0 {
			t.Fatalf("upgrade: %+v", got)
		}
		s.runs(p)
	}
	s.signal(unix.SIGTERM)
	s.ends(0)
}

// An upgrade ignores signals on its way: they are not taken for ignored afterwards.
func TestInterruptsAfterUpgrade(t *testing.T) {
	t.Parallel()
	for _, sig := range []unix.Signal{unix.SIGINT, unix.SIGQUIT} {
		p := install(t)
		s := p.serve("--workers", "1")
		for range 2 {
			if got := s.ask("upgrade"); got.code != 0 {
				t.Fatalf("upgrade: %+v", got)
			}
		}
		s.signal(sig)
		s.ends(0)
	}
}

// HUP is a command under nohup, too.
func TestHangUpIgnored(t *testing.T) {
	t.Parallel()
	p := install(t)
	cmd, mark := p.command()
	s := serveCommandLine(t, ignoring(cmd, "HUP"), mark, "--workers", "1")
	for n := 2; n <= 3; n++ {
		s.signal(unix.SIGHUP)
		s.log.await(t, 1, "reloaded:", fmt.Sprintf("generation=%d ", n))
		if got := s.ask("upgrade"); got.code != 0 {
			t.Fatalf("upgrade: %+v", got)
		}
	}
	s.signal(unix.SIGTERM)
	s.ends(0)
}
