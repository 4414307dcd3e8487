package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestScaleCommand(t *testing.T) {
	t.Parallel()
	s := serve(t, "--workers", "2", "--max-workers", "4")
	for _, step := range []struct {
		change string
		want   int
	}{
		{"+1", 3}, {"-2", 1}, {"4", 4}, {"-1", 3}, {"3", 3}, {"2", 2},
	} {
		want := result{0, fmt.Sprintf("workers: %d\n", step.want), ""}
		if got := s.ask("scale", step.change); got != want {
			t.Errorf("scale %s: %+v, want %+v", step.change, got, want)
		}
		s.until("as many", ready(step.want))
	}
	for _, beyond := range []string{"0", "-2", "5", "+3"} {
		checkComplaint(t, s.ask("scale", beyond), exitFailed, "workers are not possible", "max-workers", "4")
		s.ask("scale", "2")
	}
	for _, wrong := range []string{"", "many", "1.5", "+", "-1x", "--1", "99999999999999999999"} {
		checkComplaint(t, s.ask("scale", wrong), exitUsage, "usher scale --help")
	}
	checkComplaint(t, s.ask("scale"), exitUsage, "workers")
	checkComplaint(t, s.ask("scale", "-1", "-2"), exitUsage, "unexpected argument -2")
	s.until("two workers", ready(2))
	s.stop()
}

func TestNumbersLast(t *testing.T) {
	tests := []struct{ args, want string }{
		{"scale -1", "scale -- -1"},
		{"scale -12 --control c", "scale --control c -- -12"},
		{"scale +1", "scale +1 --"},
		{"scale --control c 4", "scale --control c 4 --"},
		{"scale -- -1", "scale -- -1"},
		{"scale -1x", "scale -1x --"},
		{"serve -1", "serve -1"},
		{"", ""},
	}
	for _, test := range tests {
		if got := strings.Join(numbersLast(strings.Fields(test.args)), " "); got != test.want {
			t.Errorf("%q: %q, want %q", test.args, got, test.want)
		}
	}
}

// usher stop returns when the master has ended: another can take its place.
func TestStopCommand(t *testing.T) {
	t.Parallel()
	s := serve(t, "--app", "lines", "--workers", "2")
	c := dial(t, s.address)
	c.ask(t, "hello")
	stopped := make(chan result, 1)
	go func() { stopped <- s.ask("stop") }()
	refused(t, s.address)
	c.ask(t, "still here")
	select {
	case got := <-stopped:
		t.Errorf("usher stop ends with %+v while a connection is open", got)
	default:
	}
	c.leave(t)
	if got, want := <-stopped, (result{0, "stopped\n", ""}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	s.ends(0)

	again := serve(t, "--workers", "1", "--control", s.control)
	if got, want := again.ask("stop"), (result{0, "stopped\n", ""}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	third := serve(t, "--workers", "1", "--control", s.control)
	third.stop()
}

func TestStopNowCommand(t *testing.T) {
	t.Parallel()
	s := serve(t, "--app", "lines", "--workers", "1", "--drain-timeout", "1h")
	c := dial(t, s.address)
	c.ask(t, "hello")
	stopped := make(chan result, 1)
	go func() { stopped <- s.ask("stop") }()
	refused(t, s.address)
	c.ask(t, "still here")
	want := result{0, "stopped\n", ""}
	if got := s.ask("stop", "--now"); got != want {
		t.Errorf("stop --now: %+v, want %+v", got, want)
	}
	if got := <-stopped; got != want {
		t.Errorf("stop: %+v, want %+v", got, want)
	}
	s.ends(0)
}

// A command that waits for the master can be given up: the master goes on.
func TestCommandInterrupted(t *testing.T) {
	t.Parallel()
	s := serve(t, "--app", "lines", "--workers", "1")
	c := dial(t, s.address)
	c.ask(t, "hello")
	cmd, mark := command("stop", "--control", s.control)
	t.Cleanup(func() { killMarked(mark) })
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	refused(t, s.address)
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // by the signal
	if status, ok := cmd.ProcessState.Sys().(interface{ Signal() unix.Signal }); !ok || status.Signal() != unix.SIGINT {
		t.Errorf("it ended with %v, want by the signal", cmd.ProcessState)
	}
	c.ask(t, "still here")
	c.leave(t)
	s.ends(0)
}

// Every command finds the socket by the environment, and says if nobody is there.
func TestCommandsWithoutMaster(t *testing.T) {
	t.Parallel()
	path := filepath.Join(shortDir(t), "c")
	for _, args := range [][]string{{"scale", "+1"}, {"reload"}, {"stop"}, {"logs", "reopen"}, {"status"}} {
		got := usher(t, append(args, "--control", path)...)
		checkComplaint(t, got, exitFailed, "no master answers on "+path, "usher serve", "--control")
	}
	checkComplaint(t, usher(t, "logs", "--control", path), exitUsage, "--control")
	checkComplaint(t, usher(t, "logs"), exitUsage, "reopen")
}

func TestControlFromEnvironment(t *testing.T) {
	s := serve(t, "--workers", "1")
	cmd, _ := command("reload")
	cmd.Env = append(cmd.Env, "USHER_CONTROL="+s.control)
	if out, err := cmd.CombinedOutput(); string(out) != "generation: 2\nmoved: 0\ndrained: 0\nstaying: 0\nlost: 0\n" || err != nil {
		t.Errorf("%q, %v", out, err)
	}
	s.until("one worker", ready(1))
	s.stop()
}
