package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/usher-go/usher/master"
	"golang.org/x/sys/unix"
)

// The log is renamed and reopened again and again while lines are written:
// each is in one of the files, once, whole.
func TestLogsReopen(t *testing.T) {
	t.Parallel()
	const rotations, lines = 5, 200
	directory := shortDir(t)
	log := filepath.Join(directory, "log")
	program := filepath.Join(directory, "worker")
	script(t, program, fmt.Sprintf("#!/bin/sh\ni=0; while [ $i -lt %d ]; do i=$((i+1)); echo counted $i >&2; done\nexec '%s' worker lines\n", lines, self()))
	cmd, mark := command()
	cmd.Dir = directory
	s := serveCommandLine(t, cmd, mark, "--workers", "1", "--log-file", "log", "--", program)
	info, err := os.Stat(log)
	if err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("%v, %v; want mode 0644", info, err)
	}
	for n := range rotations {
		s.signal(unix.SIGHUP) // a new worker, which writes
		if err := os.Rename(log, fmt.Sprintf("%s.%d", log, n)); err != nil {
			t.Fatal(err)
		}
		if got, want := s.ask("logs", "reopen"), (result{0, "log file reopened\n", ""}); got != want {
			t.Fatalf("%+v, want %+v", got, want)
		}
	}
	s.until("one worker", ready(1))
	s.stop()

	names, err := filepath.Glob(log + "*")
	if err != nil || len(names) != rotations+1 {
		t.Fatalf("files %v, %v; want %d", names, err, rotations+1)
	}
	counts := make(map[string]int)
	for _, name := range names {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(content)) {
			if !strings.HasSuffix(line, "\n") || !strings.HasPrefix(line, "20") {
				t.Errorf("%s has the part of a line %q", name, line)
			}
			if _, number, found := strings.Cut(line, "counted "); found {
				counts[strings.Trim(number, "\"\n")]++
			}
		}
	}
	if len(counts) != lines {
		t.Errorf("%d different lines, want %d", len(counts), lines)
	}
	workers := counts["1"]
	for number, count := range counts {
		if count != workers {
			t.Errorf("line %s is there %d times, line 1 %d times", number, count, workers)
		}
	}
	if said := s.log.all(); len(said) > 0 {
		t.Errorf("on standard error: %q, want nothing", said)
	}
}

// Where no log can be opened anew, the old one goes on.
func TestLogsReopenFails(t *testing.T) {
	t.Parallel()
	directory := filepath.Join(shortDir(t), "logs")
	if err := os.Mkdir(directory, 0o755); err != nil {
		t.Fatal(err)
	}
	log, moved := filepath.Join(directory, "log"), directory+".moved"
	s := serve(t, "--workers", "1", "--log-file", log)
	if err := os.Rename(directory, moved); err != nil {
		t.Fatal(err)
	}
	checkComplaint(t, s.ask("logs", "reopen"), exitFailed, log, "no such file or directory", "the old one stays")
	s.signal(unix.SIGUSR2) // which is refused: the next master could not open its log either
	until(t, "the old file goes on", func() (bool, string) {
		content, err := os.ReadFile(filepath.Join(moved, "log"))
		return strings.Contains(string(content), "upgrade refused"), fmt.Sprintf("%s, %v", content, err)
	})
	s.stop()
}

func TestLogsReopenWithoutFile(t *testing.T) {
	t.Parallel()
	s := serve(t, "--workers", "1")
	checkComplaint(t, s.ask("logs", "reopen"), exitFailed, "standard error", "--log-file")
	s.stop()
}

// A log that cannot be opened at the start is a failure, named.
func TestLogFileCannotBeOpened(t *testing.T) {
	t.Parallel()
	directory := shortDir(t)
	for path, reason := range map[string]string{
		filepath.Join(directory, "no", "log"): "no such file or directory",
		directory:                             "is a directory",
	} {
		for _, command := range []string{"serve", "check"} {
			got := usher(t, command, "--listen", "127.0.0.1:0", "--control", filepath.Join(directory, "c"), "--log-file", path)
			checkComplaint(t, got, exitFailed, "log file", path, reason)
		}
	}
}

// A full disk costs log lines and nothing else; standard error is told once.
func TestLogFileFull(t *testing.T) {
	t.Parallel()
	s := serve(t, "--app", "lines", "--workers", "1", "--log-file", "/dev/full")
	c := dial(t, s.address)
	c.ask(t, "hello")
	c.leave(t)
	s.signal(unix.SIGHUP)
	s.until("generation 2 alone", ready(1))
	if got := s.ask("reload"); got.code != 0 {
		t.Errorf("usher reload: %+v", got)
	}
	s.until("one worker", ready(1))
	s.stop()
	if said := s.log.with("/dev/full", "no space left on device", "lines are dropped"); len(said) != 1 || len(s.log.all()) != 1 {
		t.Errorf("on standard error: %q, want one line", s.log.all())
	}
}

// What is missing is counted where it is missing, and standard error is told once
// that something is, and once that it is over.
func TestLogFileFullAndBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	var told strings.Builder
	l, err := openLogFile(path, &told)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.file.Close() }() // the story is told
	out := master.NewLogWriter(l)
	write := func(line string) {
		fmt.Fprintln(out, line)
		if !out.Flush(limit) {
			t.Fatalf("%q: not written within %v", line, limit)
		}
	}
	write("one")
	good := l.file
	broken, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer broken.Close()
	l.file = broken // which is not open for writing
	write("two")
	write("three")
	l.file = good
	write("four")
	write("five")
	content, err := os.ReadFile(path)
	if lines := []string{"one", "2 lines are missing", "four", "five", ""}; err != nil || !slices.Equal(strings.Split(string(content), "\n"), lines) {
		t.Errorf("%q, %v; want lines %q", content, err, lines)
	}
	want := "usher: log file: write /dev/null: bad file descriptor; lines are dropped until that is over\n" +
		"usher: " + path + " can be written again, and says how many lines are missing\n"
	if got := told.String(); got != want {
		t.Errorf("told %q, want %q", got, want)
	}
}
