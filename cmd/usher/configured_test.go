package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// configured is a server whose settings are all in a file.
type configured struct {
	*server
	path string
}

// serveConfigured starts a server with lines of configuration. They need no
// control socket, and no listener if one on a free port will do.
func serveConfigured(t *testing.T, lines ...string) *configured {
	t.Helper()
	return serveConfiguredIn(t, nil, lines...)
}

// serveConfiguredIn is serveConfigured with more in the environment.
func serveConfiguredIn(t *testing.T, environ []string, lines ...string) *configured {
	t.Helper()
	directory := shortDir(t)
	c := &configured{path: filepath.Join(directory, "usher.toml")}
	control := filepath.Join(directory, "c")
	writeConfig(t, c.path, control, lines)
	cmd, mark := command("serve", "--config", c.path)
	cmd.Env = append(cmd.Env, environ...)
	c.server = launchAs(t, cmd, mark, control)
	c.awaitStart()
	return c
}

// write replaces the configuration.
func (c *configured) write(lines ...string) {
	c.t.Helper()
	writeConfig(c.t, c.path, c.control, lines)
}

func writeConfig(t *testing.T, path, control string, lines []string) {
	t.Helper()
	if !slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, "listen") }) {
		lines = append(lines, `listen = ["127.0.0.1:0"]`)
	}
	if !slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, "control") }) {
		lines = append(lines, fmt.Sprintf("control = %q", control))
	}
	err := os.WriteFile(path+".new", []byte(strings.Join(lines, "\n")+"\n"), 0o644)
	if err := errors.Join(err, os.Rename(path+".new", path)); err != nil {
		t.Fatal(err)
	}
}

// ask runs a client command for the server.
func (s *server) ask(args ...string) result {
	s.t.Helper()
	return usher(s.t, append(args, "--control", s.control)...)
}

// reload reloads, which must succeed.
func (s *server) reload() {
	s.t.Helper()
	before, err := s.status()
	if err != nil {
		s.t.Fatal(err)
	}
	want := fmt.Sprintf("generation: %d\nmoved: ", before.Generation+1)
	if got := s.ask("reload"); got.code != 0 || got.stderr != "" || !strings.HasPrefix(got.stdout, want) {
		s.t.Fatalf("usher reload: %+v, want %q", got, want)
	}
}

// refusesReload reloads, which must fail for a reason and change nothing.
func (s *server) refusesReload(reason ...string) {
	s.t.Helper()
	before := s.until("no old worker is left", allReady)
	got := s.ask("reload")
	if got.code != exitFailed || got.stdout != "" || !strings.HasPrefix(got.stderr, "usher: ") {
		s.t.Errorf("usher reload: %+v, want exit status %d and a line on standard error", got, exitFailed)
	}
	for _, part := range reason {
		if !strings.Contains(got.stderr, part) {
			s.t.Errorf("usher reload says %q, want it to say %q", got.stderr, part)
		}
	}
	after := s.until("the old workers alone", ready(len(before.Workers)))
	if diff := cmp.Diff(pids(before), pids(after)); diff != "" || after.Generation != before.Generation {
		s.t.Errorf("generation %d, was %d; workers, -before +after:\n%s", after.Generation, before.Generation, diff)
	}
	if diff := cmp.Diff(before.Listeners, after.Listeners); diff != "" {
		s.t.Errorf("listeners, -before +after:\n%s", diff)
	}
}
