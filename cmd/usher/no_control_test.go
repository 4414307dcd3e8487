package main

import (
	"testing"

	"golang.org/x/sys/unix"
)

// A server without a control socket is led by signals alone: an upgrade in place
// among them, to a program that is there and to one that is not.
func TestWithoutControl(t *testing.T) {
	t.Parallel()
	p := install(t)
	cmd, mark := p.command()
	cmd.Args = append(cmd.Args, "serve", "--listen", "127.0.0.1:0", "--workers", "2", "--control", "", "--", self(), "worker", "lines")
	s := launchAs(t, cmd, mark, "")
	line := s.out.await(t, 1, "usher: serving on")
	s.address = startLine.FindStringSubmatch(line)[1]
	s.log.await(t, 2, "worker ready")
	c := dial(t, s.address)
	worker := c.ask(t, "before")
	for n := 1; n <= 2; n++ {
		p.replace()
		s.signal(unix.SIGUSR2)
		s.log.await(t, n, "upgraded:")
		s.runs(p)
		if got := c.ask(t, "after"); got != worker {
			t.Errorf("worker %d answers, it was %d", got, worker)
		}
	}
	script(t, p.path, "nonsense")
	s.signal(unix.SIGUSR2)
	s.log.await(t, 1, "upgrade refused", "exec format error")
	s.signal(unix.SIGHUP)
	s.log.await(t, 1, "reloaded:")
	if got := c.ask(t, "later"); got == worker {
		t.Errorf("worker %d of the first generation answers", got)
	}
	c.leave(t)
	s.signal(unix.SIGTERM)
	s.ends(0)
}
