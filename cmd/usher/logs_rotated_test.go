package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// logHas says whether a log file has some text.
func logHas(path, text string) func() (bool, string) {
	return func() (bool, string) {
		content, err := os.ReadFile(path)
		return strings.Contains(string(content), text), fmt.Sprintf("%s, %v", content, err)
	}
}

// A log is rotated by renaming it and HUP: what comes of that is in the new one, also
// where the reload is refused, and while the server stops.
func TestLogsRotatedByHUP(t *testing.T) {
	t.Parallel()
	directory := shortDir(t)
	log, config := filepath.Join(directory, "log"), filepath.Join(directory, "config")
	configure := func(text string) {
		t.Helper()
		if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	configure("app = \"lines\"\n")
	s := serve(t, "--workers", "1", "--log-file", log, "--config", config)
	rotations := 0
	rotate := func() (old string) {
		t.Helper()
		rotations++
		old = fmt.Sprintf("%s.%d", log, rotations)
		if err := os.Rename(log, old); err != nil {
			t.Fatal(err)
		}
		s.signal(unix.SIGHUP)
		return old
	}
	old := rotate()
	until(t, "the reload is in the new log", logHas(log, "reloaded: generation=2"))
	if wrong, content := logHas(old, "reloading")(); wrong {
		t.Errorf("the old log goes on: %s", content)
	}
	configure("nonsense\n")
	old = rotate()
	until(t, "the refusal is in the new log", logHas(log, "reload refused"))
	if wrong, content := logHas(old, "reload refused")(); wrong {
		t.Errorf("the old log goes on: %s", content)
	}
	configure("app = \"lines\"\n")

	c := dial(t, s.address)
	c.ask(t, "hello")
	s.signal(unix.SIGTERM)
	refused(t, s.address)
	rotate()
	until(t, "there is a new log", func() (bool, string) {
		_, err := os.Stat(log)
		return !errors.Is(err, fs.ErrNotExist), fmt.Sprint(err)
	})
	c.ask(t, "still here")
	c.leave(t)
	s.ends(0)
	if said := s.log.all(); len(said) > 0 {
		t.Errorf("on standard error: %q, want nothing", said)
	}
}

// Where the log cannot be opened anew the old one says so, and the reload goes on.
func TestLogsNotRotated(t *testing.T) {
	t.Parallel()
	directory := filepath.Join(shortDir(t), "logs")
	if err := os.Mkdir(directory, 0o755); err != nil {
		t.Fatal(err)
	}
	s := serve(t, "--workers", "1", "--log-file", filepath.Join(directory, "log"))
	if err := os.Rename(directory, directory+".moved"); err != nil {
		t.Fatal(err)
	}
	s.signal(unix.SIGHUP)
	moved := filepath.Join(directory+".moved", "log")
	until(t, "the old one says so", logHas(moved, "the old one stays in use"))
	until(t, "the reload goes on", logHas(moved, "reloaded: generation=2"))
	s.signal(unix.SIGTERM)
	s.ends(0)
}
