package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/usher-go/usher/master"
	"golang.org/x/sys/unix"
)

func init() {
	// embedder is a program that runs a master and sets what it must.
	helpers["embedder"] = func() {
		err := master.Run(context.Background(), master.Config{
			Listen: []string{"127.0.0.1:0"}, Program: os.Args[2:], Workers: 1,
			BootTimeout: 10 * limit, // a slow machine is no broken program
			Started:     func(status master.Status) { announce(os.Stdout, status) },
		})
		if err != nil {
			panic(err)
		}
	}
}

// A program that embeds a master, with the defaults (no control socket, no log), is
// upgraded by USR2; or is not, and goes on.
func TestEmbedderUpgrades(t *testing.T) {
	t.Parallel()
	p := install(t)
	cmd, mark := p.command()
	cmd.Args = append(cmd.Args, "embedder", self(), "worker", "lines")
	s := launchAs(t, cmd, mark, "")
	s.address = startLine.FindStringSubmatch(s.out.await(t, 1, "usher: serving on"))[1]
	workers := func() []int {
		return slices.DeleteFunc(marked(mark), func(pid int) bool {
			// That of a child that tests the next program is empty once it has ended.
			line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
			return err != nil || string(line) != self()+"\x00worker\x00lines\x00"
		})
	}
	c := dial(t, s.address)
	worker := c.ask(t, "before")
	for n := range 2 {
		p.replace() // the one that runs is a deleted file now
		s.signal(unix.SIGUSR2)
		until(t, "it runs the new file", func() (bool, string) {
			exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", s.pid))
			return exe == p.path, fmt.Sprint(exe, err)
		})
		s.signal(unix.SIGUSR1) // which is not lost on the way
		until(t, "one more worker", func() (bool, string) {
			got := workers()
			return len(got) == 1+(n+1), fmt.Sprint(got)
		})
		if got := c.ask(t, "after"); got != worker {
			t.Errorf("worker %d answers, it was %d", got, worker)
		}
	}
	c.leave(t)
	before := workers() // all started by a master that has caught its signals, so that HUP is not lost
	script(t, p.path, "nonsense")
	s.signal(unix.SIGUSR2)
	s.signal(unix.SIGHUP)
	until(t, "new workers in place of all", func() (bool, string) {
		got := workers()
		return len(got) == len(before) && !slices.ContainsFunc(got, func(pid int) bool { return slices.Contains(before, pid) }), fmt.Sprint(got)
	})
	c = dial(t, s.address)
	if got := c.ask(t, "later"); slices.Contains(before, got) {
		t.Errorf("worker %d of the first generation answers", got)
	}
	c.leave(t)
	s.signal(unix.SIGTERM)
	s.ends(0)
	if said := s.log.all(); len(said) > 0 {
		t.Errorf("on standard error: %q, want nothing", said)
	}
}

// A master that may not read its own file can serve, and says why it cannot be
// upgraded.
func TestUpgradeOfUnreadableProgram(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may read everything")
	}
	t.Parallel()
	p := install(t)
	if err := os.Chmod(p.path, 0o111); err != nil {
		t.Fatal(err)
	}
	s := p.serve("--workers", "1", "--", self(), "worker", "lines")
	got := s.ask("upgrade")
	if got.code != exitFailed || !strings.Contains(got.stderr, "cannot upgrade in place: open /proc/self/exe: permission denied") {
		t.Errorf("%+v", got)
	}
	s.stop()
}
