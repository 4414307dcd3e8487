package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/usher-go/usher/master"
	"golang.org/x/sys/unix"
)

// On a terminal a reload that takes long shows how far it is, in one line that is no wider
// than the terminal, and that is gone at the end; what the command prints is the same.
func TestProgressOnTerminal(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		columns uint16
		want    string
	}{{"wide", 200, "s: workers 1 ready, 1 starting"}, {"narrow", 20, "s: worker"}} {
		t.Run(test.name, func(t *testing.T) {
			columns := test.columns
			folder := shortDir(t)
			program, gate := folder+"/w", folder+"/gate"
			script(t, program, fmt.Sprintf("#!/bin/sh\nexec %s worker lines\n", self()))
			s := serve(t, "--workers", "1", "--", program)
			if err := unix.Mkfifo(gate, 0o600); err != nil {
				t.Fatal(err)
			}
			script(t, program, fmt.Sprintf("#!/bin/sh\nread line < %s\nexec %s worker lines\n", gate, self()))

			term := openTerminal(t, 0)
			if _, err := onDescriptor(term.program, func(fd int) (int, error) {
				return 0, unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns})
			}); err != nil {
				t.Fatal(err)
			}
			cmd, mark := command("reload", "--control", s.control)
			t.Cleanup(func() { killMarked(mark) })
			write, said := newTranscript(t)
			cmd.Stdin, cmd.Stdout, cmd.Stderr = term.program, write, term.program
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			_ = write.Close()        // the process has it
			_ = term.program.Close() // likewise
			s.until("the new worker starts", func(status master.Status) bool { return len(status.Workers) == 2 })
			term.shown.awaitBegun(t, test.want)
			if err := os.WriteFile(gate, []byte("go\n"), 0); err != nil {
				t.Error(err)
			}
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
			if got := strings.Join(said.all(), " "); !said.waitEnd(limit) || !strings.HasPrefix(strings.Join(said.all(), " "), "generation: 2 moved: 0") {
				t.Errorf("it prints %q", got)
			}
			term.shown.waitEnd(limit)
			shown := strings.Join(term.shown.all(), "\n")
			lines := strings.Split(shown, "\r")
			if last := lines[len(lines)-1]; last != "\x1b[K" || len(lines) < 3 {
				t.Errorf("it shows %q", shown)
			}
			for _, line := range lines {
				if text := strings.TrimSuffix(line, "\x1b[K"); utf8.RuneCountInString(text) >= int(columns) || strings.Contains(text, "\n") {
					t.Errorf("a line of %d columns: %q", columns, text)
				}
			}
			s.stop()
		})
	}
}

// A stop that waits for clients says so.
func TestStopOnTerminal(t *testing.T) {
	t.Parallel()
	s := serve(t, "--app", "lines", "--workers", "1")
	c := dial(t, s.address)
	c.ask(t, "hello")
	term := openTerminal(t, 0)
	if _, err := onDescriptor(term.program, func(fd int) (int, error) {
		return 0, unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 100})
	}); err != nil {
		t.Fatal(err)
	}
	cmd, mark := command("stop", "--control", s.control)
	t.Cleanup(func() { killMarked(mark) })
	cmd.Stdin, cmd.Stdout, cmd.Stderr = term.program, term.program, term.program
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = term.program.Close() // the process has it
	s.log.await(t, 1, "stopping: conns=1 limit=30s")
	term.shown.awaitBegun(t, "s: workers 1 draining; 1 connections still there")
	c.leave(t)
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	term.shown.waitEnd(limit)
	if shown := strings.Join(term.shown.all(), "\n"); !strings.Contains(shown, "\x1b[Kstopped") {
		t.Errorf("it shows %q", shown)
	}
	s.ends(0)
}

func TestWorkersLine(t *testing.T) {
	for want, workers := range map[string][]master.WorkerStatus{
		"scale, 2s: workers 1 ready": {{State: "ready", Connections: 7}},
		"scale, 2s: workers 1 ready, 1 starting, 1 gone, 2 draining; 10 connections still there": {{State: "gone"}, {State: "draining", Connections: 4, Queued: 1},
			{State: "starting"}, {State: "draining", Connections: 5}, {State: "ready"}},
		"scale, 2s: workers ": nil,
	} {
		if got := workersLine("scale", 2200*time.Millisecond, master.Status{Workers: workers}); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	for _, test := range []struct {
		text string
		room int
		want string
	}{{"text", 10, "text"}, {"text", 2, "te"}, {"…x", 1, "…"}, {"x", 0, ""}, {"x", -1, ""}} {
		if got := cut(test.text, test.room); got != test.want {
			t.Errorf("%q in %d: %q", test.text, test.room, got)
		}
	}
}
