package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/usher-go/usher/master"
	"golang.org/x/sys/unix"
)

// program is a file that is the command, to be replaced.
type program struct {
	t    *testing.T
	path string
}

func install(t *testing.T) *program {
	p := &program{t, filepath.Join(shortDir(t), "usher")}
	p.replace()
	return p
}

// replace puts a new file of the same content in place of the old.
func (p *program) replace() {
	p.t.Helper()
	in, err := os.Open(self())
	if err != nil {
		p.t.Fatal(err)
	}
	defer in.Close()
	text, err := io.ReadAll(in)
	if err != nil {
		p.t.Fatal(err)
	}
	script(p.t, p.path, string(text))
}

func (p *program) serve(args ...string) *server {
	p.t.Helper()
	cmd, mark := p.command()
	return serveCommandLine(p.t, cmd, mark, args...)
}

func (p *program) command() (*exec.Cmd, string) {
	cmd, mark := command()
	cmd.Path, cmd.Args[0] = p.path, p.path
	return cmd, mark
}

// runs checks that the master is that program, and the file of now.
func (s *server) runs(p *program) {
	s.t.Helper()
	if exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", s.pid)); exe != p.path || err != nil {
		s.t.Errorf("the master runs %s (%v), want %s", exe, err, p.path)
	}
}

// The master becomes its own new program again and again, under clients that
// never leave: nobody notices, and the books go on. Afterwards all goes on as
// if it had just been started.
func TestUpgrades(t *testing.T) {
	clients, upgrades := sized(100, 2000), sized(5, 30)
	p := install(t)
	s := p.serve("--workers", "2", "--", self(), "worker-summing")
	c := gather(t, s.address, clients)
	before := s.until("all are there", func(status master.Status) bool { return int(status.Connections.Active) == clients })
	start := time.Now()
	for n := range upgrades {
		p.replace()
		if got := usher(t, "upgrade", "--control", s.control); got.code != 0 || got.stdout != "version: "+before.Version+"\n" {
			t.Fatalf("upgrade %d: %+v", n, got)
		}
		s.runs(p)
		after, err := s.status()
		if err != nil {
			t.Fatal(err)
		}
		if after.PID != s.pid || !slices.Equal(pids(after), pids(before)) || after.Generation != 1 ||
			after.Connections != before.Connections || after.Listeners[0] != before.Listeners[0] {
			t.Fatalf("upgrade %d: %+v, was %+v", n, after, before)
		}
	}
	t.Logf("%d upgrades in %v", upgrades, time.Since(start).Round(time.Millisecond))
	if got := usher(t, "reload", "--control", s.control); got.code != 0 || !strings.HasPrefix(got.stdout, "generation: 2\n") {
		t.Errorf("reload: %+v", got)
	}
	s.until("the old workers are gone", ready(2))
	c.disperse()
	t.Logf("%d clients, %d lines, %d failed", clients, c.lines.Load(), c.failed.Load())
	for _, took := range s.log.with("upgraded:") {
		t.Log(took[strings.Index(took, "elapsed"):])
	}

	s.signal(unix.SIGUSR1)
	status := s.until("a third worker", ready(3))
	s.signal(unix.SIGTTOU)
	s.until("two workers", ready(2))
	if status.Connections.Lost != 0 {
		t.Errorf("%d lost", status.Connections.Lost)
	}
	victim := s.until("two workers", ready(2)).Workers[0].PID
	if err := unix.Kill(victim, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s.until("a successor", func(status master.Status) bool {
		return ready(2)(status) && !slices.Contains(pids(status), victim)
	})
	s.stop()
}

// Signals without end do not end the master, nor a connection, nor keep an
// upgrade from being done.
func TestUpgradeStorm(t *testing.T) {
	clients, upgrades := sized(50, 200), sized(10, 100)
	p := install(t)
	s := p.serve("--workers", "2", "--max-workers", "6", "--", self(), "worker-summing")
	c := gather(t, s.address, clients)
	s.until("all are there", func(status master.Status) bool { return int(status.Connections.Active) == clients })
	sent := 0
	stop := meanwhile(t, func() bool {
		<-time.After(2 * time.Millisecond)
		_ = unix.Kill(s.pid, []unix.Signal{unix.SIGUSR1, unix.SIGHUP, unix.SIGTTOU}[sent%3]) // that it lives is checked below
		sent++
		return true
	})
	for n := range upgrades {
		p.replace()
		if got := usher(t, "upgrade", "--control", s.control); got.code != 0 {
			t.Errorf("upgrade %d: %+v", n, got)
			break
		}
	}
	stop()
	s.settle()
	status := s.until("all are there still, and the last generation alone", func(status master.Status) bool {
		return int(status.Connections.Active) == clients && lingering(status) == 0 && allReady(status)
	})
	s.runs(p)
	c.disperse()
	t.Logf("%d upgrades, %d signals, %d lines, %d failed; generation %d, %+v", upgrades, sent, c.lines.Load(), c.failed.Load(), status.Generation, status.Connections)
	if status.PID != s.pid || status.Connections.Lost != 0 {
		t.Errorf("master %d, was %d; %d lost", status.PID, s.pid, status.Connections.Lost)
	}
	s.signal(unix.SIGTERM)
	s.ends(0)
}

// The control socket answers on: who asks during an upgrade waits.
func TestUpgradeAnswersEveryone(t *testing.T) {
	askers, upgrades := 4, sized(10, 200)
	p := install(t)
	s := p.serve("--workers", "1", "--", self(), "worker-summing")
	var asked atomic.Int64
	var stops []func()
	for range askers {
		stops = append(stops, meanwhile(t, func() bool {
			_, err := s.status()
			if err != nil {
				t.Errorf("status: %v", err)
			}
			asked.Add(1)
			return err == nil
		}))
	}
	for n := range upgrades {
		seen := len(s.log.with("upgraded:"))
		s.signal(unix.SIGUSR2)
		if got := usher(t, "reload", "--control", s.control); got.code != 0 {
			t.Errorf("reload at once after the signal for upgrade %d: %+v", n, got)
		}
		s.log.await(t, seen+1, "upgraded:")
	}
	for _, stop := range stops {
		stop()
	}
	t.Logf("%d upgrades, %d answers", upgrades, asked.Load())
	s.stop()
}

// A program that cannot take over changes nothing: the old one serves on and
// says why.
func TestUpgradeRefused(t *testing.T) {
	t.Parallel()
	p := install(t)
	cmd, mark := p.command()
	cmd.Env = append(cmd.Env, turnsBack+"=1")
	s := serveCommandLine(t, cmd, mark, "--workers", "1")
	c := dial(t, s.address)
	echo := func() {
		t.Helper()
		if err := c.send("x"); err != nil {
			t.Fatal(err)
		}
		if b, err := c.in.ReadByte(); b != 'x' || err != nil {
			t.Fatalf("echo %q, %v", b, err)
		}
	}
	echo()
	before := s.until("one worker", ready(1))
	for _, test := range []struct {
		name    string
		program string
		mode    os.FileMode
		want    string
	}{
		{"not executable", "#!/bin/sh\n", 0o644, "permission denied; is it an executable file?"},
		{"not a program", "nonsense", 0o755, "exec format error"},
		{"exits at once", "#!/bin/sh\necho it is broken >&2\nexit 7\n", 0o755, "it ended without an answer, with exit status 7: it is broken"},
		{"killed at once", "#!/bin/sh\nkill -SEGV $$\n", 0o755, "with signal SIGSEGV"},
		{"answers nonsense", "#!/bin/sh\nprintf 'what is a format 1?' >&3\ncat <&3 >/dev/null\n", 0o755, "what is a format 1?"},
		{"does not know the flags", "#!/bin/sh\nexec " + self() + " \"$@\" --no-such-flag\n", 0o755, "no-such-flag"},
		{"turns back", "#!/bin/sh\nexec " + self() + " \"$@\"\n", 0o755, errTurnsBack.Error()},
		{"is not there", "", 0, "no such file"},
	} {
		if test.mode != 0 {
			script(t, p.path, test.program)
			if err := os.Chmod(p.path, test.mode); err != nil {
				t.Fatal(err)
			}
		} else if err := os.Remove(p.path); err != nil {
			t.Fatal(err)
		}
		got := usher(t, "upgrade", "--control", s.control)
		if got.code != exitFailed || !strings.Contains(got.stderr, test.want) {
			t.Errorf("%s: got %+v, want it to say %q", test.name, got, test.want)
		}
		echo()
		after, err := s.status()
		if err != nil {
			t.Fatal(err)
		}
		if after.PID != s.pid || !slices.Equal(pids(after), pids(before)) || after.Connections != before.Connections {
			t.Errorf("%s: %+v, was %+v", test.name, after, before)
		}
	}
	p.replace()
	if got := usher(t, "upgrade", "--control", s.control); got.code != exitFailed {
		t.Errorf("%+v, want it to turn back", got) // the environment is as at the start
	}
	if n := len(s.log.with(errTurnsBack.Error())); n == 0 {
		t.Error("the log does not say why")
	}
	c.leave(t)
	s.stop()
}

// turnsBack in the environment of a master has the program that is to take over
// find, too late for the test, that it cannot.
const turnsBack = "TURNS_BACK"

var errTurnsBack = errors.New("as the story has it, this program cannot take over")

func turnBack() {
	_, takesOver := os.LookupEnv("USHER_UPGRADE")
	_, back := os.LookupEnv("USHER_UPGRADE_ERROR")
	if takesOver && !back && os.Getenv(turnsBack) != "" {
		master.TurnBack(errTurnsBack)
	}
}

// The configuration in force goes on, whatever the file says by now; a reload
// reads it.
func TestUpgradeKeepsConfiguration(t *testing.T) {
	t.Parallel()
	p := install(t)
	path := filepath.Join(shortDir(t), "usher.toml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("workers = 2\nmax-conns-per-ip = 1\n")
	s := p.serve("--config", path)
	first := dial(t, s.address)
	if err := first.send("x"); err != nil {
		t.Fatal(err)
	}
	if b, err := first.in.ReadByte(); b != 'x' || err != nil {
		t.Fatalf("echo %q, %v", b, err)
	}
	for _, text := range []string{"workers = 3\n", "workers = nonsense\n"} {
		write(text)
		p.replace()
		if got := usher(t, "upgrade", "--control", s.control); got.code != 0 {
			t.Fatalf("%+v", got)
		}
		s.until("two workers still", ready(2))
		second := dial(t, s.address) // one beyond the limit for its address
		if _, err := second.in.ReadByte(); err == nil {
			t.Error("a second connection from one address was served")
		}
		second.conn.Close()
	}
	if got := usher(t, "reload", "--control", s.control); got.code != exitFailed || !strings.Contains(got.stderr, "nonsense") {
		t.Errorf("%+v, want it to say what is wrong", got)
	}
	write("workers = 3\n")
	if got := usher(t, "reload", "--control", s.control); got.code != 0 {
		t.Errorf("%+v", got)
	}
	s.until("three workers", ready(3))
	first.leave(t)
	s.signal(unix.SIGTERM)
	s.ends(0)
}
