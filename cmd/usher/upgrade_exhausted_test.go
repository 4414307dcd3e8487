package main

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func init() {
	// A program that passes its test, and says no when it is asked for the last time:
	// the master that asks has no descriptor left by then.
	helpers["refuses-late"] = func() {
		const answers = 3
		packet := make([]byte, 1)
		_, _ = unix.Read(answers, packet) // what is wrong shows in the story
		_, _ = unix.Write(answers, []byte("ok"))
		_, _ = unix.Read(answers, packet)
		master := os.Getppid()
		var limits unix.Rlimit
		_ = unix.Prlimit(master, unix.RLIMIT_NOFILE, nil, &limits)
		limits.Cur = answers // what is open stays so, whatever its number
		_ = unix.Prlimit(master, unix.RLIMIT_NOFILE, &limits, nil)
		_, _ = unix.Write(answers, []byte("not after all"))
		_, _ = unix.Read(answers, packet)
	}
}

// A master that has no descriptor left as its upgrade is refused goes on, and
// answers on its control socket again once it has some.
func TestUpgradeRefusedWithoutDescriptors(t *testing.T) {
	t.Parallel()
	p := install(t)
	s := p.serve("--workers", "1", "--app", "lines")
	c := dial(t, s.address)
	c.ask(t, "hello")
	script(t, p.path, "#!/bin/sh\nexec '"+self()+"' refuses-late\n")
	s.signal(unix.SIGUSR2)
	s.log.await(t, 1, "upgrade refused, this program goes on") // by the program, or for want of a descriptor to ask it again
	s.log.await(t, 1, "cannot serve the control socket, retrying", "too many open files")
	c.ask(t, "still here")
	var limits unix.Rlimit
	if err := unix.Prlimit(s.pid, unix.RLIMIT_NOFILE, nil, &limits); err != nil {
		t.Fatal(err)
	}
	limits.Cur = limits.Max
	if err := unix.Prlimit(s.pid, unix.RLIMIT_NOFILE, &limits, nil); err != nil {
		t.Fatal(err)
	}
	s.until("it answers", ready(1))
	c.leave(t)
	s.stop()
}
